"""Additive salt-and-pepper noise."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tfrobust import validation
from tfrobust.augment.base import Strength, StrengthAugment
from tfrobust.ops import noise


@keras.saving.register_keras_serializable(package="tfrobust")
class SaltAndPepper(StrengthAugment):
    """Adds +ρ or −ρ to random values and clips (FMA paper, section 4.2.2; SAP).

    Each value is hit with probability p; a hit adds +ρ with probability q, otherwise −ρ. The noise
    is additive: a dark value that is hit becomes brighter by ρ, not white. The defaults are the
    CIFAR-10 strengths of the FMA paper's Table 1.

    Args:
        probability: p in [0, 1], or a (low, high) pair to draw from for each image. Default 0.025.
        salt_fraction: q in [0, 1]. Default 0.5.
        amplitude: ρ in [0, 1]. Default 0.5.
        seed: Integer seed. Default 0.

    Raises:
        ValueError: An argument is not in [0, 1].

    Example:

    >>> layer = SaltAndPepper(probability=1.0, salt_fraction=1.0, amplitude=0.25)
    >>> layer(tf.fill([1, 1, 1, 3], 0.5), training=True).numpy()
    array([[[[0.75, 0.75, 0.75]]]], dtype=float32)
    """

    parameter = "probability"
    limits = (0.0, 1.0)

    def __init__(
        self,
        probability: Strength = 0.025,
        *,
        salt_fraction: float = 0.5,
        amplitude: float = 0.5,
        seed: int = 0,
        **kwargs: Any,
    ):
        super().__init__(probability, seed=seed, **kwargs)
        self.salt_fraction = validation.check_in_range("salt_fraction", salt_fraction, 0, 1)
        self.amplitude = validation.check_in_range("amplitude", amplitude, 0, 1)

    def distort(self, images: tf.Tensor, strengths: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        return noise.salt_and_pepper(images, strengths, self.salt_fraction, self.amplitude, seed)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "salt_fraction": self.salt_fraction,
            "amplitude": self.amplitude,
        }
