"""Noise corruptions.

Hendrycks and Dietterich 2019 (arXiv:1903.12261); the authors' scripts are the definition. A random
number depends on (key of the image, position), so an image gets the same noise in any batch.
"""

from __future__ import annotations

import functools
import math

import numpy as np
import tensorflow as tf

from tfrobust import validation
from tfrobust.ops import fields
from tfrobust.ops.compiled import compiled, multiply_add


def gaussian_noise(images: tf.Tensor, keys: tf.Tensor, sigma: float) -> tf.Tensor:
    """Adds normal noise to each value: x + n, n ~ N(0, σ²), for x in [0, 1].

    Args:
        images: [B, H, W, C], whole numbers from 0 to 255.
        keys: uint32 [B, 2], the key of each image.
        sigma: σ ≥ 0, for x in [0, 1].

    Returns:
        [B, H, W, C] on the scale 0 to 255, neither clipped nor rounded. The tails of the noise end
        at 5.3 σ.

    Example:

    >>> keys = fields.image_keys(0, "gaussian_noise", 3, tf.range(1))
    >>> noisy = gaussian_noise(tf.fill([1, 32, 32, 3], 100.0), keys, 0.1)
    >>> bool(24 < np.std(noisy) < 27)
    True
    """
    scales = tf.constant([255 * sigma, 0], tf.float32)
    return _add_normal(images, fields.words(keys, images.shape[1:]), scales)


def speckle_noise(images: tf.Tensor, keys: tf.Tensor, sigma: float) -> tf.Tensor:
    """Adds normal noise proportional to each value: x + x · n, n ~ N(0, σ²).

    Args:
        images: [B, H, W, C], whole numbers from 0 to 255.
        keys: uint32 [B, 2], the key of each image.
        sigma: σ ≥ 0 relative to the value.

    Returns:
        [B, H, W, C] on the scale 0 to 255, neither clipped nor rounded; black stays black.

    Example:

    >>> keys = fields.image_keys(0, "speckle_noise", 3, tf.range(1))
    >>> np.unique(speckle_noise(tf.zeros([1, 32, 32, 3]), keys, 0.1))
    array([0.], dtype=float32)
    """
    scales = tf.constant([0, sigma], tf.float32)
    return _add_normal(images, fields.words(keys, images.shape[1:]), scales)


def impulse_noise(images: tf.Tensor, keys: tf.Tensor, amount: float) -> tf.Tensor:
    """Sets random values to black or white, independently per channel (salt and pepper).

    Each value is hit with probability p and then becomes black or white with equal probability.

    Args:
        images: [B, H, W, C], whole numbers from 0 to 255.
        keys: uint32 [B, 2], the key of each image.
        amount: p in [0, 1].

    Returns:
        [B, H, W, C] on the scale 0 to 255; the other values do not change.

    Example:

    >>> keys = fields.image_keys(0, "impulse_noise", 3, tf.range(1))
    >>> np.unique(impulse_noise(tf.fill([1, 32, 32, 3], 99.0), keys, 0.1))
    array([  0.,  99., 255.], dtype=float32)
    """
    return _hit(images, fields.words(keys, images.shape[1:]), tf.constant(amount, tf.float32))


def shot_noise(images: tf.Tensor, keys: tf.Tensor, rate: float) -> tf.Tensor:
    """Applies Poisson noise: Poisson(x · c) / c, for x in [0, 1].

    An 8-bit image has 256 levels, so 256 Poisson distributions occur. They are sampled by the alias
    method (Walker 1977, "An efficient method for generating discrete random variables with general
    distributions"): draw a column of a table, then choose one of its two counts by a threshold.
    That takes one look-up for any rate. The probability of a count is accurate to 2⁻²² / (columns),
    and counts less likely than 10⁻¹⁰ do not occur.

    Args:
        images: [B, H, W, C], whole numbers from 0 to 255.
        keys: uint32 [B, 2], the key of each image.
        rate: c, the mean count at white; above 0, at most 5000.

    Returns:
        [B, H, W, C] on the scale 0 to 255, not clipped, multiples of 255 / c.

    Raises:
        ValueError: The rate is out of range.

    Example:

    >>> keys = fields.image_keys(0, "shot_noise", 3, tf.range(1))
    >>> np.unique(shot_noise(tf.fill([1, 32, 32, 3], 2.0), keys, 5.0))[:3]
    array([ 0., 51., 102.], dtype=float32)
    """
    table, first = _poisson_table(float(rate))
    scale = tf.constant(255 / rate, tf.float32)
    words = fields.words(keys, images.shape[1:])
    return _counts(images, words, tf.constant(table), tf.constant(first), scale)


