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

    κ_ℓ is the number of entries of the map and mean(f_ℓ(x)) one number for an image and layer.
    Training takes `fused_feature_maps`: the same loss in fewer passes over the maps.

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
    pairs = zip(clean_maps, augmented_maps)
    return tf.add_n([_of_layer(*pair, smallest_mean) for pair in pairs]) / len(clean_maps)


def _of_layer(clean: tf.Tensor, augmented: tf.Tensor, smallest_mean: float) -> tf.Tensor:
    """1/κ ‖ (f(x) − f(x̃)) / mean(f(x)) ‖² of each image; 0 where mean(f(x)) is too small."""
    clean, augmented = tf.cast(clean, tf.float32), tf.cast(augmented, tf.float32)
    entries = list(range(1, clean.shape.rank))
    mean = tf.reduce_mean(clean, axis=entries, keepdims=True)
    mean = tf.where(mean > smallest_mean, mean, 0.0)  # a quotient by 0 is 0 in the next line
    normalised = tf.math.divide_no_nan(clean - augmented, mean)
    return tf.reduce_mean(tf.square(normalised), axis=entries)
