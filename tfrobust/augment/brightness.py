"""Brightness."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tfrobust.augment.base import Strength, StrengthAugment
from tfrobust.ops import color


@keras.saving.register_keras_serializable(package="tfrobust")
class Brightness(StrengthAugment):
    """Adds a constant to all channels: clip(x + Δ) (FMA paper, section 4.2.1; B+ and B−).

    Args:
        delta: Δ in [-1, 1], or a (low, high) pair to draw from for each image. Default +0.39, the
            CIFAR-10 strength of B+ in the FMA paper's Table 1.
        seed: Integer seed. Default 0.

    Raises:
        ValueError: `delta` is not in [-1, 1].

    Example:

    >>> brighter = Brightness(delta=0.25)
    >>> brighter(tf.fill([1, 1, 1, 3], 0.5), training=True).numpy()
    array([[[[0.75, 0.75, 0.75]]]], dtype=float32)
    """

    parameter = "delta"
    limits = (-1.0, 1.0)

    def __init__(self, delta: Strength = 0.39, *, seed: int = 0, **kwargs: Any):
        super().__init__(delta, seed=seed, **kwargs)

    def distort(self, images: tf.Tensor, strengths: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        return color.add_brightness(images, strengths)
