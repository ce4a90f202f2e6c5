"""Colour."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tfrobust.augment.base import Strength, StrengthAugment
from tfrobust.ops import color


@keras.saving.register_keras_serializable(package="tfrobust")
class Color(StrengthAugment):
    """Scales the distance of each pixel from its luminance: clip(f·x + (1 − f)·l).

    This is Pillow's `ImageEnhance.Color` without rounding; `ops.scale_color` bounds the difference.
    AugMix excludes this operator by default. It differs from `Saturation`, which works in HSL.

    Args:
        factor: f in [0, 100], or a (low, high) pair to draw from for each image; 0 is grey, 1 the
            identity. Default (0.118, 0.64), the range of AugMix's operator at severity 3,
            f = 1.8·level/10 + 0.1 with the level uniform from 0.1 to 3.
        seed: Integer seed; only a drawn f is random. Default 0.

    Raises:
        ValueError: `factor` is not in [0, 100], or, when called, the images do not have three
            channels.

    Example:

    >>> grey = Color(factor=0.0)
    >>> grey(tf.constant([[[[1.0, 0.0, 0.0]]]]), training=True).numpy().round(3)
    array([[[[0.299, 0.299, 0.299]]]], dtype=float32)
    """

    parameter = "factor"
    identity = 1.0
    limits = (0.0, 100.0)

    def __init__(self, factor: Strength = (0.118, 0.64), *, seed: int = 0, **kwargs: Any):
        super().__init__(factor, seed=seed, **kwargs)

    def distort(self, images: tf.Tensor, strengths: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        return color.scale_color(images, strengths)
