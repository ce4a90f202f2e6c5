"""The worst and the best run of each method, as a table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Optional

from tfrobust.experiments.tables import Column, by_seed
from tfrobust.reports.table import MISSING, Table
from tfrobust.rows import Row


def bands(
    columns: Sequence[Column], measured: Iterable[Row], method: Callable[[str], str]
) -> Table:
    """Worst to best run of each method.

    Args:
        columns: Accuracies, at the strengths in their headings.
        measured: Rows with the training seed in their `provenance`.
        method: Name of a model to that of its method, whose runs differ in their settings.

    Returns:
        The table, one row per method.
    """
    found = by_seed(measured)
    methods: dict[str, list[list[Optional[float]]]] = {}
    for models in found.values():
        for model, numbers in models.items():
            values = [column.value(numbers, models) for column in columns]
            methods.setdefault(method(model), []).append(values)
    note = (
        "Accuracy in % at the strength in the heading, lowest to highest over the runs; "
        f"training seeds: {', '.join(map(str, sorted(found)))}."
    )
    return Table(
        "Method",
        tuple(column.label for column in columns),
        tuple(f"{name} ({len(runs)} runs)" for name, runs in methods.items()),
        tuple((None,) * len(columns) for _ in methods),
        tuple(tuple(_span(values) for values in zip(*runs)) for runs in methods.values()),
        notes=(note,),
    )


def _span(values: Sequence[Optional[float]]) -> str:
    """Lowest and highest of the values that are known."""
    known = [value for value in values if value is not None]
    if len(known) < 2:
        return f"{known[0]:.1f}" if known else MISSING
    low, high = min(known), max(known)
    return f"{low:.1f} to {high:.1f} (width {high - low:.1f})"
