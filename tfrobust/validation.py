"""Checks of arguments, with messages that say what was wrong, allowed and received."""

from __future__ import annotations

from typing import Any

import numpy as np

#: Tolerance around [0, 1]: float32 interpolation and file round trips overshoot by rounding only.
RANGE_TOLERANCE = 1e-3


def check_image_spec(shape: Any, dtype: Any, what: str = "images") -> None:
    """Checks rank and dtype of images, which are known before their values.

    Args:
        shape: Static shape; unknown dimensions are None.
        dtype: A NumPy or TensorFlow dtype.
        what: Name of the images in the message.

    Raises:
        ValueError: The rank is not 4.
        TypeError: The dtype is not a floating-point type.
    """
    rank = getattr(shape, "rank", None) if hasattr(shape, "rank") else len(shape)
    if rank is not None and rank != 4:
        raise ValueError(
            f"{what} must have shape [batch, height, width, channels]; received shape "
            f"{tuple(shape)} (add the missing axis, for example with images[..., np.newaxis])"
        )
    name = getattr(dtype, "name", str(dtype))
    if not name.startswith(("float", "bfloat")):
        raise TypeError(
            f"{what} must be floating-point numbers in [0, 1]; received dtype {name} "
            "(for 8-bit images: images.astype('float32') / 255)"
        )


def check_images(images: Any, what: str = "images") -> None:
    """Checks that a batch of images has rank 4, is not empty, and holds finite floats in [0, 1].

    Args:
        images: Array or eager tensor.
        what: Name of the images in the message.

    Raises:
        ValueError: Wrong rank, no image, NaN or infinite values, or values outside [0, 1].
        TypeError: The dtype is not a floating-point type.

    Example:

    >>> check_images(np.full([1, 2, 2, 3], 200.0, "float32"))
    Traceback (most recent call last):
    ...
    ValueError: images must lie in [0, 1]; received values from 200 to 200 (divide ... by 255)
    """
    images = np.asarray(images)
    check_image_spec(images.shape, images.dtype, what)
    if images.size == 0:
        raise ValueError(f"{what} must hold at least one image; received shape {images.shape}")
    low, high = float(images.min()), float(images.max())
    if not np.isfinite(low + high):
        count = int(np.size(images) - np.count_nonzero(np.isfinite(images)))
        raise ValueError(f"{what} must be finite; received {count} NaN or infinite values")
    if low < -RANGE_TOLERANCE or high > 1 + RANGE_TOLERANCE:
        hint = " (divide 0-255 images by 255)" if high > 2 else ""
        raise ValueError(
            f"{what} must lie in [0, 1]; received values from {low:.4g} to {high:.4g}{hint}"
        )


def check_labels(labels: Any, classes: int, what: str = "labels") -> None:
    """Checks that labels are class indices, or one row of `classes` probabilities per image.

    Args:
        labels: Array or eager tensor: [B] or [B, 1] class indices, or [B, classes] one-hot or
            soft labels.
        classes: Number of classes of the net.
        what: Name of the labels in the message.

    Raises:
        ValueError: Wrong shape, a class index out of range or not whole, or rows that are not
            probabilities summing to 1.

    Example:

    >>> check_labels([0, 3, 10], classes=10)
    Traceback (most recent call last):
    ...
    ValueError: labels must be class indices from 0 to 9; received values from 0 to 10
    """
    labels = np.asarray(labels)
    if labels.size == 0:
        raise ValueError(f"{what} must hold at least one label; received shape {labels.shape}")
    if labels.ndim == 2 and labels.shape[1] == classes and classes > 1:
        sums = labels.sum(axis=1)
        if labels.min() < 0:
            raise ValueError(
                f"{what} must be probabilities of 0 or more; received {labels.min():g}"
            )
        if not np.allclose(sums, 1, atol=1e-3):
            raise ValueError(
                f"{what} given as one row per image must be probabilities that sum to 1; received "
                f"a row that sums to {sums[np.argmax(np.abs(sums - 1))]:.4g}"
            )
        return
    if not (labels.ndim == 1 or (labels.ndim == 2 and labels.shape[1] == 1)):
        raise ValueError(
            f"{what} must have shape [batch] (class indices) or [batch, {classes}] (one-hot, one "
            f"column for each output of the net); received shape {labels.shape}"
        )
    if not np.all(np.equal(np.mod(labels, 1), 0)):
        raise ValueError(f"{what} must be whole class indices; received {labels.dtype} fractions")
    if labels.min() < 0 or labels.max() >= classes:
        raise ValueError(
            f"{what} must be class indices from 0 to {classes - 1}; received values from "
            f"{labels.min():g} to {labels.max():g}"
        )


def check_in_range(name: str, value: Any, low: float, high: float) -> float:
    """Checks that a setting is a number in [low, high] and returns it as a float.

    Raises:
        ValueError: `value` is not a number in [low, high].

    Example:

    >>> check_in_range("probability", 1.5, 0, 1)
    Traceback (most recent call last):
    ...
    ValueError: probability must be a number in [0, 1]; received 1.5
    """
    number = float(value) if _is_number(value) else float("nan")
    if not low <= number <= high:
        raise ValueError(f"{name} must be a number in [{low:g}, {high:g}]; received {value!r}")
    return number


def check_whole(name: str, value: Any, low: int, high: int) -> int:
    """Checks that a setting is a whole number from `low` to `high` and returns it as an int.

    Raises:
        ValueError: `value` is not a whole number from low to high.

    Example:

    >>> check_whole("seed", 0.5, 0, 100)
    Traceback (most recent call last):
    ...
    ValueError: seed must be a whole number from 0 to 100; received 0.5
    """
    if not (_is_number(value) and low <= value <= high and value == int(value)):
        raise ValueError(f"{name} must be a whole number from {low} to {high}; received {value!r}")
    return int(value)


def check_choice(name: str, value: Any, choices: tuple[str, ...]) -> str:
    """Checks that a setting is one of the allowed words and returns it.

    Args:
        name: Name of the setting in the message.
        value: The value to check.
        choices: The allowed words.

    Returns:
        `value`.

    Raises:
        ValueError: `value` is not in `choices`.

    Example:

    >>> check_choice("fill", "white", ("black", "mirror"))
    Traceback (most recent call last):
    ...
    ValueError: fill must be one of black, mirror; received 'white'
    """
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}; received {value!r}")
    return value


def _is_number(value: Any) -> bool:
    # Strings that spell a number and bools are more likely mistakes than numbers.
    number = isinstance(value, (int, float, np.integer, np.floating))
    return number and not isinstance(value, bool)
