"""Shear."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tfrobust.augment.base import Strength, StrengthAugment
from tfrobust.ops import geometry, sampling


@keras.saving.register_keras_serializable(package="tfrobust")
class Shear(StrengthAugment):
    """Shears each image along both axes by random amounts about its centre.

    Both shears are uniform in [−s, s] and independent; the area outside the image is black.

    Args:
        max_shear: s in [0, 1] pixels per row or column, or a (low, high) pair to draw from for each
            image. Default 0.3, AugMix's shear at the strongest level, 10.
        seed: Integer seed. Default 0.

    Raises:
        ValueError: `max_shear` is not in [0, 1].

    Example:

    >>> image = tf.pad(tf.ones([1, 1, 1, 1]), [[0, 0], [2, 2], [2, 2], [0, 0]])  # 5x5
    >>> float(Shear(max_shear=1.0)(image, training=True)[0, 2, 2, 0])  # the centre stays
    1.0
    """

    parameter = "max_shear"
    limits = (0.0, 1.0)

    def __init__(self, max_shear: Strength = 0.3, *, seed: int = 0, **kwargs: Any):
        super().__init__(max_shear, seed=seed, **kwargs)

    def distort(self, images: tf.Tensor, strengths: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        shear_x, shear_y = (
            strengths * sampling.uniform(sampling.fold_in(seed, i), tf.shape(strengths), -1.0, 1.0)
            for i in (0, 1)
        )
        return geometry.shear(images, shear_x, shear_y)
