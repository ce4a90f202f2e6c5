"""Restoring of the weights of the best epoch at the end of training."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from typing import Any, Optional

import keras
import numpy as np

from tfrobust import validation
from tfrobust.compat.averaged_weights import weights_of_evaluation

#: Suffixes of names that tell whether higher or lower is better.
_MORE, _LESS = ("accuracy", "acc", "auc"), ("loss", "error")


class RestoreBest(keras.callbacks.Callback):
    """Keeps the weights of the best epoch in memory and restores them at the end of training.

    `EarlyStopping(restore_best_weights=True)` does this in Keras 2 only if it stops the training
    early; otherwise the weights of the last epoch remain. It also only warns about a name that is
    not in the logs, takes the first epoch as the best if all are NaN, and in Keras 3 needs a `mode`
    for values that are not metrics of the model.

    With Keras' `SwapEMAWeights`, the averaged weights are kept, of which Keras reports the metrics.
    For a tfrobust method, the weights of its net are kept. The optimizer and the counters of the
    method remain those of the last epoch, so that training can be continued. The first of equal
    epochs is the best; an epoch with NaN never is.

    Keras does not call callbacks when training ends with an exception, such as KeyboardInterrupt:
    call `restore()` in that case.

    Args:
        monitor: Name of the value in the logs. Place the callback that adds it
            (`RobustnessMonitor`) before this one.
        mode: "max", "min", or "auto" (the default): "max" for names that end in accuracy, acc or
            auc, and "min" for loss or error.
        start: Returns the value of the model before the first epoch, which then counts as epoch 0:
            its weights are restored where no epoch is better. Called when training begins, after
            the callbacks that come before. Default None: they are no candidate.

    Attributes:
        best_epoch: The best epoch, counted from 1; 0 for the model before the first; None at first.
        best_value: The value of the best epoch; None at first.

    Raises:
        ValueError: The mode is unknown, or cannot be derived from the name, or the logs of an
            epoch with a validation do not contain the name.

    Example:

    >>> best = RestoreBest("val_loss")
    >>> best.mode
    'min'
    """

    def __init__(
        self,
        monitor: str = "val_robust_accuracy",
        mode: str = "auto",
        *,
        start: Optional[Callable[[], float]] = None,
    ):
        super().__init__()
        self.monitor, self.start = monitor, start
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
        self._goes_on, self._waits, self._seen = False, False, 0

    def __deepcopy__(self, memo: Any) -> RestoreBest:
        # KerasTuner copies callbacks for each trial; the kept weights belong to another training.
        return RestoreBest(self.monitor, self.mode, start=self.start)

    def get_state(self) -> dict[str, Any]:
        """Returns the state that a `Checkpoint` saves: the best epoch and its weights."""
        weights = {f"weight_{i}": np.asarray(weight) for i, weight in enumerate(self._weights)}
        return {"best_epoch": self.best_epoch, "best_value": self.best_value, **weights}

    def set_state(self, state: dict[str, Any]) -> None:
        """Restores the state for the next training.

        Args:
            state: What `get_state` returned.
        """
        self.best_epoch, self.best_value = state["best_epoch"], state["best_value"]
        self._weights = [state[f"weight_{i}"] for i in range(len(state) - 2)]
        self._goes_on = True

    def on_train_begin(self, logs: Optional[dict[str, Any]] = None) -> None:
        if not self._goes_on:
            self.best_epoch, self.best_value, self._weights = None, None, []
            if self.start is not None:
                self._consider(0, float(self.start()))
        self._goes_on, self._waits, self._seen = False, False, 0

    def on_epoch_begin(self, epoch: int, logs: Optional[dict[str, Any]] = None) -> None:
        recorded = getattr(getattr(self.model, "history", None), "history", {})
        if self._waits and not self._seen and self.monitor in recorded:
            raise ValueError(
                f"RestoreBest must come after the callback that adds {self.monitor!r} to the logs"
            )

    def on_epoch_end(self, epoch: int, logs: Optional[dict[str, Any]] = None) -> None:
        logs = logs or {}
        if self.monitor in logs:
            self._consider(epoch + 1, float(logs[self.monitor]))
        elif self.monitor.startswith("val_") and not any(n.startswith("val_") for n in logs):
            if not self._waits:  # validation_freq is not told to callbacks
                warnings.warn(
                    f"nothing was validated after epoch {epoch + 1}: RestoreBest waits for an "
                    f"epoch with {self.monitor!r}",
                    RuntimeWarning,
                    stacklevel=2,
                )
            self._waits = True
        else:
            raise self._not_found(logs)

    def _not_found(self, logs: Iterable[str]) -> ValueError:
        hint = " (put RobustnessMonitor before it)"
        return ValueError(
            f"RestoreBest needs {self.monitor!r} in the logs of an epoch; they have: "
            f"{', '.join(logs) or 'none'}{hint if self.monitor == 'val_robust_accuracy' else ''}"
        )

    def _consider(self, epoch: int, value: float) -> None:
        best = self.best_value
        self._seen += epoch > 0
        if value != value:
            return
        if best is None or (value > best if self.mode == "max" else value < best):
            self.best_epoch, self.best_value = epoch, value
            if epoch == 0:
                self._weights = self._net().get_weights()
                return
            with weights_of_evaluation(self):
                self._weights = self._net().get_weights()

    def on_train_end(self, logs: Optional[dict[str, Any]] = None) -> None:
        if self._waits and self.best_epoch in (None, 0) and self._seen == 0:
            raise self._not_found(logs or {})
        if self.best_epoch is None:
            warnings.warn(
                f"RestoreBest leaves the weights as they are: {self.monitor} was NaN in each epoch",
                RuntimeWarning,
                stacklevel=2,
            )
            return
        self.restore()

    def restore(self) -> None:
        """Restores the best weights so far, for a training that ended with an exception.

        Raises:
            ValueError: No epoch has ended yet.
        """
        if self.best_epoch is None:
            raise ValueError("RestoreBest has no best epoch to restore; no epoch has ended yet")
        self._net().set_weights(self._weights)

    def _net(self) -> Any:
        return getattr(self.model, "net", self.model)
