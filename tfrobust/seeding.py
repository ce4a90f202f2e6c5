"""Reproducible runs."""

from __future__ import annotations

import keras
import tensorflow as tf


def seed_everything(seed: int) -> None:
    """Seeds every generator and enables deterministic operations in this process.

    Call it before anything else: the order of a shuffled `tf.data` also depends on TensorFlow's
    seed.

    Args:
        seed: Integer from 0 to 2³² − 1.
    """
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    if keras.__version__.startswith("2."):
        # Layers created from now on use generators whose state can be checkpointed.
        keras.backend.experimental.enable_tf_random_generator()
