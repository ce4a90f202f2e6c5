"""Speckle noise."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tfrobust.augment.base import Strength, StrengthAugment
from tfrobust.ops import noise


@keras.saving.register_keras_serializable(package="tfrobust")
class SpeckleNoise(StrengthAugment):
    """Adds Gaussian noise proportional to the value: clip(x + x·n), n ~ N(0, σ²).

    Args:
        sigma: σ in [0, 10], or a (low, high) pair to draw from for each image. Default 0.15, our
            own choice: at a value of one half it matches the default of `GaussianNoise`.
        seed: Integer seed. Default 0.

    Raises:
        ValueError: `sigma` is not in [0, 10].

    Example:

    >>> noisy = SpeckleNoise(sigma=0.2)(tf.fill([8, 32, 32, 3], 0.5), training=True)
    >>> round(float(tf.math.reduce_std(noisy)), 2)
    0.1
    """

    parameter = "sigma"
    limits = (0.0, 10.0)

    def __init__(self, sigma: Strength = 0.15, *, seed: int = 0, **kwargs: Any):
        super().__init__(sigma, seed=seed, **kwargs)

    def distort(self, images: tf.Tensor, strengths: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        return noise.speckle_noise(images, strengths, seed)
