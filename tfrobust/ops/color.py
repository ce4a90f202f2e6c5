"""Photometric operations."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from tfrobust.ops import sampling
from tfrobust.ops.compiled import compiled

#: ITU-R BT.601 luminance, 0.299 R + 0.587 G + 0.114 B, in Pillow's 16-bit fractions. They are exact
#: in float32 and sum to exactly 1, so white stays white.
LUMINANCE = (19595 / 65536, 38470 / 65536, 7471 / 65536)

#: Where the curves of sRGB change from a line to a power: of values, and of light.
_DECODED_LINEARLY, _ENCODED_LINEARLY = 0.04045, 0.0031308

#: Where the curve of `apply_gamma` does.
_FOOT = 1 / 1020


def add_brightness(images: tf.Tensor, delta: Any) -> tf.Tensor:
    """Adds a constant to all channels: clip(x + Δ) (FMA paper, section 4.2.1).

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


def change_exposure(images: tf.Tensor, stops: Any) -> tf.Tensor:
    """Multiplies the light by 2^stops, as a camera's exposure does.

    Pixel values are not proportional to light; they are decoded and encoded by the curves of sRGB
    (IEC 61966-2-1):

        x' = encode(min(2^stops · decode(x), 1))
        decode(x) = x / 12.92 for x ≤ 0.04045, otherwise ((x + 0.055) / 1.055)^2.4

    Unlike `add_brightness`, it keeps black black and the ratios of light, and so contrast in the
    dark.

    Args:
        images: [B, H, W, C] in [0, 1].
        stops: Scalar or [B]; each stop down halves the light, 0 is the identity.

    Returns:
        [B, H, W, C] in [0, 1].

    Example:

    >>> change_exposure(tf.constant([[[[0.0, 0.5, 1.0]]]]), -1.0).numpy().round(3)
    array([[[[0.   , 0.361, 0.735]]]], dtype=float32)
    """
    return _expose(images, sampling.per_image(stops, images))


@compiled
def _expose(images: tf.Tensor, stops: tf.Tensor) -> tf.Tensor:
    # The powers are computed for every pixel, so their bases are kept where the slope is finite.
    power = tf.pow((tf.maximum(images, _DECODED_LINEARLY) + 0.055) / 1.055, 2.4)
    light = tf.where(images <= _DECODED_LINEARLY, images / 12.92, power) * tf.pow(2.0, stops)
    power = 1.055 * tf.pow(tf.maximum(light, _ENCODED_LINEARLY), 1 / 2.4) - 0.055
    encoded = tf.where(light <= _ENCODED_LINEARLY, light * 12.92, power)
    # There and back again is not exact.
    return tf.where(tf.equal(stops, 0.0), images, tf.clip_by_value(encoded, 0.0, 1.0))


def apply_gamma(images: tf.Tensor, gamma: Any) -> tf.Tensor:
    """Raises every value to a power: x^γ.

    Black and white stay; above 1 it darkens what is between, below 1 it brightens it. Below a
    quarter of a grey level of 8 bits the curve is a line to 0, so that its slope is finite.

    Args:
        images: [B, H, W, C] in [0, 1].
        gamma: γ > 0, scalar or [B]; 1 is the identity.

    Returns:
        [B, H, W, C] in [0, 1].

    Example:

    >>> apply_gamma(tf.constant([[[[0.0, 0.5, 1.0]]]]), 2.0).numpy()
    array([[[[0.  , 0.25, 1.  ]]]], dtype=float32)
    """
    return _raise_to(images, sampling.per_image(gamma, images))


@compiled
def _raise_to(images: tf.Tensor, gamma: tf.Tensor) -> tf.Tensor:
    power = tf.pow(tf.maximum(images, _FOOT), gamma)
    line = images * tf.pow(_FOOT, gamma - 1.0)
    changed = tf.where(images < _FOOT, line, power)
    return tf.where(tf.equal(gamma, 1.0), images, tf.clip_by_value(changed, 0.0, 1.0))


def scale_saturation(images: tf.Tensor, factor: Any) -> tf.Tensor:
    """Multiplies the HSL saturation by α, keeping hue and lightness (FMA paper, section 4.2.1).

    With M and m the largest and smallest channel, HSL has lightness L = (M + m) / 2 and
    saturation `S = (M − m) / (1 − |2L − 1|)`. At fixed hue and lightness, every channel's distance
    from L is proportional to S, so no conversion of the colour space is needed:

        c' = c + (c − L)·(S'/S − 1),  S' = min(α·S, 1)

    This differs from `tf.image.adjust_saturation`, which works in HSV and changes the lightness.

    Args:
        images: [B, H, W, 3] in [0, 1].
        factor: α ≥ 0, scalar or [B]; 0 is grey, 1 the identity.

    Returns:
        [B, H, W, 3], clipped to [0, 1].

    Raises:
        ValueError: The images do not have three channels.

    Example:

    >>> scale_saturation(tf.constant([[[[0.75, 0.5, 0.25]]]]), 0.0).numpy()
    array([[[[0.5, 0.5, 0.5]]]], dtype=float32)
    """
    if images.shape[-1] != 3:
        raise ValueError(
            f"saturation needs RGB images with 3 channels; received {images.shape[-1]} channels"
        )
    return _saturate(images, tf.cast(factor, images.dtype))


