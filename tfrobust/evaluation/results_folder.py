"""The folder of an evaluation: its rows, and the answers to each image."""

from __future__ import annotations

import json
import pathlib
import re
from collections.abc import Sequence
from typing import Any, Optional

from tfrobust import files, rows
from tfrobust.evaluation.predictions import Predictions
from tfrobust.rows import Row

#: What must be the same for an interrupted measurement to go on.
_SAME = ("seed", "protocol", "provenance")


class Results:
    """What has been measured of one model on one data set, kept in a folder.

    `rows.jsonl` holds the rows of all models and data sets; `answers/` the answers, from which
    curves, intervals and pictures are made. Both are written after each condition, whole or not at
    all, so that a measurement that was killed can go on.

    Args:
        folder: The folder; it is made if it is not there.
        model: Name of the model in the rows.
        dataset: Name of the data in the rows.

    Raises:
        ValueError: `rows.jsonl` is damaged; the message names the line.
        NotADirectoryError, PermissionError: Nothing can be written there.
    """

    def __init__(self, folder: files.PathLike, model: str, dataset: str):
        self.folder = pathlib.Path(folder)
        files.check_writable(self.folder)
        self._path = self.folder / "rows.jsonl"
        self._model, self._dataset = model, dataset
        self._rows = rows.read(self._path) if self._path.exists() else []

    def find(self, expected: Sequence[Row]) -> Optional[list[Row]]:
        """The rows of a condition, if they and the answers are there.

        Args:
            expected: The rows as they would be, but for their values.

        Raises:
            ValueError: The rows that are there were measured otherwise.
        """
        found = []
        for row in expected:
            old = next((r for r in self._rows if _place(r) == _place(row)), None)
            if old is None:
                return None
            for name in _SAME:
                before, now = (_plain(getattr(r, name)) for r in (old, row))
                if before != now:
                    raise ValueError(
                        f"{self._path} holds rows of {row.model} on {row.dataset} that were "
                        f"measured otherwise ({_difference(name, before, now)}); give another "
                        "folder, or another name for the model"
                    )
            found.append(old)
        condition = expected[0].corruption, expected[0].severity
        return found if self._answers_path(*condition).is_file() else None

    def add(self, measured: Sequence[Row], answers: Predictions) -> None:
        """Keeps the rows of a condition, and the answers."""
        answers.write(self._answers_path(measured[0].corruption, measured[0].severity))
        places = [_place(row) for row in measured]
        self._rows = [row for row in self._rows if _place(row) not in places] + list(measured)
        rows.write(self._rows, self._path)

    def has(self, condition: tuple[str, Optional[float]]) -> bool:
        """Whether the answers under a corruption and severity are there."""
        return self._answers_path(*condition).is_file()

    def answers(self, corruption: str, severity: Optional[float]) -> Predictions:
        """The answers under one condition.

        Raises:
            FileNotFoundError: It was not measured.
            ValueError: The file is damaged.
        """
        return Predictions.read(self._answers_path(corruption, severity))

    def _answers_path(self, corruption: str, severity: Optional[float]) -> pathlib.Path:
        strength = "" if severity is None else f" {severity:g}"
        parts = (self._model, self._dataset, f"{corruption}{strength}.npz")
        return self.folder.joinpath("answers", *map(_file_name, parts))


def _file_name(text: str) -> str:
    """A name that is good on every file system, and another one for every other text."""
    safe = re.sub(r"[^\w.+-]", lambda match: f"%{ord(match[0]):02x}", text)
    return f"%{safe}" if safe.startswith(".") else safe


def _place(row: Row) -> tuple[Any, ...]:
    return (row.model, row.dataset, row.corruption, row.severity, row.metric, row.epoch)


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value))  # as it comes back from the file


def _difference(name: str, before: Any, now: Any) -> str:
    if isinstance(before, dict) and isinstance(now, dict):
        name = next(key for key in {**before, **now} if before.get(key) != now.get(key))
        before, now = before.get(name), now.get(name)
    return f"{name} was {before!r} and is {now!r}"
