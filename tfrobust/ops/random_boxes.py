"""Random resized crops: boxes of random area and shape, and resizing of what they hold."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from tfrobust.ops import sampling

#: Number of boxes drawn for an image before the central one is taken.
ATTEMPTS = 10

#: Top, left, height and width in pixels, each float32 [B].
Boxes = tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]


def draw_boxes(
    seed: tf.Tensor,
    batch: Any,
    height: Any,
    width: Any,
    scale: tuple[float, float],
    ratio: tuple[float, float],
) -> Boxes:
    """Draws a box in each image, as torchvision's `RandomResizedCrop`.

    The area is uniform, as a fraction of the image's, and the width divided by the height is
    log-uniform. The first of 10 boxes that fits into the image is taken, at a uniform position; if
    none fits, the largest central box of an allowed shape.

    Args:
        seed: int32[2].
        batch: B.
        height: Height of the images in pixels.
        width: Width of the images in pixels.
        scale: Smallest and largest area, as fractions of the image's.
        ratio: Smallest and largest width/height.

    Returns:
        Top, left, height and width of the boxes, whole numbers of pixels.
    """
    height, width = tf.cast(height, tf.float32), tf.cast(width, tf.float32)
    seeds = [sampling.fold_in(seed, i) for i in range(4)]
    area = height * width * sampling.uniform(seeds[0], [batch, ATTEMPTS], *scale)
    shape = tf.exp(sampling.uniform(seeds[1], [batch, ATTEMPTS], *map(math.log, ratio)))
    high, wide = tf.round(tf.sqrt(area / shape)), tf.round(tf.sqrt(area * shape))
    fits = (high >= 1) & (high <= height) & (wide >= 1) & (wide <= width)
    # As floats: GPUs have no arg max of whole numbers.
    first, found = tf.argmax(tf.cast(fits, tf.float32), axis=1), tf.reduce_any(fits, axis=1)
    central_high = tf.minimum(height, tf.round(width / ratio[0]))
    central_wide = tf.minimum(width, tf.round(height * ratio[1]))
    high = tf.where(found, tf.gather(high, first, batch_dims=1), central_high)
    wide = tf.where(found, tf.gather(wide, first, batch_dims=1), central_wide)
    corners = []
    for free, corner_seed in ((height - high, seeds[2]), (width - wide, seeds[3])):
        # The minimum guards against a product rounded up to `free` + 1.
        drawn = tf.floor(sampling.uniform(corner_seed, [batch]) * (free + 1))
        corners.append(tf.where(found, tf.minimum(drawn, free), tf.floor(free / 2)))
    return (*corners, high, wide)


def inside(boxes: Sequence[Any], height: Any, width: Any) -> tf.Tensor:
    """Which pixels lie in the boxes.

    Args:
        boxes: Top, left, height and width of the box of each image in whole pixels, each [B] or
            [1].
        height: Height of the images.
        width: Width of the images.

    Returns:
        bool [B, height, width, 1].

    Example:

    >>> inside(([0.0], [1.0], [2.0], [1.0]), 2, 3)[0, :, :, 0].numpy()
    array([[False,  True, False],
           [False,  True, False]])
    """
    top, left, high, wide = (tf.reshape(x, [-1, 1, 1, 1]) for x in boxes)
    rows = tf.range(tf.cast(height, tf.float32))[:, tf.newaxis, tf.newaxis]
    columns = tf.range(tf.cast(width, tf.float32))[:, tf.newaxis]
    vertical = (rows >= top) & (rows < top + high)
    return vertical & (columns >= left) & (columns < left + wide)


def resize_boxes(images: tf.Tensor, boxes: Boxes, height: Any, width: Any) -> tf.Tensor:
    """Cuts a box from each image and resizes it, bilinear with antialiasing (Pillow's BILINEAR).

    As when the image is cropped first, pixels outside the box have no effect.

    Args:
        images: [B, H, W, C] in [0, 1].
        boxes: The result of `draw_boxes`, within the images.
        height: Height of the result in pixels.
        width: Width of the result in pixels.

    Returns:
        [B, height, width, C], clipped to [0, 1].

    Example:

    >>> row = tf.reshape([0.0, 0.5, 1.0, 1.0], [1, 1, 4, 1])
    >>> box = tuple(tf.constant([number]) for number in (0.0, 0.0, 1.0, 2.0))
    >>> float(tf.squeeze(resize_boxes(row, box, 1, 1)))
    0.25
    """
    top, left, high, wide = boxes
    batch, rows, columns, channels = tf.unstack(tf.shape(images))
    # One axis at a time, as a product of matrices: each image has a box, and weights, of its own.
    result = tf.reshape(images, [batch, rows, columns * channels])
    result = tf.matmul(_weights(top, high, height, rows, images.dtype), result)
    result = tf.transpose(tf.reshape(result, [batch, height, columns, channels]), [0, 2, 1, 3])
    result = tf.reshape(result, [batch, columns, height * channels])
    result = tf.matmul(_weights(left, wide, width, columns, images.dtype), result)
    result = tf.transpose(tf.reshape(result, [batch, width, height, channels]), [0, 2, 1, 3])
    return tf.clip_by_value(result, 0.0, 1.0)


def _weights(start: tf.Tensor, length: tf.Tensor, count: Any, side: Any, dtype: Any) -> tf.Tensor:
    """Weights [B, count, side] of a line's pixels in the `count` pixels made from its part."""
    start, length = (x[:, tf.newaxis, tf.newaxis] for x in (start, length))
    step = length / tf.cast(count, tf.float32)
    centres = start + (tf.range(tf.cast(count, tf.float32))[:, tf.newaxis] + 0.5) * step
    places = tf.range(tf.cast(side, tf.float32)) + 0.5
    triangles = tf.maximum(1 - tf.abs(places - centres) / tf.maximum(step, 1.0), 0.0)
    triangles = tf.where((places > start) & (places < start + length), triangles, 0.0)
    return tf.cast(triangles / tf.reduce_sum(triangles, axis=-1, keepdims=True), dtype)
