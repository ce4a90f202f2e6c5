"""Thumbnail resizing."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tfrobust.augment.base import Strength, StrengthAugment
from tfrobust.ops import resampling


@keras.saving.register_keras_serializable(package="tfrobust")
class Thumbnail(StrengthAugment):
    """Resizes to A × A pixels and back (stability training, Table 1).

    Args:
        size: A in [1, 4096] pixels, or a (low, high) pair to draw from for each image; rounded to
            a whole number. A side of A pixels or fewer is not resized, so any size not below the
            longer side of an image is the identity. Default 150, the practical value of the
            stability-training paper's Table 1 for images of 224 pixels; its Table 2 searches from
            20 to 200.
        seed: Integer seed; only a drawn size is random. Default 0.

    Raises:
        ValueError: `size` is not in [1, 4096].

    Example:

    >>> images = tf.reshape([0.0, 0.25, 0.75, 1.0], [1, 2, 2, 1])
    >>> tf.squeeze(Thumbnail(size=1)(images, training=True)).numpy()
    array([[0.5, 0.5], [0.5, 0.5]], dtype=float32)
    """

    parameter = "size"
    identity = 4096.0
    limits = (1.0, 4096.0)

    def __init__(self, size: Strength = 150, *, seed: int = 0, **kwargs: Any):
        super().__init__(size, seed=seed, **kwargs)

    def distort(self, images: tf.Tensor, strengths: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        return resampling.thumbnail(images, strengths)
