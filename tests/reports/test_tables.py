"""The tables: the paper's own numbers, properties, and input that is refused."""

from __future__ import annotations

import math
import subprocess
import sys

import pytest

from tfrobust.reports import robustness_table, standard_error, strengths_table
from tfrobust.reports.results import ORDER
from tfrobust.reports.table import with_minus_signs
from tfrobust.rows import Row

MODELS = ("baseline", "AT/CA", "ST/CA", "FMA/CA")
# Table 3 of the FMA paper, rows in the order of ORDER.
CIFAR_10 = """89.82 88.14 89.91 88.97
80.13 75.92 82.32 82.23
80.13 74.40 81.14 81.84
81.06 80.31 83.71 85.02
81.17 87.34 86.53 86.94
80.73 86.94 85.72 86.58
80.47 73.71 84.38 83.74
84.03 82.03 84.44 83.70
44.22 54.62 74.08 73.50
29.87 48.10 67.98 68.59"""
IMAGENET = """79.77 78.14 81.01 81.19
69.72 64.89 73.66 70.00
68.91 65.12 70.18 70.77
70.59 68.24 70.72 71.75
70.81 75.34 74.03 75.44
72.32 78.02 75.90 76.99
67.30 64.25 68.63 66.98
64.15 61.53 66.87 69.61
18.46 33.83 58.06 54.93
13.47 27.43 39.15 38.27"""


def paper_rows(text):
    for corruption, line in zip(ORDER, text.splitlines()):
        for model, value in zip(MODELS, line.split()):
            yield row(model, corruption, float(value) / 100, n=10000)


def row(model, corruption, value, *, severity=None, n=100, **options):
    record = {"dataset": "digits/test", "metric": "accuracy", "seed": 0, **options}
    return Row(model, corruption=corruption, severity=severity, value=value, n=n, **record)


@pytest.mark.parametrize(
    "text, printed", [(CIFAR_10, (1.98, 8.86, 8.94)), (IMAGENET, (2.12, 8.27, 8.04))]
)
def test_averages_of_the_paper(text, printed):
    table = robustness_table(paper_rows(text))
    assert table.columns == MODELS
    assert table.labels[:3] == ("Clean", "B+", "B-")
    assert table.labels[-2:] == (
        "Average improvement, 9 augmented",
        "Average improvement, 10 rows with clean",
    )
    assert table.values[-1][0] is None
    assert table.values[-1][1:] == pytest.approx(printed, abs=0.011)  # the paper cuts off
    # The mean over ten leaves a tenth to clean, the mean over nine nothing.
    for j in (1, 2, 3):
        clean = table.values[0][j] - table.values[0][0]
        assert 10 * table.values[-1][j] == pytest.approx(9 * table.values[-2][j] + clean)


def test_golden_text():
    rows = [
        row("baseline", "clean", 0.9),
        row("FMA/CA", "clean", 0.89),
        row("baseline", "S-", 0.5),
        row("FMA/CA", "S-", 0.75),
    ]
    assert robustness_table(rows).to_text() == (
        "Images                                  baseline   FMA/CA\n"
        "----------------------------------------------------------\n"
        "Clean                                      90.00*   89.00\n"
        "S-                                         50.00    75.00*\n"
        "----------------------------------------------------------\n"
        "Average improvement, 1 augmented               –   +25.00\n"
        "Average improvement, 2 rows with clean         –   +12.00\n"
        "One standard error is at most ±5.00 points, n = 100 images.\n"
    )


