"""Saturation."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tfrobust.augment.base import Strength, StrengthAugment
from tfrobust.ops import color


@keras.saving.register_keras_serializable(package="tfrobust")
class Saturation(StrengthAugment):
    """Multiplies the HSL saturation by α (FMA paper, section 4.2.1; S+ and S−).

    Args:
        factor: α in [0, 100], or a (low, high) pair to draw from for each image; 0 is grey, 1 the
            identity. Default 6.0, the CIFAR-10 strength of S+ in the FMA paper's Table 1.
        seed: Integer seed. Default 0.

    Raises:
        ValueError: `factor` is not in [0, 100], or, when called, the images do not have three
            channels.

    Example:

    >>> grey = Saturation(factor=0.0)
    >>> grey(tf.constant([[[[0.75, 0.5, 0.25]]]]), training=True).numpy()
    array([[[[0.5, 0.5, 0.5]]]], dtype=float32)
    """

    parameter = "factor"
    identity = 1.0
    limits = (0.0, 100.0)

    def __init__(self, factor: Strength = 6.0, *, seed: int = 0, **kwargs: Any):
        super().__init__(factor, seed=seed, **kwargs)

    def distort(self, images: tf.Tensor, strengths: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        return color.scale_saturation(images, strengths)
