"""Records of the trials of a search."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterable, Mapping
from typing import Any, Optional

from tfrobust import files

COMPLETED, FAILED = "completed", "failed"


@dataclasses.dataclass(frozen=True)
class Trial:
    """The record of one trial.

    Args:
        number: Number of the trial, from 1, in the order in which they started.
        values: Hyper-parameter to value.
        status: "completed", or "failed" if the loss was not finite or memory ran out.
        epochs: Number of epochs trained.
        epoch: Best epoch, counted from 1, which the accuracies are from; None if the trial failed.
        clean_accuracy: Clean accuracy on the validation images.
        robust_accuracy: Mean accuracy over the conditions, on the validation images.
        score: Score that ranks the trials.
        keeps_floor: Whether the clean accuracy is at or above the floor.
        message: Reason for a failure, else "".
    """

    number: int
    values: Mapping[str, Any]
    status: str
    epochs: int
    epoch: Optional[int] = None
    clean_accuracy: Optional[float] = None
    robust_accuracy: Optional[float] = None
    score: Optional[float] = None
    keeps_floor: Optional[bool] = None
    message: str = ""


def ranked(trials: Iterable[Trial], *, direction: str = "max") -> list[Trial]:
    """Sorts trials from best to worst, failed ones last, ties by number.

    Args:
        trials: In any order.
        direction: "max" or "min": whether a larger or a smaller score is better.

    Returns:
        The sorted trials.

    Example:

    >>> low, high = (Trial(i, {}, "completed", 1, score=s) for i, s in enumerate((0.2, 0.5)))
    >>> [trial.number for trial in ranked([low, high])]
    [1, 0]
    """
    sign = -1 if direction == "max" else 1

    def key(trial: Trial) -> tuple[float, int]:
        return (math.inf if trial.score is None else sign * trial.score), trial.number

    return sorted(trials, key=key)


def write(trials: Iterable[Trial], path: files.PathLike) -> None:
    """Writes trials as JSON lines, atomically.

    Args:
        trials: The trials.
        path: Output file.
    """
    lines = [json.dumps(dataclasses.asdict(t), allow_nan=False) + "\n" for t in trials]
    with files.replacing(path) as temporary:
        temporary.write_text("".join(lines), encoding="utf-8")


def read(path: files.PathLike) -> list[Trial]:
    """Reads trials written by `write`.

    Args:
        path: The file.

    Returns:
        The trials.

    Raises:
        ValueError: A line is not a trial; the message names the file and the line.
    """
    trials = []
    with open(path, encoding="utf-8") as lines:
        for i, line in enumerate(lines):
            try:
                trials.append(Trial(**json.loads(line)))
            except (TypeError, ValueError) as error:
                raise ValueError(f"{path}, line {i + 1}, is no trial: {error}") from error
    return trials
