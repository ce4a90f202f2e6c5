"""Exposure."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tfrobust.augment.base import Strength, StrengthAugment
from tfrobust.ops import color


@keras.saving.register_keras_serializable(package="tfrobust")
class Exposure(StrengthAugment):
    """Multiplies the light by 2^stops, as a camera's exposure does: darkness as cameras have it.

    The values are decoded to linear light and encoded again by the curves of sRGB;
    `ops.change_exposure` has the formula. `Brightness` adds a constant to the values instead.

    Args:
        stops: From -10 to 10, or a (low, high) pair to draw from for each image; each stop down
            halves the light. Default -2, a quarter of the light.
        seed: Integer seed; only drawn stops are random. Default 0.

    Raises:
        ValueError: `stops` is not in [-10, 10].

    Example:

    >>> darker = Exposure(stops=-1.0)
    >>> darker(tf.ones([1, 1, 1, 3]), training=True).numpy().round(3)
    array([[[[0.735, 0.735, 0.735]]]], dtype=float32)
    """

    parameter = "stops"
    limits = (-10.0, 10.0)

    def __init__(self, stops: Strength = -2.0, *, seed: int = 0, **kwargs: Any):
        super().__init__(stops, seed=seed, **kwargs)

    def distort(self, images: tf.Tensor, strengths: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        return color.change_exposure(images, strengths)
