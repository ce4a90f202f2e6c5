"""Seeds and per-image parameters."""

from __future__ import annotations

import zlib
from typing import Any, Union

import tensorflow as tf

#: The same numbers on CPU and GPU, eager and in a graph; "auto_select" changes with the device.
ALGORITHM = "philox"


def seed_pair(seed: Any, counter: Any = 0) -> tf.Tensor:
    """The int32[2] seed that stateless random operations take, from two whole numbers.

    Args:
        seed: The user's seed.
        counter: Number of the draw.

    Returns:
        int32 tensor of shape [2].
    """
    return tf.stack([tf.cast(seed, tf.int32), tf.cast(counter, tf.int32)])


def fold_in(seed: tf.Tensor, data: Union[int, str, tf.Tensor]) -> tf.Tensor:
    """A new seed from a seed and something that tells two draws apart.

    Args:
        seed: int32[2].
        data: A number (index, replica) or a text (name of the layer).

    Returns:
        int32[2].
    """
    if isinstance(data, str):
        data = zlib.crc32(data.encode()) & 0x7FFFFFFF
    return tf.random.experimental.stateless_fold_in(
        tf.cast(seed, tf.int32), tf.cast(data, tf.int32), alg=ALGORITHM
    )


def uniform(seed: tf.Tensor, shape: Any, low: Any = 0.0, high: Any = 1.0) -> tf.Tensor:
    """Uniform float32 numbers in [low, high)."""
    return tf.random.stateless_uniform(shape, seed, low, high, tf.float32, alg=ALGORITHM)


def normal(seed: tf.Tensor, shape: Any) -> tf.Tensor:
    """Standard normal float32 numbers."""
    return tf.random.stateless_normal(shape, seed, dtype=tf.float32, alg=ALGORITHM)


def per_image(parameter: Any, images: tf.Tensor) -> tf.Tensor:
    """Shapes a scalar or [B] parameter so that it multiplies a [B, H, W, C] batch.

    Args:
        parameter: Scalar or [B].
        images: [B, H, W, C]; gives the dtype.

    Returns:
        A scalar, or [B, 1, 1, 1].
    """
    parameter = tf.cast(parameter, images.dtype)
    if parameter.shape.rank == 0:
        return parameter
    return tf.reshape(parameter, [-1, 1, 1, 1])  # [B] -> [B, 1, 1, 1]
