"""The FMA loss for training: the same numbers in fewer passes over the maps.

It computes the equation of `losses.feature_map_augmentation`. The normalised maps are never formed,
because the term of a layer is mean((f − f̃)²) / mean(f)²; the gradient is written by hand.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Callable

import tensorflow as tf

from tfrobust.ops.compiled import compiled


def compare_halves(
    feature_map: tf.Tensor, *, fixed_clean: bool = False
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Computes the statistics of one layer's output that J_FMA is made of.

    The map itself is returned as well and replaces the layer's output in the net, so that the
    gradient from the later layers and the gradient of the loss are added in the same pass. Maps are
    large and every operation on them is limited by memory bandwidth: automatic differentiation
    makes twice as many passes, which would cost a tenth of a training step.

    Args:
        feature_map: [2B, ...], f_ℓ(x) followed by f_ℓ(x̃).
        fixed_clean: Whether the loss has no gradient for f_ℓ(x). Default False.

    Returns:
        The map, mean(f_ℓ(x)) and mean((f_ℓ(x) − f_ℓ(x̃))²); the last two are [B] float32.
    """
    compare = _compare_with_fixed_clean if fixed_clean else _compare
    feature_map, mean, square = compare(feature_map)
    return feature_map, mean, square


@tf.custom_gradient
def _compare(
    feature_map: tf.Tensor,
) -> tuple[tuple[tf.Tensor, tf.Tensor, tf.Tensor], Callable]:
    return _statistics(feature_map, clean_factor=1.0)


@tf.custom_gradient
def _compare_with_fixed_clean(
    feature_map: tf.Tensor,
) -> tuple[tuple[tf.Tensor, tf.Tensor, tf.Tensor], Callable]:
    return _statistics(feature_map, clean_factor=0.0)


def _statistics(
    feature_map: tf.Tensor, clean_factor: float
) -> tuple[tuple[tf.Tensor, tf.Tensor, tf.Tensor], Callable]:
    """The results of `compare_halves`, and their gradient, times a factor for the clean half."""
    clean, augmented = tf.split(tf.cast(feature_map, tf.float32), 2, axis=0)
    entries = list(range(1, feature_map.shape.rank))
    mean = tf.reduce_mean(clean, axis=entries)
    square = tf.reduce_mean(tf.math.squared_difference(clean, augmented), axis=entries)

    def gradient(upstream, mean_gradient, square_gradient):
        column = tf.concat([[-1], tf.ones([len(entries)], tf.int32)], 0)
        count = tf.cast(tf.reduce_prod(tf.shape(feature_map)[1:]), tf.float32)
        mean_gradient = tf.reshape(mean_gradient / count, column)
        square_gradient = tf.reshape(2.0 / count * square_gradient, column)
        return _add_loss_gradient(
            upstream, feature_map, mean_gradient, square_gradient, clean_factor
        )

    return (tf.identity(feature_map), mean, square), gradient


@compiled
def _add_loss_gradient(
    upstream: tf.Tensor,
    feature_map: tf.Tensor,
    mean_gradient: tf.Tensor,
    square_gradient: tf.Tensor,
    clean_factor: float,
) -> tf.Tensor:
    """Adds the gradient of the loss to `upstream` in one pass over the map."""
    clean, augmented = tf.split(tf.cast(feature_map, tf.float32), 2, axis=0)
    step = (clean - augmented) * square_gradient
    own = tf.concat([clean_factor * (mean_gradient + step), -step], axis=0)
    return tf.cast(tf.cast(upstream, tf.float32) + own, feature_map.dtype)


def loss_of_means(
    means: Sequence[tf.Tensor], squares: Sequence[tf.Tensor], *, smallest_mean: float = 1e-6
) -> tf.Tensor:
    """J_FMA [6] from the statistics that `compare_halves` returns for each layer.

    Args:
        means: mean(f_ℓ(x)), one [B] tensor per layer.
        squares: mean((f_ℓ(x) − f_ℓ(x̃))²), one [B] tensor per layer.
        smallest_mean: As in `losses.feature_map_augmentation`.

    Returns:
        [B] float32, ≥ 0.
    """
    mean, square = tf.stack(list(means)), tf.stack(list(squares))
    alive = mean > smallest_mean
    # The inner tf.where is needed too: the gradient of the branch not taken must be finite.
    scale = tf.square(tf.where(alive, mean, tf.ones_like(mean)))
    return tf.reduce_mean(tf.where(alive, square / scale, tf.zeros_like(mean)), axis=0)
