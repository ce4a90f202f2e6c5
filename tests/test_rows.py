"""Result rows there and back."""

from __future__ import annotations

import dataclasses
import json

import pytest

from tfrobust import rows
from tfrobust.rows import Row

CLEAN = Row("baseline", "digits/test", rows.CLEAN, 0.0, "accuracy", 0.75, n=360, seed=0)
ROWS = [
    CLEAN,
    Row("AT/CA – π", "digits/test", "B-", -0.36, "accuracy", 1 / 3, n=360, seed=7),
    Row("AT/CA", "digits/test", "Combined+", None, "accuracy", 0.1, n=360, seed=7, epoch=12),
    dataclasses.replace(CLEAN, protocol={"data": "ab12", "table": 32}, provenance={"keras": "2"}),
]


def test_json_worked():
    assert CLEAN.to_json() == (
        '{"model": "baseline", "dataset": "digits/test", "corruption": "clean", "severity": 0.0, '
        '"metric": "accuracy", "value": 0.75, "n": 360, "seed": 0}'
    )
    assert json.loads(ROWS[2].to_json())["epoch"] == 12
    assert json.loads(ROWS[2].to_json())["severity"] is None


@pytest.mark.parametrize("some", [ROWS, ROWS[:1], []])
def test_round_trip(tmp_path, some):
    path = tmp_path / "new" / "rows.jsonl"
    rows.write(iter(some), path)
    assert rows.read(path) == some
    assert len(path.read_text(encoding="utf-8").splitlines()) == len(some)


def test_blank_lines_are_passed_over(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(f"\n{CLEAN.to_json()}\n  \n\n", encoding="utf-8")
    assert rows.read(path) == [CLEAN]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_number_that_json_has_not_leaves_the_old_file(tmp_path, value):
    path = tmp_path / "rows.jsonl"
    rows.write([CLEAN], path)
    with pytest.raises(ValueError, match="JSON compliant"):
        rows.write([CLEAN, dataclasses.replace(CLEAN, value=value)], path)
    assert rows.read(path) == [CLEAN]


@pytest.mark.parametrize("bad", ["model,value", "[1, 2]", '{"model": "m"}', "{", '{"new": 1}', "3"])
def test_bad_line(tmp_path, bad):
    path = tmp_path / "rows.jsonl"
    path.write_text(f"{CLEAN.to_json()}\n\n{bad}\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"rows\.jsonl, line 3, is not a result row.*value, n"):
        rows.read(path)


def test_unknown_key(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({**dataclasses.asdict(CLEAN), "colour": 1}), encoding="utf-8")
    with pytest.raises(ValueError, match=r"line 1, is not a result row.*colour"):
        rows.read(path)


def test_rows_cannot_change():
    with pytest.raises(dataclasses.FrozenInstanceError):
        CLEAN.value = 1.0
