"""Horizontal flip."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tfrobust.augment.base import Strength, StrengthAugment
from tfrobust.ops import geometry, sampling


@keras.saving.register_keras_serializable(package="tfrobust")
class Flip(StrengthAugment):
    """Mirrors each image left to right with some probability.

    Args:
        probability: p in [0, 1], or a (low, high) pair to draw from for each image. Default 0.5, as
            is usual for CIFAR and ImageNet.
        seed: Integer seed. Default 0.

    Raises:
        ValueError: `probability` is not in [0, 1].

    Example:

    >>> image = tf.constant([0.25, 0.5, 1.0])[tf.newaxis, tf.newaxis, :, tf.newaxis]
    >>> Flip(probability=1.0)(image, training=True)[0, 0, :, 0].numpy()
    array([1.  , 0.5 , 0.25], dtype=float32)
    """

    parameter = "probability"
    limits = (0.0, 1.0)

    def __init__(self, probability: Strength = 0.5, *, seed: int = 0, **kwargs: Any):
        super().__init__(probability, seed=seed, **kwargs)

    def distort(self, images: tf.Tensor, strengths: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        return geometry.flip(images, sampling.uniform(seed, tf.shape(strengths)) < strengths)
