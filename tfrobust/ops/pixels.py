"""8-bit pixels packed into 32-bit words, the representation that AugMix's operators work on.

The operators are defined on 8-bit images. A word holds the (at most four) channels of a pixel, so
that a gather fetches a whole pixel. Words have dtype float32 because TensorFlow has GPU kernels
that move float32 but none that move int32 (gather, concatenate, slice). They are never used as
floating-point numbers; the compiled functions operate on their bits.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tfrobust.ops.compiled import compiled, multiply_add

#: Maximum number of channels in a word.
MOST_CHANNELS = 4
#: One level of an image in [0, 1]. The compiler would replace a division by 255 by this product.
LEVEL = float(np.float32(1) / np.float32(255))


@compiled
def pack(images: tf.Tensor) -> tf.Tensor:
    """Rounds images to 8 bits and packs each pixel into a word.

    Args:
        images: [B, H, W, C] in [0, 1], C from 1 to 4.

    Returns:
        [B, H, W] words.
    """
    rounded = tf.cast(multiply_add(255.0, tf.clip_by_value(images, 0.0, 1.0), 0.5), tf.int32)
    return to_words(tf.unstack(rounded, axis=-1))


@compiled
def unpack(words: tf.Tensor, channels: int) -> tf.Tensor:
    """Unpacks words into images.

    Args:
        words: [..., H, W] words.
        channels: C.

    Returns:
        [..., H, W, C] float32 in [0, 1], multiples of 1/255.
    """
    return tf.cast(values(words, channels), tf.float32) * LEVEL


@compiled
def unpack_whole(words: tf.Tensor, channels: int) -> tf.Tensor:
    """Unpacks words into float32 images [..., H, W, C] of whole numbers from 0 to 255."""
    return tf.cast(values(words, channels), tf.float32)


@compiled
def pack_whole(images: tf.Tensor) -> tf.Tensor:
    """Packs images [..., H, W, C] of whole numbers from 0 to 255 into words."""
    return to_words(tf.unstack(tf.cast(images, tf.int32), axis=-1))


def values(words: tf.Tensor, channels: int) -> tf.Tensor:
    """Unpacks words into int32 [..., H, W, C] in 0..255. For use in compiled functions."""
    bits = tf.bitcast(words, tf.int32)[..., tf.newaxis]
    return tf.bitwise.bitwise_and(tf.bitwise.right_shift(bits, 8 * tf.range(channels)), 255)


def to_words(channels: list[tf.Tensor]) -> tf.Tensor:
    """Packs one int32 tensor per channel, in 0..255, into words. For use in compiled functions."""
    return tf.bitcast(to_bits(channels), tf.float32)


def to_bits(channels: list[tf.Tensor]) -> tf.Tensor:
    """The words of `to_words` as int32, as which compiled functions use them."""
    word = channels[0]
    for channel, value in enumerate(channels[1:], start=1):
        word = tf.bitwise.bitwise_or(word, tf.bitwise.left_shift(value, 8 * channel))
    return word


def from_words(words: tf.Tensor, channels: int) -> list[tf.Tensor]:
    """Unpacks words into one int32 tensor per channel. For use in compiled functions."""
    return from_bits(tf.bitcast(words, tf.int32), channels)


def from_bits(bits: tf.Tensor, channels: int) -> list[tf.Tensor]:
    """Unpacks the words of `to_bits`."""
    return [
        tf.bitwise.bitwise_and(tf.bitwise.right_shift(bits, 8 * channel), 255)
        for channel in range(channels)
    ]
