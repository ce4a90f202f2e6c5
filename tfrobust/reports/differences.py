"""The table of differences between models, with confidence intervals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tfrobust.reports.results import shown_name, shown_strength
from tfrobust.reports.table import Table
from tfrobust.rows import CLEAN


def differences_table(records: Iterable[Mapping[str, Any]]) -> Table:
    """Differences in accuracy between two models on the same images, with intervals.

    Args:
        records: Mappings with `model`, `baseline`, `corruption`, `severity`, `difference`, `low`,
            `high`, `level` (fractions) and `n`; as in `differences.json`.

    Returns:
        The table, with differences in points and the level in percent. A difference whose interval
        contains 0 may be chance.

    Raises:
        ValueError: A record lacks a key, or its numbers are not low ≤ difference ≤ high.
    """
    labels, values, texts = [], [], []
    for record in records:
        try:
            names = record["model"], record["baseline"], record["corruption"], record["severity"]
            numbers = [100 * float(record[key]) for key in ("difference", "low", "high", "level")]
            count = int(record["n"])
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"a difference needs numbers and names; {error!r}") from error
        points, low, high, level = numbers
        if not (low <= points <= high and 0 < level < 100):
            raise ValueError(
                "a difference must be low <= difference <= high at a level in (0, 1); received "
                f"{record['low']}, {record['difference']}, {record['high']}, {record['level']}"
            )
        images = _describe_images(names[2], names[3])
        verdict = "better" if low > 0 else "worse" if high < 0 else "can be chance"
        labels.append(f"{names[0]} minus {names[1]}, {images}")
        values.append((*numbers[:3], verdict, level, count))
        signed = (format(number, "+.2f") for number in numbers[:3])
        texts.append((*signed, verdict, f"{level:g}", str(count)))
    columns = ("Points", "From", "To", "Verdict", "Level (%)", "Images")
    return Table("Difference", columns, tuple(labels), tuple(values), tuple(texts))


def _describe_images(corruption: str, severity: float | None) -> str:
    if corruption == "test":
        return "corrupted images"
    if corruption == CLEAN:
        return "clean images"
    return f"{shown_name(corruption)} {shown_strength(corruption, severity)}".strip()
