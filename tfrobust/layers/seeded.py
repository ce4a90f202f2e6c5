"""Seeds of layers whose random numbers survive saving and restoring."""

from __future__ import annotations

from typing import Any, Optional

import keras
import numpy as np
import tensorflow as tf

from tfrobust import validation
from tfrobust.compat.variables import ADVANCE, read_and_advance
from tfrobust.ops import sampling


class Seeded(keras.layers.Layer):
    """A layer that provides a new seed for each draw.

    The number of draws is a weight, so a restored run continues with the draws that it would have
    made. Draws made at the same time, as by the threads of `tf.data`, have different numbers, but
    which of them has which is left to chance; a draw of a given number is always the same. Under a
    distribution strategy every replica has its own seeds; the simultaneous draws of all replicas
    count once.

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
        # The state of a generator of TensorFlow: the only number in TensorFlow that is read and
        # raised in one step on all devices and under XLA.
        self._draws = counter(self, "draws", shape=(3,))
        self.built = True

    def next_seed(self) -> tf.Tensor:
        """Returns the seed of the next draw, int32[2], and counts the draw."""
        return self._numbered(read_and_advance(self._draws))

    def seed_of(self, draw: Optional[Any] = None) -> tf.Tensor:
        """Returns the seed of a draw.

        Args:
            draw: A whole number n, for the draw after n others; or a seed, int32[2], or int32[B, 2]
                with one for each image, which is returned. None for the next draw, which is
                counted; the others are not.

        Returns:
            int32[2] or [B, 2].

        Raises:
            ValueError: It is none of these.
        """
        if draw is None:
            return self.next_seed()
        draw = tf.convert_to_tensor(draw)
        shape = draw.shape
        if not draw.dtype.is_integer or not (shape.rank in (0, 1, 2) and shape[-1:] in ([], [2])):
            raise ValueError(
                "a seed must be a whole number, int32[2], or int32[batch, 2] with one for each "
                f"image; received {draw.dtype.name} of shape {shape}"
            )
        return self._numbered(draw) if shape.rank == 0 else tf.cast(draw, tf.int32)

    def _numbered(self, count: tf.Tensor) -> tf.Tensor:
        seed = sampling.seed_pair(self.seed, count)
        context = tf.distribute.get_replica_context()
        if context is not None and context.num_replicas_in_sync > 1:
            seed = sampling.fold_in(seed, context.replica_id_in_sync_group)
        return seed

    def count_from(self, draws: int) -> None:
        """Sets the number of draws, to continue as after that many."""
        self._draws.assign(np.array([draws * ADVANCE, 0, 0]))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "seed": self.seed}


def counter(layer: keras.layers.Layer, name: str, shape: tuple[int, ...] = ()) -> Any:
    """Whole numbers that are saved with the layer; each replica changes its copy, all alike."""
    return layer.add_weight(
        name=name, shape=shape, dtype="int64", initializer="zeros", trainable=False
    )
