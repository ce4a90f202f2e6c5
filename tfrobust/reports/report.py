"""Report of a run as one self-contained HTML page, without scripts or network access."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

from tfrobust import files
from tfrobust.reports import (
    evaluation_sections,
    figures,
    protocols,
    race,
    tables,
    templates,
    trials,
)
from tfrobust.reports.results import ORDER, corruption_labels
from tfrobust.reports.run_files import naming, read_arrays, read_json
from tfrobust.rows import Row, read


def write_report(
    run_folder: files.PathLike,
    *,
    path: files.PathLike | None = None,
    mixed_protocols: bool = False,
) -> pathlib.Path:
    """Writes the tables and figures of a run as one self-contained HTML file.

    Reads `rows.jsonl` and, if they exist, `strengths.json`, `pictures.npz`, `history.jsonl`,
    `settings.json` and `data.json`; for an evaluation `differences.json`, `reliability.json`,
    `worst.npz` and `worst.json`; for `robustify` `robustify.json`; for a
    search `trials.jsonl` (which needs no rows) and
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
    evaluated = has_rows and evaluation_sections.is_evaluation(folder, rows)
    content: dict[str, Any] = {"name": folder.resolve().name, "arrows": tables.ARROWS}
    content.update(accuracies=[], evaluations=[], worst=[], maps=[])
    if evaluated:
        content.update(evaluation_sections.content(folder, rows, mixed_protocols))
    elif has_rows:
        content["accuracies"] = list(_accuracies(folder, rows, mixed_protocols))
    content.update(
        data=_data(folder),
        search=_search(folder),
        race=_race(folder),
        strengths=_strengths(folder),
        pictures=_pictures(folder),
        histories=list(_histories(folder)),
        protocol=_protocol(rows),
        settings=list(_flat(_object(folder / "settings.json"))),
    )
    text = templates.environment().get_template("report.html.jinja").render(content)
    with files.replacing(path) as temporary:
        # JSON allows unpaired surrogates in names; they must not prevent a report.
        temporary.write_text(text, encoding="utf-8", errors="replace")
    return path


def _data(folder: pathlib.Path) -> dict[str, Any]:
    """The name of the data, and the note that must accompany all results on them."""
    return {"name": None, "note": None, **_object(folder / "data.json")}


def _object(path: pathlib.Path) -> dict[str, Any]:
    """What a JSON file holds, which must be an object; empty without a file."""
    return files.read_json(path) if path.is_file() else {}


def _search(folder: pathlib.Path) -> dict[str, Any] | None:
    path = folder / "trials.jsonl"
    if not path.is_file():
        return None
    about = read_json(folder / "tuning.json")
    if not isinstance(about, dict):
        raise ValueError(f"{folder / 'tuning.json'} must hold the settings of the search")
    with naming(f"{path} must hold one trial a line"):
        records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        if not records:
            return None
        start = read_json(folder / "start.json")
        table, picture = trials.trials_table(records, about, start), None
        if any(record["status"] == "completed" for record in records):
            names = ", ".join(trials.parameter_names(records, about))
            alt = f"Clean and robust validation accuracy of each trial against {names}. "
            alt += "; ".join(
                " ".join(f"{column} {cell}" for column, cell in zip(table.columns, texts) if cell)
                for texts in table.texts[:12]
            )
            picture = figures.as_image(trials.trials_figure(records, about), "svg+xml", alt)
    return {"about": about, "table": table, "picture": picture}


def _race(folder: pathlib.Path) -> dict[str, Any] | None:
    story = read_json(folder / "robustify.json")
    if story is None:
        return None
    with naming(f"{folder / 'robustify.json'} must hold the story of a race"):
        table = race.race_table(story)
        alt = "Clean and robust accuracy of the candidates; the numbers are in the table."
        return {
            "answer": race.answer(story, read_json(folder / "differences.json") or []),
            "advice": race.advice(story),
            "minutes": f"{story['seconds'] / 60:.1f}",
            "floor": f"{100 * story['floor']:.1f}",
            "table": table,
            "picture": figures.as_image(race.race_figure(story), "svg+xml", alt),
            "taken": story["chosen"] and story["chosen"]["name"],
        }


