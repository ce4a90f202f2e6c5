"""Checks of models, images, labels, numbers and names, each said once for all who demand it.

A message says what was wrong, what is allowed and what was received.
"""

from __future__ import annotations

import difflib
import numbers
from collections.abc import Iterable, Sequence
from typing import Any, Optional

# NumPy and Keras are imported where they are needed: the command line imports this.

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
        hint = ""
        if rank == 3:
            hint = " (add the missing axis, for example with images[..., np.newaxis])"
            if shape[-1] in (1, 3, 4):
                hint = " (of a data set without batches: data.batch(32); of one image: image[None])"
        raise ValueError(
            f"{what} must have shape [batch, height, width, channels]; received shape "
            f"{tuple(shape)}{hint}"
        )
    name = getattr(dtype, "name", str(dtype))
    if not name.startswith(("float", "bfloat")):
        hint = " (for 8-bit images: images.astype('float32') / 255)" if "int" in name else ""
        raise TypeError(
            f"{what} must be floating-point numbers in [0, 1]; received dtype {name}{hint}"
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

    >>> import numpy as np
    >>> check_images(np.full([1, 2, 2, 3], 200.0, "float32"))
    Traceback (most recent call last):
    ...
    ValueError: images must lie in [0, 1]; received values from 200 to 200 (divide ... by 255)
    """
    import numpy as np

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


def check_pair(images: Any, labels: Any, what: str) -> None:
    """Checks that an element of a data set is a pair of images and labels.

    Args:
        images: The first part of the element, or the whole.
        labels: The second part; None if there is none.
        what: Name of the data in the message.

    Raises:
        ValueError: A part is missing, or is not one array.

    Example:

    >>> check_pair({"image": 0, "label": 1}, None, "the training data")
    Traceback (most recent call last):
    ...
    ValueError: the training data must give (images, labels); it gives a dict of image, label ...
    """
    given = "one part" if labels is None else ""
    for part in (labels, images):
        if isinstance(part, dict):
            given = f"a dict of {', '.join(map(str, part))} (make pairs of it with data.map)"
        elif isinstance(part, (list, tuple)):
            given = f"a {type(part).__name__} of {len(part)} as one of the two"
    if given:
        raise ValueError(f"{what} must give (images, labels); it gives {given}")


def check_label_type(dtype: Any, what: str = "labels") -> None:
    """Checks that labels are numbers, which is known before their values.

    Args:
        dtype: A NumPy or TensorFlow dtype.
        what: Name of the labels in the message.

    Raises:
        TypeError: They are text or other objects.
    """
    name = getattr(dtype, "name", str(dtype))
    if not name.startswith(("int", "uint", "float", "bfloat", "bool")):
        raise TypeError(
            f"{what} must be class indices or probabilities; received dtype {name} (number the "
            "classes from 0)"
        )


def check_labels(labels: Any, classes: int, what: str = "labels") -> None:
    """Checks that labels are class indices, or one row of `classes` probabilities per image.

    Args:
        labels: Array or eager tensor: [B] or [B, 1] class indices, or [B, classes] one-hot or
            soft labels.
        classes: Number of classes of the net.
        what: Name of the labels in the message.

    Raises:
        TypeError: The labels are text or other objects.
        ValueError: Wrong shape, a class index out of range or not whole, or rows that are not
            probabilities summing to 1.

    Example:

    >>> check_labels([0, 3, 10], classes=10)
    Traceback (most recent call last):
    ...
    ValueError: labels must be class indices from 0 to 9; received values from 0 to 10
    """
    import numpy as np

    labels = np.asarray(labels)
    check_label_type(labels.dtype, what)
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


def check_label_count(images: Any, labels: Any, what: str = "the data") -> None:
    """Checks that there is a label for each image.

    Raises:
        ValueError: There are more, or fewer.
    """
    if len(images) != len(labels):
        raise ValueError(
            f"{what} must have one label per image; received {len(images)} images and "
            f"{len(labels)} labels"
        )


def check_fits(
    shape: Sequence[Optional[int]],
    wanted: Sequence[Optional[int]],
    what: str = "images",
    taker: str = "the net",
) -> None:
    """Checks a shape against that which a model takes.

    Args:
        shape: The shape of an image, or a part of it.
        wanted: What the model takes; None for any size.
        what: What to call the images in the message.
        taker: What to call the model.

    Raises:
        ValueError: It is another.

    Example:

    >>> check_fits((8, 9, 3), (8, None, 1))
    Traceback (most recent call last):
    ...
    ValueError: images must fit the net, which takes [8, None, 1]; received (8, 9, 3)
    """
    sizes_fit = all(want in (None, got) for want, got in zip(wanted, shape))
    if len(shape) != len(wanted) or not sizes_fit:
        raise ValueError(
            f"{what} must fit {taker}, which takes {list(wanted)}; received {tuple(shape)}"
        )


def check_net(net: Any) -> None:
    """Checks that a net is a Keras model with weights.

    Raises:
        TypeError: It is no Keras model.
        ValueError: It is not built.
    """
    import keras

    check_type("net", net, keras.Model, "a keras.Model")
    if not net.built or not net.layers:
        raise ValueError(
            f"net {net.name!r} has no weights yet; give it an Input layer or call net.build(...)"
        )


def check_type(name: str, value: Any, kind: Any, allowed: str) -> None:
    """Checks the class of an argument.

    Args:
        name: What to call the argument in the message.
        value: The argument.
        kind: The class that it must be of.
        allowed: What to call that class in the message.

    Raises:
        TypeError: It is of another class.

    Example:

    >>> check_type("augment", 0.1, dict, "an augmentation layer")
    Traceback (most recent call last):
    ...
    TypeError: augment must be an augmentation layer; received float
    """
    if not isinstance(value, kind):
        raise TypeError(f"{name} must be {allowed}; received {type(value).__name__}")


def check_known(owner: str, kind: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Checks the names of settings that are given.

    Args:
        owner: Who has the settings.
        kind: What to call one of them in the message.
        given: The names given.
        known: Those that there are.

    Raises:
        ValueError: One is unknown; the message lists those that there are.

    Example:

    >>> check_known("Train", "setting", ["epoch"], ["epochs", "net"])
    Traceback (most recent call last):
    ...
    ValueError: Train has no setting epoch; it has: epochs, net (did you mean epochs?)
    """
    known = list(known)
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise ValueError(
            f"{owner} has no {kind} {', '.join(unknown)}; it has: {', '.join(known) or 'none'}"
            f"{nearest(unknown[0], known)}"
        )


def nearest(given: str, known: Iterable[str]) -> str:
    """What may have been meant by a name that there is not, as the end of a message.

    Example:

    >>> nearest("jpg", ["jpeg", "rotation"])
    ' (did you mean jpeg?)'
    """
    found = difflib.get_close_matches(given, list(known), 1)
    return f" (did you mean {found[0]}?)" if found else ""


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


def check_between(name: str, value: Any, low: float, high: float) -> float:
    """Checks one number of a configuration, in an interval without its ends; returns a float.

    Raises:
        ValueError: `value` is not a number in (low, high).

    Example:

    >>> check_between("drop", 0, 0, 1)
    Traceback (most recent call last):
    ...
    ValueError: drop must be a number between 0 and 1, neither of them; received 0
    """
    number = float(value) if _is_number(value) else float("nan")
    if not low < number < high:
        raise ValueError(
            f"{name} must be a number between {low:g} and {high:g}, neither of them; received "
            f"{value!r}"
        )
    return number


def check_size(name: str, value: Any) -> Optional[tuple[int, int]]:
    """Returns a (height, width) pair of whole numbers from 1, or None."""
    if value is None:
        return None
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise ValueError(f"{name} must be a (height, width) pair or None; received {value!r}")
    height, width = (check_whole(name, side, 1, 2**20) for side in value)
    return height, width


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


def check_choice(name: str, value: Any, choices: tuple[Any, ...]) -> Any:
    """Checks that a setting is one of a few words, and returns it.

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
        known = ", ".join(map(str, choices))
        near = nearest(str(value), map(str, choices))
        raise ValueError(f"{name} must be one of {known}; received {value!r}{near}")
    return value


def _is_number(value: Any) -> bool:
    # A text that spells a number, and a bool, are more likely mistakes than numbers.
    return isinstance(value, numbers.Real) and not isinstance(value, bool)
