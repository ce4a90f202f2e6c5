"""Photometric changes."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tfrobust.ops import sampling


def add_brightness(images: tf.Tensor, delta: Any) -> tf.Tensor:
    """Adds a constant to all three channels: clip(x + Δ) (FMA paper, section 4.2.1).

    Args:
        images: [B, H, W, C] in [0, 1].
        delta: Δ in [-1, 1], scalar or [B].

    Returns:
        [B, H, W, C], clipped to [0, 1].

    Example:

    >>> add_brightness(tf.constant([[[[0.25, 0.5, 0.875]]]]), 0.25).numpy()
    array([[[[0.5 , 0.75, 1.  ]]]], dtype=float32)
    """
    return tf.clip_by_value(images + sampling.per_image(delta, images), 0.0, 1.0)


def scale_saturation(images: tf.Tensor, factor: Any) -> tf.Tensor:
    """Multiplies the saturation in HSL by α, hue and lightness kept (FMA paper, section 4.2.1).

    With M and m the largest and smallest channel, HSL has lightness L = (M + m) / 2 and
    saturation S = (M − m) / (1 − |2L − 1|). At a fixed hue and lightness every channel's distance
    from L is proportional to S, so that no colour space has to be entered and left:

        c' = c + (c − L)·(S'/S − 1),  S' = min(α·S, 1)

    HSL, not HSV: `tf.image.adjust_saturation` works in HSV and makes colours darker.

    Args:
        images: [B, H, W, 3] in [0, 1].
        factor: α ≥ 0, scalar or [B]; 0 is grey, 1 changes nothing.

    Returns:
        [B, H, W, 3], clipped to [0, 1].

    Raises:
        ValueError: The images have not three channels.

    Example:

    >>> scale_saturation(tf.constant([[[[0.75, 0.5, 0.25]]]]), 0.0).numpy()
    array([[[[0.5, 0.5, 0.5]]]], dtype=float32)
    """
    if images.shape[-1] != 3:
        raise ValueError(
            f"saturation needs RGB images with 3 channels; received {images.shape[-1]} channels"
        )
    # Channel by channel: on the CPU three element-wise passes are several times faster than a
    # reduction over an innermost axis of length three.
    red, green, blue = tf.unstack(images, axis=-1)  # each [B, H, W]
    highest = tf.maximum(tf.maximum(red, green), blue)
    lowest = tf.minimum(tf.minimum(red, green), blue)
    total = highest + lowest  # 2L
    chroma = highest - lowest
    room = tf.minimum(total, 2.0 - total)  # 1 - |2L - 1|: the chroma at which S is 1
    # A grey pixel has chroma 0, no hue, and stays as it is: c - L is 0, whatever the ratio. The
    # floor keeps the quotient finite, in value and in gradient.
    most = room / tf.maximum(chroma, 1e-6)  # 1 / S
    alpha = tf.cast(factor, images.dtype)
    if alpha.shape.rank != 0:
        alpha = tf.reshape(alpha, [-1, 1, 1])  # [B] -> [B, 1, 1]
    # An input whose rounding puts S a hair above 1 must not move at α = 1: hence at least 1.
    gain = (tf.minimum(alpha, tf.maximum(most, 1.0)) - 1.0)[..., tf.newaxis]  # [B, H, W, 1]
    lightness = (0.5 * total)[..., tf.newaxis]
    return tf.clip_by_value(images + (images - lightness) * gain, 0.0, 1.0)