def _accuracies(folder: pathlib.Path, rows: list[Row], mixed: bool) -> Iterator[dict[str, Any]]:
    rows = [row for row in rows if row.metric == "accuracy"]
    if not rows:
        raise ValueError(f"{folder / 'rows.jsonl'} has no row with the metric accuracy")
    for dataset in dict.fromkeys(row.dataset for row in rows):
        chosen = [row for row in rows if row.dataset == dataset]
        table = tables.robustness_table(chosen, mixed_protocols=mixed)
        means = table.values[-table.summary_rows] if table.summary_rows else ()
        gains = {mean: name for name, mean in zip(table.columns, means) if mean is not None}
        yield {
            "dataset": dataset,
            "table": table,
            "best": (gains[max(gains)], f"{max(gains):+.2f}") if gains else None,
            "explain_methods": any(model.endswith("/CA") for model in table.columns),
            "explain_augmentations": {row.corruption for row in chosen} & set(ORDER[1:]),
        }


def _strengths(folder: pathlib.Path) -> dict[str, Any] | None:
    path = folder / "strengths.json"
    records = read_json(path)
    if not records:
        return None
    with naming(f"{path} must be a list of strength records"):
        drops = {f"{100 * record.get('target_drop', 0):g}" for record in records} - {"0"}
        drop = drops.pop() if len(drops) == 1 else None
        return {"table": tables.strengths_table(records), "drop": drop}


def _pictures(folder: pathlib.Path) -> dict[str, str] | None:
    path = folder / "pictures.npz"
    if not path.is_file():
        return None
    what = "names and pictures"
    names, pictures = read_arrays(path, what, "names", "pictures")
    with naming(f"{path} must hold {what}"):
        figure = figures.augmentation_grid(
            pictures, list(names.astype(str)), title="Augmented pictures"
        )
    alt = f"Pictures in {len(pictures)} rows, one per example. Columns: {', '.join(names)}."
    return figures.as_image(figure, "png", alt)


def _histories(folder: pathlib.Path) -> Iterator[dict[str, Any]]:
    path = folder / "history.jsonl"
    rows = read(path) if path.is_file() else []
    rows = [row for row in rows if row.epoch is not None and row.metric == "accuracy"]
    for model, dataset in dict.fromkeys((row.model, row.dataset) for row in rows):
        chosen = [row for row in rows if (row.model, row.dataset) == (model, dataset)]
        figure = figures.accuracy_over_epochs(chosen, model=model, title=model)
        texts = []
        for key, label in corruption_labels(chosen).items():
            line = sorted((r.epoch, r.value) for r in chosen if protocols.corruption_key(r) == key)
            texts.append(f"{label}: {100 * line[0][1]:.1f} to {100 * line[-1][1]:.1f}")
        alt = f"Accuracy of {model} on {dataset} in percent, first to last epoch. "
        alt += f"{'; '.join(texts)}."
        picture = figures.as_image(figure, "svg+xml", alt)
        yield {"model": model, "dataset": dataset, "picture": picture}


def _protocol(rows: Sequence[Row]) -> dict[str, Any] | None:
    rows = [row for row in rows if row.epoch is None]
    if all(row.protocol is None and row.provenance is None for row in rows):
        return None
    return {
        "sentences": list(protocols.sentences(rows)),
        "table": protocols.protocol_table(rows),
    }


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Flattens nested settings to dotted names; a list without dicts stays on one line."""
    if isinstance(value, list) and any(isinstance(inner, dict) for inner in value):
        value = dict(enumerate(value))
    if isinstance(value, dict) and (value or not name):
        for key, inner in value.items():
            yield from _flat(inner, f"{name}.{key}" if name else str(key))
    else:
        yield name, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
