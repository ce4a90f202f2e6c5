"""Brightness, contrast, saturation, pixelation and JPEG.

Hendrycks and Dietterich 2019 (arXiv:1903.12261); their scripts are the definition. Nothing here is
random. All functions take [B, H, W, 3] float32 with whole numbers from 0 to 255 and return the same
scale, neither clipped nor cut to whole numbers where the original is not.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from tfrobust.ops import compression
from tfrobust.ops.compiled import compiled

#: Up to how many pixels an image goes through the batched JPEG; beyond, TensorFlow's codec, one
#: image after the other, is faster.
_BATCHED_JPEG_PIXELS = 96 * 96
#: How many images the codec works on at a time.
_CODECS = 4


def brightness(images: tf.Tensor, keys: tf.Tensor, amount: Any) -> tf.Tensor:
    """Adds to the value V of HSV and clips it at 1.

    Hue and saturation stay, so each colour is multiplied by V'/V, V the largest of the three. Black
    has neither: it becomes grey.

    Args:
        images: [B, H, W, 3], 0 to 255.
        keys: Not used; the function is not random.
        amount: What is added to V in [0, 1].

    Returns:
        [B, H, W, 3], 0 to 255, not whole numbers.

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

    Hue and value V stay, so the distance of each colour from V is multiplied by S'/S. Grey has
    hue 0, as in scikit-image, and turns red where the offset is above 0.

    Args:
        images: [B, H, W, 3], 0 to 255.
        keys: Not used; the function is not random.
        factor: What S is multiplied by.
        offset: What is added then.

    Returns:
        [B, H, W, 3], 0 to 255, not whole numbers.

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
    saturation = tf.clip_by_value(spread / tf.maximum(value, 1.0) * factor + offset, 0.0, 1.0)
    # How far each colour lies from the largest to the smallest: those of red where all are equal.
    red = tf.constant([0.0, 1.0, 1.0])
    place = tf.where(spread > 0, (value - images) / tf.maximum(spread, 1.0), red)
    return value - value * saturation * place


def _extreme(choose: Any, images: tf.Tensor) -> tf.Tensor:
    """The largest or smallest colour of each pixel, [B, H, W, 1]."""
    red, green, blue = tf.unstack(images, axis=-1)
    return choose(choose(red, green), blue)[..., tf.newaxis]


def contrast(images: tf.Tensor, keys: tf.Tensor, factor: Any) -> tf.Tensor:
    """Scales the distance from the mean: (x - mean) · factor + mean, for each channel.

    Args:
        images: [B, H, W, 3], 0 to 255.
        keys: Not used; the function is not random.
        factor: Below 1 for less contrast.

    Returns:
        [B, H, W, 3], not whole numbers.

    Example:

    >>> contrast(tf.constant([[[[100.0, 0.0, 0.0], [200.0, 0.0, 8.0]]]]), None, 0.5).numpy()
    array([[[[125.,   0.,   2.], [175.,   0.,   6.]]]], dtype=float32)
    """
    height, width = images.shape[1:3]
    # Whole numbers: the sums are exact, so that they do not depend on the batch.
    columns = tf.reduce_sum(tf.reshape(images, [-1, height, width * 3]), axis=1)
    columns = tf.cast(tf.reshape(columns, [-1, width, 3]), tf.float64)
    mean = tf.cast(tf.reduce_sum(columns, axis=1) / (height * width), tf.float32)
    factor = tf.convert_to_tensor(factor, tf.float32)
    return _scale_and_shift(images, factor, ((1 - factor) * mean)[:, tf.newaxis, tf.newaxis])


@compiled
def _scale_and_shift(images: tf.Tensor, factor: tf.Tensor, shift: tf.Tensor) -> tf.Tensor:
    return images * factor + shift


def pixelate(images: tf.Tensor, keys: tf.Tensor, share: float) -> tf.Tensor:
    """Shrinks to a share of each side by averaging boxes, and enlarges by repeating pixels.

    Pillow's BOX filter on 8-bit images both ways: a pixel of the small image is the mean of the
    pixels whose centres lie in its box, rounded after the columns and after the rows. Equal to
    Pillow to the bit.

    Args:
        images: [B, H, W, 3], whole numbers 0 to 255.
        keys: Not used; the function is not random.
        share: Share of each side, rounded down to pixels; at least one pixel stays.

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
    """Shrinks one side to `size` pixels: the rounded mean of each box."""
    first, count = _boxes(images.shape[axis], size)
    last = images.shape[axis] - 1
    total: Any = 0.0
    for i in range(count.max()):
        term = tf.gather(images, np.minimum(first + i, last), axis=axis)
        if i >= count.min():
            term *= _along(i < count, axis)
        total += term
    # Pillow's weights are whole 2⁻²²: where that is less than 1 / count, halves are rounded down.
    # A ten thousandth decides that, and is less than what else lies between a mean and a half.
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
    # With the roundings of Pillow, which decide where a pixel's centre lies on the border of two
    # boxes: it looks at the pixels from one whole number to another, and takes those in the box.
    place = (pixels - middle + 0.5) * (1 / scale)
    inside = (place > -0.5) & (place <= 0.5)
    inside &= pixels >= np.floor(middle - 0.5 * scale + 0.5)
    inside &= pixels < np.floor(middle + 0.5 * scale + 0.5)
    return inside.argmax(axis=1), inside.sum(axis=1)


def _nearest(large: int, small: int) -> np.ndarray:
    """The pixel of the small line that each pixel of the large line repeats."""
    return ((np.arange(large) + 0.5) * (small / large)).astype("int32")


def _along(values: np.ndarray, axis: int) -> np.ndarray:
    """A line of numbers as [1, H, 1, 1] or [1, 1, W, 1]."""
    shape = [1, 1, 1, 1]
    shape[axis] = -1
    return np.reshape(values.astype("float32"), shape)


def jpeg_compression(images: tf.Tensor, keys: tf.Tensor, quality: Any) -> tf.Tensor:
    """Compresses to JPEG and decompresses, as Pillow does.

    Halved chroma (4:2:0), the standard's tables, libjpeg's accurate cosine transform and its
    triangle filter for the chroma. Small images go through the batched `tfrobust.ops.jpeg`, larger
    ones through TensorFlow's own libjpeg: the faster way for each size. The second is Pillow's
    result to the bit, and so is the first but for about one value in a million, which is off by 1.

    Args:
        images: [B, H, W, 3], whole numbers 0 to 255.
        keys: Not used; the function is not random.
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
