"""Gamma."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tfrobust.augment.base import Strength, StrengthAugment
from tfrobust.ops import color


@keras.saving.register_keras_serializable(package="tfrobust")
class Gamma(StrengthAugment):
    """Raises every value to a power, x^γ: darker above 1, brighter below; black and white stay.

    Args:
        gamma: γ in [0.1, 10], or a (low, high) pair to draw from for each image; 1 is the identity.
            Default 2.
        seed: Integer seed; only a drawn γ is random. Default 0.

    Raises:
        ValueError: `gamma` is not in [0.1, 10].

    Example:

    >>> darker = Gamma(gamma=2.0)
    >>> darker(tf.fill([1, 1, 1, 3], 0.5), training=True).numpy()
    array([[[[0.25, 0.25, 0.25]]]], dtype=float32)
    """

    parameter = "gamma"
    identity = 1.0
    limits = (0.1, 10.0)

    def __init__(self, gamma: Strength = 2.0, *, seed: int = 0, **kwargs: Any):
        super().__init__(gamma, seed=seed, **kwargs)

    def distort(self, images: tf.Tensor, strengths: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        return color.apply_gamma(images, strengths)
