"""Random numbers per image, independent of the batch.

TensorFlow's stateless operations draw a whole batch from one seed, so an image's numbers depend on
the other images. Here each image has a key, and a number is a hash of (key, position): any subset
of the images, in any order and batch, gets the same numbers. The hash is Threefry-2x32 with 20
rounds (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"). It consists of
additions, rotations and exclusive-ors, which the compiler vectorizes: on a CPU it is two to three
times faster than TensorFlow's own normal numbers.
"""

from __future__ import annotations

import functools
import math
import zlib
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from tfrobust.ops.compiled import compiled, multiply_add

_ROTATIONS = (13, 15, 26, 6, 17, 29, 16, 24)
_PARITY = 0x1BD11BDA
#: Second word of the counter: for the numbers of a field, and for keys of further fields.
_VALUES, _KEYS = 0, 1

_SPEC_OF_KEYS = tf.TensorSpec([None, 2], tf.uint32)
_SPEC_OF_WORDS = tf.TensorSpec([None, None], tf.uint32)


def threefry(keys: tf.Tensor, first: Any, second: Any) -> tuple[tf.Tensor, tf.Tensor]:
    """Threefry-2x32 hash with 20 rounds, for use in compiled functions.

    Args:
        keys: uint32 [B, 2].
        first: First words of the counters, uint32, [B, N] or [1, N].
        second: Second words of the counters, same shapes.

    Returns:
        Two random words per counter, uint32 [B, N] each.
    """

    def word(value: int) -> tf.Tensor:
        return tf.constant(value, tf.uint32)

    k0, k1 = keys[:, :1], keys[:, 1:]
    schedule = [k0, k1, tf.bitwise.bitwise_xor(tf.bitwise.bitwise_xor(k0, k1), word(_PARITY))]
    x0, x1 = first + k0, second + k1
    for i in range(20):
        x0 += x1
        rotation = _ROTATIONS[i % 8]
        x1 = tf.bitwise.bitwise_or(
            tf.bitwise.left_shift(x1, word(rotation)),
            tf.bitwise.right_shift(x1, word(32 - rotation)),
        )
        x1 = tf.bitwise.bitwise_xor(x1, x0)
        if i % 4 == 3:
            step = i // 4 + 1
            x0 += schedule[step % 3]
            x1 += schedule[(step + 1) % 3] + word(step)
    return x0, x1


