"""Accuracy."""

from __future__ import annotations

import numpy as np
import pytest

from tfrobust.evaluation import accuracy

LOGITS = np.array([[2.0, 1, 0], [0, 1, 2], [-3, -1, -2], [0, 5, 0]])  # classes 0, 2, 1, 1


@pytest.mark.parametrize(
    "labels, expected",
    [([0, 2, 1, 1], 1.0), ([1, 0, 0, 2], 0.0), ([0, 2, 1, 0], 0.75), ([0, 0, 0, 0], 0.25)],
)
def test_worked(labels, expected):
    forms = [labels, np.reshape(labels, [4, 1]), np.eye(3)[labels], np.eye(3)[labels] * 0.6 + 0.1]
    for form in forms:
        value = accuracy(form, LOGITS)
        assert type(value) is float and value == expected


def test_random():
    random = np.random.default_rng(0)
    labels, logits = random.integers(0, 7, 500), random.normal(size=[500, 7])
    right = sum(max(range(7), key=lambda j: row[j]) == y for y, row in zip(labels, logits))
    assert accuracy(labels, logits) == right / 500
    # Neither the scale of the logits nor the order of the images counts.
    order = random.permutation(500)
    assert accuracy(labels[order], 3 * logits[order] - 7) == right / 500


@pytest.mark.parametrize("labels, rows", [([], 0), ([0, 1], 3), ([0, 1, 2], 0)])
def test_refused(labels, rows):
    said = f"received {len(labels)} labels and {rows} predictions"
    with pytest.raises(ValueError, match=said):
        accuracy(labels, np.zeros([rows, 3]))
