"""Random numbers of which each image has its own, whatever batch it stands in.

TensorFlow's stateless operations draw a whole batch from one seed, so an image gets other numbers
beside other images. Here each image has a key, and a number is a hash of (key, position): any
subset of the images, in any order and batch, gets the same numbers. The hash is Threefry-2x32 with
20 rounds (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"): additions, rotations
and exclusive-ors, which the compiler puts into vector instructions; it is two to three times faster
on a CPU than TensorFlow's own normal numbers.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from tfrobust.ops.compiled import compiled

_ROTATIONS = (13, 15, 26, 6, 17, 29, 16, 24)
_PARITY = 0x1BD11BDA
#: Second word of the counter: numbers of a field, keys of another field.
_VALUES, _KEYS = 0, 1


def threefry(keys: tf.Tensor, first: Any, second: Any) -> tuple[tf.Tensor, tf.Tensor]:
    """Threefry-2x32 with 20 rounds. To be compiled with its caller.

    Args:
        keys: uint32 [B, 2].
        first: First words of the counters, uint32, [B, N] or [1, N].
        second: Second words, likewise.

    Returns:
        Two random words of each counter, uint32 [B, N].
    """

    def word(value: int) -> tf.Tensor:
        return tf.constant(value, tf.uint32)

    k0, k1 = keys[:, :1], keys[:, 1:]
    schedule = [k0, k1, tf.bitwise.bitwise_xor(tf.bitwise.bitwise_xor(k0, k1), word(_PARITY))]
    x0, x1 = first + k0, second + k1
    for i in range(20):
        x0 += x1
        turn = _ROTATIONS[i % 8]
        x1 = tf.bitwise.bitwise_or(
            tf.bitwise.left_shift(x1, word(turn)), tf.bitwise.right_shift(x1, word(32 - turn))
        )
        x1 = tf.bitwise.bitwise_xor(x1, x0)
        if i % 4 == 3:
            step = i // 4 + 1
            x0 += schedule[step % 3]
            x1 += schedule[(step + 1) % 3] + word(step)
    return x0, x1


@compiled
def _hashed(keys: tf.Tensor, first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
    words = threefry(keys, first[:, None], second[:, None])
    return tf.concat(words, axis=1)


def image_keys(seed: Any, name: str, severity: int, index: tf.Tensor) -> tf.Tensor:
    """The key of each image.

    Args:
        seed: The user's seed, from 0 to 2³¹-1.
        name: Name of the corruption.
        severity: Its severity.
        index: Which image it is, such as its place in the data set; whole numbers [B].

    Returns:
        uint32 [B, 2].
    """
    seed = tf.bitcast(tf.stack([tf.cast(seed, tf.int32), 0])[None], tf.uint32)
    word = tf.constant([zlib.crc32(name.encode())], tf.uint32)
    key = _hashed(seed, word, tf.constant([severity], tf.uint32))
    index = tf.cast(index, tf.int64)
    low = tf.bitcast(tf.cast(index % 2**31, tf.int32), tf.uint32)
    high = tf.bitcast(tf.cast(index // 2**31, tf.int32), tf.uint32)
    return _hashed(tf.broadcast_to(key, [tf.shape(index)[0], 2]), low, high)


def fold(keys: tf.Tensor, stream: int) -> tf.Tensor:
    """Keys of another field of the same images.

    Args:
        keys: uint32 [B, 2].
        stream: Number of the field.

    Returns:
        uint32 [B, 2].
    """
    counter = tf.fill([tf.shape(keys)[0]], tf.constant(stream, tf.int32))
    return _hashed(keys, tf.bitcast(counter, tf.uint32), tf.bitcast(counter * 0 + _KEYS, tf.uint32))


def words(keys: tf.Tensor, shape: Sequence[int]) -> tf.Tensor:
    """Random 32-bit words: neighbours are the two words of a counter.

    Args:
        keys: uint32 [B, 2].
        shape: Shape of the field of one image.

    Returns:
        uint32 [B, *shape].
    """
    count = math.prod(shape)
    pairs = _pairs(keys, tf.range((count + 1) // 2))
    field = tf.reshape(tf.bitcast(pairs, tf.uint32), [-1, count + count % 2])
    return tf.reshape(field[:, :count], [-1, *shape])


@compiled
def _pairs(keys: tf.Tensor, counters: tf.Tensor) -> tf.Tensor:
    # Both words as one number of 64 bits: the compiler hashes each counter once, in vectors. It
    # does neither when the words are concatenated, nor when they are used in the same function.
    first = tf.cast(counters, tf.uint32)[None]
    low, high = (tf.cast(word, tf.uint64) for word in threefry(keys, first, first * 0 + _VALUES))
    return tf.bitwise.bitwise_or(low, tf.bitwise.left_shift(high, tf.constant(32, tf.uint64)))


def uniform_of(bits: tf.Tensor) -> tf.Tensor:
    """Uniform numbers in [0, 1), multiples of 2⁻²³, from 32-bit words."""
    # The upper bits become the fraction of a number in [1, 2).
    fraction = tf.bitwise.right_shift(bits, tf.constant(9, tf.uint32))
    one = tf.constant(0x3F800000, tf.uint32)
    return tf.bitcast(tf.bitwise.bitwise_or(fraction, one), tf.float32) - 1


def uniform(keys: tf.Tensor, shape: Sequence[int]) -> tf.Tensor:
    """Uniform numbers in [0, 1).

    Args:
        keys: uint32 [B, 2].
        shape: Shape of the field of one image.

    Returns:
        float32 [B, *shape].
    """
    return _uniform(words(keys, shape))


def normal(keys: tf.Tensor, shape: Sequence[int]) -> tf.Tensor:
    """Normal numbers of mean 0 and standard deviation 1.

    Args:
        keys: uint32 [B, 2].
        shape: Shape of the field of one image.

    Returns:
        float32 [B, *shape].
    """
    return _normal(words(keys, shape))


def integers(keys: tf.Tensor, shape: Sequence[int], low: int, high: int) -> tf.Tensor:
    """Uniform whole numbers from low to high, both included.

    Args:
        keys: uint32 [B, 2].
        shape: Shape of the field of one image.
        low: Smallest number.
        high: Largest number; at most 2¹⁶ numbers, so that none is visibly rarer.

    Returns:
        int32 [B, *shape].
    """
    return _integers(words(keys, shape), low, high)


@compiled
def _uniform(bits: tf.Tensor) -> tf.Tensor:
    return uniform_of(bits)


@compiled
def _normal(bits: tf.Tensor) -> tf.Tensor:
    return normal_of(bits)


@compiled
def _integers(bits: tf.Tensor, low: int, high: int) -> tf.Tensor:
    return low + tf.cast(uniform_of(bits) * (high - low + 1), tf.int32)


#: log₂ x on [1, 2), as a polynomial of x − 1, and (the quantile) / m with m = 2u − 1 as one of
#: log₂(1 − m²) + 8 on [−22, 0] + 8: least squares at Chebyshev nodes; highest power first.
_LOG2 = (
    *(0.014778721, -0.076848726, 0.19042083, -0.32311594, 0.47249953, -0.72038661, 1.4426521),
    3.1969783e-07,
)
_QUANTILE = (
    *(-8.4275662e-13, -3.8553275e-11, -5.3037999e-10, 1.8126948e-09, 1.3654713e-07),
    *(1.7861833e-06, 9.431956e-06, -0.00010418151, -0.0047396946, -0.20185462, 3.1030491),
)


def normal_of(words: tf.Tensor) -> tf.Tensor:
    """Normal numbers from 32-bit words: the quantile at the middle of a step of 2⁻²³.

    Within 1e-5 of the quantile everywhere: a hundredth of a grey level at the strongest noise. The
    square root and two cases of the usual formula, and the compiler's own logarithm on older
    versions, take twice as long.
    """
    middle = uniform_of(words) * 2 - (1 - 2.0**-23)  # m in (-1, 1), exact
    x = (1 - middle) * (1 + middle)
    bits = tf.bitcast(x, tf.int32)
    exponent = tf.cast(tf.bitwise.right_shift(bits, 23) - (127 - 8), tf.float32)
    fraction = tf.bitwise.bitwise_or(tf.bitwise.bitwise_and(bits, 0x7FFFFF), 0x3F800000)
    log = exponent + _polynomial(_LOG2, tf.bitcast(fraction, tf.float32) - 1)
    return middle * _polynomial(_QUANTILE, log)


def _polynomial(coefficients: tuple[float, ...], x: tf.Tensor) -> tf.Tensor:
    value: Any = coefficients[0]
    for coefficient in coefficients[1:]:
        value = value * x + coefficient
    return value
