"""Glass blur: pixels copy random neighbours between two blurs."""

from __future__ import annotations

import math

import tensorflow as tf

from tfrobust.corruptions.batch import cut
from tfrobust.corruptions.blur import gaussian_blur
from tfrobust.ops import fields
from tfrobust.ops.compiled import compiled
from tfrobust.ops.pixels import pack_whole, unpack_whole

#: Most outcomes of the draws from one word; this keeps their bias below 2⁻¹¹.
_MOST_OUTCOMES = 2**13
#: Probability per pixel that a chain of copies is longer than the doublings follow.
_RARE = 2.0**-50


def glass_blur(
    images: tf.Tensor, keys: tf.Tensor, sigma: float, delta: int, iterations: int
) -> tf.Tensor:
    """Blurs, replaces pixels by random neighbours, and blurs again.

    Hendrycks and Dietterich 2019 (arXiv:1903.12261); the authors' script is the definition. Both
    blurs are Gaussian (`gaussian_blur`); the first result is truncated to 8 bits. Then, for each
    iteration and each pixel from the lower right to the upper left, except for a margin of `delta`,

        x[h, w] ← x[h + dy, w + dx],  dx and dy uniform in −delta .. delta − 1

    The script intends to swap the two pixels, but its swap of NumPy views copies one into both. A
    pixel that copies an already processed one gets what that one copied. These chains are followed
    here for all pixels at once, with the same result as processing the pixels one by one.

    Args:
        images: float32 [B, H, W, 3], whole numbers 0..255.
        keys: uint32 [B, 2].
        sigma: Standard deviation of both blurs in pixels.
        delta: Largest offset of a neighbour in pixels, 1 or more.
        iterations: Number of passes over all pixels.

    Returns:
        float32 [B, H, W, 3] on the scale 0..255.

    Example:

    >>> images = tf.ones([1, 32, 32, 3]) * 128
    >>> keys = fields.image_keys(0, "glass_blur", 1, tf.range(1))
    >>> glass_blur(images, keys, 0.05, 1, 1)[0, 0, 0].numpy()
    array([128., 128., 128.], dtype=float32)
    """
    words = pack_whole(cut(gaussian_blur(images, keys, sigma)))
    height, width = images.shape[1:3]
    each = _iterations_per_word(delta, iterations)
    for first in range(0, iterations, each):
        field = fields.fold(keys, first) if first else keys
        bits = _bits(fields.words(field, (height, width)))
        for i in range(min(each, iterations - first)):
            words = _copied(words, bits, i, delta)
    return gaussian_blur(unpack_whole(words, 3), keys, sigma)


def _iterations_per_word(delta: int, iterations: int) -> int:
    most = int(math.log(_MOST_OUTCOMES) / math.log((2 * delta) ** 2) + 1e-9)
    return max(1, min(most, iterations))


@compiled
def _bits(words: tf.Tensor) -> tf.Tensor:
    """24 random bits per pixel, a fraction whose digits are the offsets."""
    return tf.bitcast(tf.bitwise.right_shift(words, tf.constant(8, tf.uint32)), tf.int32)


def _offsets(bits: tf.Tensor, iteration: int, delta: int) -> tuple[tf.Tensor, tf.Tensor]:
    """The offsets dx, dy of an iteration: two digits of the fraction in base 2·delta."""
    digits = []
    for _ in range(2 * iteration + 2):
        bits = bits * (2 * delta)
        digits.append(tf.bitwise.right_shift(bits, 24) - delta)
        bits = tf.bitwise.bitwise_and(bits, 2**24 - 1)
    return digits[-2], digits[-1]


def _copied(words: tf.Tensor, bits: tf.Tensor, iteration: int, delta: int) -> tf.Tensor:
    if delta == 1:  # every offset points to pixels that are processed later
        return _copy_directly(words, bits, iteration)
    links = _links(bits, iteration, delta)
    for _ in range(_doublings(delta)):
        links = _follow(links)
    return _read(words, links)


def _doublings(delta: int) -> int:
    """Number of doublings that reach the end of a chain, except with probability `_RARE`."""
    below, right = (delta - 1) / (2 * delta), (delta - 1) / (2 * delta) ** 2
    longest = math.log(_RARE) / math.log(below + right)
    return math.ceil(math.log2(longest))


def _places(
    bits: tf.Tensor, iteration: int, delta: int
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
    """Flat index and source of each pixel, and whether it and its source lie within the margins."""
    height, width = bits.shape[1:]
    dx, dy = _offsets(bits, iteration, delta)
    row, column = tf.range(height)[:, tf.newaxis], tf.range(width)
    first = tf.reshape(tf.range(tf.shape(bits)[0]) * (height * width), [-1, 1, 1])
    place = first + row * width + column

    def is_inside(row: tf.Tensor, column: tf.Tensor) -> tf.Tensor:
        return (
            (row > delta) & (row <= height - delta) & (column > delta) & (column <= width - delta)
        )

    inside = is_inside(row, column)
    source = place + tf.where(inside, dy * width + dx, 0)
    return place, source, inside, is_inside(row + dy, column + dx)


@compiled
def _copy_directly(words: tf.Tensor, bits: tf.Tensor, iteration: int) -> tf.Tensor:
    source = _places(bits, iteration, 1)[1]
    return tf.gather(tf.reshape(words, [-1]), source)


@compiled
def _links(bits: tf.Tensor, iteration: int, delta: int) -> tf.Tensor:
    """Source s of each pixel: s if s was processed before, −1 − s if its old value is copied."""
    place, source, inside, source_inside = _places(bits, iteration, delta)
    return tf.where(inside & source_inside & (source > place), source, -1 - source)


# One call per doubling: the compiler would fuse several into one loop and recompute them.
@compiled
def _follow(links: tf.Tensor) -> tf.Tensor:
    following = tf.gather(tf.reshape(links, [-1]), tf.maximum(links, 0))
    return tf.where(links < 0, links, following)


@compiled
def _read(words: tf.Tensor, links: tf.Tensor) -> tf.Tensor:
    # The tf.where also makes the compiler use a separate loop for the gather, twice as fast.
    old = tf.gather(tf.reshape(words, [-1]), tf.maximum(-1 - links, 0))
    return tf.where(links < 0, old, words)
