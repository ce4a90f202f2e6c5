"""JPEG compression."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tfrobust.augment.base import Strength, StrengthAugment
from tfrobust.ops import compression


@keras.saving.register_keras_serializable(package="tfrobust")
class Jpeg(StrengthAugment):
    """Compresses to JPEG and decompresses (stability training, Table 1).

    The result is Pillow's at this quality, with 4:2:0 chroma subsampling; see `ops.jpeg`. No
    quality is the identity: 100 still rounds colours and frequencies. Rounding is piecewise
    constant, so the gradient with respect to the images is zero.

    Args:
        quality: 1 (strongest) to 100, or a (low, high) pair to draw from for each image; rounded to
            a whole number. Default 30, the practical value of the stability-training paper's
            Table 1; its Table 2 searches from 90 to 10.
        seed: Integer seed; only a drawn quality is random. Default 0.

    Raises:
        ValueError: `quality` is not in [1, 100], or, when called, the images have neither one nor
            three channels.

    Example:

    >>> grey = tf.fill([1, 8, 8, 1], 100 / 255)
    >>> coarse = Jpeg(quality=1)(grey, training=True)  # the mean changes in steps of 255 / 8
    >>> round(255 * float(tf.reduce_min(coarse))), round(255 * float(tf.reduce_max(coarse)))
    (96, 96)
    """

    parameter = "quality"
    identity = None
    weakest = 100.0
    limits = (1.0, 100.0)

    def __init__(self, quality: Strength = 30, *, seed: int = 0, **kwargs: Any):
        super().__init__(quality, seed=seed, **kwargs)

    def distort(self, images: tf.Tensor, strengths: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        return compression.jpeg(images, strengths)
