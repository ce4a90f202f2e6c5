"""Resizing of whole batches, with one size per image."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from tfrobust.ops.compiled import compiled
from tfrobust.ops.size import height_and_width, numbers_below

#: Radii in pixels up to which neighbours are summed one by one: enough for images shrunk 2.5 and
#: 12.5 times. Beyond that, and for images with fewer pixels, a matrix product is faster.
_RADII = (4, 24)


def thumbnail(images: tf.Tensor, size: Any) -> tf.Tensor:
    """Resizes to A × A pixels and back (stability training, Table 1).

    Down with an antialiasing triangle filter (Pillow's BILINEAR), up with bilinear interpolation,
    without rounding in between. A side of A pixels or fewer is not resized: a thumbnail is never
    larger than the image.

    Args:
        images: [B, H, W, C] in [0, 1].
        size: A ≥ 1 in pixels, scalar or [B]; rounded to a whole number. A ≥ max(H, W) is exactly
            the identity.

    Returns:
        [B, H, W, C], clipped to [0, 1].

    Example:

    >>> tf.squeeze(thumbnail(tf.reshape([0.0, 0.0, 0.5, 0.5], [1, 4, 1, 1]), 2)).numpy()
    array([0.0714..., 0.1607..., 0.3392..., 0.4285...], dtype=float32)
    """

    # The operation is linear in the images (the clip only removes rounding errors) and piecewise
    # constant in the size, so its gradient is written by hand. TensorFlow would differentiate the
    # sums term by term and compile that for seconds; `stop_gradient` keeps it from doing so.
    @tf.custom_gradient
    def resized(images, size):
        whole = tf.reshape(tf.maximum(tf.round(tf.stop_gradient(size)), 1.0), [-1, 1])

        def transposed(upstream):
            slope = tf.transpose(_products(upstream, whole, transpose=True), [0, 2, 1, 3])
            return slope, tf.zeros_like(size)

        return _resized(tf.stop_gradient(images), whole), transposed

    return resized(images, tf.cast(size, tf.float32))


def _resized(images: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    longer = _longer_side(images)
    # Shrunk s times, a pixel of the result depends on neighbours less than 2s away.
    shrunk = tf.reduce_max(tf.cast(longer, tf.float32) / size)
    known = isinstance(longer, int)
    radii = [radius for radius in _RADII if not known or 2 * radius + 1 < longer]
    step = tf.reduce_sum(tf.cast(2 * shrunk > np.add(radii, 1.0).astype(np.float32), tf.int32))
    branches = [lambda radius=radius: _resize_by_taps(images, size, radius) for radius in radii]
    return tf.switch_case(step, [*branches, lambda: _resize_by_products(images, size)])


def _resize_by_taps(images: tf.Tensor, size: tf.Tensor, radius: int) -> tf.Tensor:
    """Sums the neighbours up to `radius` one by one, first vertically, then horizontally."""
    (height, width), channels = height_and_width(images), images.shape[3]
    offsets = np.arange(-radius, radius + 1, dtype=np.int32)
    rows, columns = (
        tf.cast(_weights(size, side, numbers_below(side)[:, np.newaxis] + offsets), images.dtype)
        for side in (height, width)
    )
    # Channels are part of the row: a neighbour to the right is `channels` values away.
    columns = tf.repeat(tf.transpose(columns, [0, 2, 1]), channels, axis=2)  # [B, taps, W * C]
    images = tf.reshape(images, [-1, height, width * channels])
    # Padded outside the compiled sum, which would otherwise test for the border at every tap.
    images = _sum_rows(tf.pad(images, [[0, 0], [radius, radius], [0, 0]]), rows)
    beyond = radius * channels
    images = _sum_columns(tf.pad(images, [[0, 0], [0, 0], [beyond, beyond]]), columns, channels)
    return tf.reshape(images, [-1, height, width, channels])


@compiled
def _sum_rows(images: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """Images [B, H + taps - 1, W * C] and weights [B, H, taps] to [B, H, W * C]."""
    height, taps = height_and_width(weights)
    return tf.add_n([weights[:, :, t : t + 1] * images[:, t : t + height] for t in range(taps)])


@compiled
def _sum_columns(images: tf.Tensor, weights: tf.Tensor, channels: int) -> tf.Tensor:
    """Images [B, H, (W + taps - 1) * C] and weights [B, taps, W * C] to [B, H, W * C]."""
    taps, width = height_and_width(weights)
    terms = [
        weights[:, t : t + 1] * images[:, :, t * channels : t * channels + width]
        for t in range(taps)
    ]
    return tf.clip_by_value(tf.add_n(terms), 0.0, 1.0)


def _resize_by_products(images: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """Multiplies each image by one matrix along its columns and one along its rows."""
    # A GPU may round the factors of a matrix product, even if one is the identity matrix.
    unchanged = tf.reshape(size >= tf.cast(_longer_side(images), tf.float32), [-1, 1, 1, 1])
    return _transpose_and_clip(_products(images, size), images, unchanged)


def _products(images: tf.Tensor, size: tf.Tensor, transpose: bool = False) -> tf.Tensor:
    """The products with the weight matrices or their transposes, as [B, W, H, C]."""
    (height, width), channels = height_and_width(images), images.shape[3]
    rows, columns = (
        tf.cast(_weights(size, side, _square(side)), images.dtype) for side in (height, width)
    )
    images = tf.reshape(images, [-1, height, width * channels])
    images = tf.matmul(rows, images, transpose_a=transpose)
    images = tf.transpose(tf.reshape(images, [-1, height, width, channels]), [0, 2, 1, 3])
    images = tf.reshape(images, [-1, width, height * channels])
    images = tf.matmul(columns, images, transpose_a=transpose)
    return tf.reshape(images, [-1, width, height, channels])


@compiled
def _transpose_and_clip(result: tf.Tensor, images: tf.Tensor, unchanged: tf.Tensor) -> tf.Tensor:
    """Swaps height and width back, clips, and keeps the original images where `unchanged`."""
    result = tf.clip_by_value(tf.transpose(result, [0, 2, 1, 3]), 0.0, 1.0)
    return tf.where(unchanged, images, result)


def _longer_side(images: tf.Tensor) -> Any:
    height, width = height_and_width(images)
    both_known = isinstance(height, int) and isinstance(width, int)
    return max(height, width) if both_known else tf.maximum(height, width)


def _square(side: Any) -> Any:
    """The places 0, 1, … of a line, once for each of its pixels: [side, side]."""
    return numbers_below(side)[np.newaxis] + 0 * numbers_below(side)[:, np.newaxis]


def _weights(size: tf.Tensor, side: Any, places: Any) -> tf.Tensor:
    """Weights of the pixels of a line when it is shrunk and enlarged again.

    Args:
        size: [B, 1], length of the shrunk line in pixels.
        side: Length of the line in pixels.
        places: [side, T], for each pixel the indices whose weights are returned. They must include
            all with a nonzero weight; indices beyond the line get 0.

    Returns:
        [B, side, T].
    """
    length = tf.cast(side, tf.float32)
    size = tf.minimum(size, length)
    scale = length / size
    # Position of each pixel between the two nearest pixels of the shrunk line.
    place = (tf.cast(numbers_below(side), tf.float32) + 0.5) * size / length - 0.5
    place = tf.clip_by_value(place, 0.0, size - 1.0)
    first = tf.floor(place)
    second = tf.minimum(first + 1.0, size - 1.0)
    centres = [(index + 0.5) * scale - 0.5 for index in (first, second)]  # in the original line
    inside = (places >= 0) & (places < side)
    return _interpolated_triangles(
        centres, place - first, 1 / scale, tf.cast(places, tf.float32), tf.cast(inside, tf.float32)
    )


@compiled
def _interpolated_triangles(
    centres: list[tf.Tensor],
    fraction: tf.Tensor,
    slope: tf.Tensor,
    places: tf.Tensor,
    inside: tf.Tensor,
) -> tf.Tensor:
    """Interpolates between two triangle filters of sum 1 around [B, side] centres: [B, side, T]."""
    triangles = []
    for centre in centres:
        far = tf.abs(places - centre[..., tf.newaxis]) * slope[..., tf.newaxis]
        triangle = tf.maximum(1 - far, 0.0) * inside
        triangles.append(triangle / tf.reduce_sum(triangle, axis=-1, keepdims=True))
    fraction = fraction[..., tf.newaxis]
    return (1 - fraction) * triangles[0] + fraction * triangles[1]
