"""Stratified, seeded splits."""

import numpy as np
import pytest

from tfrobust.datasets import splitting

LABELS = np.random.default_rng(0).integers(0, 7, 1000)


@pytest.mark.parametrize("fraction", [0.1, 0.25, 1 / 3, 0.5, 0.999])
def test_split_off(fraction):
    rest, part = splitting.split_off(LABELS, fraction)
    assert sorted([*rest, *part]) == list(range(1000))
    counts = np.bincount(LABELS)
    taken = np.bincount(LABELS[part])
    assert (np.abs(taken - fraction * counts) < 1).all() or fraction > 0.99
    assert (taken >= 1).all() and (taken < counts).all()
    if fraction < 0.99:
        assert len(part) == round(1000 * fraction)


def test_seeds():
    first, again, other = (splitting.split_off(LABELS, 0.2, seed)[1] for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_classes_without_images_do_not_matter():
    rest, part = splitting.split_off(np.array([2, 2, 5, 5]), 0.5)
    assert len(rest) == len(part) == 2


@pytest.mark.parametrize(
    "labels, fraction, said",
    [([0, 0, 1], 0.5, "class 1 has one"), ([0, 0], 1.5, r"fraction must be a number in \[0, 1\]")],
)
def test_refused(labels, fraction, said):
    with pytest.raises(ValueError, match=said):
        splitting.split_off(np.array(labels), fraction)


def test_pick():
    counts = np.array([3, 0, 5, 1, 2, 4, 6])
    places = splitting.pick(LABELS, counts)
    np.testing.assert_array_equal(np.bincount(LABELS[places], minlength=7), counts)
    assert (np.diff(places) > 0).all()
    # Every image of a class is as likely.
    hits = np.zeros(8)
    for seed in range(2000):
        hits[splitting.pick(np.array([0, 1, 0, 0, 1, 0, 0, 1]), np.array([2, 1]), seed)] += 1
    fraction = np.where(np.array([0, 1, 0, 0, 1, 0, 0, 1]) == 0, 2 / 5, 1 / 3)
    assert (np.abs(hits / 2000 - fraction) < 5 * np.sqrt(fraction * (1 - fraction) / 2000)).all()
    with pytest.raises(ValueError, match="class 1 has 2 of 3"):
        splitting.pick(np.array([0, 0, 1, 1]), np.array([1, 3]))
