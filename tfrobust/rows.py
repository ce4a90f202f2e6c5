"""Result rows: the format from which all tables, plots and reports are derived."""

from __future__ import annotations

import dataclasses
import json
import math
import os
from collections.abc import Iterable, Mapping
from typing import Any, Optional, Union

from tfrobust import files

CLEAN = "clean"


@dataclasses.dataclass(frozen=True)
class Row:
    """One measured value, with everything needed to interpret it.

    Args:
        model: Name of the model in tables.
        dataset: Name of the data set and, after a slash, of the split: `"digits/test"`.
        corruption: Name of the condition; `"clean"` for unchanged images.
        severity: Strength of an augmentation, 1..5 for a benchmark corruption, 0 for clean, None
            if no single number describes it (a combination of augmentations).
        metric: Name of the metric, such as `"accuracy"`.
        value: The value. Accuracies are fractions in [0, 1].
        n: Number of images.
        seed: Seed of the random draws of the condition.
        epoch: Epoch of training after which it was measured; None for a finished model.
        protocol: Further details of the data and the metric: a hash of the data, the table of
            severities, a baseline. Rows that differ here cannot be compared.
        provenance: What is needed to reproduce the value: a hash of the model, the versions of the
            libraries.

    Example:

    >>> row = Row("baseline", "digits/test", "clean", 0.0, "accuracy", 0.75, n=360, seed=0)
    >>> row.value
    0.75
    """

    model: str
    dataset: str
    corruption: str
    severity: Optional[float]
    metric: str
    value: float
    n: int
    seed: int
    epoch: Optional[int] = None
    protocol: Optional[Mapping[str, Any]] = None
    provenance: Optional[Mapping[str, Any]] = None

    def to_json(self) -> str:
        """Returns a JSON object on one line, without `epoch` and so on where they are None."""
        # Not `asdict`, which copies the protocol: an evaluation writes all rows at each condition.
        omitted = {"epoch", "protocol", "provenance"}
        record = {k: v for k, v in vars(self).items() if v is not None or k not in omitted}
        return json.dumps(record, allow_nan=False)


def write(rows: Iterable[Row], path: Union[str, os.PathLike]) -> None:
    """Writes rows as JSON lines, atomically."""
    with files.replacing(path) as temporary:
        text = "".join(row.to_json() + "\n" for row in rows)
        temporary.write_text(text, encoding="utf-8")


def read(path: Union[str, os.PathLike]) -> list[Row]:
    """Reads the rows of a JSON lines file.

    Raises:
        ValueError: A line is not a row; the message names the file and the line.
    """
    rows = []
    with open(path, encoding="utf-8") as stream:
        for number, line in enumerate(stream, start=1):
            if not line.strip():
                continue
            try:
                rows.append(Row(**json.loads(line)))
            except (TypeError, json.JSONDecodeError) as error:
                names = ", ".join(field.name for field in dataclasses.fields(Row))
                raise ValueError(
                    f"{path}, line {number}, is not a result row: expected a JSON object with "
                    f"the keys {names}; got {line.strip()[:80]!r} ({error})"
                ) from error
    return rows


def most_error(images: int) -> float:
    """The largest possible standard error of an accuracy on a number of images, a fraction."""
    return math.sqrt(0.25 / images)


def on_images(images: int) -> str:
    """States on how many validation images a choice was made, and their standard error."""
    error = 100 * most_error(images)
    return f"on {images} validation images, ±{error:.1f} points or less (one standard error)"
