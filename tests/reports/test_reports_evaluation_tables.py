"""The tables of an evaluation: numbers worked by hand, directions, and what is refused."""

from __future__ import annotations

import dataclasses
import math

import pytest

from tfrobust.reports import (
    attacks_table,
    corruptions_table,
    differences_table,
    summary_table,
    sweep_table,
)
from tfrobust.rows import Row


def row(model, corruption, severity, metric, value, **more):
    record = {"n": 100, "seed": 0, **more}
    return Row(model, "cifar10/test", corruption, severity, metric, value, **record)


def line(table, start):
    (i,) = [i for i, label in enumerate(table.labels) if label.startswith(start)]
    return table.texts[i], {table.columns[j] for k, j in table.best if k == i}


def test_golden_summary():
    rows = []
    for model, k in (("a", 0), ("b", 1)):
        rows += [
            row(model, "clean", 0.0, "accuracy", 0.95 - 0.05 * k),
            row(model, "test", None, "robust_accuracy", 0.5 + 0.25 * k),
            row(model, "test", None, "mean_corruption_error", 80.0 - k, protocol={"baseline": "x"}),
            row(model, "perturbations", None, "mean_flip_probability", 0.02 + 0.01 * k),
            row(model, "PGD", 8 / 255, "accuracy", 0.125),
        ]
    assert summary_table(rows).to_text() == (
        "Measure                                a       b\n"
        "-------------------------------------------------\n"
        "Clean accuracy (%) ↑               95.00*  90.00\n"
        "Robust accuracy, all 15 × 5 (%) ↑  50.00   75.00*\n"
        "-------------------------------------------------\n"
        "mCE (x = 100) ↓                    80.00   79.00*\n"
        "-------------------------------------------------\n"
        "Accuracy under PGD 8/255 (%) ↑     12.50   12.50\n"
        "-------------------------------------------------\n"
        "Mean flip probability mFP (%) ↓     2.00*   3.00\n"
        "↑: more is better; ↓: less is better.\n"
        "Robust accuracy is the mean over 15 corruptions at 5 severities, or over a group.\n"
        "mCE is divided by the numbers of x; 100 is as bad as those.\n"
    )


def test_best_is_the_best_in_every_row(sample_rows):
    table = summary_table(sample_rows)
    assert len(table.labels) == 19
    for i, label in enumerate(table.labels):
        wanted = {"↑": max, "↓": min}[label[-1]](table.values[i])
        best = {j for k, j in table.best if k == i}
        assert best == {j for j, value in enumerate(table.values[i]) if value == wanted}
    lower = ("ECE", "RMS", "Mean error", "Mean flip")
    assert all((label[-1] == "↓") == any(w in label for w in lower) for label in table.labels)


def test_without_a_baseline_nothing_is_called_mce(sample_rows):
    table = summary_table(sample_rows)
    texts, _ = line(table, "Mean error on corrupted images (%, plain mean, not normalised)")
    robust, _ = line(table, "Robust accuracy, all")
    assert [float(t) for t in texts] == pytest.approx([100 - float(t) for t in robust], abs=0.011)
    assert not any(label.startswith(("mCE", "Relative mCE")) for label in table.labels)
    assert any("not divided by a baseline" in note for note in table.notes)


def test_baselines_never_share_a_line():
    rows = [
        row(m, "perturbations", None, "mean_flip_rate", 50.0, protocol=protocol)
        for m, protocol in (
            ("a", {"baseline": "alexnet"}),
            ("b", {"baseline": "none"}),
            ("c", None),
        )
    ]
    with pytest.raises(ValueError, match="baseline is alexnet for a, none for b"):
        summary_table(rows[:2])
    table = summary_table(rows, mixed_protocols=True)
    assert table.texts == (("50.00", "–", "–"), ("–", "50.00", "–"), ("–", "–", "50.00"))
    assert "alexnet = 100" in table.labels[0] and "not normalised" in table.labels[1]
    assert "baseline not stated" in table.labels[2]


def test_calibration_means_are_over_the_corruptions_of_the_benchmark():
    values = {("fog", 1): 0.1, ("fog", 2): 0.2, ("snow", 1): 0.6, ("spatter", 1): 0.9}
    metric = "expected_calibration_error"
    rows = [row("a", c, s, metric, value) for (c, s), value in values.items()]
    table = summary_table(rows)  # spatter is held out: (0.1 + 0.2 + 0.6) / 3
    assert table.labels == ("Calibration error ECE, mean of 3 corrupted sets (%) ↓",)
    assert table.texts == (("30.00",),)


