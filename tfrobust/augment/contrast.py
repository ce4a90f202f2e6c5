"""Contrast."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tfrobust.augment.base import Strength, StrengthAugment
from tfrobust.ops import color


@keras.saving.register_keras_serializable(package="tfrobust")
class Contrast(StrengthAugment):
    """Scales the distance from the image's mean luminance: clip(f·x + (1 − f)·m).

    This is Pillow's `ImageEnhance.Contrast` without rounding; `ops.scale_contrast` bounds the
    difference. AugMix excludes this operator by default, because it is one of the common
    corruptions.

    Args:
        factor: f in [0, 100], or a (low, high) pair to draw from for each image; 0 is grey, 1 the
            identity. Default (0.118, 0.64), the range of AugMix's operator at severity 3,
            f = 1.8·level/10 + 0.1 with the level uniform from 0.1 to 3.
        seed: Integer seed; only a drawn f is random. Default 0.

    Raises:
        ValueError: `factor` is not in [0, 100], or, when called, the images have neither one
            channel nor three.

    Example:

    >>> layer = Contrast(factor=0.5)
    >>> layer(tf.constant([[[[0.25], [0.75]]]]), training=True).numpy().ravel()
    array([0.375, 0.625], dtype=float32)
    """

    parameter = "factor"
    identity = 1.0
    limits = (0.0, 100.0)

    def __init__(self, factor: Strength = (0.118, 0.64), *, seed: int = 0, **kwargs: Any):
        super().__init__(factor, seed=seed, **kwargs)

    def distort(self, images: tf.Tensor, strengths: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        return color.scale_contrast(images, strengths)
