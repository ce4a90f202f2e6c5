"""Mixing images with one another."""

from __future__ import annotations

from typing import Any

import tensorflow as tf


def mix_pairs(values: tf.Tensor, partner: tf.Tensor, share: Any) -> tf.Tensor:
    """Mixes each entry of a batch with another one: λ·v + (1 − λ)·v[partner] (mixup).

    Args:
        values: [B, ...] images, labels or feature maps.
        partner: int32 [B], the index of each entry's partner.
        share: λ in [0, 1], scalar or [B].

    Returns:
        The shape and dtype of `values`; numbers in [0, 1] stay there without clipping.

    Example:

    >>> mix_pairs(tf.constant([[0.0, 1.0], [1.0, 0.0]]), tf.constant([1, 0]), 0.75).numpy()
    array([[0.25, 0.75], [0.75, 0.25]], dtype=float32)
    """
    values = tf.convert_to_tensor(values)
    share = tf.cast(share, values.dtype)
    if share.shape.rank != 0:
        share = tf.reshape(share, [-1] + [1] * (values.shape.rank - 1))  # [B] -> [B, 1, ...]
    return share * values + (1.0 - share) * tf.gather(values, partner)
