"""Raises the weight of a term of the loss along a line."""

from __future__ import annotations

from typing import Any, Optional

import keras
import tensorflow as tf

from tfrobust import validation

UNITS = ("epoch", "step")


class LossWeightSchedule(keras.callbacks.Callback):
    """A term of the loss that begins late: 0, then a line up to its weight (FCL, section 3).

        w(n) = value · min(1, max(0, (n + ½ − start) / ramp))

    n counts the epochs, or steps, that are done; the ½ takes the line in the middle of the next. So
    FCL's "after 2 epochs, with a warm-up of 2" is 0, 0, ¼, ¾, 1, 1, ... of the value. With a ramp
    of 0 the value is there from `start` on. It stays after training.

    The weight follows from n alone, so that a continued run goes on where it was: the epoch is
    Keras' (`initial_epoch`), steps are those that the optimizer has made (`iterations`, which are
    saved with a model). The step is not traced again.

    Args:
        term: Name of the term, one of the model's `term_weights`.
        value: Weight at the end, 0 or more. None: the one that the method was made with.
        start: Number of epochs or steps without the term.
        ramp: Number of epochs or steps on which the weight rises.
        unit: "epoch" or "step".

    Raises:
        ValueError: An argument is out of range; or, when training begins, the model has no such
            term.

    Example:

    >>> schedule = LossWeightSchedule("fcl", 0.001, start=2, ramp=2)  # FCL on its synthetic MNIST
    >>> [schedule.weight_at(epoch, 1.0) for epoch in range(6)]
    [0.0, 0.0, 0.25, 0.75, 1.0, 1.0]
    """

    def __init__(
        self,
        term: str,
        value: Optional[float] = None,
        *,
        start: int = 0,
        ramp: int = 0,
        unit: str = "epoch",
    ):
        super().__init__()
        self.term = term
        self.value = None if value is None else validation.check_in_range("value", value, 0, 1e6)
        self.start = validation.check_whole("start", start, 0, 2**31 - 1)
        self.ramp = validation.check_whole("ramp", ramp, 0, 2**31 - 1)
        self.unit = validation.check_choice("unit", unit, UNITS)
        self._steps_before = 0
        self._given: Optional[float] = None

    def weight_at(self, done: int, value: float) -> float:
        """The weight in the epoch or step before which `done` were made."""
        if self.ramp == 0:
            return value if done >= self.start else 0.0
        return value * min(1.0, max(0.0, (done + 0.5 - self.start) / self.ramp))

    def on_train_begin(self, logs: Optional[dict[str, Any]] = None) -> None:
        terms = getattr(self.model, "term_weights", {})
        if self.term not in terms:
            raise ValueError(
                f"LossWeightSchedule needs a term of the model; received {self.term!r}, and "
                f"{type(self.model).__name__} has: {', '.join(terms) or 'none'}"
            )
        self._given = None

    def on_epoch_begin(self, epoch: int, logs: Optional[dict[str, Any]] = None) -> None:
        if self.unit == "epoch":
            self._give(epoch)
        else:  # read once an epoch: reading waits for the step before
            self._steps_before = int(tf.convert_to_tensor(self.model.optimizer.iterations))

    def on_train_batch_begin(self, batch: int, logs: Optional[dict[str, Any]] = None) -> None:
        if self.unit == "step":
            self._give(self._steps_before + batch)

    def _give(self, done: int) -> None:
        value = self.model.own_term_weights[self.term] if self.value is None else self.value
        weight = self.weight_at(done, value)
        if weight != self._given:
            self.model.term_weights[self.term].assign(weight)
            self._given = weight
