"""Robust accuracy and corruption errors."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tfrobust.corruptions import CORRUPTION_GROUPS, HELD_OUT_CORRUPTIONS, TEST_CORRUPTIONS
from tfrobust.evaluation import (
    BASELINES,
    collect_rows,
    corruption_errors,
    mean_corruption_error,
    robust_accuracy,
)
from tfrobust.rows import Row

#: ImageNet-C/test.py of github.com/hendrycks/robustness, in its order.
ALEXNET_MEANS = [
    *(0.886428, 0.894468, 0.922640, 0.819880, 0.826268, 0.785948, 0.798360, 0.866816),
    *(0.826572, 0.819324, 0.564592, 0.853204, 0.646056, 0.717840, 0.606500),
]


def random_accuracies(seed=0, clean=0.95):
    random = np.random.default_rng(seed)
    return {
        **{
            name: list(random.random(5) * 0.9)
            for name in (*TEST_CORRUPTIONS, *HELD_OUT_CORRUPTIONS)
        },
        "clean": clean,
    }


def rows_of(accuracies, **changes):
    rows = []
    for name, numbers in accuracies.items():
        severities = [0] if name == "clean" else range(1, 6)
        for severity, value in zip(severities, np.reshape(numbers, [-1])):
            row = Row("net", "set/test", name, float(severity), "accuracy", value, n=50, seed=3)
            rows.append(dataclasses.replace(row, **changes))
    return rows


def test_worked():
    """Two corruptions, worked on paper."""
    errors = {"fog": [0.1, 0.2, 0.3, 0.4, 0.5], "snow": [0.2, 0.2, 0.2, 0.2, 0.2], "clean": 0.1}
    baseline = {"fog": [0.5, 0.5, 0.6, 0.7, 0.7], "snow": [0.3, 0.4, 0.5, 0.6, 0.7], "clean": 0.2}
    how = {"corruptions": ["fog", "snow"], "values": "error"}
    # fog 1.5 / 3, snow 1 / 2.5
    assert corruption_errors(errors, baseline, **how) == pytest.approx({"fog": 50, "snow": 40})
    assert mean_corruption_error(errors, baseline, **how) == pytest.approx(45)
    # fog (1.5 − 0.5) / (3 − 1), snow (1 − 0.5) / (2.5 − 1)
    relative = corruption_errors(errors, baseline, relative=True, **how)
    assert relative == pytest.approx({"fog": 50, "snow": 100 / 3})
    value = mean_corruption_error(errors, baseline, relative=True, **how)
    assert value == pytest.approx(125 / 3)
    # Without a baseline: the mean error in percent.
    assert corruption_errors(errors, **how) == pytest.approx({"fog": 30, "snow": 20})
    assert mean_corruption_error(errors, relative=True, **how) == pytest.approx(15)
    assert robust_accuracy(errors, **how) == pytest.approx(0.75)
    assert type(value) is float and type(robust_accuracy(errors, **how)) is float


def test_alexnet_is_100():
    alexnet = BASELINES["alexnet"]
    for relative in (False, True):
        for corruptions in ("test", "all", "noise"):
            errors = corruption_errors(
                alexnet, "alexnet", relative=relative, corruptions=corruptions, values="error"
            )
            assert set(errors.values()) == {100.0}
    assert [np.mean(alexnet[name]) for name in TEST_CORRUPTIONS] == pytest.approx(
        ALEXNET_MEANS, abs=1e-9
    )
    # The published ResNet-50, with its errors from rounded CEs: mCE 76.7 and relative mCE 105.0.
    published = [80, 82, 83, 75, 89, 78, 80, 78, 75, 66, 57, 71, 85, 77, 77]
    errors = {
        name: ce / 100 * base for name, ce, base in zip(TEST_CORRUPTIONS, published, ALEXNET_MEANS)
    }
    errors["clean"] = 0.239
    value = mean_corruption_error(errors, "alexnet", values="error")
    assert value == pytest.approx(np.mean(published)) and value == pytest.approx(76.7, abs=0.5)
    relative = mean_corruption_error(errors, "alexnet", relative=True, values="error")
    assert relative == pytest.approx(105, abs=0.5)


def test_augmax_baseline():
    """Its robust accuracies are those that Tables 5 and 6 of the paper print."""
    resnet = BASELINES["tiny_imagenet_resnet18"]
    assert robust_accuracy(resnet, values="error") == pytest.approx(0.2391, abs=1e-4)
    value = robust_accuracy(resnet, corruptions="without_noise", values="error")
    assert value == pytest.approx(0.2438, abs=1e-4)
    value = mean_corruption_error(resnet, "tiny_imagenet_resnet18", relative=True, values="error")
    assert value == 100
    with pytest.raises(ValueError, match=r"resnet18 must hold .* none of speckle_noise, gaussian"):
        corruption_errors(random_accuracies(), "tiny_imagenet_resnet18", corruptions="all")


def test_random_against_loops():
    results, baseline = random_accuracies(0), random_accuracies(1, clean=0.99)
    errors = corruption_errors(results, baseline)
    relative = corruption_errors(results, baseline, relative=True)
    assert list(errors) == list(relative) == list(TEST_CORRUPTIONS)
    ratios = []
    for name in TEST_CORRUPTIONS:
        top = bottom = top_relative = bottom_relative = 0
        for severity in range(5):
            top += 1 - results[name][severity]
            bottom += 1 - baseline[name][severity]
            top_relative += results["clean"] - results[name][severity]
            bottom_relative += baseline["clean"] - baseline[name][severity]
        assert errors[name] == pytest.approx(100 * top / bottom)
        assert relative[name] == pytest.approx(100 * top_relative / bottom_relative)
        ratios.append(top / bottom)
    value = mean_corruption_error(results, baseline)
    assert value == pytest.approx(100 * sum(ratios) / 15)
    ratio_of_means = mean_corruption_error(results) / mean_corruption_error(baseline)
    assert abs(value - 100 * ratio_of_means) > 1e-6  # not the same thing


def test_robust_accuracy_of_groups():
    results = random_accuracies()
    values = {}
    for group, names in {
        "test": TEST_CORRUPTIONS,
        "all": (*TEST_CORRUPTIONS, *HELD_OUT_CORRUPTIONS),
        **CORRUPTION_GROUPS,
    }.items():
        cells = [results[name][severity] for name in names for severity in range(5)]
        values[group] = robust_accuracy(results, corruptions=group)
        assert values[group] == pytest.approx(sum(cells) / len(cells))
        assert robust_accuracy(results, corruptions=names) == values[group]
    without = robust_accuracy(results, corruptions="without_noise")
    groups = [values[group] for group in ("noise", "blur", "weather", "digital")]
    assert values["test"] == pytest.approx(np.dot([3, 4, 4, 4], groups) / 15)
    assert without == pytest.approx(np.mean(groups[1:]))
    # The noises need not be there then.
    fewer = {
        name: results[name] for name in TEST_CORRUPTIONS if name not in CORRUPTION_GROUPS["noise"]
    }
    assert robust_accuracy(fewer, corruptions="without_noise") == without


def test_what_does_not_matter():
    results = random_accuracies()
    as_errors = {name: 1 - np.array(numbers) for name, numbers in results.items()}
    means = {name: np.mean(numbers) for name, numbers in results.items()}
    shuffled = {name: np.ravel(results[name])[::-1] for name in reversed(results)}
    shuffled["clean"] = results["clean"]
    arrays = {name: np.array(numbers) for name, numbers in results.items()}
    for relative in (False, True):
        expected = mean_corruption_error(results, "alexnet", relative=relative)
        for other in (means, shuffled, arrays, rows_of(results), iter(rows_of(results))):
            found = mean_corruption_error(other, "alexnet", relative=relative)
            assert found == pytest.approx(expected)
        found = mean_corruption_error(as_errors, "alexnet", relative=relative, values="error")
        assert found == pytest.approx(expected)
    assert robust_accuracy(as_errors, values="error") == pytest.approx(robust_accuracy(results))
    # Rows are accuracies whatever a mapping beside them is.
    found = mean_corruption_error(rows_of(results), as_errors, values="error")
    assert found == pytest.approx(100)
    assert mean_corruption_error(as_errors, rows_of(results), values="error") == pytest.approx(100)


def test_extremes():
    perfect, hopeless = ({name: [value] * 5 for name in TEST_CORRUPTIONS} for value in (1, 0))
    assert robust_accuracy(perfect) == 1 and robust_accuracy(hopeless) == 0
    assert mean_corruption_error(perfect, "alexnet") == 0
    assert mean_corruption_error(hopeless) == 100
    assert mean_corruption_error(hopeless, "alexnet") > 100
    # A net that is better on corrupted images than on clean ones.
    assert mean_corruption_error({**perfect, "clean": 0.5}, "alexnet", relative=True) < 0


@pytest.mark.parametrize(
    "change, said",
    [
        ({"fog": None}, "fog; received nan"),
        ({"fog": [0.1] * 4}, r"5 numbers, severity 1 to 5, for fog; received shape \(4,\)"),
        ({"fog": [[0.1] * 5]}, r"for fog; received shape \(1, 5\)"),
        ({"fog": [0.1, 0.2, 71.5, 0.2, 0.1]}, r"received 71.5 \(divide percent by 100\)$"),
        ({"fog": [0.1, 0.2, -0.1, 0.2, 0.1]}, "received -0.1$"),
        ({"fog": [0.1, 0.2, np.nan, 0.2, 0.1]}, "received nan$"),
        ({"mist": 0.5}, "unknown corruption 'mist'; choose from: gaussian_noise"),
        ({"clean": [0.5] * 5}, r"one number for clean; received shape \(5,\)"),
    ],
)
def test_bad_numbers(change, said):
    bad = {**random_accuracies(), **change}
    with pytest.raises(ValueError, match=said):
        mean_corruption_error(bad, relative=True)
    with pytest.raises(ValueError, match=said):
        mean_corruption_error(random_accuracies(), bad, relative=True)


def test_bad_arguments():
    results = random_accuracies()
    with pytest.raises(ValueError, match=r"the results must hold .* received none of snow$"):
        robust_accuracy({name: 0.5 for name in TEST_CORRUPTIONS if name != "snow"})
    with pytest.raises(ValueError, match=r"received none of clean$"):
        mean_corruption_error({name: 0.5 for name in TEST_CORRUPTIONS}, "alexnet", relative=True)
    with pytest.raises(ValueError, match="baseline must be one of alexnet, tiny_imagenet_resnet18"):
        mean_corruption_error(results, "resnet")
    with pytest.raises(ValueError, match=r"corruptions must be one of test, noise, .*'noises'"):
        robust_accuracy(results, corruptions="noises")
    with pytest.raises(ValueError, match="unknown corruption 'mist'"):
        robust_accuracy(results, corruptions=["fog", "mist"])
    with pytest.raises(ValueError, match="one name or more, each once; received fog, fog"):
        robust_accuracy(results, corruptions=["fog", "fog"])
    with pytest.raises(ValueError, match="each once; received none"):
        robust_accuracy(results, corruptions=[])
    with pytest.raises(ValueError, match="values must be one of accuracy, error"):
        robust_accuracy(results, values="errors")
    with pytest.raises(ValueError, match="baseline must make errors under shot_noise"):
        mean_corruption_error(results, {**results, "shot_noise": 1.0})
    with pytest.raises(ValueError, match="must make more errors than on clean images under fog"):
        mean_corruption_error(results, {**results, "fog": results["clean"]}, relative=True)


def test_rows():
    results = random_accuracies()
    rows = rows_of(results)
    more = [dataclasses.replace(row, metric="flips", model="other") for row in rows]
    assert collect_rows([*reversed(rows), *more]) == results
    # Whole severities come back from a file as they went.
    assert collect_rows([dataclasses.replace(row, severity=int(row.severity)) for row in rows])
    part = {"fog": results["fog"]}
    assert collect_rows(rows_of(part)) == part


@pytest.mark.parametrize(
    "field, value",
    [("model", "other"), ("dataset", "set/train"), ("n", 49), ("seed", 4), ("epoch", 2)],
)
def test_rows_that_do_not_belong_together(field, value):
    rows = rows_of(random_accuracies())
    rows[7] = dataclasses.replace(rows[7], **{field: value})
    with pytest.raises(ValueError, match=f"must have one {field}; received .*{value}"):
        robust_accuracy(rows)


def test_bad_rows():
    rows = rows_of(random_accuracies())
    fog = next(i for i, row in enumerate(rows) if row.corruption == "fog")  # its severity 1

    def with_row(**changes):
        return [*rows[:fog], dataclasses.replace(rows[fog], **changes), *rows[fog + 1 :]]

    for bad, said in [
        ([*rows, rows[fog]], "one result row; received two of fog at severity 1$"),
        ([*rows[:fog], *rows[fog + 1 :]], "severity 1 to 5 of fog; received none of severity 1$"),
        (with_row(severity=6.0), "severity of fog must be .* 1 to 5; received 6.0"),
        (with_row(severity=1.5), "received 1.5"),
        (with_row(severity=None), "received None"),
        (with_row(corruption="GB"), "unknown corruption 'GB'"),
        (with_row(corruption="clean", severity=0.0), "received two of clean at severity 0$"),
        (with_row(corruption="clean"), "severity of clean must be 0; received 1.0"),
        (with_row(value=float("nan")), "for fog; received nan"),
        (with_row(metric="error"), "received none of severity 1$"),
        (rows_of(random_accuracies(), metric="error"), "metric 'accuracy' .* received none"),
        ([], "received none$"),
        ([0.5, 0.6], "mapping of corruption to numbers, or result rows; received 0.5"),
    ]:
        with pytest.raises(ValueError, match=said):
            robust_accuracy(bad)
