"""Batches of 8-bit images, the input and output of corruptions."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tfrobust import validation
from tfrobust.ops.compiled import compiled


class Batch(NamedTuple):
    """A checked batch of images.

    Args:
        pixels: uint8 [B, H, W, 3].
        index: Identity of each image, int64 [B].
        dtype: The dtype of the caller's images.
    """

    pixels: tf.Tensor
    index: tf.Tensor
    dtype: tf.DType

    def as_given(self, pixels: tf.Tensor) -> tf.Tensor:
        """Converts 8-bit images to the caller's dtype; floats are multiples of 1/255."""
        if self.dtype == tf.uint8:
            return pixels
        return tf.cast(tf.cast(pixels, tf.float32) / 255, self.dtype)


def take(images: Any, index: Any) -> Batch:
    """Checks a caller's images and rounds them to 8 bits.

    Args:
        images: [B, H, W, 3], uint8 or floating point in [0, 1].
        index: Integers [B], or None for 0, 1, ... B-1.

    Returns:
        The batch.

    Raises:
        ValueError: The images have an unknown height or width, do not have 3 channels or lie
            outside [0, 1], or the index has another length.
        TypeError: The images are neither uint8 nor floating point.
    """
    if not tf.is_tensor(images):
        images = np.asarray(images)
    _check(images)
    images = tf.convert_to_tensor(images)
    index = tf.cast(tf.range(tf.shape(images)[0]) if index is None else index, tf.int64)
    if not index.shape.is_compatible_with(images.shape[:1]):
        raise ValueError(
            "index must be one whole number per image; received an index of shape "
            f"{tuple(index.shape)} for {images.shape[0]} images"
        )
    pixels = images if images.dtype == tf.uint8 else _round_to_8_bits(tf.cast(images, tf.float32))
    return Batch(pixels, index, images.dtype)


@compiled
def cut(pixels: tf.Tensor, allowance: float = 1e-3) -> tf.Tensor:
    """Clips to 0..255 and truncates to 8 bits, as the authors' scripts do.

    Args:
        pixels: [B, H, W, C] with any values.
        allowance: Added first, because rounding in float32 can leave a whole number slightly too
            small. Default 1e-3.

    Returns:
        uint8 [B, H, W, C].
    """
    return tf.cast(tf.clip_by_value(pixels + allowance, 0, 255), tf.uint8)


@compiled
def _round_to_8_bits(images: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.clip_by_value(images * 255 + 0.5, 0, 255), tf.uint8)


def _check(images: Any) -> None:
    if images.dtype in (tf.uint8, np.uint8):
        validation.check_image_spec(images.shape, tf.float32, "images")
    elif isinstance(images, np.ndarray) or tf.executing_eagerly():
        validation.check_images(images)
    else:
        validation.check_image_spec(images.shape, images.dtype, "images")
    if None in images.shape[1:3]:
        raise ValueError(
            f"images must have a known height and width; received shape {tuple(images.shape)}"
        )
    if images.shape[3] != 3:
        raise ValueError(
            "images must have 3 channels (red, green, blue), because the corruptions are defined "
            f"on colours; received {images.shape[3]}"
        )
