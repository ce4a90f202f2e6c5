"""Whether one model is better than another on the same images, or only luckier."""

from __future__ import annotations

import dataclasses

import numpy as np

from tfrobust import checks
from tfrobust.evaluation import metrics


@dataclasses.dataclass(frozen=True)
class AccuracyDifference:
    """What a paired bootstrap found.

    Args:
        difference: Accuracy of the first model minus that of the second, in [-1, 1].
        low: Lower end of the confidence interval of the difference.
        high: Upper end of it.
        confidence: How much of the resampled differences lies between them.
        n: Number of images.
        resamples: Number of resampled sets of images.
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
    13): images are drawn with replacement, as many as there are, both models are measured on the
    same draw, and the ends of the interval are the (1 ± confidence)/2 quantiles of the
    differences. A difference depends alone on how many images of a draw only the first model and
    only the second got right, and these numbers are multinomial: so they are drawn, not the
    images, which gives the same distribution exactly, at a cost that does not grow with N.

    The interval says what other test images might have given, not what training with another seed
    might have. On few images, or where the models differ on few, it is too narrow; where they
    agree on all images, it is one point.

    Args:
        labels: [N] or [N, 1] class indices, or [N, classes] one-hot or soft labels.
        first: [N, classes] logits or probabilities of the first model.
        second: [N, classes] logits or probabilities of the second model, of the same images.
        confidence: Between 0 and 1. Default: 0.95.
        resamples: How many sets of images are drawn, 100 to 10 million. Default: 10,000.
        seed: Seed of the draws, 0 or more. Default: 0.

    Returns:
        The difference, first minus second, and the interval, all in [-1, 1].

    Raises:
        ValueError: There are no predictions, not as many as labels, NaN among them, or an
            argument is out of range.

    Example:

    >>> labels = np.zeros(100, int)
    >>> first = np.tile([1.0, 0.0], [100, 1])  # right on all
    >>> second = np.where(np.arange(100)[:, np.newaxis] < 70, first, 1 - first)  # right on 70
    >>> found = paired_bootstrap(labels, first, second)
    >>> found.difference, found.low, found.high
    (0.3, 0.21, 0.39)
    """
    confidence = checks.check_in_range("confidence", confidence, 0, 1)
    if confidence in (0, 1):
        raise ValueError(
            f"confidence must be a number between 0 and 1, neither of them; received {confidence}"
        )
    resamples = checks.check_whole("resamples", resamples, 100, 10_000_000)
    seed = checks.check_whole("seed", seed, 0, 2**63 - 1)
    one = metrics.are_right(labels, first, "paired_bootstrap")
    other = metrics.are_right(labels, second, "paired_bootstrap")
    n = len(one)
    better = int(np.count_nonzero(one & ~other))
    worse = int(np.count_nonzero(other & ~one))
    shares = np.array([better, worse, n - better - worse]) / n
    counts = np.random.default_rng(seed).multinomial(n, shares, size=resamples)
    tail = (1 - confidence) / 2
    low, high = np.quantile((counts[:, 0] - counts[:, 1]) / n, [tail, 1 - tail])
    return AccuracyDifference(
        difference=(better - worse) / n,
        low=float(low),
        high=float(high),
        confidence=confidence,
        n=n,
        resamples=resamples,
        seed=seed,
    )
