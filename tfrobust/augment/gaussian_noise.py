"""Gaussian noise."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tfrobust.augment.base import Strength, StrengthAugment
from tfrobust.ops import noise


@keras.saving.register_keras_serializable(package="tfrobust")
class GaussianNoise(StrengthAugment):
    """Adds N(0, σ²) to every value and clips (FMA paper, Table 1; stability training, Table 1).

    Unlike `keras.layers.GaussianNoise`, it clips to [0, 1], can draw σ per image, and is
    reproducible from its seed.

    Args:
        sigma: σ in [0, 10], or a (low, high) pair to draw from for each image. Default 0.075, the
            CIFAR-10 strength of GN in the FMA paper's Table 1.
        seed: Integer seed. Default 0.

    Raises:
        ValueError: `sigma` is not in [0, 10].

    Example:

    >>> noisy = GaussianNoise(sigma=0.1)(tf.fill([8, 32, 32, 3], 0.5), training=True)
    >>> round(float(tf.math.reduce_std(noisy)), 2)
    0.1
    """

    parameter = "sigma"
    limits = (0.0, 10.0)

    def __init__(self, sigma: Strength = 0.075, *, seed: int = 0, **kwargs: Any):
        super().__init__(sigma, seed=seed, **kwargs)

    def distort(self, images: tf.Tensor, strengths: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        return noise.gaussian_noise(images, strengths, seed)
