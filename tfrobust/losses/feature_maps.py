"""Feature map augmentation (FMA) loss."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf


def feature_map_augmentation(
    clean_maps: Sequence[tf.Tensor],
    augmented_maps: Sequence[tf.Tensor],
    *,
    fixed_clean: bool = False,
    smallest_mean: float = 1e-6,
) -> tf.Tensor:
    """Normalised difference of feature maps, averaged over layers (FMA paper [6]).

        J_FMA = 1/|L| Σ_ℓ 1/κ_ℓ ‖ (f_ℓ(x) − f_ℓ(x̃)) / mean(f_ℓ(x)) ‖²

    κ_ℓ is the number of entries in the map; mean(f_ℓ(x)) is one number per image and layer.
    Training uses `fused_feature_maps`, the same loss in fewer passes over the maps.

    Args:
        clean_maps: f_ℓ(x), one tensor [B, ...] per layer, ≥ 0 (after a ReLU).
        augmented_maps: f_ℓ(x̃), the same layers for the augmented images.
        fixed_clean: Whether f_ℓ(x) and its mean are a fixed target. Default False.
        smallest_mean: A clean map whose mean is not above this counts as dead for that image: it
            has no scale to compare with and contributes 0.

    Returns:
        [B] float32, ≥ 0. Gradients flow through both maps and through the mean; with
        `fixed_clean`, through the augmented maps alone.

    Raises:
        ValueError: There are no maps, or the numbers of clean and augmented maps differ.

    Example:

    >>> feature_map_augmentation([tf.constant([[1.0, 3.0]])], [tf.constant([[1.0, 1.0]])]).numpy()
    array([0.5], dtype=float32)
    """
    if not clean_maps or len(clean_maps) != len(augmented_maps):
        raise ValueError(
            "the FMA loss needs one clean and one augmented feature map for each layer; received "
            f"{len(clean_maps)} and {len(augmented_maps)}"
        )
    if fixed_clean:
        clean_maps = [tf.stop_gradient(clean) for clean in clean_maps]
    pairs = zip(clean_maps, augmented_maps)
    return tf.add_n([_layer_term(*pair, smallest_mean) for pair in pairs]) / len(clean_maps)


def _layer_term(clean: tf.Tensor, augmented: tf.Tensor, smallest_mean: float) -> tf.Tensor:
    """1/κ ‖ (f(x) − f(x̃)) / mean(f(x)) ‖² for each image; 0 where mean(f(x)) is too small."""
    clean, augmented = tf.cast(clean, tf.float32), tf.cast(augmented, tf.float32)
    entries = list(range(1, clean.shape.rank))
    mean = tf.reduce_mean(clean, axis=entries, keepdims=True)
    mean = tf.where(mean > smallest_mean, mean, 0.0)  # divide_no_nan turns this into a term of 0
    normalised = tf.math.divide_no_nan(clean - augmented, mean)
    return tf.reduce_mean(tf.square(normalised), axis=entries)
