"""Seeds for random changes of training images."""

from __future__ import annotations

import tensorflow as tf


def element_seeds(seed: int) -> tf.data.Dataset:
    """A seed for each element of an epoch, int32[2], without end.

    Each epoch has other seeds; they depend only on `seed`, the epoch and the element's place in it.

    Args:
        seed: Integer seed.
    """
    numbers = tf.data.Dataset.random(seed=seed, rerandomize_each_iteration=True).batch(2)
    return numbers.map(lambda pair: tf.cast(pair % (2**31 - 1), tf.int32))
