"""Report of a run as one self-contained HTML page, without scripts or network access."""

from __future__ import annotations

import pathlib
import zipfile
from collections.abc import Iterator
from html import escape

import numpy as np

from tfrobust import files
from tfrobust.reports import evaluation_page, figures, page, protocol_page, tables, trials
from tfrobust.rows import Row, read

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


def write_report(
    run_folder: files.PathLike,
    *,
    path: files.PathLike | None = None,
    mixed_protocols: bool = False,
) -> pathlib.Path:
    """Writes the tables and figures of a run as one self-contained HTML file.

    Reads `rows.jsonl` and, if they exist, `strengths.json`, `pictures.npz`, `history.jsonl`,
    `settings.json` and `data.json`; for an evaluation `differences.json`, `reliability.json`,
    `worst.npz` and `worst.json`; for a search `trials.jsonl` (which needs no rows) and
    `tuning.json`.

    Args:
        run_folder: Folder of the run.
        path: Output file. Default: `report.html` in the run folder.
        mixed_protocols: Allows models measured under different protocols; notes then say what
            differs.

    Returns:
        Path of the page.

    Raises:
        FileNotFoundError: The folder has no `rows.jsonl`.
        IsADirectoryError: `path` is a folder.
        ValueError: A file has the wrong content (the message names it), or models on one data set
            have different protocols.
    """
    folder = pathlib.Path(run_folder)
    path = folder / "report.html" if path is None else pathlib.Path(path)
    has_rows = (folder / "rows.jsonl").is_file()
    if not has_rows and not (folder / "trials.jsonl").is_file():
        raise FileNotFoundError(f"a report needs result rows; {folder} has no rows.jsonl")
    if path.is_dir():
        raise IsADirectoryError(f"path must be a file for the report; {path} is a folder")
    rows = read(folder / "rows.jsonl") if has_rows else []
    evaluated = evaluation_page.is_evaluation(folder, rows)
    sections: list[Iterator[str]] = [_note(folder), trials.sections(folder)]
    if not has_rows:
        pass  # a search without results beyond its trials
    elif evaluated:
        sections += [evaluation_page.sections(folder, rows, mixed_protocols=mixed_protocols)]
    else:
        sections += [_accuracies(folder, rows, mixed_protocols)]
    sections += [_strengths(folder), _pictures(folder), _histories(folder)]
    sections += [protocol_page.sections(rows), _settings(folder)]
    body = "\n".join(part for section in sections for part in section)
    title = escape(f"Robustness report: {folder.resolve().name}")
    text = page.PAGE.format(title=title, style=page.STYLE, body=body)
    with files.replacing(path) as temporary:
        # JSON allows unpaired surrogates in names; they must not prevent a report.
        temporary.write_text(text, encoding="utf-8", errors="replace")
    return path


def _note(folder: pathlib.Path) -> Iterator[str]:
    """The note that must accompany all results on the data."""
    data = page.read_json(folder / "data.json")
    data = {} if data is None else data
    if not isinstance(data, dict):
        raise ValueError(f"{folder / 'data.json'} must hold an object; got {type(data).__name__}")
    if data.get("note"):
        yield page.paragraph(f"Note on {data.get('name')}: {data['note']}.")


def _accuracies(folder: pathlib.Path, rows: list[Row], mixed_protocols: bool) -> Iterator[str]:
    rows = [row for row in rows if row.metric == "accuracy"]
    if not rows:
        raise ValueError(f"{folder / 'rows.jsonl'} has no row with the metric accuracy")
    for dataset in dict.fromkeys(row.dataset for row in rows):
        chosen = [row for row in rows if row.dataset == dataset]
        table = tables.robustness_table(chosen, mixed_protocols=mixed_protocols)
        yield page.paragraph(_summary(dataset, table), kind="lead")
        yield f"<h2>Accuracy on {escape(dataset)}</h2>"
        yield page.paragraph(
            "Each column is a model and each row a kind of image. A number is the fraction of "
            "images that the model classifies correctly. Bold marks the best model of a row."
        )
        if any(model.endswith("/CA") for model in table.columns):
            yield page.paragraph(METHODS)
        if {row.corruption for row in chosen} & set(tables.ORDER[1:]):
            yield page.paragraph(NAMES)
        yield page.scroll(table.to_html(caption=f"Accuracy in percent on {dataset}"))
        if table.summary_rows:
            yield page.paragraph(
                "Average improvement is the accuracy of a model minus that of the baseline, in "
                "points. The first average leaves clean images out; the second counts them in, as "
                "the averages of the published table do.",
                kind="note",
            )
        chance = "A difference of this size can be chance."
        yield page.paragraph(" ".join([table.notes[0], chance, *table.notes[1:]]), kind="note")


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
    if records := page.read_json(path):
        try:
            table = tables.strengths_table(records)
            drops = {f"{100 * record.get('target_drop', 0):g}" for record in records} - {"0"}
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path} must be a list of strength records; {error!r}") from error
        wanted = f" by {drops.pop()} points" if len(drops) == 1 else ""
        yield "<h2>Strength of the augmentations</h2>"
        yield page.paragraph(
            "Each augmentation is made as strong as it takes to lower the baseline's accuracy on "
            f"validation images{wanted}. A note says where that cannot be reached."
        )
        yield page.scroll(table.to_html(caption="Baseline on augmented validation images"))


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
        yield page.figure(figure, "png", alt, caption, kind="wide")


def _histories(folder: pathlib.Path) -> Iterator[str]:
    path = folder / "history.jsonl"
    rows = read(path) if path.is_file() else []
    rows = [row for row in rows if row.epoch is not None and row.metric == "accuracy"]
    if rows:
        yield "<h2>Accuracy while finetuning</h2>"
        yield page.paragraph(
            "Each line is one kind of image. Epoch 0 is the model before finetuning. The names on "
            "the right stand in the order of the last epoch, best on top."
        )
    for model, dataset in dict.fromkeys((row.model, row.dataset) for row in rows):
        chosen = [row for row in rows if (row.model, row.dataset) == (model, dataset)]
        figure = figures.accuracy_over_epochs(chosen, model=model, title=model)
        alt = (
            f"Accuracy of {model} on {dataset} in percent, first to last epoch. {_as_text(chosen)}."
        )
        yield page.figure(figure, "svg+xml", alt, f"{model} on {dataset}.", kind="plot")


def _as_text(rows: list[Row]) -> str:
    """The figure in words, as alternative text."""
    texts = []
    for key, label in tables.corruption_labels(rows).items():
        line = sorted((row.epoch, row.value) for row in rows if tables.corruption_key(row) == key)
        texts.append(f"{label}: {100 * line[0][1]:.1f} to {100 * line[-1][1]:.1f}")
    return "; ".join(texts)


def _settings(folder: pathlib.Path) -> Iterator[str]:
    if settings := page.read_json(folder / "settings.json"):
        line = '<tr><th scope="row">{}</th><td>{}</td></tr>'
        lines = [line.format(escape(key), escape(value)) for key, value in page.flat(settings)]
        yield "<h2>Settings</h2>"
        head = '<thead><tr><th scope="col">Name</th><th scope="col">Value</th></tr></thead>'
        body = "".join(lines)
        yield f'<table class="settings">{head}<tbody>{body}</tbody></table>'
