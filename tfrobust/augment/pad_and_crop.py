"""Padding and random cropping."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tfrobust.augment.base import Strength, StrengthAugment
from tfrobust.ops import geometry, sampling


@keras.saving.register_keras_serializable(package="tfrobust")
class PadAndCrop(StrengthAugment):
    """Pads each image with black and crops a random window of its size, as is usual for CIFAR.

    With padding p, the start of the window is uniform in 0, ..., 2p along each axis, independently:
    this is a shift by −p to p pixels.

    Args:
        padding: p in [0, 4096] pixels on every side, or a (low, high) pair to draw from for each
            image; rounded down. Default 4, as in AugMix for CIFAR.
        seed: Integer seed. Default 0.

    Raises:
        ValueError: `padding` is not in [0, 4096].

    Example:

    >>> PadAndCrop(padding=4)(tf.ones([2, 32, 32, 3]), training=True).shape
    TensorShape([2, 32, 32, 3])
    """

    parameter = "padding"
    limits = (0.0, 4096.0)

    def __init__(self, padding: Strength = 4, *, seed: int = 0, **kwargs: Any):
        super().__init__(padding, seed=seed, **kwargs)

    def distort(self, images: tf.Tensor, strengths: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        dx, dy = (geometry.draw_shifts(sampling.fold_in(seed, i), strengths) for i in (0, 1))
        return geometry.translate(images, dx, dy, fill="black")
