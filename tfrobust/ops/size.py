"""Sizes of images, which may be unknown while TensorFlow traces."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf


def height_and_width(images: tf.Tensor) -> tuple[Any, Any]:
    """Returns each as an int if it is known while tracing, otherwise as an int32 scalar.

    Args:
        images: [B, H, W, ...].
    """
    known, sizes = images.shape, tf.shape(images)
    height, width = (sizes[axis] if known[axis] is None else known[axis] for axis in (1, 2))
    return height, width


def numbers_below(size: Any) -> Any:
    """Returns 0, 1, … size − 1, int32: an array if the size is known, otherwise a tensor.

    Args:
        size: An int or int32 scalar.
    """
    return np.arange(size, dtype=np.int32) if isinstance(size, int) else tf.range(size)
