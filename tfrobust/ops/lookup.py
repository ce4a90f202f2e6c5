"""Point operators on 8-bit images, which map every value to another (AugMix).

Autocontrast and equalize use Pillow's look-up tables, one per image and channel, [K, C, 256];
posterize and solarize use arithmetic. Images are words [K, P] of a `Grid`; for use in compiled
functions.
"""

from __future__ import annotations

import tensorflow as tf

from tfrobust.ops.flat_images import Grid
from tfrobust.ops.pixels import to_bits

_VALUES = 256


def autocontrast(words: tf.Tensor, grid: Grid) -> tf.Tensor:
    """Stretches each channel to 0..255, with cut-off 0; a constant channel does not change."""
    inside = grid.inside
    low, high = [], []
    for value in grid.values(words):
        low.append(tf.reduce_min(tf.where(inside, value, _VALUES - 1), axis=1))
        high.append(tf.reduce_max(tf.where(inside, value, 0), axis=1))
    return _look_up(words, autocontrast_tables(tf.stack(low, 1), tf.stack(high, 1), grid), grid)


def autocontrast_tables(low: tf.Tensor, high: tf.Tensor, grid: Grid) -> tf.Tensor:
    """Tables of autocontrast.

    Args:
        low: int32 [K, C], smallest value.
        high: int32 [K, C], largest value.
        grid: Any.

    Returns:
        int32 [K, C, 256].
    """
    # In float64 and in Pillow's order, because the result is truncated, not rounded.
    scale = 255.0 / tf.cast(tf.maximum(high - low, 1), tf.float64)
    product, offset = grid.kept(
        scale[..., tf.newaxis] * tf.range(_VALUES, dtype=tf.float64),
        -tf.cast(low, tf.float64) * scale,
    )
    stretched = tf.clip_by_value(product + offset[..., tf.newaxis], 0.0, 255.0)
    varies = (high > low)[..., tf.newaxis]
    return tf.where(varies, tf.cast(stretched, tf.int32), tf.range(_VALUES))


def equalize(words: tf.Tensor, grid: Grid) -> tf.Tensor:
    """Equalizes the histogram of each channel."""
    return _look_up(words, equalize_tables(_histograms(words, grid)), grid)


def _histograms(words: tf.Tensor, grid: Grid) -> tf.Tensor:
    """int32 [K, C, 256]."""
    values = tf.stack(grid.values(words), 1)  # [K, C, P]
    count, channels, _ = values.shape
    first = tf.reshape(tf.range(count * channels) * _VALUES, [count, channels, 1])
    ones = tf.broadcast_to(tf.cast(grid.inside, tf.int32), tf.shape(values))
    counts = tf.tensor_scatter_nd_add(
        tf.zeros([count * channels * _VALUES], tf.int32),
        tf.reshape(first + values, [-1, 1]),
        tf.reshape(ones, [-1]),
    )
    return tf.reshape(counts, [count, channels, _VALUES])


def equalize_tables(counts: tf.Tensor) -> tf.Tensor:
    """Tables that equalize the histogram of each channel, as Pillow does.

    Let below(v) be the number of pixels with a value smaller than v, and last the largest value
    that occurs. The step is s = ⌊below(last) / 255⌋, and v becomes ⌊(⌊s/2⌋ + below(v)) / s⌋. A
    channel with step 0 does not change.

    Args:
        counts: int32 [K, C, 256] histograms.

    Returns:
        int32 [K, C, 256].
    """
    sums = counts
    shift = 1
    while shift < _VALUES:  # prefix sums by doubling: faster than tf.cumsum
        sums += tf.pad(sums[..., :-shift], [[0, 0], [0, 0], [shift, 0]])
        shift *= 2
    below = tf.cast(sums - counts, tf.float64)
    step = tf.floor(tf.reduce_max(tf.where(counts > 0, below, 0), -1, keepdims=True) / 255)
    # Exact: all are whole numbers, and the extra 0.5 keeps rounding from crossing an integer.
    spread = tf.floor((tf.floor(step / 2) + below + 0.5) / tf.maximum(step, 1))
    spread = tf.cast(tf.minimum(spread, 255), tf.int32)
    return tf.where(step > 0, spread, tf.range(_VALUES))


def _look_up(words: tf.Tensor, tables: tf.Tensor, grid: Grid) -> tf.Tensor:
    """Replaces every value by its entry in the table of its image and channel."""
    flat = tf.reshape(tables, [-1])
    first = tf.range(tf.shape(words)[0])[:, tf.newaxis] * (grid.channels * _VALUES)
    values = grid.values(words)
    return to_bits([tf.gather(flat, first + c * _VALUES + v) for c, v in enumerate(values)])


def posterize(words: tf.Tensor, bits: tf.Tensor, grid: Grid) -> tf.Tensor:
    """Keeps the highest bits of each value; their number is float32 [K, 1]."""
    kept = tf.bitwise.left_shift(-1, 8 - tf.cast(bits, tf.int32))
    return to_bits([tf.bitwise.bitwise_and(value, kept) for value in grid.values(words)])


def solarize(words: tf.Tensor, threshold: tf.Tensor, grid: Grid) -> tf.Tensor:
    """Inverts values from a threshold, float32 [K, 1], up."""
    threshold = tf.cast(threshold, tf.int32)
    return to_bits(
        [tf.where(value < threshold, value, _VALUES - 1 - value) for value in grid.values(words)]
    )
