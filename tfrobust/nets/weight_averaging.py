"""Averages of weights: between two models, and over several."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from tfrobust import validation

Weights = Sequence[np.ndarray]


def interpolate_weights(first: Weights, second: Weights, position: float) -> list[np.ndarray]:
    """Weights on the line between two models (WiSE-FT).

    `(1 − α) first + α second`: between a model (α = 0) and its finetuned copy (α = 1) there are
    often models that are better than both, on clean and on changed images (Wortsman et al. 2022,
    Robust fine-tuning of zero-shot models, eq. 1).

    Args:
        first: Weights of a model, as `get_weights` returns them.
        second: Weights of a model of the same structure.
        position: α, from 0 to 1.

    Returns:
        The weights. Those that are not floats, such as seeds, are those of `first`.

    Raises:
        ValueError: The structures differ or α is out of range.

    Example:

    >>> interpolate_weights([np.array([0.0, 4.0])], [np.array([1.0, 0.0])], 0.25)
    [array([0.25, 3.  ])]
    """
    validation.check_in_range("position", position, 0, 1)
    return average_weights([first, second], [1 - position, position])


def average_weights(
    models: Sequence[Weights], shares: Sequence[float] | None = None
) -> list[np.ndarray]:
    """The mean of the weights of several models.

    For models finetuned from the same weights: a uniform soup (Wortsman et al. 2022, Model soups,
    section 2), or the average over the last steps of a training (Izmailov et al. 2018).

    Args:
        models: Weights of models of one structure.
        shares: Share of each model; they add up to 1. Default: equal ones.

    Returns:
        The weights, averaged in float64, in their own types.

    Raises:
        ValueError: There is no model or the structures differ.
    """
    shapes = [[np.shape(weight) for weight in weights] for weights in models]
    if not shapes or any(one != shapes[0] for one in shapes):
        raise ValueError("weights of one or more models of one structure are needed; they differ")
    parts = [1 / len(models)] * len(models) if shares is None else shares
    means = []
    for every in zip(*models):
        first = np.asarray(every[0])
        if np.issubdtype(first.dtype, np.integer) or first.dtype == bool:
            means.append(first)
        else:
            total = sum(part * np.asarray(w, "float64") for part, w in zip(parts, every))
            means.append(np.asarray(total, first.dtype))
    return means


def greedy_soup(
    models: Sequence[Weights], score: Callable[[list[np.ndarray]], float]
) -> tuple[list[np.ndarray], tuple[int, ...]]:
    """The greedy soup of models that were finetuned from the same weights.

    From the best model downwards, each is added to the average where that does not lower the score
    on validation images (Wortsman et al. 2022, Model soups, recipe 1).

    Args:
        models: Weights, the best model first.
        score: Maps weights to their score; higher is better.

    Returns:
        The averaged weights and the indices of the models in them.
    """
    chosen, best = [0], score(average_weights(models[:1]))
    for i in range(1, len(models)):
        value = score(average_weights([models[k] for k in (*chosen, i)]))
        if value >= best:
            chosen.append(i)
            best = value
    return average_weights([models[k] for k in chosen]), tuple(chosen)
