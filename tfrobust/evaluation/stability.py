"""Flip probabilities: how often predictions change in a sequence of slightly changed images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Optional, Union

import numpy as np

from tfrobust import validation
from tfrobust.evaluation.baselines import FLIP_BASELINES
from tfrobust.evaluation.corruption_error import check_complete, check_each_once
from tfrobust.registries import HELD_OUT_PERTURBATIONS, NOISE_PERTURBATIONS, PERTURBATIONS


def flip_probability(predictions: np.ndarray, *, noise: bool, step: int = 1) -> float:
    """The probability that the predicted class changes between frames of a sequence.

    FP = mean over videos of mean over j = 2..M of [f(x_j) ≠ f(x_{j−1})], and for noise
    [f(x_j) ≠ f(x_1)], because its frames are not a sequence in time: Hendrycks and Dietterich
    2019 (arXiv:1903.12261), section 4.

    Args:
        predictions: [videos, frames] class indices, at least two frames. For noise, the first frame
            is the clean image.
        noise: Whether frames are compared with the first frame (`tfrobust.corruptions.
            NOISE_PERTURBATIONS`), not with the frame before.
        step: Distance of the compared frames, if they are a sequence in time: x_j with
            x_{j−step}, all pairs. 1 is as published; 2 and 3 are the other difficulties of the
            authors' script. It has no effect on noise, whose difficulty is in its frames.

    Returns:
        A fraction in [0, 1].

    Raises:
        ValueError: Wrong shape, no video, fewer than two frames, a step that leaves no pair, or
            predictions that are not integers.

    Example:

    >>> predictions = [[3, 3, 5, 5, 5]]
    >>> flip_probability(predictions, noise=False), flip_probability(predictions, noise=True)
    (0.25, 0.75)
    """
    predictions = np.asarray(predictions)
    if predictions.ndim != 2 or predictions.shape[0] < 1 or predictions.shape[1] < 2:
        raise ValueError(
            "predictions must have shape [videos, frames], one video or more of two frames or "
            f"more; received shape {predictions.shape}"
        )
    if predictions.dtype.kind not in "iu" and not (
        predictions.dtype.kind == "f" and np.array_equal(predictions, np.floor(predictions))
    ):
        raise ValueError(
            f"predictions must be whole class indices; received {predictions.dtype} that are not "
            "(of logits take the argmax over the classes)"
        )
    if noise:
        return float(np.mean(predictions[:, 1:] != predictions[:, :1]))
    step = validation.check_whole("step", step, 1, predictions.shape[1] - 1)
    return float(np.mean(predictions[:, step:] != predictions[:, :-step]))


def flip_probabilities(predictions: Mapping[str, np.ndarray]) -> dict[str, float]:
    """The flip probability of each perturbation, comparing frames as its kind requires.

    Args:
        predictions: Perturbation (`tfrobust.corruptions.PERTURBATIONS` or
            `HELD_OUT_PERTURBATIONS`) to [videos, frames] class indices.

    Returns:
        Perturbation to a fraction in [0, 1].

    Raises:
        ValueError: A perturbation is unknown, or as in `flip_probability`.

    Example:

    >>> flip_probabilities({"shot_noise": [[3, 3, 5, 5, 5]], "tilt": [[3, 3, 5, 5, 5]]})
    {'shot_noise': 0.75, 'tilt': 0.25}
    """
    flips = {}
    for name, frames in predictions.items():
        _check_known(name)
        flips[name] = flip_probability(frames, noise=name in NOISE_PERTURBATIONS)
    return flips


def mean_flip_probability(
    probabilities: Mapping[str, float], *, perturbations: Sequence[str] = PERTURBATIONS
) -> float:
    """Mean flip probability mFP: the mean over perturbations, without a baseline.

    CIFAR-10-P and CIFAR-100-P report it (Hendrycks and Dietterich 2019,
    arXiv:1903.12261; there in percent). Their published script has spatter in the place of snow:
    `perturbations` can say so.

    Args:
        probabilities: Perturbation to flip probability, a fraction in [0, 1].
        perturbations: Perturbations to average over. Default: the ten of the benchmark.

    Returns:
        A fraction in [0, 1].

    Raises:
        ValueError: A perturbation is unknown or missing, or a number is not a fraction.

    Example:

    >>> mean_flip_probability({"snow": 0.25, "tilt": 0.75}, perturbations=["snow", "tilt"])
    0.5
    """
    return float(np.mean(_numbers(probabilities, select(perturbations))))


def flip_rates(
    probabilities: Mapping[str, float],
    baseline: Union[str, Mapping[str, float]],
    *,
    perturbations: Sequence[str] = PERTURBATIONS,
) -> dict[str, float]:
    """Flip rates FR: flip probabilities divided by those of a baseline.

    FR_p = 100 · FP_p / FP^base_p: Hendrycks and Dietterich 2019 (arXiv:1903.12261), section 4.

    Args:
        probabilities: Perturbation to flip probability, a fraction in [0, 1].
        baseline: What to divide by: "alexnet" (for ImageNet-P), or flip probabilities of a net of
            your own.
        perturbations: Perturbations to compute. Default: the ten of the benchmark.

    Returns:
        Perturbation to its rate times 100, as published: 100 is as unstable as the baseline.

    Raises:
        ValueError: A perturbation or baseline is unknown, numbers are missing or not fractions, or
            the baseline never flips.

    Example:

    >>> flip_rates({"snow": 0.1, "tilt": 0.2}, {"snow": 0.2, "tilt": 0.2},
    ...            perturbations=["snow", "tilt"])
    {'snow': 50.0, 'tilt': 100.0}
    """
    names = select(perturbations)
    rates = _numbers(probabilities, names)
    if isinstance(baseline, str):
        validation.check_choice("baseline", baseline, tuple(FLIP_BASELINES))
        baseline = FLIP_BASELINES[baseline]
    divisors = _numbers(baseline, names, "the baseline")
    if not divisors.all():
        raise ValueError(
            f"the baseline must flip under {names[int(np.argmin(divisors))]}, or there is "
            "nothing to divide by; received a flip probability of 0"
        )
    return {name: float(100 * rate) for name, rate in zip(names, rates / divisors)}


def mean_flip_rate(
    probabilities: Mapping[str, float],
    baseline: Union[str, Mapping[str, float]],
    *,
    perturbations: Sequence[str] = PERTURBATIONS,
) -> float:
    """Mean flip rate mFR: the mean of the flip rates.

    mFR = mean over p of FR_p, a mean of ratios, not a ratio of means: Hendrycks and Dietterich
    2019 (arXiv:1903.12261), section 4.

    Args:
        probabilities: Perturbation to flip probability, a fraction in [0, 1].
        baseline: As in `flip_rates`.
        perturbations: Perturbations to average over. Default: the ten of the benchmark.

    Returns:
        The mean times 100, as published: 100 is as unstable as the baseline.

    Raises:
        ValueError: As in `flip_rates`.

    Example:

    >>> mean_flip_rate(FLIP_BASELINES["alexnet"], "alexnet")
    100.0
    """
    rates = flip_rates(probabilities, baseline, perturbations=perturbations)
    return float(np.mean(list(rates.values())))


def metrics_of(
    probabilities: Mapping[str, float], baseline: Optional[str] = None
) -> list[tuple[str, str, float]]:
    """All metrics that follow from flip probabilities: metric, perturbation, value.

    Means have the perturbation "perturbations", if the ten of the benchmark are given; rates need
    a baseline.
    """
    numbers = [("flip_probability", name, value) for name, value in probabilities.items()]
    whole = set(PERTURBATIONS) <= set(probabilities)
    if whole:
        numbers.append(
            ("mean_flip_probability", "perturbations", mean_flip_probability(probabilities))
        )
    if baseline is not None:
        rates = flip_rates(probabilities, baseline, perturbations=tuple(probabilities))
        numbers += [("flip_rate", name, value) for name, value in rates.items()]
        if whole:
            rate = mean_flip_rate(probabilities, baseline)
            numbers.append(("mean_flip_rate", "perturbations", rate))
    return numbers


def _check_known(name: Any) -> None:
    validation.check_choice("perturbation", name, (*PERTURBATIONS, *HELD_OUT_PERTURBATIONS))


def select(perturbations: Union[str, Sequence[str]]) -> tuple[str, ...]:
    """Names of perturbations, or one, checked."""
    names = (perturbations,) if isinstance(perturbations, str) else perturbations
    return check_each_once("perturbations", names, _check_known)


def _numbers(
    probabilities: Mapping[str, float],
    names: tuple[str, ...],
    what: str = "the flip probabilities",
) -> np.ndarray:
    for name in probabilities:
        _check_known(name)
    check_complete(what, probabilities, names)
    return np.array(
        [
            validation.check_in_range(f"{what} of {name}", probabilities[name], 0, 1)
            for name in names
        ]
    )
