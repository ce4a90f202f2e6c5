"""Sizes of groups of active images in a batch."""

from __future__ import annotations

import tensorflow as tf

#: Groups are padded to a multiple of an eighth of the batch, so that few sizes occur: some
#: libraries need preparation for every new size.
_SIZES = 8


def fill_up(rows: tf.Tensor, batch: tf.Tensor) -> tf.Tensor:
    """Pads row indices to one of a few sizes by repeating the first ones.

    Args:
        rows: int32 [n], n from 1 to B (or 0 for an empty batch).
        batch: B.

    Returns:
        int32 [m], n ≤ m ≤ B, where m takes about eight values; the first n are `rows`.

    Example:

    >>> fill_up(tf.constant([1, 4, 5]), 16).numpy()
    array([1, 4, 5, 1], dtype=int32)
    """
    count = tf.shape(rows)[0]
    unit = tf.maximum((batch + _SIZES - 1) // _SIZES, 1)
    size = tf.minimum((count + unit - 1) // unit * unit, batch)
    return tf.gather(rows, tf.range(size) % tf.maximum(count, 1))