def test_golden_markdown_and_html():
    rows = [row("a|b", "B-", 0.5), row("<i>", "B-", 0.25)]
    table = robustness_table(rows)
    assert table.to_markdown().splitlines()[:4] == [
        "| Images | a\\|b | \\<i> |",
        "| --- | ---: | ---: |",
        "| B- | **50.00** | 25.00 |",
        "| Average improvement, 1 augmented | – | -25.00 |",
    ]
    page = table.to_html(caption="1 < 2")
    assert "<caption>1 &lt; 2</caption>" in page
    assert '<th scope="col" class="number">&lt;i&gt;</th>' in page
    assert (
        '<tr><th scope="row">B−</th><td class="number"><strong>50.00</strong></td>'
        '<td class="number">25.00</td></tr>' in page
    )
    assert ">−25.00</td>" in page and '<tbody class="summary">' in page


def test_known_order_then_first_appearance():
    names = ["fog", "Combined-", "B+", "snow", "clean", "GN"]
    table = robustness_table([row("net", name, 0.5) for name in names])
    assert table.labels == ("Clean", "B+", "GN", "Combined-", "fog", "snow")


def test_one_model_has_no_improvement_and_no_best():
    table = robustness_table([row("net", "clean", 0.9), row("net", "B+", 0.5)])
    assert table.summary_rows == 0 and table.labels == ("Clean", "B+") and not table.best


def test_clean_alone_has_no_improvement():
    table = robustness_table([row("a", "clean", 0.9), row("b", "clean", 0.5)])
    assert table.labels == ("Clean",) and table.best == {(0, 0)}


def test_missing_cells_are_left_out_of_the_averages():
    rows = [
        row("baseline", "B+", 0.5),
        row("baseline", "GN", 0.5),
        row("baseline", "GB", 0.5),
        row("x", "B+", 0.6),
        row("x", "GN", 0.8),
        row("x", "SAP", 1.0),
    ]
    table = robustness_table(rows)
    assert table.labels == ("B+", "GB", "GN", "SAP", "Average improvement, 4 augmented")
    assert table.texts[1] == ("50.00", "–") and table.texts[3] == ("–", "100.00")
    assert table.values[-1] == (None, pytest.approx(20.0))
    assert "Averages use only the corruptions that both models have." in table.notes


def test_nothing_in_common_gives_a_dash():
    table = robustness_table([row("a", "B+", 0.5), row("b", "GN", 0.5)])
    assert table.texts[-1] == ("–", "–")


def test_severities_are_rows_of_their_own_and_never_mixed():
    rows = [row("a", "fog", 0.5, severity=s) for s in (3, 1)] + [row("a", "B+", 0.5, severity=0.4)]
    assert robustness_table(rows).labels == ("B+", "fog 1", "fog 3")
    near = [row("a", "fog", 0.5, severity=0.3), row("a", "fog", 0.6, severity=0.3 + 1e-9)]
    assert robustness_table(near).values == ((50.0,), (60.0,))


def test_clean_is_one_row_whatever_its_severity():
    rows = [row("a", "clean", 0.5, severity=0.0), row("b", "clean", 0.6)]
    assert robustness_table(rows).values == ((50.0, 60.0),)


def test_rows_of_a_training_curve_are_left_out():
    rows = [row("a", "clean", 0.5), row("a", "clean", 0.1, epoch=1)]
    assert robustness_table(rows).values == ((50.0,),)


def test_baseline_is_chosen():
    rows = [row("a", "GN", 0.5), row("b", "GN", 0.7), row("baseline", "GN", 0.4)]
    assert robustness_table(rows).texts[-1] == ("+10.00", "+30.00", "–")
    assert robustness_table(rows, baseline="b").texts[-1] == ("-20.00", "–", "-30.00")
    assert robustness_table(rows[:2]).texts[-1] == ("–", "+20.00")


def test_equal_as_printed_is_marked_alike():
    rows = [row("a", "GN", 0.50000), row("b", "GN", 0.500001), row("c", "GN", 0.4)]
    assert {j for i, j in robustness_table(rows).best if i == 0} == {0, 1}
    assert not any(i == 0 for i, _ in robustness_table(rows[:2]).best)


def test_order_of_the_rows_changes_no_number():
    rows = list(paper_rows(CIFAR_10))
    forward, backward = robustness_table(rows), robustness_table(rows[::-1])
    assert backward.columns == MODELS[::-1]
    assert [line[::-1] for line in backward.values] == list(forward.values)


