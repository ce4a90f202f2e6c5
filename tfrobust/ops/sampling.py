"""Stateless random numbers, seeds and per-image parameters."""

from __future__ import annotations

import math
import zlib
from typing import Any, Union

import tensorflow as tf

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


def fold_in(seed: tf.Tensor, data: Union[int, str, tf.Tensor]) -> tf.Tensor:
    """Derives a new seed from a seed and data that distinguishes two draws.

    Args:
        seed: int32[2].
        data: An integer (index, replica) or a string (name of a layer).

    Returns:
        int32[2].
    """
    if isinstance(data, str):
        data = zlib.crc32(data.encode()) & 0x7FFFFFFF
    return tf.random.experimental.stateless_fold_in(
        tf.cast(seed, tf.int32), tf.cast(data, tf.int32), alg=ALGORITHM
    )


def uniform(seed: tf.Tensor, shape: Any, low: Any = 0.0, high: Any = 1.0) -> tf.Tensor:
    """Draws uniform float32 numbers from [low, high)."""
    return tf.random.stateless_uniform(shape, seed, low, high, tf.float32, alg=ALGORITHM)


def integers(seed: tf.Tensor, shape: Any, low: Any, high: Any) -> tf.Tensor:
    """Draws uniform int32 numbers from `low` to `high - 1`."""
    return tf.random.stateless_uniform(shape, seed, low, high, tf.int32, alg=ALGORITHM)


def normal(seed: tf.Tensor, shape: Any) -> tf.Tensor:
    """Draws standard normal float32 numbers."""
    return tf.random.stateless_normal(shape, seed, dtype=tf.float32, alg=ALGORITHM)


def beta(seed: tf.Tensor, shape: Any, alpha: float, beta: float) -> tf.Tensor:
    """Draws float32 numbers in [0, 1] from Beta(α, β).

    Args:
        seed: int32[2].
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
        seed: int32[2].
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
    shapes = tf.concat([[proposals], shape], axis=0)
    x = normal(fold_in(seed, 0), shapes)
    root = 1.0 + x / (9.0 * d) ** 0.5
    log_v = 3.0 * tf.math.log(tf.maximum(root, 1e-6))
    accept = tf.math.log1p(-uniform(fold_in(seed, 1), shapes)) < (
        0.5 * tf.square(x) + d * (1.0 - tf.exp(log_v) + log_v)
    )
    accepted = tf.cast(tf.logical_and(accept, root > 0.0), tf.float32)
    # The first accepted proposal counts; if there is none, the sum is 0 and v is its mode, 1.
    first = tf.cast(tf.equal(tf.cumsum(accepted), 1.0), tf.float32) * accepted
    result = tf.reduce_sum(first * log_v, axis=0) + math.log(d)
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
