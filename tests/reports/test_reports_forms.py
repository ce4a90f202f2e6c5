"""The forms of a table: LaTeX, CSV and records."""

from __future__ import annotations

import csv
import io
import json
import re

import pytest

from tfrobust.reports.table import Table, best_cells, latex_text

HARD = r"50% & a_b #1 {x} $5 \n ~^ <script>"


def table(**more):
    labels, columns = ("up ↑", HARD, "last"), ("a", HARD)
    values = ((1 / 3, 2.0), (None, 5.0), (1.0, 1.0))
    texts = (("0.33", "2.00"), ("–", "5.00"), ("1.00", "1.00"))
    options = {"best": frozenset({(0, 1)}), "breaks": (1,), "notes": ("Note: 5 %.",), **more}
    return Table("Measure", columns, labels, values, texts, **options)


def test_golden_latex():
    simple = Table(
        "M", ("a", "b"), ("x ↓", "y"), ((1.0, 2.0), (3.0, None)), (("1", "2"), ("3", "–"))
    )
    simple = Table(
        **{**vars(simple), "best": frozenset({(0, 0)}), "breaks": (0, 1), "notes": ("N.",)}
    )
    assert simple.to_latex() == (
        "\\begin{tabular}{lrr}\n\\toprule\nM & a & b \\\\\n\\midrule\n"
        "x $\\downarrow$ & \\textbf{1} & 2 \\\\\n\\midrule\ny & 3 & – \\\\\n"
        "\\bottomrule\n\\end{tabular}\n\\par\\smallskip{\\footnotesize N.\\par}\n"
    )


def test_latex_has_as_many_cells_whatever_the_names():
    lines = table().to_latex().split("\\midrule\n")
    rows = [line for part in lines for line in part.splitlines() if line.endswith(r" \\")]
    assert len(rows) == 4
    for line in rows:
        assert len(re.findall(r"(?<!\\)&", line)) == 2
        plain = re.sub(r"\\[&%$#_{}]|\$\\[a-z]+\$|\\[a-z]+\{\}|\\textbf\{|\}| \\\\$", "", line)
        assert not re.search(r"[%$#_{\\~^]", plain)


def test_latex_signs():
    assert latex_text("a_b & 5% -- \\x") == r"a\_b \& 5\% -{}- \textbackslash{}x"
    assert latex_text("-1.5") == "$-$1.5" and latex_text("[x]\n*") == "{[}x{]} {*}"


def test_csv_parses_back_unrounded():
    lines = list(csv.reader(io.StringIO(table().to_csv())))
    assert lines[0] == ["Measure", "a", HARD]
    assert [line[0] for line in lines[1:]] == ["up ↑", HARD, "last"]
    assert float(lines[1][1]) == 1 / 3 and lines[2][1:] == ["", "5.0"]


def test_records_are_plain():
    records = json.loads(json.dumps(table().to_records()))
    assert records[0] == {"label": "up ↑", "values": {"a": 1 / 3, HARD: 2.0}, "best": [HARD]}
    assert records[1]["values"]["a"] is None and records[1]["best"] == []


def test_rules_stand_before_their_rows():
    text = table().to_text().splitlines()
    rules = [i for i, line in enumerate(text) if set(line) == {"-"}]
    assert rules == [1, 3] and text[2].startswith("up") and text[4].startswith("50%")
    assert table().to_html().count("<tbody>") == 2
    assert table(summary_rows=1).to_html().count("<tbody") == 3
    assert table(breaks=(0,)).to_text().count("\n---") == 1


@pytest.mark.parametrize(
    "higher, best",
    [(None, {(0, 1)}), ([True], {(0, 1)}), ([False], {(0, 0), (0, 3)}), ([None], set())],
)
def test_best_follows_the_direction(higher, best):
    assert best_cells([["1.0", "3.0", "–", "1.0"]], higher) == best
