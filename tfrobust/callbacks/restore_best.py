"""Gives a model the weights of its best epoch when training ends."""

from __future__ import annotations

import warnings
from typing import Any, Optional

import keras
import numpy as np

from tfrobust import validation

#: Endings of names that say whether more or less of it is better.
_MORE, _LESS = ("accuracy", "acc", "auc"), ("loss", "error")


class RestoreBest(keras.callbacks.Callback):
    """Keeps the weights of the best epoch in memory, and puts them back when training ends.

    `EarlyStopping(restore_best_weights=True)` does this only where it stops the training: in
    Keras 2 a training that goes on to its last epoch keeps the weights of that. It also lets a
    name that is not in the logs pass with a warning, takes the first epoch for the best where all
    are NaN, and in Keras 3 wants a `mode` for what is not a metric of the model.

    Of a tfrobust method the weights of its net are kept. The optimizer and the method's own
    counters stay at the last epoch, so that training can go on. Of equal epochs the first is the
    best; NaN never is.

    Keras does not tell callbacks that training ends by an exception, such as KeyboardInterrupt:
    call `restore()` then.

    Args:
        monitor: Which number of the logs. Put what adds it (`RobustnessMonitor`) before this.
        mode: "max", "min", or "auto" (the default): "max" for names that end in accuracy, acc or
            auc, "min" in loss or error.

    Attributes:
        best_epoch: The best epoch, counted from 1; None before there is one.
        best_value: What it had; None before there is one.

    Raises:
        ValueError: The mode is unknown, or cannot be told by the name; or, at the end of an epoch,
            the logs have no such name.

    Example:

    >>> best = RestoreBest("val_loss")
    >>> best.mode
    'min'
    """

    def __init__(self, monitor: str = "val_robust_accuracy", mode: str = "auto"):
        super().__init__()
        self.monitor = monitor
        self.mode = validation.check_choice("mode", mode, ("auto", "max", "min"))
        if mode == "auto":
            if not monitor.endswith(_MORE + _LESS):
                raise ValueError(
                    f"mode must be max or min for {monitor!r}, whose name does not say it; "
                    "received 'auto'"
                )
            self.mode = "max" if monitor.endswith(_MORE) else "min"
        self.best_epoch: Optional[int] = None
        self.best_value: Optional[float] = None
        self._weights: list[Any] = []
        self._goes_on = False

    def __deepcopy__(self, memo: Any) -> RestoreBest:
        # KerasTuner copies callbacks for each trial; what was kept belongs to another training.
        return RestoreBest(self.monitor, self.mode)

    def get_state(self) -> dict[str, Any]:
        """What a `Checkpoint` saves of it: the best epoch and its weights."""
        weights = {f"weight_{i}": np.asarray(weight) for i, weight in enumerate(self._weights)}
        return {"best_epoch": self.best_epoch, "best_value": self.best_value, **weights}

    def set_state(self, state: dict[str, Any]) -> None:
        """Goes on from what `get_state` returned, in the training that begins next.

        Args:
            state: That.
        """
        self.best_epoch, self.best_value = state["best_epoch"], state["best_value"]
        self._weights = [state[f"weight_{i}"] for i in range(len(state) - 2)]
        self._goes_on = True

    def on_train_begin(self, logs: Optional[dict[str, Any]] = None) -> None:
        if not self._goes_on:
            self.best_epoch, self.best_value, self._weights = None, None, []
        self._goes_on = False

    def on_epoch_end(self, epoch: int, logs: Optional[dict[str, Any]] = None) -> None:
        logs = logs or {}
        if self.monitor not in logs:
            hint = " (put RobustnessMonitor before it)"
            raise ValueError(
                f"RestoreBest needs {self.monitor!r} in the logs of each epoch; they have: "
                f"{', '.join(logs) or 'none'}"
                f"{hint if self.monitor == 'val_robust_accuracy' else ''}"
            )
        value = float(logs[self.monitor])
        best = self.best_value
        if value != value:
            return
        if best is None or (value > best if self.mode == "max" else value < best):
            self.best_epoch, self.best_value = epoch + 1, value
            self._weights = self._net().get_weights()

    def on_train_end(self, logs: Optional[dict[str, Any]] = None) -> None:
        if self.best_epoch is None:
            warnings.warn(
                f"RestoreBest leaves the weights as they are: {self.monitor} was NaN in each epoch",
                RuntimeWarning,
                stacklevel=2,
            )
            return
        self.restore()

    def restore(self) -> None:
        """Gives the model the best weights so far; for a training that ended by an exception.

        Raises:
            ValueError: There is no best epoch yet.
        """
        if self.best_epoch is None:
            raise ValueError("RestoreBest has no best epoch to restore; no epoch has ended yet")
        self._net().set_weights(self._weights)

    def _net(self) -> Any:
        return getattr(self.model, "net", self.model)
