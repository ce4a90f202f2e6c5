"""Translation."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tfrobust import validation
from tfrobust.augment.base import Strength, StrengthAugment
from tfrobust.ops import geometry, sampling


@keras.saving.register_keras_serializable(package="tfrobust")
class Translation(StrengthAugment):
    """Shifts each image by a random number of whole pixels along both axes.

    Both shifts are drawn uniformly and independently from −s, ..., s.

    Args:
        max_shift_pixels: s in [0, 4096] pixels, or a (low, high) pair to draw from for each
            image; rounded down. Default 3, the largest shift in AugMax's CIFAR-10-STA.
        fill: Fill of the uncovered area: "black" (default), or "mirror" for the image mirrored
            without repeating the edge pixel.
        seed: Integer seed. Default 0.

    Raises:
        ValueError: `max_shift_pixels` is not in [0, 4096], or `fill` is not one of these.

    Example:

    >>> shifted = Translation(max_shift_pixels=1)(tf.ones([1, 5, 5, 1]), training=True)
    >>> float(tf.reduce_min(shifted[:, 1:4, 1:4])), float(tf.reduce_sum(shifted)) >= 16
    (1.0, True)
    """

    parameter = "max_shift_pixels"
    limits = (0.0, 4096.0)

    def __init__(
        self,
        max_shift_pixels: Strength = 3,
        *,
        fill: str = "black",
        seed: int = 0,
        **kwargs: Any,
    ):
        super().__init__(max_shift_pixels, seed=seed, **kwargs)
        self.fill = validation.check_choice("fill", fill, geometry.FILLS)

    def distort(self, images: tf.Tensor, strengths: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        dx, dy = (geometry.draw_shifts(sampling.fold_in(seed, i), strengths) for i in (0, 1))
        return geometry.translate(images, dx, dy, self.fill)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "fill": self.fill}
