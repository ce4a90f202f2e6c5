"""Glass blur: pixels that copy a random neighbour, between two blurs."""

from __future__ import annotations

import math

import tensorflow as tf

from tfrobust.corruptions import fields
from tfrobust.corruptions.batch import cut
from tfrobust.corruptions.blur import gaussian_blur
from tfrobust.ops.compiled import compiled
from tfrobust.ops.pixels import pack_whole, unpack_whole

#: A word serves as many iterations as leave a bias of its draws below 2⁻¹¹.
_MOST_OUTCOMES = 2**13
#: Chains of copies longer than what the doublings reach are this rare, for each pixel.
_RARE = 2.0**-50


def glass_blur(
    images: tf.Tensor, keys: tf.Tensor, sigma: float, delta: int, iterations: int
) -> tf.Tensor:
    """Blurs, lets pixels copy a random neighbour, and blurs again.

    Hendrycks and Dietterich 2019 (arXiv:1903.12261); the authors' script is the definition. Both
    blurs are Gaussian (`gaussian_blur`), and the first result is cut off to 8 bits. Then, for each
    iteration and each pixel from the lower right to the upper left, a margin of `delta` left out,

        x[h, w] ← x[h + dy, w + dx],  dx and dy uniform in −delta .. delta − 1

    The script means to swap the two pixels, but its exchange of NumPy views copies one into both.
    A pixel that copies one whose turn has been gets what that one has copied; such chains are
    followed here for all pixels at once, with the same result as one pixel after the other.

    Args:
        images: float32 [B, H, W, 3], whole numbers 0..255.
        keys: uint32 [B, 2].
        sigma: Standard deviation of both blurs in pixels.
        delta: How far a pixel reaches, in pixels, 1 or more.
        iterations: How often every pixel copies.

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
    share = int(math.log(_MOST_OUTCOMES) / math.log((2 * delta) ** 2) + 1e-9)
    return max(1, min(share, iterations))


@compiled
def _bits(words: tf.Tensor) -> tf.Tensor:
    """24 random bits a pixel: the fraction of which the offsets are the digits."""
    return tf.bitcast(tf.bitwise.right_shift(words, tf.constant(8, tf.uint32)), tf.int32)


def _offsets(bits: tf.Tensor, iteration: int, delta: int) -> tuple[tf.Tensor, tf.Tensor]:
    """The pair dx, dy of an iteration: two digits of the fraction to the base 2·delta."""
    digits = []
    for _ in range(2 * iteration + 2):
        bits = bits * (2 * delta)
        digits.append(tf.bitwise.right_shift(bits, 24) - delta)
        bits = tf.bitwise.bitwise_and(bits, 2**24 - 1)
    return digits[-2], digits[-1]


def _copied(words: tf.Tensor, bits: tf.Tensor, iteration: int, delta: int) -> tf.Tensor:
    if delta == 1:  # every offset points to pixels whose turn is still to come
        return _copy_directly(words, bits, iteration)
    links = _links(bits, iteration, delta)
    for _ in range(_doublings(delta)):
        links = _follow(links)
    return _read(words, links)


def _doublings(delta: int) -> int:
    """How many doublings reach the end of all chains but for a share of `_RARE`."""
    below, right = (delta - 1) / (2 * delta), (delta - 1) / (2 * delta) ** 2
    longest = math.log(_RARE) / math.log(below + right)
    return math.ceil(math.log2(longest))


def _places(
    bits: tf.Tensor, iteration: int, delta: int
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
    """Of each pixel: its place in the batch, what it copies, and which of them have a turn."""
    height, width = bits.shape[1:]
    dx, dy = _offsets(bits, iteration, delta)
    row, column = tf.range(height)[:, tf.newaxis], tf.range(width)
    first = tf.reshape(tf.range(tf.shape(bits)[0]) * (height * width), [-1, 1, 1])
    place = first + row * width + column

    def has_turn(row: tf.Tensor, column: tf.Tensor) -> tf.Tensor:
        return (
            (row > delta) & (row <= height - delta) & (column > delta) & (column <= width - delta)
        )

    turn = has_turn(row, column)
    source = place + tf.where(turn, dy * width + dx, 0)
    return place, source, turn, has_turn(row + dy, column + dx)


@compiled
def _copy_directly(words: tf.Tensor, bits: tf.Tensor, iteration: int) -> tf.Tensor:
    source = _places(bits, iteration, 1)[1]
    return tf.gather(tf.reshape(words, [-1]), source)


@compiled
def _links(bits: tf.Tensor, iteration: int, delta: int) -> tf.Tensor:
    """What each pixel copies: s ≥ 0 for what s has copied by then, −1 − s for the old s."""
    place, source, turn, source_turn = _places(bits, iteration, delta)
    return tf.where(turn & source_turn & (source > place), source, -1 - source)


# One call a doubling: the compiler would put several into one loop and begin each anew.
@compiled
def _follow(links: tf.Tensor) -> tf.Tensor:
    following = tf.gather(tf.reshape(links, [-1]), tf.maximum(links, 0))
    return tf.where(links < 0, links, following)


@compiled
def _read(words: tf.Tensor, links: tf.Tensor) -> tf.Tensor:
    # The choice also makes the compiler put the gather into a loop of its own, twice as fast.
    old = tf.gather(tf.reshape(words, [-1]), tf.maximum(-1 - links, 0))
    return tf.where(links < 0, old, words)
