"""Writes the tables of a run as CSV, JSON, LaTeX and Markdown files."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Mapping
from typing import Any

from tfrobust import files
from tfrobust.registries import CORRUPTIONS
from tfrobust.reports import tables
from tfrobust.reports.results import is_attack
from tfrobust.reports.run_files import naming, read_records
from tfrobust.reports.table import Table, csv_text, latex_text, markdown_text
from tfrobust.rows import Row, read

# Must differ from the name of its input file, which would be overwritten.
DIFFERENCES = "differences_table"


def write_tables(
    run_folder: files.PathLike,
    *,
    out: files.PathLike | None = None,
    mixed_protocols: bool = False,
) -> list[pathlib.Path]:
    """Writes the tables of an evaluation as `.csv`, `.json`, `.tex` and `.md`.

    `summary` has all single-number metrics of each model; `corruptions` the mean for each
    corruption; `augmentations` the accuracy under each of them; `attacks` that under each attack;
    `differences_table` the contents of `differences.json`. Empty tables are not
    written. CSV and JSON hold unrounded values; LaTeX needs the package booktabs. All tables are
    created before the first file is written, and each file is written atomically.

    Args:
        run_folder: Folder of the run.
        out: Output folder. Default: the run folder.
        mixed_protocols: Allows models measured under different protocols; notes then say what
            differs.

    Returns:
        Paths of the files.

    Raises:
        FileNotFoundError: The folder has no `rows.jsonl`.
        ValueError: A file has the wrong content, or models on one data set have different
            protocols.
    """
    folder = pathlib.Path(run_folder)
    out = folder if out is None else pathlib.Path(out)
    path = folder / "rows.jsonl"
    if not path.is_file():
        raise FileNotFoundError(f"tables need result rows; {folder} has no rows.jsonl")
    texts = {
        f"{name}.{ending}": form(by_dataset)
        for name, by_dataset in _tables(folder, read(path), mixed_protocols).items()
        if by_dataset
        for ending, form in (("csv", _csv), ("json", _json), ("tex", _latex), ("md", _markdown))
    }
    for name, text in texts.items():
        with files.replacing(out / name) as temporary:
            temporary.write_text(text, encoding="utf-8", errors="replace")
    return [out / name for name in texts]


def _tables(folder: pathlib.Path, rows: list[Row], mixed: bool) -> dict[str, dict[str, Table]]:
    """Name of a file to the tables of its data sets."""
    rows = [row for row in rows if row.epoch is None]
    path = folder / "differences.json"
    records = read_records(path, ("dataset",))
    names = ("summary", "corruptions", "augmentations", "attacks", DIFFERENCES)
    found: dict[str, dict[str, Table]] = {name: {} for name in names}
    for dataset in dict.fromkeys(row.dataset for row in rows):
        chosen = [row for row in rows if row.dataset == dataset]
        with naming(folder / "rows.jsonl"):
            if any(map(tables.in_summary, chosen)):
                found["summary"][dataset] = tables.summary_table(chosen, mixed_protocols=mixed)
            if any(row.corruption in CORRUPTIONS and row.metric == "accuracy" for row in chosen):
                table = tables.corruptions_table(chosen, mixed_protocols=mixed)
                found["corruptions"][dataset] = table
            augmented = tables.augmentations_table(chosen, mixed_protocols=mixed)
            if augmented is not None:
                found["augmentations"][dataset] = augmented
            if any(map(is_attack, chosen)):
                table = tables.attacks_table(chosen, mixed_protocols=mixed)
                found["attacks"][dataset] = table
        with naming(path):
            those = [record for record in records if record["dataset"] == dataset]
            if those:
                found[DIFFERENCES][dataset] = tables.differences_table(those)
    return found


def _csv(by_dataset: Mapping[str, Table]) -> str:
    """One file for all data sets, with a column for the data set and one per model."""
    columns = list(dict.fromkeys(name for table in by_dataset.values() for name in table.columns))
    rows: list[list[Any]] = [["Data set", next(iter(by_dataset.values())).corner, *columns]]
    for dataset, table in by_dataset.items():
        for record in table.to_records():
            cells = map(record["values"].get, columns)
            rows.append([dataset, record["label"], *cells])
    return csv_text(rows)


def _json(by_dataset: Mapping[str, Table]) -> str:
    content = [
        {
            "dataset": dataset,
            "columns": list(table.columns),
            "rows": table.to_records(),
            "notes": list(table.notes),
        }
        for dataset, table in by_dataset.items()
    ]
    return json.dumps(content, indent=2, allow_nan=False) + "\n"


def _latex(by_dataset: Mapping[str, Table]) -> str:
    head = "\\paragraph{{{}}}\\mbox{{}}\\par\n"
    return "\n".join(head.format(latex_text(d)) + t.to_latex() for d, t in by_dataset.items())


def _markdown(by_dataset: Mapping[str, Table]) -> str:
    parts = (f"### {markdown_text(d)}\n\n{t.to_markdown()}" for d, t in by_dataset.items())
    return "\n".join(parts)
