"""Accuracy metrics: pure functions of labels and predictions."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfrobust import validation


def accuracy(labels: np.ndarray, logits: np.ndarray) -> float:
    """Computes the fraction of images whose largest logit is that of the label.

    Args:
        labels: [N] or [N, 1] class indices, or [N, classes] one-hot or soft labels.
        logits: [N, classes] logits or probabilities.

    Returns:
        A fraction in [0, 1].

    Raises:
        ValueError: There are no predictions, their number differs from that of the labels, or some
            are NaN.

    Example:

    >>> accuracy(np.array([0, 1]), np.array([[2.0, 1.0], [2.0, 1.0]]))
    0.5
    """
    return float(np.mean(are_right(labels, logits, "accuracy")))


def error(labels: np.ndarray, logits: np.ndarray) -> float:
    """Computes the fraction of images whose largest logit is not that of the label: 1 − accuracy.

    Args:
        labels: [N] or [N, 1] class indices, or [N, classes] one-hot or soft labels.
        logits: [N, classes] logits or probabilities.

    Returns:
        A fraction in [0, 1].

    Raises:
        ValueError: There are no predictions, their number differs from that of the labels, or some
            are NaN.

    Example:

    >>> error(np.array([0, 1, 1, 1]), np.array([[2.0, 1.0]] * 4))
    0.75
    """
    return float(np.mean(~are_right(labels, logits, "error")))


def per_class_accuracy(labels: np.ndarray, logits: np.ndarray) -> np.ndarray:
    """Computes the accuracy on the images of each class.

    The mean over classes, which weights all classes equally, is `np.nanmean` of the result.

    Args:
        labels: [N] or [N, 1] class indices, or [N, classes] one-hot or soft labels.
        logits: [N, classes] logits or probabilities.

    Returns:
        [classes] fractions in [0, 1]; NaN for a class without images.

    Raises:
        ValueError: There are no predictions, their number differs from that of the labels, some
            are NaN, or labels are not classes of the logits.

    Example:

    >>> per_class_accuracy(np.array([0, 1, 1]), np.array([[2.0, 1.0], [2.0, 1.0], [0.0, 1.0]]))
    array([1. , 0.5])
    """
    right = are_right(labels, logits, "per_class_accuracy")
    classes = np.shape(logits)[1]
    validation.check_labels(labels, classes)
    indices = class_indices(labels)
    images = np.bincount(indices, minlength=classes)
    hits = np.bincount(indices, weights=right, minlength=classes)
    return np.where(images > 0, hits / np.maximum(images, 1), np.nan)


def are_right(labels: Any, logits: Any, metric: str) -> np.ndarray:
    """Determines which images are classified correctly.

    Args:
        labels: [N] or [N, 1] class indices, or [N, classes] one-hot or soft labels.
        logits: [N, classes] logits or probabilities. The first of equal ones counts as the
            largest.
        metric: Name of the metric in messages.

    Returns:
        [N] bool.

    Raises:
        ValueError: There are no predictions, their number differs from that of the labels, or some
            are NaN.
    """
    labels, logits = np.asarray(labels), np.asarray(logits)
    if np.ndim(logits) != 2 or logits.shape[1] == 0:
        raise ValueError(
            f"{metric} needs predictions of shape [images, classes]; received shape {logits.shape}"
        )
    if len(logits) == 0 or labels.ndim == 0 or len(labels) != len(logits):
        raise ValueError(
            f"{metric} needs one prediction a label and at least one; received "
            f"{labels.shape[0] if labels.ndim else 'no list of'} labels and "
            f"{len(logits)} predictions"
        )
    if labels.ndim == 2 and labels.shape[1] not in (1, logits.shape[1]):
        raise ValueError(
            f"{metric} needs one-hot labels with a column for each of the {logits.shape[1]} "
            f"classes; received {labels.shape[1]} columns"
        )
    if np.isnan(logits).any():
        # argmax returns the index of a NaN, so a broken net would score like one that always
        # predicts class 0.
        count = int(np.isnan(logits).any(axis=1).sum())
        raise ValueError(
            f"{metric} needs predictions without NaN; received NaN for {count} of "
            f"{len(logits)} images"
        )
    right: np.ndarray = logits.argmax(axis=1) == class_indices(labels)
    return right


def class_indices(labels: Any) -> np.ndarray:
    """Converts [N] or [N, 1] indices, or [N, classes] one-hot or soft labels, to [N] indices."""
    labels = np.asarray(labels)
    if labels.ndim == 2 and labels.shape[1] > 1:
        labels = labels.argmax(axis=1)
    if labels.ndim > 2:
        raise ValueError(
            "labels must have shape [images], [images, 1] or [images, classes]; received shape "
            f"{labels.shape}"
        )
    labels = labels.reshape(-1)
    if labels.dtype.kind not in "iub" and not np.array_equal(labels, np.floor(labels)):
        raise ValueError(f"labels must be whole class indices; received {labels.dtype} fractions")
    return labels.astype(np.int64)
