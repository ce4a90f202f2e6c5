"""Fourier basis augmentation."""

from __future__ import annotations

import math

import keras
import tensorflow as tf

from tfrobust.augment.base import Strength, StrengthAugment
from tfrobust.ops import sampling
from tfrobust.ops.size import height_and_width


@keras.saving.register_keras_serializable(package="tfrobust")
class FourierBasis(StrengthAugment):
    """Adds a plane wave of random frequency and direction to each channel (AFA).

        x_c + s_c · A / ‖A‖ · √(H·W) / 32,  A = sin(2π·f·(u·cos ω + v·sin ω) − π/4)

    f is a whole number of waves from 1 to the longer side, divided by it, ω ~ U[0, π), s_c from the
    exponential distribution of the given mean; u and v are pixels from the middle. The result is
    clipped. These are the images of the paper alone; its training sends them through norms of their
    own with a cross-entropy of their own, as `methods.AdversarialTraining` and dual norms do with
    attacked images.

    Args:
        mean: Mean of s in [0, 1000], or a (low, high) pair to draw it from for each image. Default
            5, as in the released code.
        seed: Integer seed. Default 0.

    Raises:
        ValueError: `mean` is out of range.

    Example:

    >>> waves = FourierBasis(mean=2.0)(tf.fill([8, 32, 32, 3], 0.5), training=True)
    >>> waves.shape
    TensorShape([8, 32, 32, 3])

    Reference: Vaish et al., "Fourier-basis Functions to Bridge Augmentation Gap: Rethinking
    Frequency Augmentation in Image Classification", CVPR 2024. Distributions:
    github.com/nis-research/afa-augment.
    """

    parameter = "mean"
    limits = (0.0, 1000.0)

    def __init__(self, mean: Strength = 5.0, *, seed: int = 0, **kwargs: object):
        super().__init__(mean, seed=seed, **kwargs)

    def distort(self, images: tf.Tensor, strengths: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        height, width = height_and_width(images)
        shape = [tf.shape(images)[0], 1, 1, images.shape[-1]]
        longer = tf.cast(tf.maximum(height, width), tf.float32)
        draws = [sampling.uniform(sampling.fold_in(seed, i), shape) for i in range(3)]
        frequency = (1 + tf.floor(draws[0] * longer)) / longer
        direction = math.pi * draws[1]
        strength = -tf.math.log1p(-draws[2]) * tf.reshape(strengths, [-1, 1, 1, 1])
        sides = [tf.cast(side, tf.float32) for side in (height, width)]
        v, u = (tf.linspace(-side / 2, side / 2, tf.cast(side, tf.int32)) for side in sides)
        along = u[:, tf.newaxis] * tf.cos(direction)
        along += v[:, tf.newaxis, tf.newaxis] * tf.sin(direction)
        wave = tf.sin(2 * math.pi * frequency * along - math.pi / 4)
        norm = tf.sqrt(tf.reduce_sum(wave**2, [1, 2], keepdims=True) + 1e-12)
        scale = tf.sqrt(sides[0] * sides[1]) / 32
        return tf.clip_by_value(images + strength * scale * wave / norm, 0.0, 1.0)
