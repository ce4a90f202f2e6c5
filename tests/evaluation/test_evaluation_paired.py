"""The paired bootstrap."""

from __future__ import annotations

import numpy as np
import pytest

from tfrobust.evaluation import accuracy, paired_bootstrap


def outputs(right):
    """Outputs of two classes that are right, or wrong, where the label is 0."""
    right = np.asarray(right, bool)
    return np.stack([right, ~right], axis=1).astype(float)


def compare(first, second, **how):
    return paired_bootstrap(np.zeros(len(first), int), outputs(first), outputs(second), **how)


def test_worked():
    found = compare([1, 1, 1, 0], [1, 0, 0, 0], seed=5)
    assert found.difference == 0.5 and (found.n, found.resamples, found.seed) == (4, 10_000, 5)
    # Two of four images count 1, the others 0: a draw of 4 gives 0 or 4 in 1/16 each, more than
    # the 0.025 in each tail, and in less than the tails of 0.8.
    assert (found.low, found.high) == (0, 1)
    found = compare([1, 1, 1, 0], [1, 0, 0, 0], confidence=0.8)
    assert (found.low, found.high) == (0.25, 0.75)


def test_same_as_drawing_images():
    random = np.random.default_rng(0)
    labels = random.integers(0, 3, 150)
    first, second = random.normal(size=[2, 150, 3])
    first[np.arange(60), labels[:60]] += 3
    found = paired_bootstrap(labels, first, second, resamples=20_000, confidence=0.9)
    one, other = first.argmax(axis=1) == labels, second.argmax(axis=1) == labels
    differences = []
    for _ in range(5000):
        images = random.integers(0, 150, 150)
        differences.append(np.mean(one[images]) - np.mean(other[images]))
    # A quantile at 5 % of 5000 draws has a standard error of 0.03 standard deviations.
    margin = 5 * 0.03 * np.std(differences) + 1 / 150
    assert found.low == pytest.approx(np.quantile(differences, 0.05), abs=margin)
    assert found.high == pytest.approx(np.quantile(differences, 0.95), abs=margin)
    assert found.difference == pytest.approx(accuracy(labels, first) - accuracy(labels, second))


def test_properties():
    random = np.random.default_rng(1)
    first, second = random.random(400) < 0.8, random.random(400) < 0.7
    found = compare(first, second)
    assert found.low < found.difference < found.high
    assert found == compare(first, second, seed=0) != compare(first, second, seed=1)
    order = random.permutation(400)
    assert compare(first[order], second[order]) == found
    # The other way round.
    back = compare(second, first)
    assert back.difference == -found.difference
    assert (back.low, back.high) == pytest.approx((-found.high, -found.low), abs=0.006)
    # More confidence is wider, more images narrower.
    wide, narrow = compare(first, second, confidence=0.99), compare(first, second, confidence=0.5)
    assert wide.high - wide.low > found.high - found.low > narrow.high - narrow.low
    more = compare(np.tile(first, 9), np.tile(second, 9))
    assert (more.high - more.low) * 3 == pytest.approx(found.high - found.low, rel=0.1)
    # Pairing: models that fail on the same images are compared more sharply.
    often = np.arange(400) < 320
    rarely = np.arange(400) < 280
    apart = np.roll(rarely, 200)
    assert compare(often, rarely).difference == compare(often, apart).difference
    sharp, blunt = compare(often, rarely), compare(often, apart)
    assert sharp.high - sharp.low < blunt.high - blunt.low


def test_coverage():
    """An interval of 90 % holds the true difference in about 90 % of test sets."""
    random = np.random.default_rng(2)
    held = 0
    for _ in range(400):
        both = random.choice(3, size=300, p=[0.2, 0.1, 0.7])  # true difference 0.1
        found = compare(both != 1, both != 0, confidence=0.9, resamples=500)
        held += found.low <= 0.1 <= found.high
    assert 0.82 < held / 400 < 0.97  # five standard errors of 0.015, and what 300 images cost


def test_extremes():
    same = compare([1, 0, 1], [1, 0, 1])
    assert (same.difference, same.low, same.high) == (0, 0, 0)
    one = compare([1], [0])
    assert (one.difference, one.low, one.high) == (1, 1, 1)
    worse = compare([0] * 50, [1] * 50)
    assert (worse.difference, worse.low, worse.high) == (-1, -1, -1)
    # A million images cost no more than ten.
    many = np.arange(1_000_000) % 10
    found = compare(many < 6, many < 5)
    assert found.difference == pytest.approx(0.1) and 0.002 > found.high - found.low > 0.0005


@pytest.mark.parametrize(
    "how, said",
    [
        ({"confidence": 95}, "confidence must be a number between 0 and 1.*; received 95"),
        ({"confidence": 1}, "between 0 and 1, neither of them; received 1"),
        ({"confidence": 0.0}, "neither of them; received 0.0"),
        ({"resamples": 99}, "resamples must be a whole number from 100 .*; received 99"),
        ({"seed": -1}, "seed must be a whole number from 0 .*; received -1"),
        ({"seed": 0.5}, "received 0.5"),
    ],
)
def test_bad_arguments(how, said):
    with pytest.raises(ValueError, match=said):
        compare([1, 0], [0, 1], **how)


def test_bad_outputs():
    good = outputs([1, 0])
    for first, second in [(good[:1], good), (good, good[:1])]:
        with pytest.raises(ValueError, match="received 2 labels and 1 predictions"):
            paired_bootstrap([0, 0], first, second)
    with pytest.raises(ValueError, match="at least one; received 0 labels"):
        compare([], [])
    with pytest.raises(ValueError, match=r"paired_bootstrap needs .* NaN for 2 of 2 images"):
        paired_bootstrap([0, 0], good, good * np.nan)
    with pytest.raises(ValueError, match=r"received shape \(2,\)"):
        paired_bootstrap([0, 0], good, [0, 1])
