"""PRIME's primitives: random filters, diffeomorphisms and colour maps of maximum entropy."""

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf

from tfrobust.ops.compiled import compiled
from tfrobust.ops.size import height_and_width

#: Values of a colour at which its map is computed: those of 8 bits.
_LEVELS = 256


@compiled
def filter_images(images: tf.Tensor, kernels: tf.Tensor) -> tf.Tensor:
    """Filters each image by a kernel of its own, zeros outside, and clips to [0, 1].

    Args:
        images: [B, H, W, C].
        kernels: [B, k, k], k odd; all channels have the same one.

    Returns:
        [B, H, W, C].

    Example:

    >>> kernel = tf.constant([[0.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]])[tf.newaxis]
    >>> bool(tf.reduce_all(filter_images(tf.fill([1, 2, 2, 3], 0.5), kernel) == 0.5))
    True
    """
    height, width = height_and_width(images)
    size = kernels.shape[1]
    margin = size // 2
    padded = tf.pad(images, [[0, 0], [margin, margin], [margin, margin], [0, 0]])
    total = tf.zeros_like(images)
    for i in range(size):
        for j in range(size):
            weight = tf.reshape(kernels[:, i, j], [-1, 1, 1, 1])
            total += weight * padded[:, i : i + height, j : j + width]
    return tf.clip_by_value(total, 0.0, 1.0)


def map_colours(images: tf.Tensor, coefficients: tf.Tensor) -> tf.Tensor:
    """Adds a random smooth function of each value to it, and clips to [0, 1].

    v → v + Σ_k c_k·sin(π·k·v), k = 1 … K, with values rounded to 8 bits.

    Args:
        images: [B, H, W, C] in [0, 1].
        coefficients: c, [B, C, K].

    Returns:
        [B, H, W, C].

    Example:

    >>> float(map_colours(tf.fill([1, 1, 1, 1], 0.0), tf.ones([1, 1, 5]))[0, 0, 0, 0])
    0.0
    """
    values = tf.range(_LEVELS, dtype=tf.float32) / (_LEVELS - 1)
    k = tf.range(1, tf.shape(coefficients)[2] + 1)
    waves = tf.sin(math.pi * tf.cast(k, tf.float32)[:, tf.newaxis] * values)  # [K, 256]
    table = tf.clip_by_value(values + tf.linalg.matmul(coefficients, waves), 0.0, 1.0)
    return _look_up(images, table)


@compiled
def _look_up(images: tf.Tensor, table: tf.Tensor) -> tf.Tensor:
    """The entry of each value, rounded to 8 bits, in the table of its image and channel."""
    batch, channels = tf.shape(table)[0], images.shape[-1]
    first = tf.reshape(tf.range(batch * channels) * _LEVELS, [batch, 1, 1, channels])
    place = tf.cast(images * (_LEVELS - 1) + 0.5, tf.int32) + first
    return tf.gather(tf.reshape(table, [-1]), place)


def deform(images: tf.Tensor, fields: tf.Tensor) -> tf.Tensor:
    """Moves each pixel by a displacement; images are bilinear and continue as their border.

    Args:
        images: [B, H, W, C].
        fields: [B, 2, H, W] in pixels, how far to the left and above a pixel of the result is read.

    Returns:
        [B, H, W, C].

    Example:

    >>> image = tf.constant([0.0, 0.5, 1.0], shape=[1, 1, 3, 1])
    >>> deform(image, tf.fill([1, 2, 1, 3], 0.5))[0, 0, :, 0].numpy()
    array([0.  , 0.25, 0.75], dtype=float32)
    """
    # Two compiled functions: in one, the compiler would repeat the gathers for every channel.
    return _blend(*_corners(images, fields), fields)


@compiled
def _corners(images: tf.Tensor, fields: tf.Tensor) -> list[tf.Tensor]:
    """The four pixels around each point that is read, [B, H, W, C] each."""
    height, width = height_and_width(images)
    _, left, right = _read_at(width, fields[:, 0], 2)
    _, top, bottom = _read_at(height, fields[:, 1], 1)
    flat = tf.reshape(images, [-1, images.shape[-1]])
    first = tf.reshape(tf.range(tf.shape(images)[0]) * (height * width), [-1, 1, 1])
    return [tf.gather(flat, first + y * width + x) for y in (top, bottom) for x in (left, right)]


