"""One HTML page that shows a whole run: no network, no scripts, nothing beside the file."""

from __future__ import annotations

import base64
import json
import pathlib
import zipfile
from collections.abc import Iterator
from html import escape
from typing import Any

import numpy as np

from tfrobust import files
from tfrobust.reports import figures, tables
from tfrobust.rows import Row, read

STYLE = """
:root { color-scheme: light dark; --text: #1c1d1f; --soft: #55585e; --page: #fff; --line: #d5d7db;
  --band: #f3f4f6; }
@media (prefers-color-scheme: dark) { :root { --text: #e7e8ea; --soft: #a9adb5; --page: #17181b;
  --line: #3b3e45; --band: #222429; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text); overflow-wrap: break-word;
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 62rem; margin: 0 auto; padding: 1.5rem 1rem 3rem; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 .5rem; }
h2 { font-size: 1.25rem; margin: 2.75rem 0 .5rem; padding-top: 1rem;
  border-top: 1px solid var(--line); }
p, figcaption { max-width: 44rem; margin: .6rem 0; }
.lead { font-size: 1.1rem; }
.note, figcaption { color: var(--soft); font-size: .93rem; }
.scroll { overflow-x: auto; margin: 1rem 0 .5rem; }
table { border-collapse: collapse; font-size: .95rem; }
caption { text-align: left; font-weight: 600; padding: 0 0 .4rem; }
th, td { padding: .35rem .8rem; border-bottom: 1px solid var(--line); text-align: left;
  vertical-align: top; font-weight: 400; }
thead th { font-weight: 600; border-bottom: 2px solid var(--soft); vertical-align: bottom; }
tbody.summary tr:first-child > * { border-top: 2px solid var(--soft); }
tbody.summary > tr > * { background: var(--band); }
.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
th[scope=row] { position: sticky; left: 0; background: var(--page); }
td:not(.number) { min-width: 8rem; }
.settings { table-layout: fixed; width: 100%; max-width: 48rem; }
.settings :is(th, td) { overflow-wrap: anywhere; }
.settings thead th:first-child { width: 40%; }
figure { margin: 1rem 0 1.75rem; }
.card { background: #fff; border: 1px solid var(--line); border-radius: .4rem; padding: .6rem; }
.card img { display: block; width: 100%; height: auto; }
.wide img { min-width: 46rem; }
.plot { max-width: 48rem; }
.plot img { min-width: 34rem; }
@media (max-width: 40rem) { table { font-size: .84rem; } th, td { padding: .3rem .28rem; }
  th[scope=row] { max-width: 6.6rem; } .settings thead th:first-child { width: 55%; } }
"""

PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style></head>
<body><main><h1>{title}</h1>
{body}
</main></body></html>
"""

NAMES = (
    "B is brightness and S is saturation; + raises it, − lowers it. GB is Gaussian blur, GN is "
    "Gaussian noise, SAP is salt-and-pepper noise. Combined+ applies B+, S+, GB, GN and SAP to "
    "the same image. Combined− applies B−, S−, GB, GN and SAP."
)
METHODS = (
    "The baseline has seen clean images only. The others start from it and are finetuned. "
    "AT trains on augmented images with their labels. ST keeps the output for an augmented image "
    "close to the output for the clean one. FMA does the same for the feature maps inside the "
    "network. CA means that Combined+ and Combined− take turns, one epoch each."
)


def write_report(run_folder: files.PathLike, *, path: files.PathLike | None = None) -> pathlib.Path:
    """Writes the tables and figures of a run as one HTML file that needs nothing else.

    Reads `rows.jsonl`, of which it shows the metric `"accuracy"`, and, where they are there,
    `strengths.json`, `pictures.npz`, `history.jsonl`, `settings.json` and `data.json`.

    Args:
        run_folder: Folder of the run.
        path: Where the page goes; `report.html` in the run folder by default.

    Returns:
        The path of the page.

    Raises:
        FileNotFoundError: The folder has no `rows.jsonl`.
        IsADirectoryError: `path` is a folder.
        ValueError: A file does not hold what its name says; the message names it.
    """
    folder = pathlib.Path(run_folder)
    path = folder / "report.html" if path is None else pathlib.Path(path)
    if not (folder / "rows.jsonl").is_file():
        raise FileNotFoundError(f"a report needs result rows; {folder} has no rows.jsonl")
    if path.is_dir():
        raise IsADirectoryError(f"path must be a file for the report; {path} is a folder")
    sections = (_note, _accuracies, _strengths, _pictures, _histories, _settings)
    body = "\n".join(part for section in sections for part in section(folder))
    title = escape(f"Robustness report: {folder.resolve().name}")
    page = PAGE.format(title=title, style=STYLE, body=body)
    with files.replacing(path) as temporary:
        # A name with half a surrogate pair, which JSON allows, is no reason to have no report.
        temporary.write_text(page, encoding="utf-8", errors="replace")
    return path


def _note(folder: pathlib.Path) -> Iterator[str]:
    """What must stand beside every number measured on the data."""
    data = _read_json(folder / "data.json") or {}
    if data.get("note"):
        yield _paragraph(f"Note on {data.get('name')}: {data['note']}.")


def _accuracies(folder: pathlib.Path) -> Iterator[str]:
    rows = [row for row in read(folder / "rows.jsonl") if row.metric == "accuracy"]
    if not rows:
        raise ValueError(f"{folder / 'rows.jsonl'} has no row with the metric accuracy")
    for dataset in dict.fromkeys(row.dataset for row in rows):
        chosen = [row for row in rows if row.dataset == dataset]
        table = tables.robustness_table(chosen)
        yield _paragraph(_summary(dataset, table), kind="lead")
        yield f"<h2>Accuracy on {escape(dataset)}</h2>"
        yield _paragraph(
            "Each column is a model and each row a kind of image. A number is the share of images "
            "that the model classifies correctly. Bold marks the best model of a row."
        )
        if any(model.endswith("/CA") for model in table.columns):
            yield _paragraph(METHODS)
        if {row.corruption for row in chosen} & set(tables.ORDER[1:]):
            yield _paragraph(NAMES)
        yield _scroll(table.to_html(caption=f"Accuracy in percent on {dataset}"))
        if table.summary_rows:
            yield _paragraph(
                "Average improvement is the accuracy of a model minus that of the baseline, in "
                "points. The first average leaves clean images out; the second counts them in, as "
                "the averages of the published table do.",
                kind="note",
            )
        chance = "A difference of this size can be chance."
        yield _paragraph(" ".join([table.notes[0], chance, *table.notes[1:]]), kind="note")


def _summary(dataset: str, table: tables.Table) -> str:
    several = "" if len(table.columns) == 1 else "s"
    text = f"{len(table.columns)} model{several} on {dataset}."
    means = table.values[-table.summary_rows] if table.summary_rows else ()
    known = {mean: name for name, mean in zip(table.columns, means) if mean is not None}
    if known:
        points = tables.with_minus_signs(f"{max(known):+.2f}")
        text += f" Largest average improvement on augmented images: {known[max(known)]}, "
        text += f"{points} points."
    return text


def _strengths(folder: pathlib.Path) -> Iterator[str]:
    path = folder / "strengths.json"
    if records := _read_json(path):
        try:
            table = tables.strengths_table(records)
            drops = {f"{100 * record.get('target_drop', 0):g}" for record in records} - {"0"}
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path} must be a list of strength records; {error!r}") from error
        wanted = f" by {drops.pop()} points" if len(drops) == 1 else ""
        yield "<h2>Strength of the augmentations</h2>"
        yield _paragraph(
            "Each augmentation is made as strong as it takes to lower the baseline's accuracy on "
            f"validation images{wanted}. A note says where that cannot be reached."
        )
        yield _scroll(table.to_html(caption="Baseline on augmented validation images"))


def _pictures(folder: pathlib.Path) -> Iterator[str]:
    path = folder / "pictures.npz"
    if path.is_file():
        try:
            with np.load(path, allow_pickle=False) as arrays:
                names, pictures = [str(name) for name in arrays["names"]], arrays["pictures"]
            figure = figures.augmentation_grid(pictures, names, title="Augmented pictures")
        except (KeyError, OSError, TypeError, ValueError, zipfile.BadZipFile) as error:
            raise ValueError(f"{path} must hold names and pictures; {error}") from error
        alt = f"Pictures in {len(pictures)} rows, one per example. Columns: {', '.join(names)}."
        yield "<h2>What the augmentations look like</h2>"
        caption = "Each row is one picture. Each column shows what an augmentation makes of it."
        yield _figure(figure, "png", alt, caption, kind="wide")


def _histories(folder: pathlib.Path) -> Iterator[str]:
    path = folder / "history.jsonl"
    rows = read(path) if path.is_file() else []
    rows = [row for row in rows if row.epoch is not None and row.metric == "accuracy"]
    if rows:
        yield "<h2>Accuracy while finetuning</h2>"
        yield _paragraph(
            "Each line is one kind of image. Epoch 0 is the model before finetuning. The names on "
            "the right stand in the order of the last epoch, best on top."
        )
    for model, dataset in dict.fromkeys((row.model, row.dataset) for row in rows):
        chosen = [row for row in rows if (row.model, row.dataset) == (model, dataset)]
        figure = figures.accuracy_over_epochs(chosen, model=model, title=model)
        alt = f"Accuracy of {model} on {dataset} in percent, first to last epoch. {_ends(chosen)}."
        yield _figure(figure, "svg+xml", alt, f"{model} on {dataset}.", kind="plot")


def _ends(rows: list[Row]) -> str:
    """The figure in words, for those who do not see it."""
    texts = []
    for key, label in tables.corruption_labels(rows).items():
        line = sorted((row.epoch, row.value) for row in rows if tables.corruption_key(row) == key)
        texts.append(f"{label}: {100 * line[0][1]:.1f} to {100 * line[-1][1]:.1f}")
    return "; ".join(texts)


def _settings(folder: pathlib.Path) -> Iterator[str]:
    if settings := _read_json(folder / "settings.json"):
        line = '<tr><th scope="row">{}</th><td>{}</td></tr>'
        lines = [line.format(escape(key), escape(value)) for key, value in _flat(settings)]
        yield "<h2>Settings</h2>"
        head = '<thead><tr><th scope="col">Name</th><th scope="col">Value</th></tr></thead>'
        body = "".join(lines)
        yield f'<table class="settings">{head}<tbody>{body}</tbody></table>'


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Nested settings as dotted names; a list without dicts in it stays on one line."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _flat(inner, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list) and any(isinstance(inner, dict) for inner in value):
        yield from _flat(dict(enumerate(value)), name)
    else:
        yield name, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _read_json(path: pathlib.Path) -> Any:
    if not path.is_file():
        return None
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not JSON: {error}") from error


def _paragraph(text: str, *, kind: str = "") -> str:
    return f'<p class="{kind}">{escape(text)}</p>' if kind else f"<p>{escape(text)}</p>"


def _scroll(content: str, *, kind: str = "") -> str:
    # Reached by the tab key, so that it can be scrolled without a mouse.
    return f'<div class="scroll {kind}" tabindex="0">\n{content}</div>'


def _figure(figure: figures.Figure, media: str, alt: str, caption: str, *, kind: str) -> str:
    code = base64.b64encode(figures.encoded(figure, media)).decode("ascii")
    image = f'<img src="data:image/{media};base64,{code}" alt="{escape(alt)}">'
    box = _scroll(image, kind=f"card {kind}")
    return f"<figure>{box}<figcaption>{escape(caption)}</figcaption></figure>"
