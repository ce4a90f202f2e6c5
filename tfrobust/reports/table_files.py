"""Writes the tables of a run as CSV, JSON, LaTeX and Markdown files."""

from __future__ import annotations

import csv
import io
import json
import pathlib
from collections.abc import Mapping
from typing import Any

from tfrobust import files
from tfrobust.registries import CORRUPTIONS
from tfrobust.reports import evaluation_tables, page
from tfrobust.reports.differences import differences_table
from tfrobust.reports.table import Table, latex_text, markdown_text
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
    corruption; `differences_table` the contents of `differences.json`. Empty tables are not
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
    tables = _tables(folder, read(path), mixed_protocols)
    texts = {
        f"{name}.{ending}": form(by_dataset)
        for name, by_dataset in tables.items()
        if by_dataset
        for ending, form in (("csv", _csv), ("json", _json), ("tex", _latex), ("md", _markdown))
    }
    for name, text in texts.items():
        with files.replacing(out / name) as temporary:
            temporary.write_text(text, encoding="utf-8", errors="replace")
    return [out / name for name in texts]


def _tables(folder: pathlib.Path, rows: list[Row], mixed: bool) -> dict[str, dict[str, Table]]:
    rows = [row for row in rows if row.epoch is None]
    path = folder / "differences.json"
    records = page.read_records(path, ("dataset",))
    tables: dict[str, dict[str, Table]] = {"summary": {}, "corruptions": {}, DIFFERENCES: {}}
    for dataset in dict.fromkeys(row.dataset for row in rows):
        chosen = [row for row in rows if row.dataset == dataset]
        try:
            if evaluation_tables.has_summary(chosen):
                table = evaluation_tables.summary_table(chosen, mixed_protocols=mixed)
                tables["summary"][dataset] = table
            if any(row.corruption in CORRUPTIONS and row.metric == "accuracy" for row in chosen):
                table = evaluation_tables.corruptions_table(chosen, mixed_protocols=mixed)
                tables["corruptions"][dataset] = table
        except ValueError as error:
            raise ValueError(f"{folder / 'rows.jsonl'}: {error}") from error
        those = [record for record in records if record["dataset"] == dataset]
        if those:
            try:
                tables[DIFFERENCES][dataset] = differences_table(those)
            except ValueError as error:
                raise ValueError(f"{path}: {error}") from error
    return tables


def _csv(tables: Mapping[str, Table]) -> str:
    """One file for all data sets, with a column for the data set and one per model."""
    columns = list(dict.fromkeys(name for table in tables.values() for name in table.columns))
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["Data set", next(iter(tables.values())).corner, *columns])
    for dataset, table in tables.items():
        for label, values in zip(table.labels, table.values):
            cells = dict(zip(table.columns, values))
            writer.writerow([dataset, label, *(cells.get(name) for name in columns)])
    return stream.getvalue()


def _json(tables: Mapping[str, Table]) -> str:
    content: list[dict[str, Any]] = [
        {
            "dataset": dataset,
            "columns": list(table.columns),
            "rows": table.to_records(),
            "notes": list(table.notes),
        }
        for dataset, table in tables.items()
    ]
    return json.dumps(content, indent=2, allow_nan=False) + "\n"


def _latex(tables: Mapping[str, Table]) -> str:
    parts = (
        rf"\paragraph{{{latex_text(dataset)}}}\mbox{{}}\par" + "\n" + table.to_latex()
        for dataset, table in tables.items()
    )
    return "\n".join(parts)


def _markdown(tables: Mapping[str, Table]) -> str:
    parts = (
        f"### {markdown_text(name)}\n\n{table.to_markdown()}" for name, table in tables.items()
    )
    return "\n".join(parts)
