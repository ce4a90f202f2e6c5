"""Feature map augmentation (FMA) loss."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Callable

import tensorflow as tf

from tfrobust.ops.compiled import compiled


def feature_map_augmentation(
    clean_maps: Sequence[tf.Tensor],
    augmented_maps: Sequence[tf.Tensor],
    *,
    smallest_mean: float = 1e-6,
) -> tf.Tensor:
    """J_FMA: the normalised difference of feature maps, averaged over layers (FMA paper [6]).

        J_FMA = 1/|L| Σ_ℓ 1/κ_ℓ ‖ (f_ℓ(x) − f_ℓ(x̃)) / mean(f_ℓ(x)) ‖²

    κ_ℓ is the number of entries of the map and mean(f_ℓ(x)) one number for an image and layer, so
    that the term is mean((f − f̃)²) / mean(f)²: the normalised maps are never formed.

    Args:
        clean_maps: One tensor [B, ...] for each layer: f_ℓ(x), from ReLUs, ≥ 0.
        augmented_maps: The same for the augmented images: f_ℓ(x̃).
        smallest_mean: A map whose clean mean is not above this is dead on that image: there is no
            scale to compare with, and it adds 0.

    Returns:
        [B] float32, ≥ 0. Gradients flow through both maps and through the mean.

    Raises:
        ValueError: There are no maps, or not the same number of both.

    Example:

    >>> feature_map_augmentation([tf.constant([[1.0, 3.0]])], [tf.constant([[1.0, 1.0]])]).numpy()
    array([0.5], dtype=float32)
    """
    if not clean_maps or len(clean_maps) != len(augmented_maps):
        raise ValueError(
            "the FMA loss needs one clean and one augmented feature map for each layer; received "
            f"{len(clean_maps)} and {len(augmented_maps)}"
        )
    compared = [
        compare_halves(tf.concat([clean, augmented], axis=0))
        for clean, augmented in zip(clean_maps, augmented_maps)
    ]
    _, means, squares = zip(*compared)
    return loss_of_means(means, squares, smallest_mean=smallest_mean)


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
        smallest_mean: As in `feature_map_augmentation`.

    Returns:
        [B] float32, ≥ 0.
    """
    mean, square = tf.stack(list(means)), tf.stack(list(squares))
    alive = mean > smallest_mean
    # A safe divisor inside, not only around: the gradient of the branch that is not taken must be
    # finite too.
    scale = tf.square(tf.where(alive, mean, tf.ones_like(mean)))
    return tf.reduce_mean(tf.where(alive, square / scale, tf.zeros_like(mean)), axis=0)
