"""Feature map augmentation (FMA) loss."""

from __future__ import annotations

from collections.abc import Sequence

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
    terms = []
    for clean, augmented in zip(clean_maps, augmented_maps):
        clean, augmented = tf.cast(clean, tf.float32), tf.cast(augmented, tf.float32)
        entries = list(range(1, clean.shape.rank))
        difference = tf.reduce_mean(tf.math.squared_difference(clean, augmented), axis=entries)
        mean = tf.reduce_mean(clean, axis=entries)
        alive = mean > smallest_mean
        # A safe divisor inside, not only around: the gradient of the branch that is not taken
        # must be finite too.
        scale = tf.square(tf.where(alive, mean, tf.ones_like(mean)))
        terms.append(tf.where(alive, difference / scale, tf.zeros_like(mean)))
    return tf.add_n(terms) / len(terms)
