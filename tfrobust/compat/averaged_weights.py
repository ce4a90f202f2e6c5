"""The weights that are evaluated during `fit`, which may be averages."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterator
from typing import Any, Optional

import keras


class _SwapAverages(keras.callbacks.Callback):
    """What `SwapEMAWeights` of Keras 3 does, for Keras 2: validation sees the averaged weights.

    Where an optimizer keeps them stands in private attributes of it. Without this, a validation
    during `fit` measures weights that are not those that `fit` leaves in the model at its end.
    """

    def __init__(self) -> None:
        super().__init__()
        self._ema_weights_in_model = False

    def on_test_begin(self, logs: Optional[dict[str, Any]] = None) -> None:
        self._swap(not self._ema_weights_in_model)

    def on_test_end(self, logs: Optional[dict[str, Any]] = None) -> None:
        self._swap(self._ema_weights_in_model)

    def _swap(self, needed: bool) -> None:
        if needed:
            optimizer = self.model.optimizer
            optimizer = getattr(optimizer, "inner_optimizer", optimizer)
            averages = optimizer._model_variables_moving_average
            for variable, average in zip(self.model.trainable_variables, averages):
                now = variable.numpy()
                variable.assign(average.numpy())
                average.assign(now)
            self._ema_weights_in_model = not self._ema_weights_in_model


#: Callback that has validations during `fit` see the averages of an optimizer with `use_ema`.
SwapAverages: Any = getattr(keras.callbacks, "SwapEMAWeights", _SwapAverages)


@contextlib.contextmanager
def weights_of_evaluation(callback: keras.callbacks.Callback) -> Iterator[None]:
    """Gives the model the weights that `fit` measures its validation metrics with.

    `SwapEMAWeights` of Keras 3 puts the averaged weights into the model while Keras evaluates it.
    A callback does not know the others, and whether they are in the model stands in a private
    attribute. Without this, what a callback measures at the end of an epoch, and the weights that
    it keeps, are not those of the validation metrics beside it.

    Args:
        callback: The one whose `on_epoch_end` is running.
    """
    swaps = [each for each in _beside(callback) if not each._ema_weights_in_model]
    for swap in swaps:
        swap.on_test_begin()
    try:
        yield
    finally:
        for swap in swaps:
            swap.on_test_end()


def _beside(callback: keras.callbacks.Callback) -> list[Any]:
    """Every `SwapAverages` of the list of callbacks that is calling."""
    frame = inspect.currentframe()
    while frame is not None:
        caller = frame.f_locals.get("self")
        if isinstance(caller, keras.callbacks.CallbackList) and callback in caller.callbacks:
            return [each for each in caller.callbacks if isinstance(each, SwapAverages)]
        frame = frame.f_back
    return []
