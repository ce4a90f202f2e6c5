"""Robust accuracy with a floor on clean accuracy, as a single score."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Optional, Union

import keras

from tfrobust import validation

#: Its name in the logs and the history.
SCORE = "score"
CLEAN, ROBUST = "val_accuracy", "val_robust_accuracy"
#: Accuracies are float32, so that rounding may put them just below a floor.
_TOLERANCE = 1e-6


class FlooredScore(keras.callbacks.Callback):
    """Logs `score`: robust accuracy, or a negative value below a floor of clean accuracy.

        score = robust accuracy              where clean accuracy ≥ floor
        score = clean accuracy − floor − 1   otherwise

    Models below the floor thus rank below all others, and higher the nearer they are to it, which
    guides the tuner. Must come after `RobustnessMonitor` in the list of callbacks.

    Args:
        clean_floor: Accuracy in [0, 1], or a function that returns it once training has begun;
            None for no floor.

    Raises:
        ValueError: The floor is not in [0, 1]; or, at the end of an epoch, the logs lack an
            accuracy.

    Example:

    >>> logs = {"val_accuracy": 0.5, "val_robust_accuracy": 0.25}
    >>> FlooredScore(0.75).on_epoch_end(0, logs)
    >>> logs["score"]
    -1.25
    """

    def __init__(self, clean_floor: Union[float, Callable[[], float], None] = None):
        super().__init__()
        if clean_floor is not None and not callable(clean_floor):
            clean_floor = validation.check_in_range("clean_floor", clean_floor, 0, 1)
        self.clean_floor = clean_floor

    def on_epoch_end(self, epoch: int, logs: Optional[dict[str, Any]] = None) -> None:
        if logs is None:
            return
        missing = [name for name in (CLEAN, ROBUST) if name not in logs]
        if missing:
            raise ValueError(
                f"the score needs {missing[0]!r} in the logs of each epoch (compile with "
                "metrics=['accuracy'], fit with validation data, put RobustnessMonitor before); "
                f"they have: {', '.join(logs) or 'none'}"
            )
        clean, robust = float(logs[CLEAN]), float(logs[ROBUST])
        floor = self.clean_floor() if callable(self.clean_floor) else self.clean_floor
        logs[SCORE] = floored_score(clean, robust, floor)


def floored_score(clean: float, robust: float, clean_floor: Optional[float]) -> float:
    """The robust accuracy, or a negative value below the floor; see `FlooredScore`."""
    if clean_floor is None or keeps_floor(clean, clean_floor):
        return robust
    return clean - clean_floor - 1


def keeps_floor(clean_accuracy: float, clean_floor: Optional[float]) -> bool:
    """Whether an accuracy is at or above the floor; NaN is not."""
    return clean_floor is None or clean_accuracy >= clean_floor - _TOLERANCE
