"""Running a net on the images of a batch that are not done yet."""

from __future__ import annotations

import tensorflow as tf

#: Groups are filled up to a multiple of a batch's eighth: few sizes occur, so that libraries that
#: prepare themselves for every new size do it a few times.
_SIZES = 8


def fill_up(rows: tf.Tensor, batch: tf.Tensor) -> tf.Tensor:
    """Rows of a batch, filled up to one of a few numbers with the first rows again.

    Args:
        rows: int32 [n], n from 1 to B (or 0 of an empty batch).
        batch: B.

    Returns:
        int32 [m], n ≤ m ≤ B, one of eight numbers or so; the first n are `rows`.

    Example:

    >>> fill_up(tf.constant([1, 4, 5]), 16).numpy()
    array([1, 4, 5, 1], dtype=int32)
    """
    count = tf.shape(rows)[0]
    unit = tf.maximum((batch + _SIZES - 1) // _SIZES, 1)
    size = tf.minimum((count + unit - 1) // unit * unit, batch)
    return tf.gather(rows, tf.range(size) % tf.maximum(count, 1))
