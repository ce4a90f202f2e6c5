"""Mixing of images."""

from __future__ import annotations

from typing import Any

import tensorflow as tf


def mix_pairs(values: tf.Tensor, partner: tf.Tensor, mixing_weight: Any) -> tf.Tensor:
    """Mixes each entry of a batch with another: λ·v + (1 − λ)·v[partner] (mixup).

    Args:
        values: [B, ...] images, labels or feature maps.
        partner: int32 [B], the index of each entry's partner.
        mixing_weight: λ in [0, 1], scalar or [B].

    Returns:
        Tensor with the shape and dtype of `values`. Values in [0, 1] stay in [0, 1].

    Example:

    >>> mix_pairs(tf.constant([[0.0, 1.0], [1.0, 0.0]]), tf.constant([1, 0]), 0.75).numpy()
    array([[0.25, 0.75], [0.75, 0.25]], dtype=float32)
    """
    values = tf.convert_to_tensor(values)
    mixing_weight = tf.cast(mixing_weight, values.dtype)
    if mixing_weight.shape.rank != 0:
        mixing_weight = tf.reshape(
            mixing_weight, [-1] + [1] * (values.shape.rank - 1)
        )  # [B] -> [B, 1, ...]
    return mixing_weight * values + (1.0 - mixing_weight) * tf.gather(values, partner)
