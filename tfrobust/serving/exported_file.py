"""Models exported as one file, and their comparison with the Keras model."""

from __future__ import annotations

import dataclasses
import math
import pathlib
from collections.abc import Iterable, Iterator
from typing import Any, Callable, Optional

import numpy as np
import tensorflow as tf

from tfrobust import files, validation
from tfrobust.serving.plain_net import PlainNet

Pairs = Iterable[tuple[np.ndarray, Optional[np.ndarray]]]

#: Images that pass a net at once.
_BATCH = 64

#: What float32 arithmetic in another order may change, as a share of the largest output.
TOLERANCE = 1e-3


@dataclasses.dataclass(frozen=True)
class ExportedFile:
    """An exported file and how its outputs compare with those of the Keras model.

    Attributes:
        path: The file.
        bytes: Its size.
        images: Number of images compared; 0 if nothing could run the file.
        largest_difference: Largest absolute difference between the outputs, over all images and
            classes; None without a comparison, as for the following.
        agreement: Fraction of the images for which both predict the same class.
        keras_accuracy: Accuracy of the Keras model, a fraction; None without labels.
        accuracy: Accuracy of the file, a fraction; None without labels.
    """

    path: pathlib.Path
    bytes: int
    images: int = 0
    largest_difference: Optional[float] = None
    agreement: Optional[float] = None
    keras_accuracy: Optional[float] = None
    accuracy: Optional[float] = None


def check_file(path: files.PathLike, ending: str, overwrite: bool) -> pathlib.Path:
    """Raises an error if a file must not or cannot be written, before time is spent."""
    target = pathlib.Path(path)
    if target.suffix != ending:
        raise ValueError(f"path must end in {ending}; received {str(path)!r}")
    files.check_writable(target.parent)
    if target.is_dir() or (target.exists() and not overwrite):
        raise FileExistsError(f"{target} exists; remove it, or give another path")
    return target


def compare(
    reference: PlainNet, run: Callable[[np.ndarray], np.ndarray], pairs: Pairs
) -> dict[str, Any]:
    """Computes the attributes of `ExportedFile` that compare the outputs.

    Args:
        reference: The Keras model.
        run: Maps images to the outputs of the file.
        pairs: Batches of (images, labels or None).

    Raises:
        ValueError: The model itself returns NaN or infinite values, or there are no images.
        RuntimeError: The file returns such values.
    """
    count, agree, difference = 0, 0, 0.0
    right: Optional[np.ndarray] = np.zeros(2)
    for images, labels in pairs:
        given, got = reference.call(images)[reference.output].numpy(), run(images)
        if not np.isfinite(given).all():
            raise ValueError("the model must return finite numbers; received NaN or infinite ones")
        if not np.isfinite(got).all():
            raise RuntimeError("the exported file returns NaN or infinite numbers")
        count += len(images)
        difference = max(difference, float(np.abs(given - got).max()))
        classes = np.stack([given.argmax(axis=1), got.argmax(axis=1)])
        agree += int((classes[0] == classes[1]).sum())
        right = None if right is None or labels is None else right + (classes == labels).sum(axis=1)
    if not count:
        raise ValueError("there must be at least one image to compare; received none")
    accuracies = (None, None) if right is None else (right / count).tolist()
    return {
        "images": count,
        "largest_difference": difference,
        "agreement": agree / count,
        "keras_accuracy": accuracies[0],
        "accuracy": accuracies[1],
    }


def check_same(net: PlainNet, run: Callable[[np.ndarray], np.ndarray]) -> None:
    """Raises an error if an unquantized file does not return what the net returns in float32.

    Raises:
        RuntimeError: An output differs by more than a thousandth of the largest one, or of 1.
    """
    ((images, _),) = seeded_images(net, count=8)
    given, got = net.call(images)[net.output].numpy(), run(images)
    difference = np.abs(given - got).max()
    if difference > TOLERANCE * max(1, np.abs(given).max()):
        raise RuntimeError(
            f"the exported file does not return what the model does: {net.output} differ by up to "
            f"{difference:.3g}"
        )


def batches_of(
    data: Any, net: PlainNet, what: str, *, labelled: bool, most: Optional[int] = None
) -> Iterator[tuple[np.ndarray, Optional[np.ndarray]]]:
    """Checked batches of images as the net takes them, and class indices where `labelled`.

    Args:
        data: A batched `tf.data.Dataset`, or arrays: images, or (images, labels).
        net: What the images must fit.
        what: The name of `data` in messages.
        labelled: Whether there must be labels.
        most: Maximum number of images.
    """
    left = math.inf if most is None else most
    for element in data if isinstance(data, tf.data.Dataset) else _cut(data, what):
        parts = element if isinstance(element, (list, tuple)) else (element,)
        validation.check_pair(parts[0], parts[-1], what)
        if labelled and len(parts) < 2:
            raise ValueError(f"{what} must be of (images, labels); received images alone")
        images = np.asarray(parts[0])
        validation.check_images(images, f"images of {what}")
        validation.check_fits(images.shape[1:], net.image_shape, f"images of {what}")
        labels = None
        if labelled:
            labels = np.asarray(parts[1])
            validation.check_labels(labels, net.classes, f"labels of {what}")
            soft = labels.ndim == 2 and labels.shape[1] > 1
            labels = labels.argmax(axis=1) if soft else labels.reshape(-1)
            validation.check_label_count(images, labels, what)
            labels = labels[: int(min(left, len(labels)))]
        images = net.taken(images[: int(min(left, len(images)))])
        yield images, labels
        left -= len(images)
        if left <= 0:
            return


def seeded_images(net: PlainNet, count: int = _BATCH) -> list[tuple[np.ndarray, None]]:
    """A batch of smooth random images from a fixed seed; they differ more than noise does."""
    height, width, channels = (size or 64 for size in net.image_shape)
    coarse = np.random.default_rng(0).random([count, 4, 4, channels], "float32")
    return [(net.taken(tf.image.resize(coarse, [height, width])), None)]


def _cut(data: Any, what: str) -> Iterator[Any]:
    """Arrays in batches."""
    parts = data if isinstance(data, (list, tuple)) else (data,)
    if not all(hasattr(part, "shape") and len(part.shape) for part in parts):
        raise TypeError(
            f"{what} must be arrays or a batched tf.data.Dataset; received "
            f"{', '.join(type(part).__name__ for part in parts) or 'nothing'}"
        )
    validation.check_label_count(parts[0], parts[-1], what)
    if not len(parts[0]):
        raise ValueError(f"{what} must hold at least one image; received none")
    for start in range(0, len(parts[0]), _BATCH):
        yield tuple(part[start : start + _BATCH] for part in parts)
