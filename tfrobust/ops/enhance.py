"""Pillow's ImageEnhance on 8-bit images: color, contrast, brightness, sharpness (AugMix).

Each operator interpolates or extrapolates between a degenerate image d and the image,
⌊d + f·(x − d)⌋ clipped to 0..255; d is the grey image, its mean, black, or the smoothed image.
Images are words [K, P] of a `Grid`, f is float32 [K, 1]; for use in compiled functions.
"""

from __future__ import annotations

import tensorflow as tf

from tfrobust.ops.compiled import multiply_add
from tfrobust.ops.flat_images import Grid
from tfrobust.ops.pixels import to_bits


def color(words: tf.Tensor, factor: tf.Tensor, grid: Grid) -> tf.Tensor:
    """Away from the grey image, or towards it; 1 or 3 channels."""
    return _away([_grey(words, grid)] * grid.channels, words, factor, grid)


def contrast(words: tf.Tensor, factor: tf.Tensor, grid: Grid) -> tf.Tensor:
    """Away from the mean of the grey image, or towards it; 1 or 3 channels."""
    grey = tf.where(grid.inside, _grey(words, grid), 0)
    total = tf.reduce_sum(tf.cast(grey, tf.float64), axis=1, keepdims=True)  # exact
    mean = tf.floor(total / tf.cast(grid.height * grid.width, tf.float64) + 0.5)
    return _away([mean] * grid.channels, words, factor, grid)


def brightness(words: tf.Tensor, factor: tf.Tensor, grid: Grid) -> tf.Tensor:
    """Away from black, or towards it."""
    return _away([tf.zeros([])] * grid.channels, words, factor, grid)


def sharpness(words: tf.Tensor, factor: tf.Tensor, grid: Grid) -> tf.Tensor:
    """Away from the smoothed image, or towards it."""
    border = (grid.row == 0) | (grid.row == grid.height - 1)
    border |= (grid.column == 0) | (grid.column == grid.width - 1)
    around = [
        grid.values(tf.roll(words, -(down * grid.width + right), axis=1))
        for down in (-1, 0, 1)
        for right in (-1, 0, 1)
    ]
    smooth = []
    for value, nine in zip(grid.values(words), zip(*around)):
        # Pillow's SMOOTH filter: neighbours with weight 1/13, centre 5/13; not at the border.
        total = sum(nine) + 4 * value
        smooth.append(tf.where(border, value, (2 * total + 13) // 26))
    return _away(smooth, words, factor, grid)


def _away(
    degenerate: list[tf.Tensor], words: tf.Tensor, factor: tf.Tensor, grid: Grid
) -> tf.Tensor:
    results = []
    for start, value in zip(degenerate, grid.values(words)):
        start = tf.cast(start, tf.float32)
        blended = multiply_add(factor, tf.cast(value, tf.float32) - start, start)
        results.append(tf.cast(tf.clip_by_value(blended, 0.0, 255.0), tf.int32))
    return to_bits(results)


def _grey(words: tf.Tensor, grid: Grid) -> tf.Tensor:
    """ITU-R 601 luminance in Pillow's fixed-point arithmetic, int32 [K, P]."""
    values = grid.values(words)
    if len(values) == 1:
        return values[0]
    red, green, blue = values
    return tf.bitwise.right_shift(red * 19595 + green * 38470 + blue * 7471 + 0x8000, 16)
