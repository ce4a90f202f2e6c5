"""Images where they enter a layer or an attack."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tfrobust import validation


def entry(images: Any, what: str = "images") -> tf.Tensor:
    """Checks images and converts them to float32.

    Rank and dtype are always checked. The values are checked in eager mode, where that costs next
    to nothing; in a graph they are the caller's to check.

    Args:
        images: Array or tensor, [B, H, W, C].
        what: Name of the images in messages.

    Returns:
        float32 [B, H, W, C].

    Raises:
        ValueError: Wrong rank, or, in eager mode, values that are not finite or outside [0, 1].
        TypeError: The dtype is not a floating-point type.

    Example:

    >>> entry(tf.fill([1, 2, 2, 3], 200.0))
    Traceback (most recent call last):
    ...
    ValueError: images must lie in [0, 1]; received values from 200 to 200 (divide ... by 255)
    """
    images = tf.convert_to_tensor(images)
    validation.check_image_spec(images.shape, images.dtype, what)
    if tf.executing_eagerly() and tf.size(images) > 0:
        validation.check_images(images, what)
    return tf.cast(images, tf.float32)
