"""Paired bootstrap: whether the difference between two models can be chance."""

from __future__ import annotations

import dataclasses

import numpy as np

from tfrobust import validation
from tfrobust.evaluation import metrics


@dataclasses.dataclass(frozen=True)
class AccuracyDifference:
    """Result of a paired bootstrap.

    Args:
        difference: Accuracy of the first model minus that of the second, in [-1, 1].
        low: Lower end of the confidence interval of the difference.
        high: Upper end of the interval.
        confidence: Confidence level of the interval.
        n: Number of images.
        resamples: Number of bootstrap samples.
        seed: Seed of the resampling.
    """

    difference: float
    low: float
    high: float
    confidence: float
    n: int
    resamples: int
    seed: int


def paired_bootstrap(
    labels: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    *,
    confidence: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> AccuracyDifference:
    """Confidence interval of the difference of two models' accuracies on the same images.

    The percentile method (Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapter
    13): N images are drawn with replacement, both models are measured on the same sample, and the
    ends of the interval are the (1 ± confidence)/2 quantiles of the differences. A difference
    depends only on how many images of a sample the first model alone and the second model alone
    classify correctly. These counts are multinomial, so they are drawn instead of the images: the
    distribution is exactly the same, and the cost does not grow with N.

    The interval reflects the choice of test images, not the variation between training seeds. It
    is too narrow for few images, or where the models differ on few of them; where they agree on
    all images, it is a single point.

    Args:
        labels: [N] or [N, 1] class indices, or [N, classes] one-hot or soft labels.
        first: [N, classes] logits or probabilities of the first model.
        second: [N, classes] logits or probabilities of the second model for the same images.
        confidence: Confidence level, between 0 and 1. Default: 0.95.
        resamples: Number of bootstrap samples, 100 to 10 million. Default: 10,000.
        seed: Seed of the resampling, 0 or more. Default: 0.

    Returns:
        The difference, first minus second, and the interval, all in [-1, 1].

    Raises:
        ValueError: There are no predictions, their number differs from that of the labels, one of
            them is NaN, or an argument is out of range.

    Example:

    >>> labels = np.zeros(100, int)
    >>> first = np.tile([1.0, 0.0], [100, 1])  # always right
    >>> second = np.where(np.arange(100)[:, np.newaxis] < 70, first, 1 - first)  # right on 70
    >>> found = paired_bootstrap(labels, first, second)
    >>> found.difference, found.low, found.high
    (0.3, 0.21, 0.39)
    """
    return difference_of_means(
        metrics.are_right(labels, first, "paired_bootstrap"),
        metrics.are_right(labels, second, "paired_bootstrap"),
        confidence=confidence,
        resamples=resamples,
        seed=seed,
    )


def difference_of_means(
    first: np.ndarray,
    second: np.ndarray,
    *,
    confidence: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> AccuracyDifference:
    """`paired_bootstrap` for any score per image.

    A score is 1 for a correct and 0 for a wrong prediction, or the fraction of the corruptions
    under which an image is classified correctly; the mean of the latter is the robust accuracy.

    Args:
        first: [N] scores of the first model, in [0, 1].
        second: [N] scores of the second model.
        confidence: As in `paired_bootstrap`.
        resamples: As in `paired_bootstrap`.
        seed: As in `paired_bootstrap`.

    Returns:
        The difference of the means, first minus second, and the interval.

    Raises:
        ValueError: There are no scores, the models have different numbers of them, or an argument
            is out of range.
    """
    confidence = validation.check_between("confidence", confidence, 0, 1)
    resamples = validation.check_whole("resamples", resamples, 100, 10_000_000)
    seed = validation.check_whole("seed", seed, 0, 2**63 - 1)
    if len(first) != len(second) or len(first) == 0:
        raise ValueError(
            "both models must have a score for each image, and one image at least; received "
            f"{len(first)} and {len(second)} scores"
        )
    differences = np.asarray(first, np.float64) - np.asarray(second, np.float64)
    # Rounded, so that differences that are equal up to rounding errors count as one value.
    values, counts = np.unique(np.round(differences, 9), return_counts=True)
    n = len(differences)
    drawn = np.random.default_rng(seed).multinomial(n, counts / n, size=resamples)
    tail = (1 - confidence) / 2
    low, high = np.quantile(drawn @ values / n, [tail, 1 - tail])
    return AccuracyDifference(
        difference=float(np.mean(differences)),
        low=float(low),
        high=float(high),
        confidence=confidence,
        n=n,
        resamples=resamples,
        seed=seed,
    )