@compiled
def _add_normal(images: tf.Tensor, words: tf.Tensor, scales: tf.Tensor) -> tf.Tensor:
    scale = multiply_add(scales[1], images, scales[0])
    return multiply_add(scale, fields.normal_of(words), images)


@compiled
def _hit(images: tf.Tensor, words: tf.Tensor, amount: tf.Tensor) -> tf.Tensor:
    draw = fields.uniform_of(words)
    return tf.where(draw < amount / 2, 0.0, tf.where(draw < amount, 255.0, images))


#: Bits of an entry of the alias table: the threshold, then the alternative count.
_THRESHOLD_BITS, _ALIAS_BITS = 22, 10


@compiled
def _counts(
    images: tf.Tensor, words: tf.Tensor, table: tf.Tensor, first: tf.Tensor, scale: tf.Tensor
) -> tf.Tensor:
    columns = table.shape[1]
    column_bits = columns.bit_length() - 1

    def bits(word: tf.Tensor, low: int, count: int) -> tf.Tensor:
        word = tf.bitwise.right_shift(word, tf.constant(low, tf.uint32))
        return tf.cast(tf.bitwise.bitwise_and(word, tf.constant(2**count - 1, tf.uint32)), tf.int32)

    # The upper bits of the word choose the column; the next are compared with the threshold.
    level = tf.cast(images, tf.int32)
    column = bits(words, 32 - column_bits, column_bits)
    draw = bits(words, 32 - column_bits - _THRESHOLD_BITS, _THRESHOLD_BITS)
    entry = tf.gather(tf.reshape(table, [-1]), level * columns + column)
    threshold = bits(entry, _ALIAS_BITS, _THRESHOLD_BITS)
    count = tf.where(draw < threshold, column, bits(entry, 0, _ALIAS_BITS))
    return (tf.cast(count, tf.float32) + tf.gather(first, level)) * scale


@functools.lru_cache(maxsize=32)
def _poisson_table(rate: float) -> tuple[np.ndarray, np.ndarray]:
    """Alias tables of the Poisson distributions of the 256 levels.

    Returns:
        Entries, uint32 [256, columns], and the count that column 0 represents, float32 [256].
    """
    validation.check_in_range("rate", rate, 1e-3, 5000)
    mean = np.arange(256)[:, None] * (rate / 255)
    counts = np.arange(int(rate + 7 * math.sqrt(rate) + 20))
    log_factorial = np.cumsum(np.log(np.maximum(counts, 1)))
    # With mean 0 the count is 0: 0 · log(0) must be 0 for it, and minus infinity for other counts.
    log_mean = np.log(np.maximum(mean, 1e-300))
    chance = np.exp(counts * log_mean - mean - log_factorial)
    chance[chance < 1e-10] = 0

    first = np.argmax(chance > 0, axis=1)
    width = int((chance > 0).sum(axis=1).max())
    columns = 1 << max(1, (width - 1).bit_length())
    places = first[:, None] + np.arange(columns)
    padded = np.pad(chance, [(0, 0), (0, columns)])
    left = np.take_along_axis(padded, np.minimum(places, padded.shape[1] - 1), axis=1)
    left *= columns / left.sum(axis=1, keepdims=True)

    # Each step fills the poorest column from the richest one.
    threshold = np.ones_like(left)
    alias = np.broadcast_to(np.arange(columns), left.shape).copy()
    for _ in range(columns - 1):
        poor, rich = np.argmin(left, axis=1), np.argmax(left, axis=1)
        rows = np.flatnonzero(left.min(axis=1) < 1)
        poor, rich = poor[rows], rich[rows]
        threshold[rows, poor] = left[rows, poor]
        alias[rows, poor] = rich
        left[rows, rich] -= 1 - left[rows, poor]
        left[rows, poor] = 1
    # A full column is its own alternative, so a slightly smaller threshold is harmless.
    steps = np.minimum(np.rint(threshold * 2**_THRESHOLD_BITS), 2**_THRESHOLD_BITS - 1)
    table = (steps.astype(np.uint32) << _ALIAS_BITS) | alias.astype(np.uint32)
    return table, first.astype(np.float32)
