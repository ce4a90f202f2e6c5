"""A paper's table, with our results beside the printed ones."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Optional

import numpy as np

from tfrobust.registries import TEST_CORRUPTIONS
from tfrobust.reports.table import MISSING, Table
from tfrobust.rows import Row

#: Results of one model: (condition, severity, metric) to value.
Numbers = Mapping[tuple[str, Optional[float], str], float]
#: Computes a value, or None, from the results of a model and of all models of the same seed.
Value = Callable[[Numbers, Mapping[str, Numbers]], Optional[float]]


@dataclasses.dataclass(frozen=True)
class Column:
    """A column of a table.

    Args:
        label: Heading.
        value: Computes a cell.
    """

    label: str
    value: Value


@dataclasses.dataclass(frozen=True)
class PaperTable:
    """A table printed in a paper.

    Args:
        title: Title, such as "FMA, Table 3 (CIFAR-10)".
        columns: The columns.
        published: Model name to the printed number of each column; None where there is none.
        unit: Unit of all numbers.
        digits: Number of decimals.
        notes: Sentences below the table.
        only: Models in the table; () for all printed and measured ones.
    """

    title: str
    columns: Sequence[Column]
    published: Mapping[str, Sequence[Optional[float]]]
    unit: str = "%"
    digits: int = 2
    notes: tuple[str, ...] = ()
    only: tuple[str, ...] = ()


def fill(table: PaperTable, measured: Iterable[Row]) -> Table:
    """Fills in our results: mean over the training seeds ± standard deviation [paper's].

    A model that was not trained here shows only the paper's numbers, one that is not in the paper
    only ours.

    Args:
        table: The paper's table.
        measured: Rows with the training seed in their `provenance`; a model that was trained only
            once counts for every seed.

    Returns:
        The table, one row per model.

    Example:

    >>> row = Row("XE", "mnist/test", "clean", 0.0, "accuracy", 0.925, n=10000, seed=0)
    >>> printed = PaperTable("T", [accuracy("BAL", "clean")], {"XE": [92.5]}, digits=1)
    >>> fill(printed, [row]).texts
    (('92.5 [92.5]',),)
    """
    found = by_seed(measured)
    # Models that were trained only once are stored under one seed but count for all.
    once: dict[str, Numbers] = {}
    for seed in sorted(found, reverse=True):
        once.update(found[seed])
    measured_models = (model for numbers in found.values() for model in numbers)
    models = list(table.only or dict.fromkeys([*table.published, *measured_models]))
    lines, values = [], []
    for model in models:
        printed = table.published.get(model, [None] * len(table.columns))
        texts, means = [], []
        for column, number in zip(table.columns, printed):
            ours = [
                value
                for numbers in found.values()
                if model in numbers
                and (value := column.value(numbers[model], {**once, **numbers})) is not None
            ]
            texts.append(_cell(ours, number, table.digits))
            means.append(float(np.mean(ours)) if ours else None)
        lines.append(tuple(texts))
        values.append(tuple(means))
    kept = [i for i, line in enumerate(lines) if any(text != MISSING for text in line)]
    notes = list(table.notes)
    seeds = sorted(found)
    if seeds:
        spread = " ± standard deviation over the training seeds" if len(seeds) > 1 else ""
        notes.append(
            f"In {table.unit}: ours{spread} [the paper's]. Training seeds: "
            f"{', '.join(map(str, seeds))}."
        )
    return Table(
        "Model",
        tuple(column.label for column in table.columns),
        tuple(models[i] for i in kept),
        tuple(values[i] for i in kept),
        tuple(lines[i] for i in kept),
        notes=tuple(notes),
    )


def by_seed(measured: Iterable[Row]) -> dict[int, dict[str, dict[Any, float]]]:
    """Groups results by training seed and model."""
    found: dict[int, dict[str, dict[Any, float]]] = {}
    for row in measured:
        seed = int((row.provenance or {}).get("training_seed", 0))
        of_seed = found.setdefault(seed, {})
        of_seed.setdefault(row.model, {})[row.corruption, row.severity, row.metric] = row.value
    return found


def accuracy(label: str, condition: str, severity: Optional[float] = None) -> Column:
    """Accuracy under a condition, in percent; the mean over severities if none is given."""
    return Column(label, lambda own, _: _percent(_mean_accuracy(own, condition, severity)))


def robust(label: str = "RA", names: Sequence[str] = TEST_CORRUPTIONS) -> Column:
    """Mean accuracy over corruptions and their severities, in percent; None if one is missing."""

    def value(own: Numbers, _: Any) -> Optional[float]:
        means = [_mean_accuracy(own, name) for name in names]
        return None if None in means else _percent(math.fsum(means) / len(means))  # type: ignore

    return Column(label, value)


def improvement(label: str, conditions: Sequence[str], baseline: str) -> Column:
    """Mean improvement in accuracy over the baseline, in points."""

    def value(own: Numbers, models: Mapping[str, Numbers]) -> Optional[float]:
        if own is models.get(baseline) or baseline not in models:
            return None
        gains = []
        for name in conditions:
            mine, theirs = _mean_accuracy(own, name), _mean_accuracy(models[baseline], name)
            if mine is None or theirs is None:
                return None
            gains.append(mine - theirs)
        return 100 * math.fsum(gains) / len(gains)

    return Column(label, value)


def metric(label: str, condition: str, name: str, scale: float = 1.0) -> Column:
    """Any metric under a condition, multiplied by `scale`."""

    def value(own: Numbers, _: Any) -> Optional[float]:
        found = [v for (c, _s, m), v in own.items() if c == condition and m == name]
        return scale * found[0] if len(found) == 1 else None

    return Column(label, value)


def _mean_accuracy(
    own: Numbers, condition: str, severity: Optional[float] = None
) -> Optional[float]:
    found = [
        value
        for (name, level, kind), value in own.items()
        if name == condition and kind == "accuracy" and severity in (None, level)
    ]
    return math.fsum(found) / len(found) if found else None


def _percent(value: Optional[float]) -> Optional[float]:
    return None if value is None else 100 * value


def _cell(ours: Sequence[float], printed: Optional[float], digits: int) -> str:
    text = MISSING if not ours else f"{np.mean(ours):.{digits}f}"
    if len(ours) > 1:
        text += f" ± {np.std(ours, ddof=1):.{digits}f}"
    if printed is not None:
        text += f" [{printed:.{digits}f}]"
    return text
