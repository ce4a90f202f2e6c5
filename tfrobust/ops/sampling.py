"""Stateless random numbers, seeds and per-image parameters.

A seed is int32[2], for a whole batch, or int32[B, 2], one for each image. With the latter, the
numbers of an image depend on its own seed alone, whatever images are beside it; the first axis of
what is drawn must then be the images. Augmentations and attacks that draw through this module work
with both.
"""

from __future__ import annotations

import math
import zlib
from typing import Any, Union

import tensorflow as tf

from tfrobust.ops import fields

#: Gives the same numbers on CPU and GPU, eagerly and in a graph; "auto_select" depends on the
#: device. XLA draws different numbers all the same, so random numbers are drawn outside compiled
#: functions.
ALGORITHM = "philox"


def seed_pair(seed: Any, counter: Any = 0) -> tf.Tensor:
    """Combines two integers into the seed of a stateless random operation.

    Args:
        seed: The user's seed.
        counter: Index of the draw.

    Returns:
        int32 tensor of shape [2].
    """
    return tf.stack([tf.cast(seed, tf.int32), tf.cast(counter, tf.int32)])


def image_seeds(seed: Any, name: str, index: Any) -> tf.Tensor:
    """Gives each image a seed that depends on its index alone, not on its batch.

    Args:
        seed: The user's seed.
        name: What distinguishes these draws from others for the same images.
        index: Index of each image in its data, integers [B].

    Returns:
        int32 [B, 2].
    """
    return tf.bitcast(fields.image_keys(seed, name, 0, index), tf.int32)


def fold_in(seed: tf.Tensor, data: Union[int, str, tf.Tensor]) -> tf.Tensor:
    """Derives a new seed from a seed and data that distinguishes two draws.

    Args:
        seed: int32[2] or [B, 2].
        data: An integer (index, replica) or a string (name of a layer).

    Returns:
        int32 of the same shape.
    """
    if isinstance(data, str):
        data = zlib.crc32(data.encode()) & 0x7FFFFFFF
    seed = tf.cast(seed, tf.int32)
    if is_per_image(seed):
        return tf.bitcast(fields.fold(_keys(seed), data), tf.int32)
    return tf.random.experimental.stateless_fold_in(seed, tf.cast(data, tf.int32), alg=ALGORITHM)


def is_per_image(seed: Any) -> bool:
    """Whether a seed is one for each image, [B, 2]."""
    return len(seed.shape) == 2