@functools.partial(compiled, signature=[_SPEC_OF_KEYS, *[tf.TensorSpec([None], tf.uint32)] * 2])
def _hash(keys: tf.Tensor, first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
    words = threefry(keys, first[:, None], second[:, None])
    return tf.concat(words, axis=1)


def image_keys(seed: Any, name: str, severity: int, index: Any) -> tf.Tensor:
    """Derives a key for each image.

    Args:
        seed: The user's seed, from 0 to 2³¹-1.
        name: Name of what is done to the images, such as a corruption.
        severity: How strongly, or another whole number that tells draws apart.
        index: Identity of each image, such as its index in the data set; integers [B].

    Returns:
        uint32 [B, 2].
    """
    seed = tf.bitcast(tf.stack([tf.cast(seed, tf.int32), 0])[None], tf.uint32)
    word = tf.constant([zlib.crc32(name.encode())], tf.uint32)
    key = _hash(seed, word, tf.constant([severity], tf.uint32))
    index = tf.cast(index, tf.int64)
    low = tf.bitcast(tf.cast(index % 2**31, tf.int32), tf.uint32)
    high = tf.bitcast(tf.cast(index // 2**31, tf.int32), tf.uint32)
    return _hash(tf.broadcast_to(key, [tf.shape(index)[0], 2]), low, high)


def fold(keys: tf.Tensor, stream: Any) -> tf.Tensor:
    """Derives keys of another random field for the same images.

    Args:
        keys: uint32 [B, 2].
        stream: Number of the field, int32.

    Returns:
        uint32 [B, 2].
    """
    counter = tf.fill([tf.shape(keys)[0]], tf.cast(stream, tf.int32))
    return _hash(keys, tf.bitcast(counter, tf.uint32), tf.bitcast(counter * 0 + _KEYS, tf.uint32))


def words(keys: tf.Tensor, shape: Sequence[Any]) -> tf.Tensor:
    """Random 32-bit words; pairs of neighbours are the two words of one counter.

    Args:
        keys: uint32 [B, 2].
        shape: Shape of the field of one image; sides that are known only at run time are tensors.

    Returns:
        uint32 [B, *shape].
    """
    count = math.prod(shape)
    pairs = _pairs(keys, tf.range((count + 1) // 2))
    field = tf.reshape(tf.bitcast(pairs, tf.uint32), [-1, count + count % 2])
    return tf.reshape(field[:, :count], [-1, *shape])


@functools.partial(compiled, signature=[_SPEC_OF_KEYS, tf.TensorSpec([None], tf.int32)])
def _pairs(keys: tf.Tensor, counters: tf.Tensor) -> tf.Tensor:
    # Both words are returned as one 64-bit number so that the compiler hashes each counter once and
    # vectorizes the loop. It does not if they are concatenated or used in the same function.
    first = tf.cast(counters, tf.uint32)[None]
    low, high = (tf.cast(word, tf.uint64) for word in threefry(keys, first, first * 0 + _VALUES))
    return tf.bitwise.bitwise_or(low, tf.bitwise.left_shift(high, tf.constant(32, tf.uint64)))


def uniform_of(bits: tf.Tensor) -> tf.Tensor:
    """Converts 32-bit words to uniform numbers in [0, 1), multiples of 2⁻²³."""
    # The upper bits become the mantissa of a number in [1, 2).
    fraction = tf.bitwise.right_shift(bits, tf.constant(9, tf.uint32))
    one = tf.constant(0x3F800000, tf.uint32)
    return tf.bitcast(tf.bitwise.bitwise_or(fraction, one), tf.float32) - 1


def uniform(keys: tf.Tensor, shape: Sequence[Any]) -> tf.Tensor:
    """Uniform numbers in [0, 1).

    Args:
        keys: uint32 [B, 2].
        shape: Shape of the field of one image.

    Returns:
        float32 [B, *shape].
    """
    return _shaped(_uniform(words(keys, [math.prod(shape)])), shape)


def normal(keys: tf.Tensor, shape: Sequence[Any]) -> tf.Tensor:
    """Standard normal numbers.

    Args:
        keys: uint32 [B, 2].
        shape: Shape of the field of one image.

    Returns:
        float32 [B, *shape].
    """
    return _shaped(_normal(words(keys, [math.prod(shape)])), shape)


def integers(keys: tf.Tensor, shape: Sequence[Any], low: int, high: int) -> tf.Tensor:
    """Uniform integers from low to high, inclusive.

    Args:
        keys: uint32 [B, 2].
        shape: Shape of the field of one image.
        low: Smallest number.
        high: Largest number. The range should hold at most 2¹⁶ numbers, to keep the bias small.

    Returns:
        int32 [B, *shape].
    """
    return _integers(words(keys, shape), low, high)


def _shaped(numbers: tf.Tensor, shape: Sequence[Any]) -> tf.Tensor:
    return tf.reshape(numbers, [-1, *shape])


@functools.partial(compiled, signature=[_SPEC_OF_WORDS])
def _uniform(bits: tf.Tensor) -> tf.Tensor:
    return uniform_of(bits)


@functools.partial(compiled, signature=[_SPEC_OF_WORDS])
def _normal(bits: tf.Tensor) -> tf.Tensor:
    return normal_of(bits)


@compiled
def _integers(bits: tf.Tensor, low: int, high: int) -> tf.Tensor:
    return low + tf.cast(uniform_of(bits) * (high - low + 1), tf.int32)


#: Polynomials for log₂ x on [1, 2), in x − 1, and for (the normal quantile) / m with m = 2u − 1, in
#: log₂(1 − m²) + 8 on [−22, 0] + 8. Least squares at Chebyshev nodes; highest power first.
_LOG2 = (
    *(0.014778721, -0.076848726, 0.19042083, -0.32311594, 0.47249953, -0.72038661, 1.4426521),
    3.1969783e-07,
)
_QUANTILE = (
    *(-8.4275662e-13, -3.8553275e-11, -5.3037999e-10, 1.8126948e-09, 1.3654713e-07),
    *(1.7861833e-06, 9.431956e-06, -0.00010418151, -0.0047396946, -0.20185462, 3.1030491),
)


def normal_of(words: tf.Tensor) -> tf.Tensor:
    """Converts 32-bit words to normal numbers: the quantile at the middle of a step of 2⁻²³.

    The error is below 1e-5, a hundredth of a grey level at the strongest noise. The usual formula,
    with a square root and two cases, takes twice as long, and so does the compiler's own logarithm
    in older versions.
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
        value = multiply_add(value, x, coefficient)
    return value
