"""Feature map augmentation (FMA) loss."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Callable

import tensorflow as tf


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
    terms = [
        _difference(tf.cast(clean, tf.float32), tf.cast(augmented, tf.float32), smallest_mean)
        for clean, augmented in zip(clean_maps, augmented_maps)
    ]
    return tf.add_n(terms) / len(terms)


@tf.custom_gradient
def _difference(
    clean: tf.Tensor, augmented: tf.Tensor, smallest_mean: float
) -> tuple[tf.Tensor, Callable]:
    """D = mean((f − f̃)²) / mean(f)² of one layer, [B].

    With N entries a map, ∂D/∂f̃ = −2 (f − f̃) / (N mean(f)²) and ∂D/∂f = −∂D/∂f̃ − 2 D / (N mean(f)).
    Each map is large and each operation on it waits for memory: what automatic differentiation
    makes of the formula goes over them twice as often.
    """
    entries = list(range(1, clean.shape.rank))
    count = tf.cast(tf.reduce_prod(tf.shape(clean)[1:]), tf.float32)
    difference = clean - augmented
    mean = tf.reduce_mean(clean, axis=entries)
    square = tf.reduce_mean(tf.square(difference), axis=entries)
    alive = mean > smallest_mean
    # A safe divisor inside, not only around: what is not taken must be finite too.
    scale = tf.where(alive, mean, 1.0)
    value = tf.where(alive, square / tf.square(scale), 0.0)

    def gradient(upstream):
        upstream = tf.where(alive, 2.0 / count * upstream, 0.0)
        shape = tf.concat([[-1], tf.ones([len(entries)], tf.int32)], 0)
        along = difference * tf.reshape(upstream / tf.square(scale), shape)
        down = tf.reshape(upstream * value / scale, shape)
        return along - down, -along, None

    return value, gradient
