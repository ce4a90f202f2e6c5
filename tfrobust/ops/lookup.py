"""Point operators on 8-bit images, which map every value to another (AugMix).

Autocontrast and equalize use Pillow's look-up tables, one per image and channel, [K, C, 256];
posterize and solarize use arithmetic.
"""

from __future__ import annotations

import tensorflow as tf

from tfrobust.ops.compiled import compiled
from tfrobust.ops.pixels import from_words, to_words
from tfrobust.ops.size import height_and_width

_VALUES = 256


@compiled
def look_up(words: tf.Tensor, rows: tf.Tensor, tables: tf.Tensor) -> tf.Tensor:
    """Replaces every value by its entry in the table of its image and channel.

    Args:
        words: [N, H, W] words of `ops.pixels`.
        rows: int32 [K], indices of the images to read.
        tables: int32 [K, C, 256], entries in 0..255.

    Returns:
        [K, H, W] words.
    """
    channels = tables.shape[1]
    flat = tf.reshape(tables, [-1])
    first = tf.range(tf.shape(rows)[0])[:, tf.newaxis, tf.newaxis] * (channels * _VALUES)
    values = from_words(tf.gather(words, rows), channels)
    return to_words([tf.gather(flat, first + c * _VALUES + v) for c, v in enumerate(values)])


@compiled
def extremes(words: tf.Tensor, rows: tf.Tensor, channels: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Smallest and largest value of each channel of each image.

    Args:
        words: [N, H, W] words.
        rows: int32 [K], indices of the images to read.
        channels: C.

    Returns:
        Two int32 [K, C].
    """
    values = from_words(tf.gather(words, rows), channels)
    low = tf.stack([tf.reduce_min(value, [1, 2]) for value in values], -1)
    return low, tf.stack([tf.reduce_max(value, [1, 2]) for value in values], -1)


def histograms(words: tf.Tensor, rows: tf.Tensor, channels: int) -> tf.Tensor:
    """Histogram of each channel of each image.

    Args:
        words: [N, H, W] words.
        rows: int32 [K], indices of the images to read.
        channels: C.

    Returns:
        int32 [K, C, 256].
    """
    bins = tf.bitcast(_bins(words, rows, channels), tf.int32)  # [K, C * H * W]
    # The raw operation, because tf.math.bincount would first search for the largest bin.
    counts = tf.raw_ops.DenseBincount(
        input=bins,
        size=channels * _VALUES,
        weights=tf.constant([], tf.int32),  # unweighted
        binary_output=False,
    )
    return tf.reshape(counts, [-1, channels, _VALUES])


@compiled
def _bins(words: tf.Tensor, rows: tf.Tensor, channels: int) -> tf.Tensor:
    height, width = height_and_width(words)
    bits = tf.bitcast(tf.gather(words, rows), tf.int32)[:, tf.newaxis]
    channel = tf.reshape(tf.range(channels), [channels, 1, 1])
    values = tf.bitwise.bitwise_and(tf.bitwise.right_shift(bits, 8 * channel), 255)
    bins = tf.reshape(values + _VALUES * channel, [-1, channels * height * width])
    return tf.bitcast(bins, tf.float32)  # float32 for the same reason as in ops.pixels


def autocontrast_tables(low: tf.Tensor, high: tf.Tensor) -> tf.Tensor:
    """Tables that stretch each channel to 0..255, as Pillow does with cut-off 0.

    A constant channel does not change.

    Args:
        low: int32 [K, C], smallest value.
        high: int32 [K, C], largest value.

    Returns:
        int32 [K, C, 256].
    """
    # In float64 and in Pillow's order, because the result is truncated, not rounded. The product is
    # not compiled: fused with the sum it would be rounded once, but Pillow rounds twice.
    scale = 255.0 / tf.cast(tf.maximum(high - low, 1), tf.float64)
    product = scale[..., tf.newaxis] * tf.range(_VALUES, dtype=tf.float64)
    return _stretch_and_truncate(product, -tf.cast(low, tf.float64) * scale, high > low)


@compiled
def _stretch_and_truncate(product: tf.Tensor, offset: tf.Tensor, varies: tf.Tensor) -> tf.Tensor:
    stretched = tf.clip_by_value(product + offset[..., tf.newaxis], 0.0, 255.0)
    values = tf.range(_VALUES)
    return tf.where(varies[..., tf.newaxis], tf.cast(stretched, tf.int32), values)


@compiled
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


@compiled
def cut_bits_or_invert(
    words: tf.Tensor,
    rows: tf.Tensor,
    posterize: tf.Tensor,
    bits: tf.Tensor,
    threshold: tf.Tensor,
    channels: int,
) -> tf.Tensor:
    """Posterizes (keeps the highest bits) or solarizes (inverts values from a threshold up).

    Both could be look-ups, but arithmetic on the pixels is faster than reading tables.

    Args:
        words: [N, H, W] words.
        rows: int32 [K], indices of the images to read.
        posterize: bool [K], whether to posterize or to solarize.
        bits: int32 [K] from 0 to 8, the number of bits that posterize keeps.
        threshold: int32 [K] from 0 to 256, the smallest value that solarize inverts.
        channels: C.

    Returns:
        [K, H, W] words.
    """
    kept, posterize, threshold = (
        tf.reshape(t, [-1, 1, 1])
        for t in (tf.bitwise.left_shift(-1, 8 - bits), posterize, threshold)
    )
    results = []
    for value in from_words(tf.gather(words, rows), channels):
        solarized = tf.where(value < threshold, value, _VALUES - 1 - value)
        results.append(tf.where(posterize, tf.bitwise.bitwise_and(value, kept), solarized))
    return to_words(results)
