"""Resampling of images into the frames of a perturbation sequence: shifts, rotations, tilts."""

from __future__ import annotations

import math
from typing import Optional

import numpy as np
import tensorflow as tf

from tfrobust.corruptions import motion
from tfrobust.ops.compiled import compiled


def corner(size: tuple[int, int], crop: tuple[int, int]) -> tuple[int, int]:
    """First row and column of a centre crop, rounded as in torchvision."""
    return round((size[0] - crop[0]) / 2), round((size[1] - crop[1]) / 2)


def along_line(images: tf.Tensor, degrees: float, radius: float, sigma: float) -> tf.Tensor:
    """Applies ImageMagick's motion blur (see `motion`) to a whole batch along one line."""
    weights = motion.weights_of(radius, sigma)
    taps = np.arange(len(weights))
    # Scaled by the length, as in ImageMagick, so that angles such as 30° round the same way.
    length = 2 * math.ceil(radius) + 1
    y, x = (length * turn(math.pi * degrees / 180) for turn in (math.sin, math.cos))
    offsets = [np.ceil(taps * part / math.hypot(x, y) - 0.5).astype("int32") for part in (y, x)]
    return tf.floor(
        shift_and_add(images, tf.constant(np.stack(offsets)), tf.constant(weights)) + 0.5
    )


def shift_and_add(images: tf.Tensor, offsets: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """Weighted sum of the pixels at offsets [2, T] down and right; the edge pixel is repeated."""
    height, width, channels = images.shape[1:]
    reach = weights.shape[0] - 1
    # Padded outside the compiled function, which would gather the edges again for each weight.
    rows, columns = (np.arange(-reach, side + reach).clip(0, side - 1) for side in (height, width))
    padded = tf.gather(tf.gather(images, rows, axis=1), columns, axis=2)
    # Each row as one line, so that the compiler's innermost loop is long.
    padded = tf.reshape(padded, [-1, height + 2 * reach, (width + 2 * reach) * channels])
    total = _weighted_sum(padded, offsets * [[1], [channels]], weights, (height, width * channels))
    return tf.reshape(total, [-1, height, width, channels])


@compiled
def _weighted_sum(
    padded: tf.Tensor, offsets: tf.Tensor, weights: tf.Tensor, size: tuple[int, int]
) -> tf.Tensor:
    count = tf.shape(padded)[0]
    middle = [(whole - part) // 2 for whole, part in zip(padded.shape[1:], size)]
    total = tf.zeros([])
    for tap in range(weights.shape[0]):
        start = [0, offsets[0, tap] + middle[0], offsets[1, tap] + middle[1]]
        total += weights[tap] * tf.slice(padded, start, [count, *size])
    return total


def affine(
    images: tf.Tensor,
    size: tuple[int, int],
    *,
    angle: float = 0,
    shift: float = 0,
    scale: float = 1,
    shear: float = 0,
) -> tf.Tensor:
    """Rotates, shifts, scales and shears as torchvision 0.2 (2018) did with Pillow.

    Its centre is half a pixel after the middle, and a shear by s also scales the height by cos s.
    """
    angle, shear = math.radians(angle), math.radians(shear)
    height, width = images.shape[1:3]
    y, x = height * 0.5 + 0.5, width * 0.5 + 0.5
    factor = (1 / scale) / (
        math.cos(angle + shear) * math.cos(angle) + math.sin(angle + shear) * math.sin(angle)
    )
    a, b = factor * math.cos(angle + shear), factor * math.sin(angle + shear)
    c, d = factor * -math.sin(angle), factor * math.cos(angle)
    rows = [[a, b, a * (-x - shift) + b * -y + x], [c, d, c * (-x - shift) + d * -y + y]]
    return by_matrix(images, tf.constant(rows, tf.float64), size)


# Not reduce_retracing, which would make height and width unknown from the second size on.
@tf.function(autograph=False)
def by_matrix(images: tf.Tensor, matrix: tf.Tensor, size: tuple[int, int]) -> tf.Tensor:
    """Warps by a matrix [2, 3] as Pillow does: pixel centres at one half, results truncated."""
    height, width = images.shape[1:3]
    column, row = _grid((height, width), size, 0.5)
    x, y = (a * column + b * row + c for a, b, c in map(tf.unstack, tf.unstack(matrix)))
    outside = (x < 0) | (x >= width) | (y < 0) | (y >= height)
    return _sample(images, x - 0.5, y - 0.5, outside, 0.0)


@tf.function(autograph=False)
def by_perspective(images: tf.Tensor, matrix: tf.Tensor, size: tuple[int, int]) -> tf.Tensor:
    """Warps by a matrix [3, 3] as OpenCV does: positions in steps of 1/32, results rounded."""
    column, row = _grid(images.shape[1:3], size, 0.0)
    x, y, z = (a * column + (b * row + c) for a, b, c in map(tf.unstack, tf.unstack(matrix)))
    x, y = (tf.round(part * (32 / z)) / 32 for part in (x, y))
    return _sample(images, x, y, None, 0.5)


def _grid(
    size: tuple[int, int], crop: tuple[int, int], centre: float
) -> tuple[tf.Tensor, tf.Tensor]:
    """Columns [1, W] and rows [H, 1] of the pixels in the frame, float64."""
    top, left = corner(size, crop)
    rows = tf.range(top, top + crop[0])[:, tf.newaxis]
    columns = tf.range(left, left + crop[1])[tf.newaxis]
    return tf.cast(columns, tf.float64) + centre, tf.cast(rows, tf.float64) + centre


def _sample(
    images: tf.Tensor, x: tf.Tensor, y: tf.Tensor, outside: Optional[tf.Tensor], rounding: float
) -> tf.Tensor:
    """Samples bilinearly at x, y [h, w]; 0 where `outside`, or if that is None, padded with 0."""
    height, width, channels = images.shape[1:]
    # All images are sampled at the same positions: with the batch innermost, these are whole rows.
    rows = tf.transpose(tf.cast(images, tf.uint8), [1, 2, 0, 3])
    rows = tf.reshape(rows, [height * width, -1])
    rows = tf.pad(rows, [[0, 1], [0, 0]])  # a black pixel at the end
    left, top = tf.floor(x), tf.floor(y)

    def at(down: int, right: int) -> tf.Tensor:
        u, v = left + right, top + down
        column, row = tf.clip_by_value(u, 0, width - 1), tf.clip_by_value(v, 0, height - 1)
        black = (u != column) | (v != row) if outside is None else outside
        place = tf.where(black, tf.cast(height * width, y.dtype), row * width + column)
        return tf.gather(rows, tf.reshape(tf.cast(place, tf.int32), [-1]))

    corners = [at(down, right) for down in (0, 1) for right in (0, 1)]
    fractions = [tf.reshape(fraction, [-1, 1]) for fraction in (x - left, y - top)]
    pixels = _interpolate(*corners, *fractions, tf.constant(rounding, tf.float64))
    pixels = tf.reshape(pixels, [*x.shape, -1, channels])
    return tf.cast(tf.transpose(pixels, [2, 0, 1, 3]), tf.float32)


@compiled
def _interpolate(*arguments: tf.Tensor) -> tf.Tensor:
    # In double precision, as in Pillow, because truncated values are often whole numbers.
    *corners, right, down, rounding = arguments
    a, b, c, d = (tf.cast(corner, tf.float64) for corner in corners)
    upper, lower = a + (b - a) * right, c + (d - c) * right
    return tf.cast(upper + (lower - upper) * down + rounding, tf.uint8)
