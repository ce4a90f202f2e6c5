"""Makes a training or a search repeat."""

from __future__ import annotations

import keras
import tensorflow as tf

from tfrobust.compat.random_generators import use_saved_generators


def seed_everything(seed: int) -> None:
    """Makes what follows in this process repeat: seeds, and operations without races.

    It comes first of all: the order of a shuffled `tf.data` depends on TensorFlow's seed too.

    Args:
        seed: Whole number from 0 to 2³² − 1.
    """
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    use_saved_generators()