@compiled
def _saturate(images: tf.Tensor, alpha: tf.Tensor) -> tf.Tensor:
    red, green, blue = tf.unstack(images, axis=-1)  # each [B, H, W]
    highest = tf.maximum(tf.maximum(red, green), blue)
    lowest = tf.minimum(tf.minimum(red, green), blue)
    total = highest + lowest  # 2L
    chroma = highest - lowest
    room = tf.minimum(total, 2.0 - total)  # 1 - |2L - 1|: the chroma at which S is 1
    # A grey pixel has chroma 0 and does not change: c - L is 0, whatever the ratio. The floor keeps
    # the quotient and its gradient finite.
    most = room / tf.maximum(chroma, 1e-6)  # 1 / S
    if alpha.shape.rank != 0:
        alpha = tf.reshape(alpha, [-1, 1, 1])  # [B] -> [B, 1, 1]
    # Rounding can put S slightly above 1; such a pixel must not change at α = 1, hence the maximum.
    gain = (tf.minimum(alpha, tf.maximum(most, 1.0)) - 1.0)[..., tf.newaxis]  # [B, H, W, 1]
    lightness = (0.5 * total)[..., tf.newaxis]
    return tf.clip_by_value(images + (images - lightness) * gain, 0.0, 1.0)


def scale_contrast(images: tf.Tensor, factor: Any) -> tf.Tensor:
    """Scales the distance from the image's mean luminance: clip(f·x + (1 − f)·m).

    m is one number per image, the mean over its pixels of the ITU-R BT.601 luminance (of the only
    channel, if there is one). This is `PIL.ImageEnhance.Contrast` without rounding: Pillow rounds m
    to an 8-bit level and truncates the result, so that on 8-bit images the two are at most
    `1 + |1 − f|/2` levels apart, apart from Pillow's rounding of each pixel's luminance.

    Args:
        images: [B, H, W, C] in [0, 1], C 1 or 3.
        factor: f ≥ 0, scalar or [B]; 0 gives the grey m everywhere, 1 is the identity.

    Returns:
        [B, H, W, C], clipped to [0, 1].

    Raises:
        ValueError: The images have neither one channel nor three.

    Example:

    >>> scale_contrast(tf.constant([[[[0.25], [0.75]]]]), 0.5).numpy().ravel()
    array([0.375, 0.625], dtype=float32)
    """
    if images.shape[-1] not in (1, 3):
        raise ValueError(
            "contrast needs images with 1 channel or with 3 (RGB); received "
            f"{images.shape[-1]} channels"
        )
    # The luminance is linear, so its mean is the luminance of the channels' means. Rows are
    # averaged first, because adding whole rows is fast and summing next to an axis of length three
    # is not; the rest is a product with the weights of one row.
    rows = tf.reduce_mean(images, axis=1)  # [B, W, C]
    weights = LUMINANCE if images.shape[3] == 3 else (1.0,)
    if images.shape[2] is None:
        width = tf.shape(images)[2]
        weights = tf.tile(tf.constant(weights, images.dtype), [width]) / tf.cast(
            width, images.dtype
        )
    else:  # a constant of the graph
        width = images.shape[2]
        weights = tf.constant(np.tile(weights, width) / width, images.dtype)
    rows = tf.reshape(rows, [-1, width * images.shape[3]])
    grey = tf.linalg.matvec(rows, weights)  # [B]
    factor = tf.cast(factor, images.dtype)
    rest = sampling.per_image((1.0 - factor) * grey, images)
    return _scale_and_add(images, sampling.per_image(factor, images), rest)


@compiled
def _scale_and_add(images: tf.Tensor, factor: tf.Tensor, rest: tf.Tensor) -> tf.Tensor:
    return tf.clip_by_value(images * factor + rest, 0.0, 1.0)


def scale_color(images: tf.Tensor, factor: Any) -> tf.Tensor:
    """Scales the distance of each pixel from its luminance: clip(f·x + (1 − f)·l).

    l is the ITU-R BT.601 luminance of the pixel. This is `PIL.ImageEnhance.Color` without rounding:
    Pillow rounds l to an 8-bit level and truncates the result, so that on 8-bit images the two are
    at most `1 + |1 − f|/2` levels apart. Unlike `scale_saturation`, it keeps the ITU-R BT.601
    luminance, not the HSL lightness.

    Args:
        images: [B, H, W, 3] in [0, 1].
        factor: f ≥ 0, scalar or [B]; 0 gives the grey image, 1 is the identity.

    Returns:
        [B, H, W, 3], clipped to [0, 1].

    Raises:
        ValueError: The images do not have three channels.

    Example:

    >>> red = tf.constant([[[[1.0, 0.0, 0.0]]]])
    >>> scale_color(red, 0.0).numpy().round(3)
    array([[[[0.299, 0.299, 0.299]]]], dtype=float32)
    """
    if images.shape[-1] != 3:
        raise ValueError(
            f"colour needs RGB images with 3 channels; received {images.shape[-1]} channels"
        )
    return _blend_with_grey(images, sampling.per_image(factor, images))


@compiled
def _blend_with_grey(images: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    red, green, blue = tf.unstack(images, axis=-1)
    luminance = LUMINANCE[0] * red + LUMINANCE[1] * green + LUMINANCE[2] * blue  # [B, H, W]
    return tf.clip_by_value(images * factor + (1.0 - factor) * luminance[..., tf.newaxis], 0.0, 1.0)
