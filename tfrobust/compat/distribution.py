"""Workarounds for Keras' `fit` on several devices."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tfrobust.compat.stack import KERAS_2


class DistributedModel(keras.Model):
    """A model whose `fit` and `evaluate` work under any strategy as on one device.

    Keras 2 sums the results of `test_step` over workers, although each worker has the total.

    Keras 3 reads a first batch to create the variables of the metrics. Under a strategy this uses
    up the shuffled order of one epoch, so that training starts with another; with several workers
    it fails, as does averaging a step's results, which Keras expects to be vectors. So the model is
    built from the data's specification, and results are returned as vectors. (As of Keras 3.15. The
    overridden methods are not public; if they disappear, Keras' own behaviour remains.)
    """

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        if KERAS_2:
            self.distribute_reduction_method = "first"

    def reported(self, logs: dict[str, Any]) -> dict[str, Any]:
        """Prepares the results of a step for Keras.

        Args:
            logs: Numbers by name.

        Returns:
            The same numbers, as vectors if Keras 3 averages over workers.
        """
        strategy = self.distribute_strategy
        several = getattr(strategy.extended, "_in_multi_worker_mode", lambda: False)
        if KERAS_2 or not several():
            return logs
        return {name: tf.reshape(value, [1]) for name, value in logs.items()}

    def _maybe_symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        if iterator is None or getattr(self, "_distribute_strategy", None) is None:
            super()._maybe_symbolic_build(iterator, data_batch)  # type: ignore[misc]
            return
        spec = iterator.data_adapter.get_tf_dataset().element_spec
        with self.distribute_strategy.scope():
            self._symbolic_build(data_batch=tf.nest.map_structure(_example, spec))


def _example(spec: tf.TensorSpec) -> tf.Tensor:
    """Zeros in the form of a batch of one."""
    return tf.zeros([size or 1 for size in spec.shape], spec.dtype)
