"""Steps whose passes through the net XLA compiles, and nothing else."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import keras
import tensorflow as tf

from tfrobust.compat.stack import KERAS_2


class CompiledStep(keras.Model):
    """What `compile(jit_compile=True)` means: the net, forth and back, is compiled by XLA.

    Keras would compile whole steps, which XLA cannot do with augmentations and attacks whose sizes
    are known only when they run, nor on several devices, and there nothing can stop a step. So
    Keras is told that nothing is to be compiled; `maybe_jit` compiles what a step hands to it.
    """

    _keras_asks = False

    @property
    def jit_compile(self) -> bool:
        """Whether XLA compiles the passes through the net; to Keras' own functions always false."""
        # Keras 3 asks where it makes its functions, Keras 2 inside them, also when they are eager.
        asked_by_keras = self._keras_asks or tf.inside_function() or self.run_eagerly
        return bool(self._jit_compile) and not asked_by_keras

    @jit_compile.setter
    def jit_compile(self, value: Any) -> None:
        keras.Model.jit_compile.fset(self, value)

    def make_train_function(self, force: bool = False) -> Any:
        with self._asked_by_keras():
            return super().make_train_function(force)

    def make_test_function(self, force: bool = False) -> Any:
        with self._asked_by_keras():
            return super().make_test_function(force)

    def make_predict_function(self, force: bool = False) -> Any:
        with self._asked_by_keras():
            return super().make_predict_function(force)

    def predict_step(self, data: Any) -> tf.Tensor:
        return self.maybe_jit(super().predict_step)(data)

    def maybe_jit(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, compiled by XLA if `compile` asked for it and the step is a graph.

        To be called, and the result used, inside the step: every trace, and so every replica, then
        has a compiled function with variables of its own.

        Args:
            function: Takes and returns nested structures of tensors. Variables may be changed, but
                not by what replicas do together: counters of draws, synchronised batch statistics.
        """
        if not self._jit_compile or tf.executing_eagerly():
            return function
        # Keras 2 converts Python's `if` and `while` in the layers that it calls, Keras 3 does not.
        return tf.function(function, jit_compile=True, autograph=KERAS_2)

    def _resolve_auto_jit_compile(self) -> bool:
        # What Keras 3 does where `compile` does not say; Keras 2 does the same. XLA makes these
        # steps slower on a CPU; whoever wants it can ask for it with `jit_compile=True`.
        return False

    @contextlib.contextmanager
    def _asked_by_keras(self) -> Iterator[None]:
        self._keras_asks = True
        try:
            yield
        finally:
            self._keras_asks = False
