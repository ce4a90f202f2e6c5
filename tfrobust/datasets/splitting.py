"""Stratified splits and samples from a seed."""

from __future__ import annotations

import numpy as np

from tfrobust import validation


def split_off(labels: np.ndarray, fraction: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Split images into two parts with the same mix of classes.

    round(fraction · N) images go to the second part: of each class its proportion, rounded up or
    down, but at least one image and never all.

    Args:
        labels: [N] class indices.
        fraction: Fraction of the images in the second part.
        seed: Seed of the draw.

    Returns:
        Indices of the first and of the second part, each in increasing order.

    Raises:
        ValueError: A class has only one image; `fraction` is not between 0 and 1.

    Example:

    >>> rest, part = split_off(np.array([0, 0, 0, 0, 1, 1, 1, 1]), 0.25)
    >>> len(rest), len(part)
    (6, 2)
    """
    validation.check_in_range("fraction", fraction, 0, 1)
    counts = np.bincount(labels)
    if (counts == 1).any():
        raise ValueError(
            "a class must have 2 images or more to be split into training and validation; class "
            f"{int(np.argmax(counts == 1))} has one"
        )
    taken = _round(fraction * counts, round(fraction * len(labels)))
    taken = np.clip(taken, np.minimum(counts, 1), np.maximum(counts - 1, 0))
    part = pick(labels, taken, seed)
    rest = np.ones(len(labels), bool)
    rest[part] = False
    return np.flatnonzero(rest), part


def pick(labels: np.ndarray, counts: np.ndarray, seed: int = 0) -> np.ndarray:
    """Draw a given number of images of each class.

    Args:
        labels: [N] class indices.
        counts: How many of each class.
        seed: Seed of the draw.

    Returns:
        Their indices in increasing order.

    Raises:
        ValueError: A class has fewer.
    """
    random = np.random.default_rng(seed)
    order = random.permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]  # by class, within it at random
    sizes = np.bincount(labels, minlength=len(counts))
    if (sizes < counts).any():
        poor = int(np.argmax(sizes < counts))
        raise ValueError(
            f"each class must have as many images as are to be drawn; class {poor} has "
            f"{sizes[poor]} of {int(counts[poor])}"
        )
    starts = np.cumsum(sizes) - sizes
    place = np.arange(len(labels)) - np.repeat(starts, sizes)
    return np.sort(order[place < np.repeat(counts, sizes)])


def pick_stratified(labels: np.ndarray, count: int, seed: int = 0) -> np.ndarray:
    """Draw a stratified sample: of each class its proportion, rounded up or down.

    Args:
        labels: [N] class indices.
        count: How many, from 1 to N.
        seed: Seed of the draw.

    Returns:
        Their indices in increasing order.

    Raises:
        ValueError: There are fewer.

    Example:

    >>> places = pick_stratified(np.array([0, 1, 0, 1, 0, 0]), 3)
    >>> len(places), int(np.array([0, 1, 0, 1, 0, 0])[places].sum())
    (3, 1)
    """
    validation.check_whole("the number of images", count, 1, len(labels))
    return pick(labels, _round(np.bincount(labels) * count / len(labels), count), seed)


def _round(wanted: np.ndarray, total: int) -> np.ndarray:
    """Round to whole numbers with a given sum: the largest remainders are rounded up."""
    taken = np.floor(wanted).astype(int)
    largest = np.argsort(taken - wanted, kind="stable")
    taken[largest[: max(total - taken.sum(), 0)]] += 1
    return taken
