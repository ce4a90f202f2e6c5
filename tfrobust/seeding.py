"""Reproducible runs."""

from __future__ import annotations

import keras
import tensorflow as tf

from tfrobust.compat.random_generators import use_saved_generators


def seed_everything(seed: int) -> None:
    """Seeds every generator and enables deterministic operations in this process.

    Call it before anything else: the order of a shuffled `tf.data` also depends on TensorFlow's
    seed.

    Args:
        seed: Integer from 0 to 2³² − 1.
    """
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    use_saved_generators()
