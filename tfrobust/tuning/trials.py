"""What is known of each trial of a search."""

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
    """One training with one setting of the hyper-parameters.

    Args:
        number: Of the trial, from 1, in the order in which they were begun.
        values: Hyper-parameter to value.
        status: "completed", or "failed" where the loss was not finite or the memory too small.
        epochs: Epochs trained.
        epoch: The best of them, counted from 1, that the accuracies are of; None where it failed.
        clean_accuracy: On the validation images.
        robust_accuracy: Mean over the conditions, on the validation images.
        score: What trials are ranked by.
        keeps_floor: Whether the clean accuracy is at the floor or above.
        message: Why it failed; "" where it did not.
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
    """The trials, the best first, those that failed last; equal ones in the order of their numbers.

    Args:
        trials: In any order.
        direction: "max" or "min": whether a larger or a smaller score is better.

    Returns:
        All of them.

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
    """Writes one JSON object a line, whole or not at all.

    Args:
        trials: The trials.
        path: The file.
    """
    lines = [json.dumps(dataclasses.asdict(t), allow_nan=False) + "\n" for t in trials]
    with files.replacing(path) as temporary:
        temporary.write_text("".join(lines), encoding="utf-8")


def read(path: files.PathLike) -> list[Trial]:
    """Reads what `write` wrote.

    Args:
        path: The file.

    Returns:
        The trials.

    Raises:
        ValueError: The file holds something else; the message names it and the line.
    """
    found = []
    with open(path, encoding="utf-8") as lines:
        for i, line in enumerate(lines):
            try:
                found.append(Trial(**json.loads(line)))
            except (TypeError, ValueError) as error:
                raise ValueError(f"{path}, line {i + 1}, is no trial: {error}") from error
    return found
