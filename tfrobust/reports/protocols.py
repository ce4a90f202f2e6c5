"""Checks that results shown side by side have the same protocol."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from tfrobust.rows import CLEAN, Row

NOT_GIVEN = "not given"


def corruption_key(row: Row) -> tuple[str, float | None]:
    """Key by which rows are compared; the severity of clean images is ignored."""
    return (row.corruption, None if row.corruption == CLEAN else row.severity)


def check_alike(rows: Iterable[Row], *, mixed_protocols: bool = False) -> tuple[str, ...]:
    """Raises an error if models were measured under different protocols.

    For each data set, corruption, severity and metric the models must have the same number of
    images, seed and protocol. An unknown protocol equals only another unknown one. The `provenance`
    may differ.

    Args:
        rows: The rows of one table.
        mixed_protocols: Returns the differences instead of raising an error.

    Returns:
        A sentence for each difference; empty if there is none.

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
                found.setdefault(f"{field} is {_format_values(values)}", []).append(cell)
                if field == "protocol":
                    break  # the other fields of an unknown protocol are unknown as well
    if found and not mixed_protocols:
        difference, (cell, *_) = next(iter(found.items()))
        raise ValueError(
            f"models in one table must be measured alike; for {_cell_name(cell)}, {difference} "
            "(mixed_protocols=True shows them all the same, with a note)"
        )
    return tuple(
        f"Not measured alike: {difference} ({_cell_name(cell)}{_count_others(others)})."
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
    """A protocol value as text, identical for equal values."""
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)


def _format_values(values: dict[str, str]) -> str:
    models: dict[str, list[str]] = {}
    for model, value in values.items():
        models.setdefault(value, []).append(model)
    return ", ".join(f"{value} for {' and '.join(names)}" for value, names in models.items())


def _cell_name(cell: tuple[str, str, str, float | None]) -> str:
    metric, dataset, corruption, severity = cell
    text = f"{metric} on {dataset}, {corruption}"
    return text if severity is None else f"{text} at severity {severity:g}"


def _count_others(others: list[Any]) -> str:
    return f", and {len(others)} more" if others else ""
