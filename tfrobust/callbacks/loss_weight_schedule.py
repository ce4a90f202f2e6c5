"""Linear warm-up of the weight of a loss term."""

from __future__ import annotations

from typing import Any, Optional

import keras
import tensorflow as tf

from tfrobust import validation

UNITS = ("epoch", "step")


class LossWeightSchedule(keras.callbacks.Callback):
    """Linear warm-up of a term weight, from 0 to its value (FCL, section 3).

        w(n) = value · min(1, max(0, (n + ½ − start) / ramp))

    n is the number of completed epochs or steps; the ½ evaluates the ramp in the middle of the next
    one. FCL's "after 2 epochs, with a warm-up of 2" is thus 0, 0, ¼, ¾, 1, 1, ... times the value.
    With a ramp of 0 the weight jumps to the value at `start`. The last weight remains after
    training.

    The weight depends only on n, so that a resumed run continues the schedule: epochs are those of
    Keras (`initial_epoch`), and steps are those of the optimizer (`iterations`, which are saved
    with a model). The training step is not retraced.

    Args:
        term: Name of the term, one of the model's `term_weights`.
        value: Final weight, 0 or more. None: the weight that the method was created with.
        start: Number of epochs or steps without the term.
        ramp: Number of epochs or steps over which the weight increases.
        unit: "epoch" or "step".

    Raises:
        ValueError: An argument is out of range, or, at the start of training, the model has no
            such term.

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
        """Returns the weight for the epoch or step after `done` completed ones."""
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
        else:  # read only once per epoch, because reading waits for the previous step
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
