"""The weights that are evaluated during `fit`, which may be averages."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterator
from typing import Any

import keras


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
    """Every `SwapEMAWeights` of the list of callbacks that is calling."""
    kind = getattr(keras.callbacks, "SwapEMAWeights", None)
    frame = inspect.currentframe()
    while kind is not None and frame is not None:
        caller = frame.f_locals.get("self")
        if isinstance(caller, keras.callbacks.CallbackList) and callback in caller.callbacks:
            return [each for each in caller.callbacks if isinstance(each, kind)]
        frame = frame.f_back
    return []
