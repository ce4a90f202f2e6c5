"""Calibration errors, AURRA and the reliability curve."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tfrobust.evaluation import (
    aurra,
    expected_calibration_error,
    reliability_curve,
    rms_calibration_error,
)

METRICS = [aurra, expected_calibration_error, reliability_curve, rms_calibration_error]
SCALARS = [aurra, expected_calibration_error, rms_calibration_error]


def two_classes(confidences, right):
    """Labels, and probabilities of these confidences in class 0."""
    confidences = np.array(confidences)
    return 1 - np.array(right, int), np.stack([confidences, 1 - confidences], axis=1)


def random_case(count, classes=5, seed=0, scale=3.0):
    random = np.random.default_rng(seed)
    return random.integers(0, classes, count), scale * random.normal(size=[count, classes])


def pairs(labels, logits):
    """(confidence, 1 or 0 for right or wrong) of each image, in plain Python."""
    found = []
    for label, row in zip(labels, logits):
        exponentials = [math.exp(value) for value in row]
        top = exponentials.index(max(exponentials))
        found.append((exponentials[top] / sum(exponentials), int(top == label)))
    return found


def test_worked_ece():
    # Bins of a fifth: (0.6, 0.8] has 0.7 and 0.8, (0.8, 1] has 0.9 and 1.
    case = two_classes([0.7, 0.8, 0.9, 1.0], [1, 0, 1, 1])
    value = expected_calibration_error(*case, from_logits=False, bins=5)
    assert type(value) is float
    assert value == pytest.approx(0.5 * abs(0.5 - 0.75) + 0.5 * abs(1 - 0.95))
    curve = reliability_curve(*case, from_logits=False, bins=5)
    np.testing.assert_allclose(curve.edges, [0, 0.2, 0.4, 0.6, 0.8, 1])
    np.testing.assert_array_equal(curve.count, [0, 0, 0, 2, 2])
    np.testing.assert_allclose(curve.confidence, [np.nan] * 3 + [0.75, 0.95])
    np.testing.assert_allclose(curve.accuracy, [np.nan] * 3 + [0.5, 1])


def test_an_edge_belongs_to_the_bin_below():
    for bins, confidence, expected in [(4, 0.5, 1), (4, 0.75, 2), (15, 0.6, 8), (15, 0.8, 11)]:
        for more, bin_ in [(0, expected), (1e-9, expected + 1)]:
            case = two_classes([confidence + more], [1])
            curve = reliability_curve(*case, from_logits=False, bins=bins)
            assert list(np.flatnonzero(curve.count)) == [bin_]


def test_worked_rms():
    # In order: 0.55 wrong, 0.65 right | 0.75 right, 0.85 wrong, 0.95 right.
    case = two_classes([0.95, 0.55, 0.75, 0.65, 0.85], [1, 0, 1, 1, 0])
    low, high = (0.6 - 0.5) ** 2, (0.85 - 2 / 3) ** 2
    value = rms_calibration_error(*case, from_logits=False, bin_size=2)
    assert type(value) is float
    assert value == pytest.approx(math.sqrt(2 / 5 * low + 3 / 5 * high))
    # The published script leaves out the last bin and divides by all images all the same.
    value = rms_calibration_error(*case, from_logits=False, bin_size=2, reference=True)
    assert value == pytest.approx(math.sqrt(2 / 5 * low))


def test_worked_aurra():
    case = two_classes([0.6, 0.9, 0.7, 0.8], [1, 1, 0, 1])
    # 0.9 right, 0.8 right, 0.7 wrong, 0.6 right: 1/1, 2/2, 2/3, 3/4
    assert aurra(*case, from_logits=False) == pytest.approx((1 + 1 + 2 / 3 + 3 / 4) / 4)
    # Equal confidences stay in their order.
    assert aurra(*two_classes([0.9, 0.9], [1, 0]), from_logits=False) == 0.75
    assert aurra(*two_classes([0.9, 0.9], [0, 1]), from_logits=False) == 0.25


@pytest.mark.parametrize(
    "count, bins, bin_size", [(1, 15, 1), (7, 3, 2), (250, 15, 100), (999, 20, 50)]
)
def test_random_against_loops(count, bins, bin_size):
    labels, logits = random_case(count)
    both = pairs(labels, logits)

    ece, filled = 0.0, 0
    for b in range(bins):
        inside = [pair for pair in both if b / bins < pair[0] <= (b + 1) / bins]
        if inside:
            filled += 1
            confidence = sum(pair[0] for pair in inside) / len(inside)
            accuracy = sum(pair[1] for pair in inside) / len(inside)
            ece += len(inside) / count * abs(confidence - accuracy)
    found = expected_calibration_error(labels, logits, from_logits=True, bins=bins)
    assert found == pytest.approx(ece)
    curve = reliability_curve(labels, logits, from_logits=True, bins=bins)
    assert curve.count.sum() == count and np.isfinite(curve.accuracy).sum() == filled

    rising = sorted(both)
    squares = []
    for b in range(count // bin_size):
        end = count if b == count // bin_size - 1 else (b + 1) * bin_size
        inside = rising[b * bin_size : end]
        gap = sum(pair[0] - pair[1] for pair in inside) / len(inside)
        squares.append(len(inside) / count * gap**2)
    for reference in (False, True):
        found = rms_calibration_error(
            labels, logits, from_logits=True, bin_size=bin_size, reference=reference
        )
        assert found == pytest.approx(math.sqrt(sum(squares[:-1] if reference else squares)))

    falling, area = rising[::-1], 0.0
    for i in range(1, count + 1):
        area += sum(pair[1] for pair in falling[:i]) / i / count
    assert aurra(labels, logits, from_logits=True) == pytest.approx(area)


@pytest.mark.parametrize("metric", SCALARS)
def test_what_does_not_matter(metric):
    labels, logits = random_case(400)
    expected = metric(labels, logits, from_logits=True)
    exponentials = np.exp(logits)
    probabilities = exponentials / exponentials.sum(axis=1, keepdims=True)
    order = np.random.default_rng(1).permutation(400)  # the confidences are all different
    classes = np.random.default_rng(2).permutation(5)
    for same in [
        metric(labels, probabilities, from_logits=False),
        metric(np.eye(5)[labels], logits, from_logits=True),
        metric(labels[:, np.newaxis], logits + 1000, from_logits=True),
        metric(labels, logits - 1000, from_logits=True),
        metric(labels[order], logits[order], from_logits=True),
        metric(np.argsort(classes)[labels], logits[:, classes], from_logits=True),
    ]:
        assert same == pytest.approx(expected, rel=1e-9)
    # Whether the numbers are logits matters.
    assert abs(metric(labels, probabilities, from_logits=True) - expected) > 1e-5


def test_perfect_and_hopeless():
    labels = np.arange(300) % 3
    sure = 1e4 * np.eye(3)
    assert expected_calibration_error(labels, sure[labels], from_logits=True) == 0
    assert rms_calibration_error(labels, sure[labels], from_logits=True) == 0
    assert aurra(labels, sure[labels], from_logits=True) == 1
    wrong = sure[(labels + 1) % 3]
    assert expected_calibration_error(labels, wrong, from_logits=True) == 1
    assert rms_calibration_error(labels, wrong, from_logits=True) == 1
    assert aurra(labels, wrong, from_logits=True) == 0


def test_calibrated():
    """Labels drawn from the probabilities themselves; and then with a net that is too sure."""
    random = np.random.default_rng(0)
    logits = 2 * random.normal(size=[20_000, 4])
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = (random.random([20_000, 1]) > probabilities.cumsum(axis=1)).sum(axis=1)
    # A bin's gap has a standard error of at most sqrt(0.25 / n_b). Of 15 bins of N images in all
    # the mean gap is at most sqrt(15 · 0.25 / N) = 0.014; of bins of 100, sqrt(0.25 / 100) = 0.05.
    assert expected_calibration_error(labels, logits, from_logits=True) < 0.02
    assert rms_calibration_error(labels, logits, from_logits=True) < 0.06
    assert expected_calibration_error(labels, 3 * logits, from_logits=True) > 0.1
    assert rms_calibration_error(labels, 3 * logits, from_logits=True) > 0.1
    # A confidence that means something sorts better than one by chance.
    accuracy = np.mean(logits.argmax(axis=1) == labels)
    mixed = logits * random.permuted(np.linspace(0.01, 100, 20_000))[:, np.newaxis]
    best = aurra(labels, logits, from_logits=True)
    assert best > aurra(labels, mixed, from_logits=True) + 0.02 > accuracy


def test_bins():
    labels, logits = random_case(150)
    both = pairs(labels, logits)
    # Of one bin, both errors are the gap of all images.
    gap = abs(np.mean([pair[0] - pair[1] for pair in both]))
    found = expected_calibration_error(labels, logits, from_logits=True, bins=1)
    assert found == pytest.approx(gap)
    for size in (100, 150, 151, 10**6):  # fewer than two bins of 100
        found = rms_calibration_error(labels, logits, from_logits=True, bin_size=size)
        assert found == pytest.approx(gap)
    # The one bin there is is the last, which the published script leaves out.
    assert rms_calibration_error(labels, logits, from_logits=True, reference=True) == 0
    with pytest.raises(ValueError, match="at least the 100 images of a bin; received 99"):
        rms_calibration_error(labels[:99], logits[:99], from_logits=True, reference=True)
    # It cannot come out above the right value.
    labels, logits = random_case(1000)
    whole, part = (
        rms_calibration_error(labels, logits, from_logits=True, reference=reference)
        for reference in (False, True)
    )
    assert 0 < part < whole


def test_extremes():
    # Saturated, tied, rounded above 1, one class, one image.
    for labels, outputs, from_logits in [
        ([0, 1], [[1e30, -1e30], [-1e30, 1e30]], True),
        ([0, 1], [[1.0, 0.0], [1.0, 0.0]], False),
        ([0, 1], np.array([[1.0005, 0.0], [0.5, 0.5]], "float16"), False),
        ([1], [[0.0, 0.0, 0.0]], True),
        ([0, 0], [[3.0], [4.0]], True),
        ([0], [[1.0, 0.0]], False),
    ]:
        for metric in SCALARS:
            assert 0 <= metric(labels, outputs, from_logits=from_logits) <= 1
        curve = reliability_curve(labels, outputs, from_logits=from_logits)
        assert curve.count.sum() == len(labels)
    # Logits still tell apart what float32 probabilities round to 1.
    logits = np.array([[18.0, 0], [25.0, 0]])
    assert aurra([1, 0], logits, from_logits=True) == 0.75
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert aurra([1, 0], probabilities.astype("float32"), from_logits=False) == 0.25


@pytest.mark.parametrize(
    "labels, outputs, from_logits, said",
    [
        ([], np.zeros([0, 3]), True, "at least one; received 0 labels and 0 predictions"),
        ([0, 1], np.zeros([3, 3]), True, "received 2 labels and 3 predictions"),
        ([0, 1], [0.5, 0.5], True, r"shape \[images, classes\]; received shape \(2,\)"),
        ([0, 1], [[np.nan, 1], [0, 1]], True, "received NaN for 1 of 2 images"),
        ([0, 1], [[-np.inf, 1], [0, 1]], True, "finite outputs; received 1 infinite"),
        ([0, 2], [[0.5, 0.5], [0, 1]], False, "from 0 to 1; received values from 0 to 2"),
        ([0, 1], [[3.0, 1], [0, 1]], False, "rows in .* received values from 0 to 3 .* sums to 4$"),
        ([0, 1], [[0.5, 0.5], [1.5, -0.5]], False, "received values from -0.5 to 1.5"),
    ],
)
@pytest.mark.parametrize("metric", METRICS)
def test_bad_input(metric, labels, outputs, from_logits, said):
    with pytest.raises(ValueError, match=said):
        metric(labels, outputs, from_logits=from_logits)


def test_bad_arguments():
    with pytest.raises(ValueError, match=r"bins must be a whole number from 1 .*; received 0"):
        expected_calibration_error([0], [[1.0, 0.0]], from_logits=False, bins=0)
    with pytest.raises(ValueError, match=r"bin_size must be a whole number .*; received 2.5"):
        rms_calibration_error([0], [[1.0, 0.0]], from_logits=False, bin_size=2.5)
    for metric in METRICS:  # nothing is guessed
        with pytest.raises(TypeError, match="from_logits"):
            metric([0], [[1.0, 0.0]])
