"""Digits with a small digit in a corner that matters only in a rare context (FCL paper, 4.1)."""

from __future__ import annotations

from typing import Optional

import numpy as np
import tensorflow as tf

from tfrobust.datasets import digits, prepared, splitting
from tfrobust.datasets.source import Arrays, Source
from tfrobust.files import PathLike

#: A digit below this changes its class when there is a digit in the corner: 0 becomes 10.
RARE_FROM = 5
#: Height and width of the corner digit in pixels; the paper does not state it.
CORNER = 10
_SIZE = 28
#: Training images of each of the classes 10 to 14.
_RARE = 50
_SEED = 0
_NAMES = tuple(str(digit) for digit in range(10)) + tuple(
    f"{digit} with a corner" for digit in range(RARE_FROM)
)


def corner_mnist(data_dir: Optional[PathLike] = None) -> Source:
    """MNIST with corner digits: the FCL paper's synthetic MNIST with 15 classes.

    A random digit, scaled down, is placed in a random corner of every 5 to 9, which keep their
    class, and of some 0 to 4, which become classes 10 to 14. Among the training images these five
    classes are rare: 50 images each, against about 5,000 of each of 0 to 9, so that a corner digit
    means nothing 100 times out of 101. Validation (10,000 of the training digits) and test hold
    each 0 to 4 both without and with a corner digit, so that the classes are balanced: about
    15,000 images.

    Args:
        data_dir: Folder of TensorFlow Datasets that holds `mnist`; by default `TFDS_DATA_DIR` from
            the environment, or `~/tensorflow_datasets`.

    Raises:
        FileNotFoundError: `mnist` is not prepared there.
    """
    train, test = (prepared.read("mnist", split, data_dir)[0] for split in ("train", "test"))
    train, validation = train.split(1 / 6, _SEED)
    return _with_corners({"train": train, "validation": validation, "test": test})


def corner_digits() -> Source:
    """`corner_mnist` made from the 1,797 digits that scikit-learn ships: no download.

    The digits (8×8 pixels; see the data set "digits") are enlarged to 20×20 in the middle of
    28×28, as in MNIST. Every digit of a split appears three times, shifted by up to 2 pixels in
    each direction. Classes 10 to 14 have 50 training images each, about a sixth of the others: a
    hundredth would be three.
    """
    grey, labels = digits.enlarged(20)
    grey = np.rint(255 * grey).astype("uint8")
    rest, test = Arrays(grey, labels).split(0.2, _SEED)
    train, validation = rest.split(0.25, _SEED)
    random = np.random.default_rng(_SEED)
    splits = {}
    for split, part in {"train": train, "validation": validation, "test": test}.items():
        part = part.at(np.tile(np.arange(len(part)), 3))
        images = np.zeros([len(part), _SIZE, _SIZE, 1], "uint8")
        corners = random.integers(2, 7, [len(part), 2])
        for image, digit, (top, left) in zip(images, part.images, corners):
            image[top : top + 20, left : left + 20] = digit
        splits[split] = Arrays(images, part.labels)
    return _with_corners(splits)


def _with_corners(splits: dict[str, Arrays]) -> Source:
    random = np.random.default_rng(_SEED)
    parts = {}
    for split, part in splits.items():
        images, labels = part.images, part.labels
        low = labels < RARE_FROM
        counts = np.bincount(labels)[:RARE_FROM]
        if split == "train":
            counts = np.minimum(counts, _RARE)
        doubled = np.flatnonzero(low)[splitting.pick(labels[low], counts, _SEED)]
        cornered = np.concatenate([np.flatnonzero(~low), doubled])
        small = images[random.integers(0, len(images), len(cornered))]
        images = np.concatenate([images[low], _add(images[cornered], small, random)])
        classes = np.concatenate([labels[low], labels[~low], labels[doubled] + 10])
        order = random.permutation(len(classes))
        parts[split] = Arrays(images[order], classes[order].astype("int32"))
    return Source(parts, class_names=_NAMES, image_shape=(_SIZE, _SIZE, 1))


def _add(images: np.ndarray, small: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Adds a scaled-down image to a random corner of each: the pixelwise maximum of both."""
    scaled = tf.image.resize(small, [CORNER, CORNER], "area").numpy()
    scaled = np.rint(scaled).astype("uint8")
    result = images.copy()
    far = _SIZE - CORNER
    bottoms, rights = random.integers(0, 2, [2, len(images)]) * far
    for bottom in (0, far):
        for right in (0, far):
            here = (bottoms == bottom) & (rights == right)
            place = np.s_[:, bottom : bottom + CORNER, right : right + CORNER]
            corner = result[here]
            corner[place] = np.maximum(corner[place], scaled[here])
            result[here] = corner
    return result