def gather(seed: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
    """The seed of some images of a batch."""
    return tf.gather(seed, rows) if is_per_image(seed) else seed


def uniform(seed: tf.Tensor, shape: Any, low: Any = 0.0, high: Any = 1.0) -> tf.Tensor:
    """Draws uniform float32 numbers from [low, high)."""
    seed = tf.convert_to_tensor(seed)
    if is_per_image(seed):
        return low + (high - low) * _field(fields.uniform, seed, shape)
    return tf.random.stateless_uniform(shape, seed, low, high, tf.float32, alg=ALGORITHM)


def integers(seed: tf.Tensor, shape: Any, low: Any, high: Any) -> tf.Tensor:
    """Draws uniform int32 numbers from `low` to `high - 1`."""
    seed = tf.convert_to_tensor(seed)
    if is_per_image(seed):
        count = tf.cast(high - low, tf.float32)
        return low + tf.cast(count * _field(fields.uniform, seed, shape), tf.int32)
    return tf.random.stateless_uniform(shape, seed, low, high, tf.int32, alg=ALGORITHM)


def normal(seed: tf.Tensor, shape: Any) -> tf.Tensor:
    """Draws standard normal float32 numbers."""
    seed = tf.convert_to_tensor(seed)
    if is_per_image(seed):
        return _field(fields.normal, seed, shape)
    return tf.random.stateless_normal(shape, seed, dtype=tf.float32, alg=ALGORITHM)


def _keys(seed: tf.Tensor) -> tf.Tensor:
    return tf.bitcast(seed, tf.uint32)


def _field(draw: Any, seed: tf.Tensor, shape: Any) -> tf.Tensor:
    """Draws [B, ...] numbers, each image from its own seed."""
    sides = tf.unstack(shape) if tf.is_tensor(shape) else shape
    return tf.reshape(draw(_keys(seed), sides[1:]), shape)


def beta(seed: tf.Tensor, shape: Any, alpha: float, beta: float) -> tf.Tensor:
    """Draws float32 numbers in [0, 1] from Beta(α, β).

    Args:
        seed: int32[2] or [B, 2].
        shape: Shape of the result.
        alpha: α > 0. Values below 10⁻⁶ count as 10⁻⁶, where nearly every number is 0 or 1.
        beta: β > 0, with the same floor.

    Returns:
        Tensor of the given shape.
    """
    if alpha == beta == 1:
        return uniform(seed, shape)
    # G/(G + H) of two gamma variates, computed from logarithms: for small α both underflow to 0.
    return tf.sigmoid(
        _log_gamma_variate(fold_in(seed, 0), shape, alpha)
        - _log_gamma_variate(fold_in(seed, 1), shape, beta)
    )


def dirichlet(seed: tf.Tensor, shape: Any, alpha: float) -> tf.Tensor:
    """Draws float32 weights from the symmetric Dirichlet(α, ..., α).

    Args:
        seed: int32[2] or [B, 2].
        shape: Shape of the result, [..., K].
        alpha: α > 0. Values below 10⁻⁶ count as 10⁻⁶, where nearly every weight is 0 or 1.

    Returns:
        Tensor of the given shape, ≥ 0, summing to 1 along the last axis.
    """
    if alpha == 1:  # gamma variates of shape 1 are exponential; the floor keeps the sum above 0
        variates = tf.maximum(-tf.math.log1p(-uniform(seed, shape)), 1e-12)
        return variates / tf.reduce_sum(variates, axis=-1, keepdims=True)
    return tf.nn.softmax(_log_gamma_variate(seed, shape, alpha), axis=-1)


def _log_gamma_variate(seed: tf.Tensor, shape: Any, alpha: float) -> tf.Tensor:
    """Draws logarithms of Gamma(α, 1) numbers, by the method of Marsaglia and Tsang (2000).

    `tf.random.stateless_gamma` cannot use philox, does not compile with XLA, and underflows for
    small α. The rejection loop is unrolled: every number has eight proposals, each rejected with
    probability 0.05 or less. If all are rejected (3 in 10¹¹), the mode is returned.
    """
    proposals = 8
    alpha = max(float(alpha), 1e-6)
    # The method needs α ≥ 1; below that, Gamma(α) = Gamma(α + 1)·U^(1/α).
    boosted = alpha + 1.0 if alpha < 1 else alpha
    d = boosted - 1.0 / 3.0
    shape = tf.convert_to_tensor(shape, tf.int32)
    # With a seed for each image, the images must come first.
    axis = -1 if is_per_image(seed) else 0
    shapes = tf.concat([shape, [proposals]] if axis else [[proposals], shape], axis=0)
    x = normal(fold_in(seed, 0), shapes)
    root = 1.0 + x / (9.0 * d) ** 0.5
    log_v = 3.0 * tf.math.log(tf.maximum(root, 1e-6))
    accept = tf.math.log1p(-uniform(fold_in(seed, 1), shapes)) < (
        0.5 * tf.square(x) + d * (1.0 - tf.exp(log_v) + log_v)
    )
    accepted = tf.cast(tf.logical_and(accept, root > 0.0), tf.float32)
    # The first accepted proposal counts; if there is none, the sum is 0 and v is its mode, 1.
    first = tf.cast(tf.equal(tf.cumsum(accepted, axis), 1.0), tf.float32) * accepted
    result = tf.reduce_sum(first * log_v, axis=axis) + math.log(d)
    if alpha < 1:
        result += tf.math.log1p(-uniform(fold_in(seed, 2), shape)) / alpha
    return result


def per_image(parameter: Any, images: tf.Tensor) -> tf.Tensor:
    """Reshapes a scalar or [B] parameter so that it broadcasts against a [B, H, W, C] batch.

    Args:
        parameter: Scalar or [B].
        images: [B, H, W, C]; determines the dtype.

    Returns:
        A scalar, or [B, 1, 1, 1].
    """
    parameter = tf.cast(parameter, images.dtype)
    if parameter.shape.rank == 0:
        return parameter
    return tf.reshape(parameter, [-1, 1, 1, 1])  # [B] -> [B, 1, 1, 1]
