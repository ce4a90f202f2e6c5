"""The folder of an evaluation: its rows, and the predictions for each image."""

from __future__ import annotations

import json
import pathlib
import re
from collections.abc import Sequence
from typing import Any, Optional

from tfrobust import files, rows
from tfrobust.evaluation.predictions import Predictions
from tfrobust.rows import Row

#: Fields of rows that must agree for an interrupted measurement to be resumed.
_SAME = ("seed", "protocol", "provenance")


class Results:
    """The results of one model on one data set, stored in a folder.

    `rows.jsonl` holds the rows of all models and data sets, and `answers/` the predictions, from
    which curves, intervals and pictures are computed. Both are written atomically after each
    condition, so that an interrupted measurement can be resumed.

    Args:
        folder: The folder, which is created if it does not exist.
        model: Name of the model in the rows.
        dataset: Name of the data in the rows.

    Raises:
        ValueError: `rows.jsonl` is damaged; the message names the line.
        NotADirectoryError, PermissionError: The folder cannot be written.
    """

    def __init__(self, folder: files.PathLike, model: str, dataset: str):
        self.folder = pathlib.Path(folder)
        files.check_writable(self.folder)
        self._path = self.folder / "rows.jsonl"
        self._model, self._dataset = model, dataset
        self._rows = rows.read(self._path) if self._path.exists() else []

    def find(self, expected: Sequence[Row]) -> Optional[list[Row]]:
        """Returns the rows of a condition, or None if they or the predictions are missing.

        Args:
            expected: The rows as they would be measured now, apart from their values.

        Raises:
            ValueError: The existing rows were measured in another way.
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
        """Stores the rows of a condition and the predictions."""
        answers.write(self._answers_path(measured[0].corruption, measured[0].severity))
        places = [_place(row) for row in measured]
        self._rows = [row for row in self._rows if _place(row) not in places] + list(measured)
        rows.write(self._rows, self._path)

    def has(self, condition: tuple[str, Optional[float]]) -> bool:
        """Whether the predictions under a corruption and severity exist."""
        return self._answers_path(*condition).is_file()

    def answers(self, corruption: str, severity: Optional[float]) -> Predictions:
        """Reads the predictions under one condition.

        Raises:
            FileNotFoundError: The condition was not measured.
            ValueError: The file is damaged.
        """
        return Predictions.read(self._answers_path(corruption, severity))

    def _answers_path(self, corruption: str, severity: Optional[float]) -> pathlib.Path:
        strength = "" if severity is None else f" {severity:g}"
        parts = (self._model, self._dataset, f"{corruption}{strength}.npz")
        return self.folder.joinpath("answers", *map(_file_name, parts))


def _file_name(text: str) -> str:
    """Encodes a text as a file name that every file system allows; no two texts share one."""
    safe = re.sub(r"[^\w.+-]", lambda match: f"%{ord(match[0]):02x}", text)
    return f"%{safe}" if safe.startswith(".") else safe


def _place(row: Row) -> tuple[Any, ...]:
    return (row.model, row.dataset, row.corruption, row.severity, row.metric, row.epoch)


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value))  # as if read from the file


def _difference(name: str, before: Any, now: Any) -> str:
    if isinstance(before, dict) and isinstance(now, dict):
        name = next(key for key in {**before, **now} if before.get(key) != now.get(key))
        before, now = before.get(name), now.get(name)
    return f"{name} was {before!r} and is {now!r}"