@compiled
def _blend(
    top_left: tf.Tensor,
    top_right: tf.Tensor,
    bottom_left: tf.Tensor,
    bottom_right: tf.Tensor,
    fields: tf.Tensor,
) -> tf.Tensor:
    height, width = height_and_width(top_left)
    right, down = (
        _read_at(side, fields[:, i], 2 - i)[0][..., tf.newaxis]
        for i, side in ((0, width), (1, height))
    )
    top = top_left + right * (top_right - top_left)
    bottom = bottom_left + right * (bottom_right - bottom_left)
    return top + down * (bottom - top)


def _read_at(side: Any, shift: tf.Tensor, axis: int) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """The fraction between two neighbours, and the neighbours, along one axis."""
    last = tf.cast(side - 1, tf.float32)
    places = tf.range(tf.cast(side, tf.float32))
    places = places if axis == 2 else places[:, tf.newaxis]
    point = tf.clip_by_value(places - shift, 0.0, last)
    before = tf.floor(point)
    whole = tf.cast(before, tf.int32)
    return point - before, whole, tf.minimum(whole + 1, side - 1)


@compiled
def mix_chains(
    images: tf.Tensor, made: tf.Tensor, place: tf.Tensor, weights: tf.Tensor, blend: tf.Tensor
) -> tf.Tensor:
    """Mixes chains with their images: (1 − m)·x + m·Σ_i w_i·chain_i.

    Args:
        images: [B, H, W, C].
        made: All chains, [B · width, H, W, C], in any order.
        place: Index of each chain in `made`, int32 [B, width].
        weights: w, [B, width].
        blend: m, [B].

    Returns:
        [B, H, W, C].
    """
    total = tf.reshape(1 - blend, [-1, 1, 1, 1]) * images
    for i in range(weights.shape[1]):
        total += tf.reshape(blend * weights[:, i], [-1, 1, 1, 1]) * tf.gather(made, place[:, i])
    return tf.clip_by_value(total, 0.0, 1.0)


def displacement(
    coefficients: tf.Tensor, cut: tf.Tensor, temperature: tf.Tensor, height: Any, width: Any
) -> tf.Tensor:
    """Random displacement fields that vanish at the borders, made of the first modes.

    √T · Σ_ij c_ij / r · sin(π·i·x)·sin(π·j·y), over the modes with r = √(i² + j²) < cut + ½, x and
    y from 0 to 1 across the image; times the side, which makes pixels of it.

    Args:
        coefficients: c, [B, 2, m, m], of i and j from 1.
        cut: [B], the highest mode.
        temperature: T, [B].
        height: H.
        width: W.

    Returns:
        [B, 2, H, W].
    """
    count = tf.shape(coefficients)[-1]
    i = tf.cast(tf.range(1, count + 1), tf.float32)
    radius = tf.sqrt(i[:, tf.newaxis] ** 2 + i**2)
    inside = radius < tf.reshape(cut, [-1, 1, 1, 1]) + 0.5
    scale = tf.where(inside, 1 / radius, 0.0) * tf.sqrt(tf.reshape(temperature, [-1, 1, 1, 1]))
    along_y, along_x = (
        tf.sin(math.pi * tf.linspace(0.0, 1.0, side)[:, tf.newaxis] * i) for side in (height, width)
    )  # [side, m]
    fields = tf.linalg.matmul(scale * coefficients, along_x, transpose_a=True, transpose_b=True)
    fields = tf.linalg.matmul(along_y, fields)  # Σ_j of [H, m] times [B, 2, m, W]
    sides = tf.cast(tf.stack([width, height]), tf.float32)
    return fields * tf.reshape(sides, [1, 2, 1, 1])


def temperatures(cut: tf.Tensor, side: Any) -> tuple[tf.Tensor, tf.Tensor]:
    """The range of temperatures: half a pixel in the middle, and the most without folds.

    T₁ = 1/(π·n²·ln c) and T₂ = 4/(π³·c²·ln c) for the side n and the cut c, T₂ no less than T₁
    (Petrini et al., 2021).
    """
    log = tf.math.log(cut)
    lowest = 1 / (math.pi * tf.cast(side, tf.float32) ** 2 * log)
    return lowest, tf.maximum(4 / (math.pi**3 * cut**2 * log), lowest)
