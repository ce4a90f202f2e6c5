"""What Keras' `fit` needs help with on several devices."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tfrobust.compat.stack import KERAS_2


class DistributedModel(keras.Model):
    """A model whose `fit` and `evaluate` are those of one device, whatever the strategy.

    Keras 2 adds up over workers what `test_step` returns, though each worker has the whole.

    Keras 3 looks at a first batch to make the variables of the metrics. Under a strategy that
    takes the order of one epoch, so that another one is trained on first, and among several
    workers it fails, as does averaging the numbers of a step, which it takes for vectors. So it is
    told what a batch looks like, and given vectors. (Seen in Keras 3.15; the names of its methods
    are not public, and without them it is as it would be.)
    """

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        if KERAS_2:
            self.distribute_reduction_method = "first"

    def reported(self, logs: dict[str, Any]) -> dict[str, Any]:
        """What a step returns, so that Keras takes it for what it is.

        Args:
            logs: Name to number.

        Returns:
            The same, as vectors where Keras 3 averages over workers.
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
            self._symbolic_build(data_batch=tf.nest.map_structure(_like, spec))


def _like(spec: tf.TensorSpec) -> tf.Tensor:
    """Zeros that look like a batch of one."""
    return tf.zeros([size or 1 for size in spec.shape], spec.dtype)
