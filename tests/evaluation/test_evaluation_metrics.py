"""Accuracy, error and accuracy of each class."""

from __future__ import annotations

import numpy as np
import pytest

from tfrobust.evaluation import accuracy, error, per_class_accuracy

LOGITS = np.array([[2.0, 1, 0], [0, 1, 2], [-3, -1, -2], [0, 5, 0]])  # classes 0, 2, 1, 1


def forms_of(labels):
    return [labels, np.reshape(labels, [4, 1]), np.eye(3)[labels], np.eye(3)[labels] * 0.6 + 0.1]


@pytest.mark.parametrize(
    "labels, expected",
    [([0, 2, 1, 1], 1.0), ([1, 0, 0, 2], 0.0), ([0, 2, 1, 0], 0.75), ([0, 0, 0, 0], 0.25)],
)
def test_worked(labels, expected):
    for form in [*forms_of(labels), np.array(labels, "float32"), np.array(labels, "uint8")]:
        value = accuracy(form, LOGITS)
        assert type(value) is float and value == expected
        wrong = error(form, LOGITS)
        assert type(wrong) is float and wrong == 1 - expected


def test_random():
    random = np.random.default_rng(0)
    labels, logits = random.integers(0, 7, 500), random.normal(size=[500, 7])
    right = sum(max(range(7), key=lambda j: row[j]) == y for y, row in zip(labels, logits))
    assert accuracy(labels, logits) == right / 500
    assert error(labels, logits) == (500 - right) / 500
    # Neither the scale of the logits nor the order of the images counts.
    order = random.permutation(500)
    assert accuracy(labels[order], 3 * logits[order] - 7) == right / 500


@pytest.mark.parametrize(
    "labels, expected",
    [
        ([0, 2, 1, 1], [1, 1, 1]),
        ([0, 2, 1, 2], [1, 1, 0.5]),
        ([1, 1, 1, 1], [np.nan, 0.5, np.nan]),
        ([2, 0, 2, 2], [0, np.nan, 0]),
    ],
)
def test_classes_worked(labels, expected):
    for form in forms_of(labels)[:3]:
        np.testing.assert_array_equal(per_class_accuracy(form, LOGITS), expected)


def test_classes_random():
    random = np.random.default_rng(1)
    labels, logits = random.integers(0, 5, 300), random.normal(size=[300, 6])
    found = per_class_accuracy(labels, logits)
    assert found.shape == (6,) and np.isnan(found[5])
    for one in range(5):
        hits = [logits[i].argmax() == one for i in range(300) if labels[i] == one]
        assert found[one] == pytest.approx(sum(hits) / len(hits))
    # Weighted by the images of each class, it is the accuracy.
    counts = np.bincount(labels)
    assert np.sum(found[:5] * counts) / 300 == pytest.approx(accuracy(labels, logits))


def test_one_image_and_ties():
    assert accuracy([1], [[0.0, 1.0]]) == 1 and error([1], [[0.0, 1.0]]) == 0
    assert accuracy([0], [[3.0, 3.0]]) == 1 and accuracy([1], [[3.0, 3.0]]) == 0
    assert accuracy([0], [[-np.inf, -np.inf]]) == 1  # logarithms of probabilities
    np.testing.assert_array_equal(per_class_accuracy([1], [[0.0, 1.0]]), [np.nan, 1])


@pytest.mark.parametrize("labels, rows", [([], 0), ([0, 1], 3), ([0, 1, 2], 0)])
@pytest.mark.parametrize("metric", [accuracy, error, per_class_accuracy])
def test_refused(metric, labels, rows):
    said = f"^{metric.__name__} needs .* received {len(labels)} labels and {rows} predictions"
    with pytest.raises(ValueError, match=said):
        metric(labels, np.zeros([rows, 3]))


@pytest.mark.parametrize(
    "labels, logits, said",
    [
        ([0, 1], [1.0, 2.0], r"shape \[images, classes\]; received shape \(2,\)"),
        ([0, 1], np.zeros([2, 0]), r"received shape \(2, 0\)"),
        (0, [[1.0, 2.0]], "received no list of labels and 1 predictions"),
        ([0, 1], [[1.0, np.nan], [0.0, 1.0]], "received NaN for 1 of 2 images"),
        ([0, 0.5], [[1.0, 0.0], [0.0, 1.0]], "whole class indices; received float64 fractions"),
        ([0, np.nan], [[1.0, 0.0], [0.0, 1.0]], "whole class indices"),
        (np.eye(3)[:2], np.eye(2), "column for each of the 2 classes; received 3 columns"),
        (np.zeros([2, 2, 2]), np.eye(2), r"labels must have shape .* received shape \(2, 2, 2\)"),
    ],
)
@pytest.mark.parametrize("metric", [accuracy, error, per_class_accuracy])
def test_bad_input(metric, labels, logits, said):
    with pytest.raises(ValueError, match=said):
        metric(labels, logits)


def test_classes_refuse_labels_that_are_none():
    with pytest.raises(ValueError, match="from 0 to 2; received values from 0 to 3"):
        per_class_accuracy([0, 1, 2, 3], LOGITS)