def test_corruption_means_and_missing_severities():
    rows = [row("a", "fog", s, "accuracy", v) for s, v in zip((1, 2, 3), (0.9, 0.6, 0.3))]
    rows += [row("b", "fog", s, "accuracy", 0.9) for s in (1, 2)]
    rows += [row("b", "gaussian_noise", 1, "accuracy", 0.5), row("a", "GN", 1, "accuracy", 0.1)]
    table = corruptions_table(rows)
    assert table.labels == ("gaussian noise", "fog") and table.breaks == (1,)
    assert table.texts == (("–", "50.00"), ("60.00", "–")) and not table.best
    assert table.notes[0] == "Means over the severities 1 or 1, 2, 3."
    assert "lacks some of the severities" in table.notes[1]


def test_groups_have_rules_between_them(sample_rows):
    table = corruptions_table(sample_rows)
    assert len(table.labels) == 20 and table.breaks == (1, 4, 8, 12, 16)
    assert table.labels[15] == "JPEG compression"
    ece = corruptions_table(sample_rows, metric="expected_calibration_error")
    assert all(ece.values[i][j] == min(ece.values[i]) for i, j in ece.best) and ece.best
    with pytest.raises(ValueError, match="metric must be one of"):
        corruptions_table(sample_rows, metric="flip_rate")


def test_sweep_and_attacks(sample_rows):
    sweep = sweep_table(sample_rows, "GN")
    assert sweep.labels == ("Clean", "0.02", "0.05", "0.1", "0.15", "0.2", "0.3")
    assert sweep.values[0][0] == pytest.approx(95) and sweep.corner == "Strength of GN"
    with pytest.raises(ValueError, match="accuracy under 'SAP'"):
        sweep_table(sample_rows, "SAP")
    attacks = attacks_table(sample_rows)
    assert attacks.labels == ("Clean", "FGSM 8/255", "PGD 8/255", "spatial")
    assert attacks.texts[3] == ("48.00", "56.00", "64.00")


def test_one_model_has_no_best(sample_rows):
    rows = [r for r in sample_rows if r.model == "baseline"]
    assert not summary_table(rows).best and not corruptions_table(rows).best


@pytest.mark.parametrize(
    "change, message",
    [
        ({"value": 0.4}, r"one value of accuracy for baseline .*got 0.95 and 0.4"),
        ({"value": 1.5}, r"must be a fraction in \[0, 1\]; received 1.5"),
        ({"value": math.nan}, "fraction .*received nan"),
        ({"value": "0.5"}, "fraction .*received '0.5'"),
        ({"severity": "3", "corruption": "PGD"}, "severity a number or None"),
        ({"dataset": "other"}, "rows of one data set"),
    ],
)
def test_bad_rows_are_refused(sample_rows, change, message):
    bad = dataclasses.replace(sample_rows[0], **change)
    with pytest.raises(ValueError, match=message):
        summary_table([*sample_rows, bad])


def test_no_rows_and_training_curves():
    curve = row("a", "clean", 0.0, "accuracy", 0.5, epoch=3)
    with pytest.raises(ValueError, match=r"one data set; got data sets \[\]"):
        summary_table([curve])


RECORD = {
    "model": "b",
    "baseline": "a",
    "corruption": "test",
    "severity": None,
    "difference": 0.0123,
    "low": 0.01,
    "high": 0.02,
    "level": 0.95,
    "n": 500,
}


def test_differences():
    worse = {**RECORD, "difference": -0.02, "low": -0.03, "high": -0.01, "corruption": "clean"}
    chance = {**RECORD, "low": -0.01, "corruption": "fog", "severity": 3}
    table = differences_table([RECORD, worse, chance])
    assert table.labels == (
        "b minus a, corrupted images",
        "b minus a, clean images",
        "b minus a, fog 3",
    )
    assert table.texts[0] == ("+1.23", "+1.00", "+2.00", "better", "95", "500")
    assert [texts[3] for texts in table.texts] == ["better", "worse", "can be chance"]
    assert table.values[0][0] == pytest.approx(1.23) and table.values[0][5] == 500


@pytest.mark.parametrize(
    "change", [{"low": 0.5}, {"high": math.nan}, {"level": 95}, {"n": None}, {"low": "x"}]
)
def test_bad_differences(change):
    with pytest.raises(ValueError, match="a difference"):
        differences_table([{**RECORD, **change}])
    with pytest.raises(ValueError, match="'level'"):
        differences_table([{k: v for k, v in RECORD.items() if k != "level"}])
