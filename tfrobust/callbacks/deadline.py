"""Ends a training after some time."""

from __future__ import annotations

import math
import time
from typing import Any, Optional

import keras


class Deadline(keras.callbacks.Callback):
    """Stops the training at the end of the step in which the time is up.

    Afterwards `first` is the time that it took to the end of the first step, in which the step is
    traced, and `step` the mean time of each other step, with all that is done between steps; both
    are in seconds, and `step` is NaN after a single one.

    Args:
        seconds: Time from the start of the training, above 0; infinity for no limit.

    Raises:
        ValueError: `seconds` is not above 0.
    """

    def __init__(self, seconds: float):
        super().__init__()
        if not seconds > 0:
            raise ValueError(f"seconds must be above 0; received {seconds!r}")
        self.seconds = seconds
        self.first = self.step = math.nan
        self._began, self._steps = 0.0, 0

    def on_train_begin(self, logs: Optional[dict[str, Any]] = None) -> None:
        self._began, self._steps = time.monotonic(), 0

    def on_train_batch_end(self, batch: int, logs: Optional[dict[str, Any]] = None) -> None:
        passed = time.monotonic() - self._began
        self._steps += 1
        if self._steps == 1:
            self.first = passed
        else:
            self.step = (passed - self.first) / (self._steps - 1)
        if passed > self.seconds:
            self.model.stop_training = True
