"""Calibration of confidences: calibration errors, AURRA, reliability curves.

The confidence of a prediction is its largest probability. All computations use float64.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from tfrobust import validation
from tfrobust.evaluation import metrics


@dataclasses.dataclass(frozen=True)
class ReliabilityCurve:
    """Accuracy and confidence per bin.

    Args:
        edges: [bins + 1], from 0 to 1: bin b holds confidences in (edges[b], edges[b + 1]].
        confidence: [bins] mean confidences; NaN for an empty bin.
        accuracy: [bins] accuracies; NaN for an empty bin.
        count: [bins] numbers of images.
    """

    edges: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray
    count: np.ndarray


def reliability_curve(
    labels: np.ndarray, outputs: np.ndarray, *, from_logits: bool, bins: int = 15
) -> ReliabilityCurve:
    """Computes mean confidence and accuracy in bins of equal width, for a reliability diagram.

    Guo et al. 2017 (arXiv:1706.04599), section 2.

    Args:
        labels: [N] or [N, 1] class indices, or [N, classes] one-hot or soft labels.
        outputs: [N, classes] logits or probabilities.
        from_logits: Whether `outputs` are logits.
        bins: Number of bins, 1 or more. Default: 15, as in the paper.

    Returns:
        Edges, mean confidences, accuracies and numbers of images.

    Raises:
        ValueError: Wrong shapes, no images, outputs that are not finite or not probabilities, or
            labels out of range.

    Example:

    >>> curve = reliability_curve([0, 1], [[0.75, 0.25], [1.0, 0.0]], from_logits=False, bins=2)
    >>> curve.confidence, curve.accuracy
    (array([  nan, 0.875]), array([nan, 0.5]))
    """
    bins = validation.check_whole("bins", bins, 1, 1_000_000)
    return curve_of(*_confidence(labels, outputs, from_logits, "the reliability curve"), bins)


def curve_of(confidence: np.ndarray, right: np.ndarray, bins: int = 15) -> ReliabilityCurve:
    """`reliability_curve` of confidences [N] in [0, 1] and of [N] 1 for right, 0 for wrong."""
    edges = np.arange(bins + 1) / bins
    # side="left" puts a confidence on an edge into the bin below it.
    index = np.maximum(np.searchsorted(edges, confidence, side="left") - 1, 0)
    count = np.bincount(index, minlength=bins)
    some = np.where(count > 0, count, np.nan)
    return ReliabilityCurve(
        edges=edges,
        confidence=np.bincount(index, weights=confidence, minlength=bins) / some,
        accuracy=np.bincount(index, weights=right, minlength=bins) / some,
        count=count,
    )


def expected_calibration_error(
    labels: np.ndarray, outputs: np.ndarray, *, from_logits: bool, bins: int = 15
) -> float:
    """Computes the expected calibration error ECE over bins of equal width.

    `ECE = Σ_b n_b/N · |acc_b − conf_b|`, bins (lo, hi] of the confidence: Guo et al. 2017
    (arXiv:1706.04599), equation 3.

    Args:
        labels: [N] or [N, 1] class indices, or [N, classes] one-hot or soft labels.
        outputs: [N, classes] logits or probabilities.
        from_logits: Whether `outputs` are logits.
        bins: Number of bins, 1 or more. Default: 15, as in the paper.

    Returns:
        A fraction in [0, 1].

    Raises:
        ValueError: As in `reliability_curve`.

    Example:

    >>> outputs = [[0.75, 0.25], [0.75, 0.25], [0.75, 0.25], [0.75, 0.25]]
    >>> expected_calibration_error([0, 0, 1, 1], outputs, from_logits=False)
    0.25
    """
    return gap_of(reliability_curve(labels, outputs, from_logits=from_logits, bins=bins))


def gap_of(curve: ReliabilityCurve) -> float:
    """`expected_calibration_error` of a reliability curve."""
    filled = curve.count > 0
    gaps = np.abs(curve.accuracy[filled] - curve.confidence[filled])
    return float(np.sum(curve.count[filled] * gaps) / np.sum(curve.count))


def rms_calibration_error(
    labels: np.ndarray,
    outputs: np.ndarray,
    *,
    from_logits: bool,
    bin_size: int = 100,
    reference: bool = False,
) -> float:
    """Computes the RMS calibration error over bins with equal numbers of images.

    sqrt( Σ_b n_b/N · (conf_b − acc_b)² ), with bins of `bin_size` images sorted by confidence, of
    which the last also takes the remainder: Hendrycks et al. 2019 (arXiv:1812.04606), with the
    bins of calibration_tools.py of github.com/hendrycks/natural-adv-examples, whose numbers
    NoisyMix (arXiv:2202.01263, Table 11) reports. Images of equal confidence are ranked in the
    order given, which affects the result if they fall into different bins.

    Args:
        labels: [N] or [N, 1] class indices, or [N, classes] one-hot or soft labels.
        outputs: [N, classes] logits or probabilities.
        from_logits: Whether `outputs` are logits.
        bin_size: Images per bin, 1 or more. Default: 100, as published. Fewer images form a single
            bin.
        reference: Whether to leave out the last bin, that of the most confident images, although
            N counts all images. The published script does this by mistake; use it only to compare
            with published numbers, and say so. Default: False.

    Returns:
        A fraction in [0, 1].

    Raises:
        ValueError: As in `reliability_curve`, or `reference` with fewer images than a bin.

    Example:

    >>> outputs = [[0.5, 0.5], [0.5, 0.5], [0.75, 0.25], [0.75, 0.25]]
    >>> rms_calibration_error([0, 1, 1, 1], outputs, from_logits=False, bin_size=2)
    0.5303300858899106
    """
    bin_size = validation.check_whole("bin_size", bin_size, 1, 1_000_000_000)
    confidence, right = _confidence(labels, outputs, from_logits, "rms_calibration_error")
    count = len(confidence)
    if reference and count < bin_size:
        raise ValueError(
            f"rms_calibration_error with reference=True needs at least the {bin_size} images of "
            f"a bin; received {count}"
        )
    return rms_of(confidence, right, bin_size, reference=reference)


def rms_of(
    confidence: np.ndarray, right: np.ndarray, bin_size: int = 100, *, reference: bool = False
) -> float:
    """`rms_calibration_error` of confidences [N] and of [N] 1 for right, 0 for wrong."""
    count = len(confidence)
    order = np.argsort(confidence, kind="stable")
    starts = np.arange(max(count // bin_size, 1)) * bin_size
    sizes = np.diff(np.append(starts, count))
    gaps = np.add.reduceat((confidence - right)[order], starts) / sizes
    squares = sizes / count * gaps**2
    return float(np.sqrt(np.sum(squares[:-1] if reference else squares)))


def aurra(labels: np.ndarray, outputs: np.ndarray, *, from_logits: bool) -> float:
    """Computes the area under the response rate accuracy curve.

    It is the mean over i = 1..N of the accuracy on the i most confident images: Hendrycks et al.
    2021 (Natural Adversarial Examples, arXiv:1907.07174). Images of equal confidence are ranked in
    the order given, which affects the result.

    Args:
        labels: [N] or [N, 1] class indices, or [N, classes] one-hot or soft labels.
        outputs: [N, classes] logits or probabilities. Logits are more precise: they distinguish
            confidences that float32 probabilities round to 1.
        from_logits: Whether `outputs` are logits.

    Returns:
        A fraction in [0, 1].

    Raises:
        ValueError: As in `reliability_curve`.

    Example:

    >>> aurra([0, 0], [[0.9, 0.1], [0.2, 0.8]], from_logits=False)
    0.75
    """
    return aurra_of(*_confidence(labels, outputs, from_logits, "aurra"))


def aurra_of(confidence: np.ndarray, right: np.ndarray) -> float:
    """`aurra` of confidences [N] and of [N] 1 for right, 0 for wrong."""
    order = np.argsort(-confidence, kind="stable")
    return float(np.mean(np.cumsum(right[order]) / np.arange(1, len(right) + 1)))


def _confidence(
    labels: Any, outputs: Any, from_logits: bool, metric: str
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the confidences [N], and [N] 1.0 for right and 0.0 for wrong."""
    outputs = np.asarray(outputs)
    right = metrics.are_right(labels, outputs, metric)
    validation.check_labels(labels, outputs.shape[1])
    outputs = outputs.astype(np.float64)
    if not np.isfinite(outputs).all():
        raise ValueError(
            f"{metric} needs finite outputs; received {np.count_nonzero(~np.isfinite(outputs))} "
            "infinite values"
        )
    if from_logits:
        # The softmax of the largest logit, exp(0) over the sum.
        largest = outputs.max(axis=1, keepdims=True)
        return 1 / np.exp(outputs - largest).sum(axis=1), right.astype(np.float64)
    low, high = outputs.min(), outputs.max()
    sums = outputs.sum(axis=1)
    worst = sums[np.argmax(np.abs(sums - 1))]
    if low < -validation.RANGE_TOLERANCE or abs(worst - 1) > 1e-2:
        raise ValueError(
            f"{metric} with from_logits=False needs probabilities, rows in [0, 1] that sum to 1; "
            f"received values from {low:.4g} to {high:.4g} and a row that sums to {worst:.4g}"
        )
    # Low-precision probabilities may exceed 1.
    return np.clip(outputs.max(axis=1), 0, 1), right.astype(np.float64)
