"""Random noise, drawn from a seed that the caller gives."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tfrobust.ops import sampling


def gaussian_noise(images: tf.Tensor, sigma: Any, seed: tf.Tensor) -> tf.Tensor:
    """Adds N(0, σ²) to every value: clip(x + σ·n) (FMA and stability training, Table 1).

    Args:
        images: [B, H, W, C] in [0, 1].
        sigma: Standard deviation σ ≥ 0, scalar or [B].
        seed: int32[2]; the same seed gives the same noise.

    Returns:
        [B, H, W, C], clipped to [0, 1].
    """
    noise = tf.cast(sampling.normal(seed, tf.shape(images)), images.dtype)
    return tf.clip_by_value(images + sampling.per_image(sigma, images) * noise, 0.0, 1.0)


def salt_and_pepper(
    images: tf.Tensor, probability: Any, salt_share: Any, amplitude: Any, seed: tf.Tensor
) -> tf.Tensor:
    """Additive salt and pepper (FMA paper, section 4.2.2).

    Each value (pixel and channel) is hit with probability p; a hit adds +ρ with probability q
    (salt) and −ρ with probability 1 − q (pepper); then the result is clipped.

    Args:
        images: [B, H, W, C] in [0, 1].
        probability: p in [0, 1], scalar or [B].
        salt_share: q in [0, 1], scalar or [B].
        amplitude: ρ ≥ 0, scalar or [B].
        seed: int32[2]; the same seed gives the same noise.

    Returns:
        [B, H, W, C], clipped to [0, 1].
    """
    # One uniform number decides all: [0, pq) is salt, [pq, p) is pepper, the rest is left alone.
    draw = tf.cast(sampling.uniform(seed, tf.shape(images)), images.dtype)
    hit = sampling.per_image(probability, images)
    salt = hit * sampling.per_image(salt_share, images)
    sign = tf.cast(draw < salt, images.dtype) - tf.cast(
        tf.logical_and(draw >= salt, draw < hit), images.dtype
    )
    return tf.clip_by_value(images + sampling.per_image(amplitude, images) * sign, 0.0, 1.0)
