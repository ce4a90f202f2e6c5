"""Handwritten digits in random colours: real images without a download."""

from __future__ import annotations

import functools

import numpy as np
import sklearn.datasets
import tensorflow as tf
from sklearn.model_selection import train_test_split

from tfrobust.datasets.source import Arrays, Source

SIZE = 32
COLOURINGS = 3
_SPLIT_SEED = 0


def digits() -> Source:
    """The 1,797 digits that scikit-learn ships, 32×32, in random ink on random paper.

    They come from the UCI set "Optical Recognition of Handwritten Digits" (E. Alpaydin and
    C. Kaynak, 1998; CC BY 4.0): 8×8 pixels, 43 writers. Enlarged by bicubic interpolation; grey
    value g becomes paper + g·(ink − paper), where ink and paper are uniformly random RGB colours
    at least 0.5 apart, the darker one being the ink, so that brightness and saturation matter.
    Every digit appears in three colourings, all in the same split.

    The split is stratified and, like the colours, drawn from a fixed seed: 1,077 digits (3,231
    images) for training, 360 (1,080) for validation, 360 (1,080) for test.
    """
    grey, labels = enlarged(SIZE)
    split_off = functools.partial(train_test_split, test_size=360, random_state=_SPLIT_SEED)
    rest, test = split_off(np.arange(len(labels)), stratify=labels)
    train, validation = split_off(rest, stratify=labels[rest])
    random = np.random.default_rng(_SPLIT_SEED)
    parts = {}
    for split, digit in {"train": train, "validation": validation, "test": test}.items():
        digit = np.tile(digit, COLOURINGS)
        ink, paper = _colours(random, len(digit))
        images = (paper + grey[digit] * (ink - paper)).astype("float32")
        parts[split] = Arrays(images, labels[digit])
    names = tuple(str(digit) for digit in range(10))
    return Source(parts, class_names=names, image_shape=(SIZE, SIZE, 3))


def enlarged(size: int) -> tuple[np.ndarray, np.ndarray]:
    """The digits of scikit-learn in grey, enlarged by bicubic interpolation.

    Args:
        size: Height and width in pixels.

    Returns:
        float32 [1797, size, size, 1] in [0, 1], int32 labels [1797].
    """
    source = sklearn.datasets.load_digits()
    grey = source.images[..., np.newaxis].astype("float32") / 16
    grey = tf.clip_by_value(tf.image.resize(grey, [size, size], "bicubic"), 0, 1).numpy()
    return grey, source.target.astype("int32")


def _colours(random: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of RGB colours at least 0.5 apart, the darker one first, each [count, 1, 1, 3]."""
    ink, paper = random.random([2, count, 3])
    while (close := np.linalg.norm(ink - paper, axis=1) < 0.5).any():
        ink[close], paper[close] = random.random([2, int(close.sum()), 3])
    luma = np.array([0.299, 0.587, 0.114])
    swap = (ink @ luma > paper @ luma)[:, None]
    ink, paper = np.where(swap, paper, ink), np.where(swap, ink, paper)
    return ink[:, None, None], paper[:, None, None]
