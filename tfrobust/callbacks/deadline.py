"""Ends a training after some time."""

from __future__ import annotations

import math
import time
from typing import Any, Optional

import keras


class Deadline(keras.callbacks.Callback):
    """Stops the training at the end of the step in which the time is up.

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
        self._end = math.inf

    def on_train_begin(self, logs: Optional[dict[str, Any]] = None) -> None:
        self._end = time.monotonic() + self.seconds

    def on_train_batch_end(self, batch: int, logs: Optional[dict[str, Any]] = None) -> None:
        if time.monotonic() > self._end:
            self.model.stop_training = True
