"""Seeds of layers whose random numbers survive saving and restoring."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tfrobust import validation
from tfrobust.ops import sampling


class Seeded(keras.layers.Layer):
    """A layer that provides a new seed for each draw.

    The number of draws is a weight, so a restored run continues with the draws that it would have
    made. Under a distribution strategy every replica has its own seeds; the simultaneous draws of
    all replicas count once.

    Args:
        seed: Integer from 0 to 2³¹ − 1. Default 0.
        **kwargs: Keras layer arguments such as `name`.

    Raises:
        ValueError: `seed` is out of range.

    Example:

    >>> seeds = Seeded(seed=1)
    >>> bool(tf.reduce_all(seeds.next_seed() == seeds.next_seed()))
    False
    """

    def __init__(self, *, seed: int = 0, **kwargs: Any):
        # Images stay float32 in mixed precision: bfloat16 would round away noise of 0.02.
        kwargs.setdefault("dtype", "float32")
        super().__init__(**kwargs)
        self.seed = validation.check_whole("seed", seed, 0, 2**31 - 1)
        self._draws = counter(self, "draws")
        self.built = True

    def next_seed(self) -> tf.Tensor:
        """Returns the seed of the next draw, int32[2], and counts the draw."""
        count = tf.identity(tf.convert_to_tensor(self._draws))
        self._draws.assign_add(tf.ones([], tf.int64))
        seed = sampling.seed_pair(self.seed, count)
        context = tf.distribute.get_replica_context()
        if context is not None and context.num_replicas_in_sync > 1:
            seed = sampling.fold_in(seed, context.replica_id_in_sync_group)
        return seed

    def count_from(self, draws: int) -> None:
        """Sets the number of draws, to continue as after that many."""
        self._draws.assign(draws)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "seed": self.seed}


def counter(layer: keras.layers.Layer, name: str) -> Any:
    """A whole number that is saved with the layer; each replica changes its copy, all alike."""
    return layer.add_weight(
        name=name, shape=(), dtype="int64", initializer="zeros", trainable=False
    )