def test_duplicates():
    once = row("a", "B+", 0.5, severity=0.4)
    assert robustness_table([once, once]).values == ((50.0,),)
    other = row("a", "B+", 0.6, severity=0.4)
    with pytest.raises(ValueError, match=r"one value .* a on digits/test .* B\+ .*0\.5 and 0\.6"):
        robustness_table([once, other])


@pytest.mark.parametrize(
    "rows, options, message",
    [
        ([], {}, "needs rows with 'accuracy'"),
        ([row("a", "GN", 0.5)], {"metric": "loss"}, "needs rows with 'loss'"),
        ([row("a", "GN", 0.5)], {"baseline": "b"}, r"one of the models \['a'\]; got 'b'"),
        ([row("a", "GN", 0.5), row("a", "B+", 0.5, dataset="x")], {}, "one data set"),
        ([row("a", "GN", 50.0)], {}, r"accuracy of a .* a fraction in \[0, 1\]; received 50"),
        ([row("a", "GN", math.nan)], {}, "fraction .* received nan"),
        ([row("a", "GN", 0.5, n=0)], {}, "n of at least 1"),
    ],
)
def test_bad_input(rows, options, message):
    with pytest.raises(ValueError, match=message):
        robustness_table(rows, **options)


def test_standard_error():
    assert standard_error(0.5, 100) == 0.05
    assert standard_error(0.0, 7) == standard_error(1.0, 7) == 0.0
    assert standard_error(0.9, 400) == pytest.approx(0.015)
    assert standard_error(0.3, 50) == pytest.approx(standard_error(0.7, 50))
    for value, n in ((1.1, 10), (-0.1, 10), (math.nan, 10), (0.5, 0)):
        with pytest.raises(ValueError):
            standard_error(value, n)


def test_largest_standard_error_is_stated():
    rows = [row("a", "clean", 0.9, n=400), row("a", "GN", 0.5, n=100)]
    assert robustness_table(rows).notes == (
        "One standard error is at most ±5.00 points, n = 100 or 400 images.",
    )


def test_strengths():
    record = {
        "augmentation": "B-",
        "parameter": "delta",
        "strength": -0.41237,
        "reached": True,
        "clean_accuracy": 0.96,
        "accuracy": 0.861,
        "drop": 0.099,
        "n": 360,
        "note": "",
    }
    end = {**record, "augmentation": "S-", "strength": 0, "reached": False}
    told = {**end, "note": "end of range"}
    table = strengths_table([record, end, told])
    assert table.labels == ("B-", "S-", "S-")
    assert table.texts[0] == ("delta", "-0.4124", "86.10", "9.90", "")
    assert table.texts[1][-1] == "wanted drop not reached" and table.texts[2][-1] == "end of range"
    assert table.values[0][2:4] == (pytest.approx(86.1), pytest.approx(9.9))
    lines = table.to_text().splitlines()
    assert lines[0].startswith("Augmentation  Parameter  Strength") and "*" not in table.to_text()
    assert table.to_markdown().splitlines()[1] == "| --- | --- | ---: | ---: | ---: | --- |"
    assert '<td class="number">−0.4124</td>' in table.to_html()


def test_minus_signs():
    pairs = {"B-": "B−", "Combined- 0.3": "Combined− 0.3", "-1.20": "−1.20", "S+": "S+"}
    assert {text: with_minus_signs(text) for text in pairs} == pairs
    for same in ("jpeg-compression", "1e-05", "a - b", "-"):
        assert with_minus_signs(same) == same


def test_tables_need_neither_matplotlib_nor_tensorflow_nor_jinja():
    code = (
        "import sys; from tfrobust.reports import robustness_table; "
        "print([m for m in ('matplotlib', 'tensorflow', 'keras', 'jinja2') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
