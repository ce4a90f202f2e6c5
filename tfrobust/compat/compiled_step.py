"""XLA compilation of the forward and backward pass within a step."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import keras
import tensorflow as tf

from tfrobust.compat.stack import KERAS_2


class CompiledStep(keras.Model):
    """Base class in which `jit_compile=True` compiles only the forward and backward pass.

    Keras would compile whole steps. XLA cannot do that with augmentations and attacks whose sizes
    are known only at run time, nor on several devices, and a compiled step cannot be stopped by a
    check. So Keras sees `jit_compile` as False, and a step compiles its parts with `maybe_jit`.
    """

    _keras_asks = False

    @property
    def jit_compile(self) -> bool:
        """Whether XLA compiles the passes through the net; False for Keras' own functions."""
        # Keras 3 asks when it makes its functions, Keras 2 inside them, even in eager mode.
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
        """Compiles a function with XLA if `compile` requested it and the step is a graph.

        Call it, and use the result, inside the step: every trace, and thus every replica, then has
        its own compiled function.

        Args:
            function: Takes and returns nested structures of tensors. It may change variables, but
                not by operations across replicas, such as counters of draws or synchronised batch
                statistics.
        """
        if not self._jit_compile or tf.executing_eagerly():
            return function
        # Keras 2 converts Python's `if` and `while` in the layers that it calls, Keras 3 does not.
        return tf.function(function, jit_compile=True, autograph=KERAS_2)

    def _resolve_auto_jit_compile(self) -> bool:
        # Keras 3 calls this if `compile` does not specify `jit_compile`; Keras 2 defaults to False.
        # XLA makes these steps slower on a CPU and must be requested with `jit_compile=True`.
        return False

    @contextlib.contextmanager
    def _asked_by_keras(self) -> Iterator[None]:
        self._keras_asks = True
        try:
            yield
        finally:
            self._keras_asks = False
