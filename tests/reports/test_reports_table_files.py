"""The tables as files beside the report."""

from __future__ import annotations

import csv
import json

import pytest

from tfrobust import rows as result_rows
from tfrobust.reports import summary_table, write_tables
from tfrobust.reports.table import csv_text
from tfrobust.rows import Row


def test_files_hold_the_table_unrounded(write_evaluation, tmp_path):
    folder = write_evaluation(tmp_path / "run")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    paths = write_tables(folder)
    names = ("summary", "corruptions", "augmentations", "attacks", "differences_table")
    endings = ("csv", "json", "tex", "md")
    assert [p.name for p in paths] == [f"{name}.{end}" for name in names for end in endings]
    table = summary_table(result_rows.read(folder / "rows.jsonl"))
    with open(folder / "summary.csv", newline="", encoding="utf-8") as stream:
        lines = list(csv.reader(stream))
    assert lines[0] == ["Data set", "Measure", "baseline", "AugMix", "FMA/CA"]
    assert [line[1] for line in lines[1:]] == list(table.labels)
    assert [tuple(map(float, line[2:])) for line in lines[1:]] == list(table.values)
    (content,) = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    assert content["dataset"] == "cifar10/test" and content["notes"] == list(table.notes)
    assert [tuple(r["values"].values()) for r in content["rows"]] == list(table.values)
    assert table.to_markdown() in (folder / "summary.md").read_text(encoding="utf-8")
    assert table.to_latex() in (folder / "summary.tex").read_text(encoding="utf-8")
    # What the tables are made from is not touched, and nothing half-written is left.
    assert before.items() <= {path.name: path.read_bytes() for path in folder.iterdir()}.items()
    assert len(list(folder.iterdir())) == len(before) + 20


def test_several_data_sets_with_other_models(tmp_path):
    rows = [
        Row(model, dataset, "clean", 0.0, "accuracy", value, n=10, seed=0)
        for model, dataset, value in (("a", "x", 0.5), ("b", "y_&", 0.25), ("a", "y_&", 0.75))
    ]
    result_rows.write(rows, tmp_path / "rows.jsonl")
    out = tmp_path / "new" / "folder"
    assert len(write_tables(tmp_path, out=out)) == 4
    lines = (out / "summary.csv").read_text(encoding="utf-8").splitlines()
    assert lines == [
        "Data set,Measure,a,b",
        "x,Clean accuracy (%) ↑,50.0,",
        "y_&,Clean accuracy (%) ↑,75.0,25.0",
    ]
    assert r"\paragraph{y\_\&}" in (out / "summary.tex").read_text(encoding="utf-8")


def test_no_text_is_a_formula():
    cells = ["=1+1", "+1", "-1", "@A1", "\t=1", "B-", "", None, -1.5]
    assert next(csv.reader([csv_text([cells])])) == [
        *("'=1+1", "'+1", "'-1", "'@A1", "'\t=1", "B-", "", "", "-1.5")
    ]


def test_nothing_is_written_when_something_is_wrong(write_evaluation, tmp_path):
    folder = write_evaluation(tmp_path / "run")
    (folder / "differences.json").write_text('[{"dataset": "cifar10/test"}]')
    with pytest.raises(ValueError, match=r"differences\.json: a difference needs"):
        write_tables(folder)
    assert not (folder / "summary.csv").exists()
    (folder / "rows.jsonl").write_text("\n{]\n")
    with pytest.raises(ValueError, match=r"rows\.jsonl, line 2, is not a result row"):
        write_tables(folder)
    (folder / "rows.jsonl").unlink()
    with pytest.raises(FileNotFoundError, match=r"no rows\.jsonl"):
        write_tables(folder)
