"""Rotation."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tfrobust import validation
from tfrobust.augment.base import Strength, StrengthAugment
from tfrobust.ops import geometry, sampling


@keras.saving.register_keras_serializable(package="tfrobust")
class Rotation(StrengthAugment):
    """Rotates each image by a random angle (stability training, Table 1).

    The angle is uniform in [−ρ, ρ]. The image keeps its size; uncovered areas are black.

    Args:
        max_degrees: ρ in [0, 180] degrees, or a (low, high) pair to draw from for each image.
            Default 30.0, the strength of stability training's Table 1.
        interpolation: "bilinear" (default; the paper does not specify it) or "nearest".
        seed: Integer seed. Default 0.

    Raises:
        ValueError: `max_degrees` is not in [0, 180], or `interpolation` is not one of these.

    Example:

    >>> image = tf.pad(tf.ones([1, 1, 1, 1]), [[0, 0], [2, 2], [2, 2], [0, 0]])  # 5x5
    >>> rotated = Rotation(max_degrees=180.0)(image, training=True)
    >>> round(float(rotated[0, 2, 2, 0]), 3)  # the centre stays
    1.0
    """

    parameter = "max_degrees"
    limits = (0.0, 180.0)

    def __init__(
        self,
        max_degrees: Strength = 30.0,
        *,
        interpolation: str = "bilinear",
        seed: int = 0,
        **kwargs: Any,
    ):
        super().__init__(max_degrees, seed=seed, **kwargs)
        self.interpolation = validation.check_choice(
            "interpolation", interpolation, geometry.INTERPOLATIONS
        )

    def distort(self, images: tf.Tensor, strengths: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        angles = strengths * sampling.uniform(seed, tf.shape(strengths), -1.0, 1.0)
        return geometry.rotate(images, angles, self.interpolation)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "interpolation": self.interpolation}
