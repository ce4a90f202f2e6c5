"""How the frames of a perturbation sequence are read from their image: shifted, turned, tilted."""

from __future__ import annotations

import math
from typing import Optional

import numpy as np
import tensorflow as tf

from tfrobust.corruptions import motion
from tfrobust.ops.compiled import compiled


def corner(size: tuple[int, int], crop: tuple[int, int]) -> tuple[int, int]:
    """First row and column of the middle; of two middles the one that torchvision takes."""
    return round((size[0] - crop[0]) / 2), round((size[1] - crop[1]) / 2)


def along_line(images: tf.Tensor, degrees: float, radius: float, sigma: float) -> tf.Tensor:
    """ImageMagick's motion blur (see `motion`) of a whole batch along one line."""
    weights = motion.weights_of(radius, sigma)
    taps = np.arange(len(weights))
    # Through the length, as there: an angle of 30° must fall on the same side of a half pixel.
    length = 2 * math.ceil(radius) + 1
    y, x = (length * turn(math.pi * degrees / 180) for turn in (math.sin, math.cos))
    offsets = [np.ceil(taps * part / math.hypot(x, y) - 0.5).astype("int32") for part in (y, x)]
    return tf.floor(
        shift_and_add(images, tf.constant(np.stack(offsets)), tf.constant(weights)) + 0.5
    )


def shift_and_add(images: tf.Tensor, offsets: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """Weighted sum of the pixels at offsets [2, T] down and right, below T; else at the edge."""
    height, width, channels = images.shape[1:]
    reach = weights.shape[0] - 1
    # Outside of what is compiled, which would fetch the edges anew for each weight.
    rows, columns = (np.arange(-reach, side + reach).clip(0, side - 1) for side in (height, width))
    padded = tf.gather(tf.gather(images, rows, axis=1), columns, axis=2)
    # Rows as one line each, so that the compiler's innermost loop is long.
    padded = tf.reshape(padded, [-1, height + 2 * reach, (width + 2 * reach) * channels])
    total = _weighted(padded, offsets * [[1], [channels]], weights, (height, width * channels))
    return tf.reshape(total, [-1, height, width, channels])


@compiled
def _weighted(
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
    """Rotation, shift, scaling and shear as torchvision 0.2, of 2018, did them with Pillow.

    Its centre is half a pixel behind the middle, and its shear by s also shrinks by cos s upright.
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


# Not with reduce_retracing, which would make height and width unknown at the second size.
@tf.function(autograph=False)
def by_matrix(images: tf.Tensor, matrix: tf.Tensor, size: tuple[int, int]) -> tf.Tensor:
    """Reads each pixel where the matrix [2, 3] says, as Pillow: centres at one half, cut off."""
    height, width = images.shape[1:3]
    column, row = _grid((height, width), size, 0.5)
    x, y = (a * column + b * row + c for a, b, c in map(tf.unstack, tf.unstack(matrix)))
    outside = (x < 0) | (x >= width) | (y < 0) | (y >= height)
    return _read(images, x - 0.5, y - 0.5, outside, 0.0)


@tf.function(autograph=False)
def by_perspective(images: tf.Tensor, matrix: tf.Tensor, size: tuple[int, int]) -> tf.Tensor:
    """Reads each pixel where the matrix [3, 3] says, as OpenCV: in steps of 1/32, rounded."""
    column, row = _grid(images.shape[1:3], size, 0.0)
    x, y, z = (a * column + (b * row + c) for a, b, c in map(tf.unstack, tf.unstack(matrix)))
    x, y = (tf.round(part * (32 / z)) / 32 for part in (x, y))
    return _read(images, x, y, None, 0.5)


def _grid(
    size: tuple[int, int], crop: tuple[int, int], centre: float
) -> tuple[tf.Tensor, tf.Tensor]:
    """Columns [1, W] and rows [H, 1] of the pixels that the frame shows, float64."""
    top, left = corner(size, crop)
    rows = tf.range(top, top + crop[0])[:, tf.newaxis]
    columns = tf.range(left, left + crop[1])[tf.newaxis]
    return tf.cast(columns, tf.float64) + centre, tf.cast(rows, tf.float64) + centre


def _read(
    images: tf.Tensor, x: tf.Tensor, y: tf.Tensor, outside: Optional[tf.Tensor], rounding: float
) -> tf.Tensor:
    """Bilinear reading at x, y [h, w]: 0 where `outside`; if None, neighbours outside are 0."""
    height, width, channels = images.shape[1:]
    # All images are read at the same places: with the images innermost, these are whole rows.
    rows = tf.transpose(tf.cast(images, tf.uint8), [1, 2, 0, 3])
    rows = tf.reshape(rows, [height * width, -1])
    rows = tf.pad(rows, [[0, 1], [0, 0]])  # a black pixel behind the others
    left, top = tf.floor(x), tf.floor(y)

    def at(down: int, right: int) -> tf.Tensor:
        u, v = left + right, top + down
        column, row = tf.clip_by_value(u, 0, width - 1), tf.clip_by_value(v, 0, height - 1)
        black = (u != column) | (v != row) if outside is None else outside
        place = tf.where(black, tf.cast(height * width, y.dtype), row * width + column)
        return tf.gather(rows, tf.reshape(tf.cast(place, tf.int32), [-1]))

    corners = [at(down, right) for down in (0, 1) for right in (0, 1)]
    shares = [tf.reshape(share, [-1, 1]) for share in (x - left, y - top)]
    pixels = _blended(*corners, *shares, tf.constant(rounding, tf.float64))
    pixels = tf.reshape(pixels, [*x.shape, -1, channels])
    return tf.cast(tf.transpose(pixels, [2, 0, 1, 3]), tf.float32)


@compiled
def _blended(*arguments: tf.Tensor) -> tf.Tensor:
    # In double precision, as Pillow, because what is cut off is often a whole number.
    *corners, right, down, rounding = arguments
    a, b, c, d = (tf.cast(corner, tf.float64) for corner in corners)
    upper, lower = a + (b - a) * right, c + (d - c) * right
    return tf.cast(upper + (lower - upper) * down + rounding, tf.uint8)
