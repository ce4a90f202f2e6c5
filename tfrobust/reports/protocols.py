"""Whether the numbers that stand beside each other were measured alike."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from tfrobust.rows import CLEAN, Row

NOT_GIVEN = "not given"


def corruption_key(row: Row) -> tuple[str, float | None]:
    """What makes rows comparable; clean is clean, whatever its severity is said to be."""
    return (row.corruption, None if row.corruption == CLEAN else row.severity)


def check_alike(rows: Iterable[Row], *, mixed_protocols: bool = False) -> tuple[str, ...]:
    """Refuses models beside each other that were not measured alike.

    For each data set, corruption, severity and metric the models must have the same number of
    images, the same seed and the same protocol. An unknown protocol equals only another unknown
    one. What a number was made with (`provenance`) may differ.

    Args:
        rows: The rows of one table.
        mixed_protocols: Returns what differs in place of refusing it.

    Returns:
        A sentence for each way in which the models differ; none where they do not.

    Raises:
        ValueError: The models differ, and `mixed_protocols` is false.

    Example:

    >>> rows = [Row("a", "cifar10/test", "clean", 0.0, "accuracy", 0.9, n=10000, seed=0),
    ...         Row("b", "cifar10/test", "clean", 0.0, "accuracy", 0.8, n=2000, seed=0)]
    >>> check_alike(rows, mixed_protocols=True)
    ('Not measured alike: n is 10000 for a, 2000 for b (accuracy on cifar10/test, clean).',)
    """
    cells: dict[Any, dict[str, dict[str, str]]] = {}
    for row in rows:
        cell = (row.metric, row.dataset, *corruption_key(row))
        cells.setdefault(cell, {}).setdefault(row.model, _fields(row))
    found: dict[str, list[Any]] = {}
    for cell, models in cells.items():
        for field in dict.fromkeys(name for fields in models.values() for name in fields):
            values = {model: fields.get(field, NOT_GIVEN) for model, fields in models.items()}
            if len(set(values.values())) > 1:
                found.setdefault(f"{field} is {_spoken(values)}", []).append(cell)
                if field == "protocol":
                    break  # of an unknown protocol every other field is unknown as well
    if found and not mixed_protocols:
        difference, (cell, *_) = next(iter(found.items()))
        raise ValueError(
            f"models in one table must be measured alike; for {_named(cell)}, {difference} "
            "(mixed_protocols=True shows them all the same, with a note)"
        )
    return tuple(
        f"Not measured alike: {difference} ({_named(cell)}{_more(others)})."
        for difference, (cell, *others) in found.items()
    )


def _fields(row: Row) -> dict[str, str]:
    fields = {"n": str(row.n), "seed": str(row.seed)}
    if row.protocol is None:
        return {**fields, "protocol": "unknown"}
    if not isinstance(row.protocol, Mapping):
        raise ValueError(
            f"protocol of {row.model} must be a mapping or None; received {row.protocol!r}"
        )
    return {**fields, "protocol": "known", **{k: shown(v) for k, v in row.protocol.items()}}


def shown(value: Any) -> str:
    """A value of a protocol as text, the same for equal values."""
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)


def _spoken(values: dict[str, str]) -> str:
    models: dict[str, list[str]] = {}
    for model, value in values.items():
        models.setdefault(value, []).append(model)
    return ", ".join(f"{value} for {' and '.join(names)}" for value, names in models.items())


def _named(cell: tuple[str, str, str, float | None]) -> str:
    metric, dataset, corruption, severity = cell
    text = f"{metric} on {dataset}, {corruption}"
    return text if severity is None else f"{text} at severity {severity:g}"


def _more(others: list[Any]) -> str:
    return f", and {len(others)} more" if others else ""
