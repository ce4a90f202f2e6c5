"""Brightness, contrast, saturation, pixelation and JPEG.

Hendrycks and Dietterich 2019 (arXiv:1903.12261); their scripts are the definition. Nothing here is
random. All functions take float32 [B, H, W, 3] with whole numbers from 0 to 255 and return the same
scale, clipped and rounded only where the original is.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from tfrobust.ops import compression
from tfrobust.ops.compiled import compiled, multiply_add

#: Largest image in pixels for the batched JPEG; for larger ones, TensorFlow's codec, one image at a
#: time, is faster.
_BATCHED_JPEG_PIXELS = 96 * 96
#: Number of images that the codec processes in parallel.
_CODECS = 4


def brightness(images: tf.Tensor, keys: tf.Tensor, amount: Any) -> tf.Tensor:
    """Adds a constant to the value V of HSV and clips it at 1.

    Hue and saturation are kept, so each channel is multiplied by V'/V, where V is the largest
    channel. Black has neither hue nor saturation and becomes grey.

    Args:
        images: [B, H, W, 3], 0 to 255.
        keys: Unused; the function is not random.
        amount: Added to V, which is in [0, 1].

    Returns:
        [B, H, W, 3], 0 to 255, not rounded.

    Example:

    >>> pixels = tf.constant([[[[100.0, 50.0, 0.0], [0.0, 0.0, 0.0]]]])
    >>> brightness(pixels, None, 0.2)[0, 0].numpy()
    array([[151. ,  75.5,   0. ], [ 51. ,  51. ,  51. ]], dtype=float32)
    """
    return _brighten(images, tf.convert_to_tensor(amount, tf.float32))


@compiled
def _brighten(images: tf.Tensor, amount: tf.Tensor) -> tf.Tensor:
    value = _extreme(tf.maximum, images)
    target = tf.clip_by_value(value + 255 * amount, 0.0, 255.0)
    return tf.where(value > 0, images * target / tf.maximum(value, 1.0), target)


def saturate(images: tf.Tensor, keys: tf.Tensor, factor: Any, offset: Any) -> tf.Tensor:
    """Scales the saturation S of HSV: S' = clip(factor · S + offset, 0, 1).

    Hue and value V are kept, so the distance of each channel from V is multiplied by S'/S. Grey has
    hue 0, as in scikit-image, and turns red if the offset is above 0.

    Args:
        images: [B, H, W, 3], 0 to 255.
        keys: Unused; the function is not random.
        factor: Factor of S.
        offset: Added to the scaled S.

    Returns:
        [B, H, W, 3], 0 to 255, not rounded.

    Example:

    >>> pixels = tf.constant([[[[100.0, 75.0, 50.0], [100.0, 100.0, 100.0]]]])
    >>> saturate(pixels, None, 1.0, 0.25)[0, 0].numpy().round(3)
    array([[100. ,  62.5,  25. ], [100. ,  75. ,  75. ]], dtype=float32)
    """
    factor, offset = (tf.convert_to_tensor(number, tf.float32) for number in (factor, offset))
    return _saturate(images, factor, offset)


@compiled
def _saturate(images: tf.Tensor, factor: tf.Tensor, offset: tf.Tensor) -> tf.Tensor:
    value = _extreme(tf.maximum, images)
    spread = value - _extreme(tf.minimum, images)
    saturation = multiply_add(spread / tf.maximum(value, 1.0), factor, offset)
    saturation = tf.clip_by_value(saturation, 0.0, 1.0)
    # Position of each channel between the largest (0) and the smallest (1); red if all are equal.
    red = tf.constant([0.0, 1.0, 1.0])
    place = tf.where(spread > 0, (value - images) / tf.maximum(spread, 1.0), red)
    return multiply_add(-value * saturation, place, value)


def _extreme(choose: Any, images: tf.Tensor) -> tf.Tensor:
    """The largest or smallest channel of each pixel, [B, H, W, 1]."""
    red, green, blue = tf.unstack(images, axis=-1)
    return choose(choose(red, green), blue)[..., tf.newaxis]


def contrast(images: tf.Tensor, keys: tf.Tensor, factor: Any) -> tf.Tensor:
    """Scales the distance from the channel's mean: (x - mean) · factor + mean.

    Args:
        images: [B, H, W, 3], 0 to 255.
        keys: Unused; the function is not random.
        factor: Below 1 for less contrast.

    Returns:
        [B, H, W, 3], not rounded.

    Example:

    >>> contrast(tf.constant([[[[100.0, 0.0, 0.0], [200.0, 0.0, 8.0]]]]), None, 0.5).numpy()
    array([[[[125.,   0.,   2.], [175.,   0.,   6.]]]], dtype=float32)
    """
    height, width = images.shape[1:3]
    # Sums of whole numbers are exact, so they do not depend on the batch.
    columns = tf.reduce_sum(tf.reshape(images, [-1, height, width * 3]), axis=1)
    columns = tf.cast(tf.reshape(columns, [-1, width, 3]), tf.float64)
    mean = tf.cast(tf.reduce_sum(columns, axis=1) / (height * width), tf.float32)
    factor = tf.convert_to_tensor(factor, tf.float32)
    return _scale_and_shift(images, factor, ((1 - factor) * mean)[:, tf.newaxis, tf.newaxis])


@compiled
def _scale_and_shift(images: tf.Tensor, factor: tf.Tensor, shift: tf.Tensor) -> tf.Tensor:
    return multiply_add(images, factor, shift)


def pixelate(images: tf.Tensor, keys: tf.Tensor, share: float) -> tf.Tensor:
    """Shrinks by averaging boxes and enlarges by repeating pixels.

    This is Pillow's BOX filter on 8-bit images in both directions: a pixel of the small image is
    the mean of the pixels whose centres lie in its box, rounded after each axis. The result equals
    Pillow's bit for bit.

    Args:
        images: [B, H, W, 3], whole numbers 0 to 255.
        keys: Unused; the function is not random.
        share: Fraction of each side that is kept, rounded down to pixels but at least one.

    Returns:
        [B, H, W, 3], whole numbers.

    Example:

    >>> pixelate(tf.reshape([0.0, 1.0, 8.0, 9.0] * 3, [1, 1, 4, 3]), None, 0.5)[0, 0, :, 0].numpy()
    array([5., 5., 5., 5.], dtype=float32)
    """
    height, width = images.shape[1:3]
    rows, columns = (max(int(size * share), 1) for size in (height, width))
    images = _average(images, columns, axis=2)
    images = _average(images, rows, axis=1)
    images = _repeat_columns(images, width)
    return tf.gather(images, _nearest(height, rows), axis=1)


@compiled
def _average(images: tf.Tensor, size: int, axis: int) -> tf.Tensor:
    """Shrinks one axis to `size` pixels, the rounded means of boxes."""
    first, count = _boxes(images.shape[axis], size)
    last = images.shape[axis] - 1
    total: Any = 0.0
    for i in range(count.max()):
        term = tf.gather(images, np.minimum(first + i, last), axis=axis)
        if i >= count.min():
            term *= _along(i < count, axis)
        total += term
    # Pillow's weights are multiples of 2⁻²²; if they are rounded below 1 / count, halves round
    # down. The offset of 1e-4 decides that, and is too small to affect any other mean.
    weight = np.floor(2.0**22 / count + 0.5) * count
    half = 0.5 + np.where(weight < 2**22, -1e-4, 1e-4)
    return tf.floor(total * _along(1 / count, axis) + _along(half, axis))


@compiled
def _repeat_columns(images: tf.Tensor, width: int) -> tf.Tensor:
    return tf.gather(images, _nearest(width, images.shape[2]), axis=2)


def _boxes(large: int, small: int) -> tuple[np.ndarray, np.ndarray]:
    """First pixel and number of pixels of each box."""
    scale = large / small
    middle = (np.arange(small)[:, np.newaxis] + 0.5) * scale
    pixels = np.arange(large)
    # With Pillow's roundings, which decide when a pixel's centre lies on the border of two boxes:
    # Pillow visits an integer range of pixels and keeps those in the box.
    place = (pixels - middle + 0.5) * (1 / scale)
    inside = (place > -0.5) & (place <= 0.5)
    inside &= pixels >= np.floor(middle - 0.5 * scale + 0.5)
    inside &= pixels < np.floor(middle + 0.5 * scale + 0.5)
    return inside.argmax(axis=1), inside.sum(axis=1)


def _nearest(large: int, small: int) -> np.ndarray:
    """Index of the small line that each pixel of the large line repeats."""
    return ((np.arange(large) + 0.5) * (small / large)).astype("int32")


def _along(values: np.ndarray, axis: int) -> np.ndarray:
    """Reshapes a line of numbers to [1, H, 1, 1] or [1, 1, W, 1]."""
    shape = [1, 1, 1, 1]
    shape[axis] = -1
    return np.reshape(values.astype("float32"), shape)


def jpeg_compression(images: tf.Tensor, keys: tf.Tensor, quality: Any) -> tf.Tensor:
    """Compresses to JPEG and decompresses, as Pillow does.

    4:2:0 chroma subsampling, the standard's tables, libjpeg's accurate DCT and its triangle filter
    for the chroma. Small images use the batched `tfrobust.ops.jpeg`, larger ones TensorFlow's own
    libjpeg, whichever is faster. The latter equals Pillow bit for bit, and so does the former
    except for about one value in a million, which is off by 1.

    Args:
        images: [B, H, W, 3], whole numbers 0 to 255.
        keys: Unused; the function is not random.
        quality: 1 to 100.

    Returns:
        [B, H, W, 3], whole numbers.

    Example:

    >>> jpeg_compression(tf.fill([1, 8, 8, 3], 100.0), None, 1)[0, 0, 0].numpy()
    array([96., 96., 96.], dtype=float32)
    """
    height, width = images.shape[1:3]
    if height * width > _BATCHED_JPEG_PIXELS:
        return _through_codec(images, quality)
    return tf.round(compression.jpeg(images / 255, quality) * 255)


def _through_codec(images: tf.Tensor, quality: int) -> tf.Tensor:
    def one(image):
        file = tf.io.encode_jpeg(image, format="rgb", quality=quality)
        return tf.io.decode_jpeg(file, channels=3, dct_method="INTEGER_ACCURATE")

    decoded = tf.map_fn(
        one,
        tf.cast(images, tf.uint8),
        parallel_iterations=_CODECS,
        fn_output_signature=tf.TensorSpec(images.shape[1:], tf.uint8),
    )
    return tf.cast(decoded, tf.float32)
