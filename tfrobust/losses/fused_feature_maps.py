"""The FMA loss as it is trained with: the same numbers in fewer passes over the maps.

`losses.feature_map_augmentation` is the equation that this computes. Here the normalised maps are
never formed, because the term of a layer is mean((f − f̃)²) / mean(f)², and the gradient is written
out by hand.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Callable

import tensorflow as tf

from tfrobust.ops.compiled import compiled


@tf.custom_gradient
def compare_halves(
    feature_map: tf.Tensor,
) -> tuple[tuple[tf.Tensor, tf.Tensor, tf.Tensor], Callable]:
    """What J_FMA needs of one layer's output on clean and on augmented images.

    The map itself is returned as well, to stand in its place in the net: what comes to it from
    behind and the gradient of the loss are then added where the latter is made. Maps are large and
    each operation on one waits for memory, so that automatic differentiation, which goes over them
    twice as often, would cost a tenth of a training step.

    Args:
        feature_map: [2B, ...]: f_ℓ(x) above f_ℓ(x̃).

    Returns:
        The map; mean(f_ℓ(x)) and mean((f_ℓ(x) − f_ℓ(x̃))²), both [B] float32.
    """
    clean, augmented = tf.split(tf.cast(feature_map, tf.float32), 2, axis=0)
    entries = list(range(1, feature_map.shape.rank))
    mean = tf.reduce_mean(clean, axis=entries)
    square = tf.reduce_mean(tf.math.squared_difference(clean, augmented), axis=entries)

    def gradient(behind, by_mean, by_square):
        column = tf.concat([[-1], tf.ones([len(entries)], tf.int32)], 0)
        count = tf.cast(tf.reduce_prod(tf.shape(feature_map)[1:]), tf.float32)
        by_mean = tf.reshape(by_mean / count, column)
        by_square = tf.reshape(2.0 / count * by_square, column)
        return _with_own_gradient(behind, feature_map, by_mean, by_square)

    return (tf.identity(feature_map), mean, square), gradient


@compiled
def _with_own_gradient(
    behind: tf.Tensor, feature_map: tf.Tensor, by_mean: tf.Tensor, by_square: tf.Tensor
) -> tf.Tensor:
    """`behind` and the gradient of the loss, in one pass over the map."""
    clean, augmented = tf.split(tf.cast(feature_map, tf.float32), 2, axis=0)
    step = (clean - augmented) * by_square
    own = tf.concat([by_mean + step, -step], axis=0)
    return tf.cast(tf.cast(behind, tf.float32) + own, feature_map.dtype)


def loss_of_means(
    means: Sequence[tf.Tensor], squares: Sequence[tf.Tensor], *, smallest_mean: float = 1e-6
) -> tf.Tensor:
    """J_FMA [6] of what `compare_halves` returns of each layer.

    Args:
        means: mean(f_ℓ(x)), one [B] for each layer.
        squares: mean((f_ℓ(x) − f_ℓ(x̃))²), one [B] for each layer.
        smallest_mean: As in `losses.feature_map_augmentation`.

    Returns:
        [B] float32, ≥ 0.
    """
    mean, square = tf.stack(list(means)), tf.stack(list(squares))
    alive = mean > smallest_mean
    # A safe divisor inside, not only around: the gradient of the branch that is not taken must be
    # finite too.
    scale = tf.square(tf.where(alive, mean, tf.ones_like(mean)))
    return tf.reduce_mean(tf.where(alive, square / scale, tf.zeros_like(mean)), axis=0)
