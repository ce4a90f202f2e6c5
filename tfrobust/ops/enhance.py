"""Pillow's ImageEnhance on 8-bit images: color, contrast, brightness, sharpness (AugMix).

Each operator interpolates or extrapolates between a degenerate image d and the image,
⌊d + f·(x − d)⌋ clipped to 0..255; d is the grey image, its mean, black, or the smoothed image.
"""

from __future__ import annotations

import tensorflow as tf

from tfrobust.ops.compiled import compiled
from tfrobust.ops.pixels import from_words, to_words
from tfrobust.ops.size import height_and_width


def enhance(
    words: tf.Tensor, rows: tf.Tensor, kind: tf.Tensor, factor: tf.Tensor, channels: int
) -> tf.Tensor:
    """Applies one of the four operators to each image.

    Args:
        words: [N, H, W] words of `ops.pixels`.
        rows: int32 [K], indices of the images to read.
        kind: int32 [K]: 0 color, 1 contrast, 2 brightness, 3 sharpness.
        factor: float32 [K]; 1 is the identity.
        channels: 1 or 3.

    Returns:
        [K, H, W] words.
    """
    grey = _grey_image(words, rows, channels)  # whole numbers
    mean = tf.floor(tf.reduce_mean(tf.cast(grey, tf.float64), [1, 2]) + 0.5)
    return _enhance(words, rows, kind, factor, grey, tf.cast(mean, tf.float32), channels)


@compiled
def _grey_image(words: tf.Tensor, rows: tf.Tensor, channels: int) -> tf.Tensor:
    return tf.cast(_grey(from_words(tf.gather(words, rows), channels)), tf.float32)


def _grey(values: list[tf.Tensor]) -> tf.Tensor:
    """ITU-R 601 luminance in Pillow's fixed-point arithmetic."""
    if len(values) == 1:
        return values[0]
    red, green, blue = values
    return tf.bitwise.right_shift(red * 19595 + green * 38470 + blue * 7471 + 0x8000, 16)


@compiled
def _enhance(
    words: tf.Tensor,
    rows: tf.Tensor,
    kind: tf.Tensor,
    factor: tf.Tensor,
    grey: tf.Tensor,
    mean: tf.Tensor,
    channels: int,
) -> tf.Tensor:
    kind, factor, mean = (tf.reshape(t, [-1, 1, 1]) for t in (kind, factor, mean))
    results = []
    for value in from_words(tf.gather(words, rows), channels):
        smooth = tf.cast(_smooth(value), tf.float32)
        degenerate = tf.where(kind == 0, grey, tf.where(kind == 1, mean, 0.0))
        degenerate = tf.where(kind == 3, smooth, degenerate)
        blended = degenerate + factor * (tf.cast(value, tf.float32) - degenerate)
        results.append(tf.cast(tf.clip_by_value(blended, 0.0, 255.0), tf.int32))
    return to_words(results)


def _smooth(values: tf.Tensor) -> tf.Tensor:
    """Pillow's SMOOTH filter: neighbours with weight 1/13, centre 5/13; the border is unchanged."""
    height, width = height_and_width(values)
    padded = tf.pad(values, [[0, 0], [1, 1], [1, 1]])
    rows = padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]
    total = rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:] + 4 * values
    inner = (2 * total + 13) // 26
    row, column = tf.range(height)[:, tf.newaxis], tf.range(width)
    border = (row == 0) | (row == height - 1) | (column == 0) | (column == width - 1)
    return tf.where(border, values, inner)
