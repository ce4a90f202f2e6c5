"""Pillow's bilinear warps of 8-bit images: shears, integer shifts and rotations (AugMix).

As in Pillow, each output pixel samples the input at one point. A point up to half a pixel outside
reads the border, one further out reads black, and the result is truncated to 8 bits. Images are
words [K, P] of a `Grid`; for use in compiled functions.
"""

from __future__ import annotations

import tensorflow as tf

from tfrobust.ops.compiled import multiply_add
from tfrobust.ops.flat_images import Grid
from tfrobust.ops.pixels import to_bits


def translate(words: tf.Tensor, right: tf.Tensor, down: tf.Tensor, grid: Grid) -> tf.Tensor:
    """Samples whole pixels, float32 [K, 1], to the right and down: translate_x and translate_y."""
    row = grid.row + tf.cast(down, tf.int32)
    column = grid.column + tf.cast(right, tf.int32)
    inside = grid.holds(row, column)
    # A point outside reads any pixel, which is then replaced by black.
    there = grid.read(words, tf.where(inside, row, 0), tf.where(inside, column, 0))
    return tf.where(inside, there, 0)


def shear_x(words: tf.Tensor, slope: tf.Tensor, grid: Grid) -> tf.Tensor:
    """Samples each row `slope`, float32 [K, 1], pixels further to the right per row."""
    column, fraction = _sheared(slope, grid.row, grid.column, grid)
    near, far = (
        grid.read(words, grid.row, tf.clip_by_value(column + i, 0, grid.width - 1)) for i in (0, 1)
    )
    return _between(near, far, column, fraction, grid.width, grid)


def shear_y(words: tf.Tensor, slope: tf.Tensor, grid: Grid) -> tf.Tensor:
    """Samples each column `slope`, float32 [K, 1], pixels further down per column."""
    row, fraction = _sheared(slope, grid.column, grid.row, grid)
    near, far = (
        grid.read(words, tf.clip_by_value(row + i, 0, grid.height - 1), grid.column) for i in (0, 1)
    )
    return _between(near, far, row, fraction, grid.height, grid)


def _sheared(
    slope: tf.Tensor, line: tf.Tensor, place: tf.Tensor, grid: Grid
) -> tuple[tf.Tensor, tf.Tensor]:
    """Pixel before each point, and how far behind it the point lies, [K, P] each."""
    shift = grid.kept(slope * (tf.cast(line, tf.float32) + 0.5))
    whole = tf.floor(shift)
    return grid.kept(place + tf.cast(whole, tf.int32), shift - whole)


def _between(
    near: tf.Tensor,
    far: tf.Tensor,
    place: tf.Tensor,
    fraction: tf.Tensor,
    side: tf.Tensor,
    grid: Grid,
) -> tf.Tensor:
    values = [
        _to_8_bits(_lerp(a, b, fraction)) for a, b in zip(grid.values(near), grid.values(far))
    ]
    point = tf.cast(place, tf.float32) + fraction
    inside = (point >= -0.5) & (point < tf.cast(side, tf.float32) - 0.5)
    return tf.where(inside, to_bits(values), 0)


def rotate(words: tf.Tensor, cosine: tf.Tensor, sine: tf.Tensor, grid: Grid) -> tf.Tensor:
    """Rotates about the centre of the image by the angle of a cosine and sine, float32 [K, 1]."""
    height, width = grid.sides()
    middle_y, middle_x = (height - 1) / 2, (width - 1) / 2
    row, column = grid.places()
    row, column = row - middle_y, column - middle_x
    by_row = grid.kept(sine * row, cosine * row)
    x, y = grid.kept(
        multiply_add(cosine, column, -by_row[0]) + middle_x,
        multiply_add(sine, column, by_row[1]) + middle_y,
    )
    left, top = tf.floor(x), tf.floor(y)
    columns, rows = (
        [tf.clip_by_value(tf.cast(first, tf.int32) + i, 0, side - 1) for i in (0, 1)]
        for first, side in ((left, grid.width), (top, grid.height))
    )
    corners = [grid.values(grid.read(words, r, c)) for r in rows for c in columns]
    right, down = x - left, y - top
    values = [
        _to_8_bits(_lerp_float(_lerp(a, b, right), _lerp(c, d, right), down))
        for a, b, c, d in zip(*corners)
    ]
    inside = (x >= -0.5) & (x < width - 0.5) & (y >= -0.5) & (y < height - 0.5)
    return tf.where(inside, to_bits(values), 0)


def _lerp(near: tf.Tensor, far: tf.Tensor, fraction: tf.Tensor) -> tf.Tensor:
    return _lerp_float(tf.cast(near, tf.float32), tf.cast(far, tf.float32), fraction)


def _lerp_float(near: tf.Tensor, far: tf.Tensor, fraction: tf.Tensor) -> tf.Tensor:
    return multiply_add(far - near, fraction, near)


def _to_8_bits(values: tf.Tensor) -> tf.Tensor:
    return tf.cast(values, tf.int32)  # truncated, not rounded, as in Pillow
