"""The worst and the best run of each method of stability training, as table and figure."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any, Optional

from matplotlib.figure import Figure

from tfrobust import reports
from tfrobust.experiments.distortions import DISTORTIONS, FROM_ZERO
from tfrobust.experiments.tables import Column, by_seed
from tfrobust.reports.table import MISSING, Table
from tfrobust.rows import CLEAN, Row


def bands(columns: Sequence[Column], measured: Iterable[Row]) -> Table:
    """Worst to best run of each method.

    Args:
        columns: Accuracies, at the strengths in their headings.
        measured: Rows with the training seed in their `provenance`.

    Returns:
        The table, one row per method.
    """
    found = by_seed(measured)
    methods: dict[str, list[list[Optional[float]]]] = {}
    for models in found.values():
        for model, numbers in models.items():
            values = [column.value(numbers, models) for column in columns]
            methods.setdefault(method_of(model), []).append(values)
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


def curves(measured: Sequence[Row], name: str, *, at: float, title: str) -> Figure:
    """Accuracy of the best and the worst run of each method against a test distortion.

    As in the paper, these are the runs that are best and worst at one strength, and only the range
    of all ST runs is shaded.

    Args:
        measured: Rows of the models of one training seed.
        name: The test distortion.
        at: The strength.
        title: Name of the training distortion.
    """
    methods: dict[str, list[str]] = {}
    for model in dict.fromkeys(row.model for row in measured):
        methods.setdefault(method_of(model), []).append(model)
    like = next(row for row in measured if row.corruption == name)
    own: dict[str, Any] = {"corruption": name, "severity": 0.0, "protocol": like.protocol}
    clean = [row for row in measured if row.corruption == CLEAN and name in FROM_ZERO]
    return reports.strength_curves(
        [*(dataclasses.replace(row, **own) for row in clean), *measured],
        name,
        band=methods,
        at=at,
        shaded=[method for method in methods if "ST" in method],
        title=f"{title} → {name}",
        unit=DISTORTIONS[name][-1],
    )


def method_of(model: str) -> str:
    """The method that the name of a line starts with."""
    found = [name for name in ("symmetric ST", "ST", "DA", "AT") if model.startswith(f"{name} ")]
    method = found[0] if found else model
    if model.endswith(" epochs"):
        method += ", longer"
    return f"{method}, both" if found and " + " in model else method
