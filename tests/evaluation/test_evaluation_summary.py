"""The means of a benchmark, from rows."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tfrobust import rows
from tfrobust.corruptions import CORRUPTION_GROUPS, TEST_CORRUPTIONS
from tfrobust.evaluation import (
    BASELINES,
    collect_rows,
    corrupted,
    mean_corruption_error,
    summary,
)
from tfrobust.rows import Row

RANDOM = np.random.default_rng(0)


def measured(
    names=TEST_CORRUPTIONS, model="net", dataset="toy/test", clean=0.9, metrics=("accuracy",)
):
    """Rows with a value for each corruption and severity, and the values, [names, 5]."""
    values = RANDOM.uniform(0.2, 0.8, [len(names), 5])
    common = {"n": 100, "seed": 0, "protocol": {"data": "ab", "table": 32}}
    made = [Row(model, dataset, "clean", 0.0, m, clean, **common) for m in metrics]
    for name, line in zip(names, values):
        for severity, value in enumerate(line, start=1):
            made += [Row(model, dataset, name, severity, m, value, **common) for m in metrics]
    return made, values


def by_place(found):
    return {(row.metric, row.corruption): row.value for row in found}


def test_values_against_numpy():
    made, values = measured()
    found = by_place(summary(made))
    assert found["robust_accuracy", "test"] == pytest.approx(values.mean())
    for group in ("noise", "blur", "weather", "digital"):
        chosen = [TEST_CORRUPTIONS.index(name) for name in CORRUPTION_GROUPS[group]]
        assert found["robust_accuracy", group] == pytest.approx(values[chosen].mean())
    others = [
        i for i, name in enumerate(TEST_CORRUPTIONS) if name not in CORRUPTION_GROUPS["noise"]
    ]
    assert found["robust_accuracy", "without_noise"] == pytest.approx(values[others].mean())
    assert found["mean_corruption_error", "test"] == pytest.approx(100 * (1 - values.mean()))
    relative = 100 * (0.9 - values.mean())
    assert found["relative_mean_corruption_error", "test"] == pytest.approx(relative)


def test_alexnets_errors_against_alexnet_are_100():
    made = [Row("alexnet", "imagenet/test", "clean", 0.0, "accuracy", 1 - 0.43478, n=1, seed=0)]
    for name in TEST_CORRUPTIONS:
        for severity, error in enumerate(BASELINES["alexnet"][name], start=1):
            made.append(
                Row("alexnet", "imagenet/test", name, severity, "accuracy", 1 - error, n=1, seed=0)
            )
    found = [row for row in summary(made, baseline="alexnet") if "error" in row.metric]
    assert [row.value for row in found] == pytest.approx([100, 100])
    assert [row.protocol["baseline"] for row in found] == ["alexnet", "alexnet"]


@pytest.mark.parametrize(
    "protocol, refused",
    [
        ({"table": 32}, "32"),
        ({"files": "cifar10_c"}, "32"),
        ({"table": 64}, "64"),
        ({"table": 224}, None),
        ({"files": "imagenet_c"}, None),
        (None, None),
    ],
)
def test_rows_of_another_table_are_not_divided(protocol, refused):
    made = [dataclasses.replace(row, protocol=protocol) for row in measured()[0]]
    flip = [dataclasses.replace(made[0], metric="flip_probability", corruption="tilt", severity=1)]
    if refused is None:
        assert len(summary(made, baseline="alexnet")) == 8
        assert mean_corruption_error(made, "alexnet") > 0
        return
    said = rf"alexnet is of the table for 224 pixels, .* that for {refused} \(measure with"
    for rows_ in (made, flip):
        with pytest.raises(ValueError, match=said):
            summary(rows_, baseline="alexnet")
    with pytest.raises(ValueError, match=said):
        mean_corruption_error(iter(made), "alexnet")
    # Asked for: the numbers themselves.
    own = {name: 1 - np.asarray(v) for name, v in collect_rows(made).items()}
    assert mean_corruption_error(own, BASELINES["alexnet"], values="error") > 0
    # Rows are divided by rows of the same table, and of no other.
    same = measured()[0]
    other = [dataclasses.replace(row, protocol={"table": 224}) for row in same]
    assert mean_corruption_error(same, same) == pytest.approx(100)
    with pytest.raises(ValueError, match="the baseline is of the table for 224 pixels"):
        mean_corruption_error(same, other)


def test_a_rows_file_as_baseline(tmp_path):
    base, base_values = measured(model="base")
    made, values = measured()
    rows.write(base, tmp_path / "base.jsonl")
    found = summary(made, baseline=tmp_path / "base.jsonl")
    ratios = (1 - values).sum(axis=1) / (1 - base_values).sum(axis=1)
    (row,) = [row for row in found if row.metric == "mean_corruption_error"]
    assert row.value == pytest.approx(100 * ratios.mean())
    assert row.protocol["baseline"] == "base (base.jsonl)"


def test_no_baseline_is_said():
    made, _ = measured()
    found = [row for row in summary(made) if row.metric == "mean_corruption_error"]
    assert [row.protocol for row in found] == [{"data": "ab", "table": 32, "baseline": "none"}]
    assert found[0].n == 100 and found[0].severity is None


def test_calibration_means():
    made, values = measured(metrics=("accuracy", "aurra"))
    assert by_place(summary(made))["aurra", "test"] == pytest.approx(values.mean())


def test_only_what_is_complete():
    made, _ = measured(CORRUPTION_GROUPS["blur"])
    assert list(by_place(summary(made))) == [("robust_accuracy", "blur")]
    cut = [row for row in made if not (row.corruption == "zoom_blur" and row.severity == 4)]
    assert summary(cut) == []
    without_clean, _ = measured()
    found = by_place(summary(without_clean[1:]))
    assert ("mean_corruption_error", "test") in found
    assert ("relative_mean_corruption_error", "test") not in found


def test_models_and_data_sets_stay_apart():
    parts = [measured(model=m, dataset=d) for m in "ab" for d in ("x/test", "y/test")]
    found = summary([row for made, _ in parts for row in made])
    means = [row.value for row in found if row.corruption == "test" and "robust" in row.metric]
    assert means == pytest.approx([values.mean() for _, values in parts])


def test_other_rows_do_not_count():
    made, values = measured()
    sweep = [dataclasses.replace(made[0], corruption="GN", severity=1, value=0.0)]
    curve = [dataclasses.replace(row, epoch=3, value=0.0) for row in made]
    assert summary(made + sweep + curve) == summary(made)
    assert len(corrupted()) == values.size


@pytest.mark.parametrize("baseline", ["alex", "none.jsonl"])
def test_unknown_baseline(baseline):
    with pytest.raises(ValueError, match=f"alexnet, .* or a rows file; received '{baseline}'"):
        summary([], baseline=baseline)


def test_a_baseline_that_is_not_complete(tmp_path):
    made, _ = measured()
    base, _ = measured(CORRUPTION_GROUPS["blur"])
    rows.write(base, tmp_path / "base.jsonl")
    with pytest.raises(ValueError, match="gaussian_noise"):
        summary(made, baseline=tmp_path / "base.jsonl")
