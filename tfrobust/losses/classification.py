"""Classification loss from logits."""

from __future__ import annotations

import tensorflow as tf


def cross_entropy(labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Cross-entropy, J0 = −Σ_j y_j log P(y_j | x) (FMA paper [5]; stability training [3]).

    Args:
        labels: [B] or [B, 1] class indices, or [B, classes] one-hot or soft labels.
        logits: [B, classes].

    Returns:
        [B] float32, in nats.

    Example:

    >>> cross_entropy(tf.constant([0]), tf.constant([[0.0, 0.0]])).numpy()
    array([0.6931472], dtype=float32)
    """
    labels = tf.convert_to_tensor(labels)  # Keras 3 passes NumPy arrays when a step runs eagerly
    logits = tf.cast(logits, tf.float32)
    if labels.shape.rank == 2 and labels.shape[-1] == 1 and logits.shape[-1] != 1:
        labels = tf.squeeze(labels, axis=-1)  # [B, 1] -> [B]
    if labels.shape.rank == 1:
        return tf.nn.sparse_softmax_cross_entropy_with_logits(tf.cast(labels, tf.int32), logits)
    return tf.nn.softmax_cross_entropy_with_logits(tf.cast(labels, tf.float32), logits)
