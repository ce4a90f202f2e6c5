"""The digits: real, split without overlap, coloured apart."""

from __future__ import annotations

import numpy as np
import PIL.Image
import pytest
import sklearn.datasets

from tfrobust.datasets.digits import digits

DIGITS = {"train": 1077, "validation": 360, "test": 360}


@pytest.fixture(scope="module")
def splits():
    return {split: (part.images, part.labels) for split, part in digits().parts.items()}


@pytest.fixture(scope="module")
def source():
    """Each of scikit-learn's digits enlarged by Pillow, its largest grey value 1: [N, 1024]."""
    grey = []
    for image in sklearn.datasets.load_digits().images.astype("float32"):
        big = PIL.Image.fromarray(image / 16).resize((32, 32), PIL.Image.Resampling.BICUBIC)
        grey.append(np.clip(np.asarray(big), 0, 1).ravel())
    return np.stack(grey)


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def matched(splits, source):
    """Split to (indices of the digits, ink − paper [N, 3], residuals).

    The corner is paper: no writer got there. What differs from it is ink, in proportion.
    """
    found = {}
    for split, (images, _) in splits.items():
        rest = (images - images[:, :1, :1]).reshape(len(images), -1, 3)
        # The direction in colour space along which the pixels lie.
        axis = unit(np.take_along_axis(rest, np.abs(rest).sum(2).argmax(1)[:, None, None], 1)[:, 0])
        shape = np.einsum("npc,nc->np", rest, axis)
        index = (unit(shape) @ unit(source).T).argmax(1)
        grey = source[index]
        contrast = np.einsum("npc,np->nc", rest, grey) / np.square(grey).sum(1)[:, None]
        residual = np.abs(rest - grey[..., None] * contrast[:, None]).max((1, 2))
        found[split] = index, contrast, residual
    return found


def test_sizes_and_ranges(splits):
    assert {split: len(labels) for split, (_, labels) in splits.items()} == {
        split: 3 * count for split, count in DIGITS.items()
    }
    for images, labels in splits.values():
        assert images.shape == (len(labels), 32, 32, 3) and images.dtype == np.float32
        assert images.min() >= 0 and images.max() <= 1
        assert labels.dtype == np.int32


def test_every_image_is_one_digit_in_one_colour(matched):
    for _, _, residual in matched.values():
        # Two implementations of the enlargement; a wrong digit would leave 0.1 and more.
        assert residual.max() < 0.02


def test_no_digit_is_in_two_splits(matched):
    owners = {split: set(index) for split, (index, _, _) in matched.items()}
    assert {split: len(own) for split, own in owners.items()} == DIGITS
    assert set.union(*owners.values()) == set(range(1797))  # sizes add up to it: disjoint
    for index, _, _ in matched.values():
        assert set(np.unique(index, return_counts=True)[1]) == {3}


def test_labels_and_stratification(splits, matched):
    target = sklearn.datasets.load_digits().target
    for split, (_, labels) in splits.items():
        np.testing.assert_array_equal(labels, target[matched[split][0]])
        wanted = np.bincount(target) * DIGITS[split] / 1797
        assert np.abs(np.bincount(labels) / 3 - wanted).max() < 2


def test_colours_are_apart(matched):
    for _, contrast, _ in matched.values():
        distance = np.linalg.norm(contrast, axis=1)
        assert distance.min() > 0.49  # 0.5, less the difference of the enlargements
        assert distance.max() <= 3**0.5
        # Dark ink on lighter paper.
        assert (contrast @ [0.299, 0.587, 0.114]).max() < 1e-3


def test_colourings_of_a_digit_differ(splits):
    images, labels = splits["test"]
    first, second, third = np.split(images, 3)
    np.testing.assert_array_equal(labels[:360], labels[360:720])
    for other in (second, third):
        assert np.abs(first - other).max((1, 2, 3)).min() > 0.01


def test_always_the_same(splits):
    again = digits()
    assert again.class_names == tuple("0123456789")
    for split, (images, labels) in splits.items():
        np.testing.assert_array_equal(again.parts[split].images, images)
        np.testing.assert_array_equal(again.parts[split].labels, labels)
