"""Temperature scaling."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from tfrobust.evaluation.calibration_error import expected_calibration_error
from tfrobust.evaluation.metrics import are_right, class_indices

#: Between these the temperature is sought.
_LOWEST, _HIGHEST = 1e-3, 1e3


@dataclasses.dataclass(frozen=True)
class Temperature:
    """What `fit_temperature` found.

    Args:
        temperature: T > 0; 1 where scaling does not help.
        before: Expected calibration error of the logits as they are.
        after: The same with the temperature, each half of the images with that of the other half.
        n: Number of images.
    """

    temperature: float
    before: float
    after: float
    n: int

    @property
    def words(self) -> str:
        """The result in one sentence."""
        if self.temperature == 1:
            return (
                f"no temperature improves the likelihood of {self.n:,} validation images: nothing "
                f"is changed (calibration error {100 * self.before:.1f}%)"
            )
        return (
            f"temperature {self.temperature:.3f}: calibration error {100 * self.before:.1f}% before"
            f" and {100 * self.after:.1f}% after, on {self.n:,} validation images"
        )


def fit_temperature(labels: Any, logits: Any) -> Temperature:
    """Finds the temperature with which logits fit the labels best.

        T = argmin_T −Σ_i log softmax(z_i / T)[y_i],  10⁻³ ≤ T ≤ 10³

    Temperature scaling (Guo et al. 2017, arXiv:1706.04599, section 4.2, equation 9). The loss is
    convex in 1/T, so its slope is bisected. To see whether it helps on other images, each half of
    them, every second one, is scaled with the temperature of the other half; if their likelihood
    does not rise, T is 1.

    Args:
        labels: [N] or [N, 1] class indices, or [N, classes] one-hot or soft labels; N is 2 or more.
        logits: [N, classes].

    Returns:
        The temperature of all images, and the expected calibration errors.

    Raises:
        ValueError: Wrong shapes, logits that are not finite, or fewer than two images.

    Example:

    >>> sure = [[4.0, 0.0]] * 8  # wrong for one image of four: log(3) would be right
    >>> found = fit_temperature([0, 0, 0, 0, 0, 0, 1, 1], sure)
    >>> round(found.temperature, 3), round(float(4 / np.log(3)), 3)
    (3.641, 3.641)
    """
    logits = np.asarray(logits, np.float64)
    are_right(labels, logits, "fit_temperature")
    labels = class_indices(labels)
    if len(labels) < 2 or not np.isfinite(logits).all():
        raise ValueError(
            "fit_temperature needs 2 images or more and finite logits; received "
            f"{len(labels)} images and {np.count_nonzero(~np.isfinite(logits))} infinite values"
        )
    halves = [slice(0, None, 2), slice(1, None, 2)]
    scaled = np.empty_like(logits)
    for own, other in (halves, halves[::-1]):
        scaled[own] = logits[own] / _best(labels[other], logits[other])
    helps = _loss(labels, scaled) < _loss(labels, logits)
    errors = [expected_calibration_error(labels, z, from_logits=True) for z in (logits, scaled)]
    return Temperature(
        temperature=_best(labels, logits) if helps else 1.0,
        before=errors[0],
        after=errors[1] if helps else errors[0],
        n=len(labels),
    )


def _best(labels: np.ndarray, logits: np.ndarray) -> float:
    low, high = 1 / _HIGHEST, 1 / _LOWEST
    for _ in range(60):
        middle = (low * high) ** 0.5
        if _slope(labels, logits, middle) <= 0:
            low = middle
        else:
            high = middle
    return float(1 / low)


def _slope(labels: np.ndarray, logits: np.ndarray, inverse: float) -> float:
    """The derivative of the mean loss by 1/T: the expected logit less that of the label."""
    shares = np.exp(inverse * (logits - logits.max(axis=1, keepdims=True)))
    expected = (shares * logits).sum(axis=1) / shares.sum(axis=1)
    return float(np.mean(expected - logits[np.arange(len(labels)), labels]))


def _loss(labels: np.ndarray, logits: np.ndarray) -> float:
    shifted = logits - logits.max(axis=1, keepdims=True)
    own = shifted[np.arange(len(labels)), labels]
    return float(np.mean(np.log(np.exp(shifted).sum(axis=1)) - own))
