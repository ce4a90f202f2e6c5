"""Uniform noise."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tfrobust.augment.base import Strength, StrengthAugment
from tfrobust.ops import noise


@keras.saving.register_keras_serializable(package="tfrobust")
class UniformNoise(StrengthAugment):
    """Replaces random pixels by random greys (FCL paper, section 4.1; UN).

    Each pixel is replaced independently with probability p by a grey, the same in all channels,
    uniform from black to white. The paper's "15% of the pixels" holds on average, not for each
    image.

    Args:
        probability: p in [0, 1], or a (low, high) pair to draw from for each image. Default 0.15,
            as in the paper.
        seed: Integer seed. Default 0.

    Raises:
        ValueError: `probability` is not in [0, 1].

    Example:

    >>> noisy = UniformNoise(probability=0.15)(tf.fill([8, 32, 32, 3], 0.5), training=True)
    >>> round(float(tf.reduce_mean(tf.cast(noisy != 0.5, tf.float32))), 2)
    0.15
    """

    parameter = "probability"
    limits = (0.0, 1.0)

    def __init__(self, probability: Strength = 0.15, *, seed: int = 0, **kwargs: Any):
        super().__init__(probability, seed=seed, **kwargs)

    def distort(self, images: tf.Tensor, strengths: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        return noise.uniform_noise(images, strengths, seed)
