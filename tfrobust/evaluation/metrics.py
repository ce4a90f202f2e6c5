"""Metrics: pure functions of labels and predictions."""

from __future__ import annotations

import numpy as np


def accuracy(labels: np.ndarray, logits: np.ndarray) -> float:
    """Share of the images whose largest logit is that of the label.

    Args:
        labels: [N] or [N, 1] class indices, or [N, classes] one-hot or soft labels.
        logits: [N, classes]; probabilities do as well.

    Returns:
        A fraction in [0, 1].

    Raises:
        ValueError: There are no predictions, or not as many as labels.

    Example:

    >>> accuracy(np.array([0, 1]), np.array([[2.0, 1.0], [2.0, 1.0]]))
    0.5
    """
    labels, logits = np.asarray(labels), np.asarray(logits)
    if len(logits) == 0 or len(labels) != len(logits):
        raise ValueError(
            "accuracy needs one prediction a label and at least one; received "
            f"{len(labels)} labels and {len(logits)} predictions"
        )
    if labels.ndim == 2 and labels.shape[1] > 1:
        labels = labels.argmax(axis=1)
    return float(np.mean(logits.argmax(axis=1) == labels.reshape(-1)))
