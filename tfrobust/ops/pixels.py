"""8-bit pixels, one 32-bit word each: what AugMix's operators work on.

The operators are defined on 8-bit images. A word holds the (at most four) channels of a pixel, so
that a gather fetches a pixel at once. Words are typed float32, because TensorFlow has GPU kernels
that move float32 but none that move int32 (gather, concatenate, slice); they are never computed
with as floating-point numbers. The compiled functions look at their bits.
"""

from __future__ import annotations

import tensorflow as tf

from tfrobust.ops.compiled import compiled

#: How many channels fit in a word.
MOST_CHANNELS = 4


@compiled
def pack(images: tf.Tensor) -> tf.Tensor:
    """Rounds images to 8 bits and packs each pixel into a word.

    Args:
        images: [B, H, W, C] in [0, 1], C from 1 to 4.

    Returns:
        [B, H, W] words.
    """
    rounded = tf.cast(tf.clip_by_value(images, 0.0, 1.0) * 255.0 + 0.5, tf.int32)
    return to_words(tf.unstack(rounded, axis=-1))


@compiled
def unpack(words: tf.Tensor, channels: int) -> tf.Tensor:
    """The images that words hold.

    Args:
        words: [..., H, W] words.
        channels: C.

    Returns:
        [..., H, W, C] float32 in [0, 1], whole multiples of 1/255.
    """
    return tf.cast(values(words, channels), tf.float32) / 255.0


@compiled
def unpack_whole(words: tf.Tensor, channels: int) -> tf.Tensor:
    """The images that words hold as float32 [..., H, W, C], whole numbers from 0 to 255."""
    return tf.cast(values(words, channels), tf.float32)


@compiled
def pack_whole(images: tf.Tensor) -> tf.Tensor:
    """Words of images [..., H, W, C] that hold whole numbers from 0 to 255."""
    return to_words(tf.unstack(tf.cast(images, tf.int32), axis=-1))


def values(words: tf.Tensor, channels: int) -> tf.Tensor:
    """int32 [..., H, W, C] in 0..255 from [..., H, W] words. For use in compiled functions."""
    bits = tf.bitcast(words, tf.int32)[..., tf.newaxis]
    return tf.bitwise.bitwise_and(tf.bitwise.right_shift(bits, 8 * tf.range(channels)), 255)


def to_words(channels: list[tf.Tensor]) -> tf.Tensor:
    """Words from one int32 tensor a channel, each in 0..255. For use in compiled functions."""
    word = channels[0]
    for channel, value in enumerate(channels[1:], start=1):
        word = tf.bitwise.bitwise_or(word, tf.bitwise.left_shift(value, 8 * channel))
    return tf.bitcast(word, tf.float32)


def from_words(words: tf.Tensor, channels: int) -> list[tf.Tensor]:
    """One int32 tensor in 0..255 for each channel. For use in compiled functions."""
    bits = tf.bitcast(words, tf.int32)
    return [
        tf.bitwise.bitwise_and(tf.bitwise.right_shift(bits, 8 * channel), 255)
        for channel in range(channels)
    ]
