"""A paper's table, with our results beside the printed ones."""

from __future__ import annotations

import csv
import dataclasses
import math
import pathlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Optional

import numpy as np

from tfrobust.evaluation import mean_corruption_error
from tfrobust.registries import CORRUPTION_GROUPS, TEST_CORRUPTIONS
from tfrobust.reports.table import MISSING, Table
from tfrobust.rows import CLEAN, Row

#: Results of one model: (condition, severity, metric) to value.
Numbers = Mapping[tuple[str, Optional[float], str], float]
#: Computes a value, or None, from the results of a model and of all models of the same seed.
Value = Callable[[Numbers, Mapping[str, Numbers]], Optional[float]]

PRINTED = pathlib.Path(__file__).parent / "printed"
#: The 15 corruptions without those of noise.
WITHOUT_NOISE = tuple(name for name in TEST_CORRUPTIONS if name not in CORRUPTION_GROUPS["noise"])


@dataclasses.dataclass(frozen=True)
class Column:
    """A column of a table.

    Args:
        label: Heading.
        value: Computes a cell.
    """

    label: str
    value: Value


def read_printed(
    table: str, columns: Sequence[str], **where: str
) -> dict[str, tuple[Optional[float], ...]]:
    """Reads numbers that a paper prints.

    Args:
        table: Name of a file of the folder `printed`, such as "fma_table3".
        columns: Headings of the columns to read.
        **where: Column to value: the lines to read, such as `net="resnet_18"`.

    Returns:
        Model to its number in each column; None where the paper prints none.
    """
    with open(PRINTED / f"{table}.csv", encoding="utf-8", newline="") as file:
        lines = csv.DictReader(line for line in file if not line.startswith("#"))
        return {
            line["model"]: tuple(float(line[c]) if line.get(c) else None for c in columns)
            for line in lines
            if all(line[column] == value for column, value in where.items())
        }


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


def paper_table(
    title: str,
    columns: Sequence[Column],
    printed: str,
    where: Optional[Mapping[str, str]] = None,
    **options: Any,
) -> PaperTable:
    """A `PaperTable` whose printed numbers are read by the headings of its columns.

    Args:
        title: Title.
        columns: The columns.
        printed: Name of a file of the folder `printed`.
        where: The lines of the file to read; see `read_printed`.
        **options: Further arguments of `PaperTable`.
    """
    numbers = read_printed(printed, [column.label for column in columns], **(where or {}))
    return PaperTable(title, columns, numbers, **options)


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
    once = {model: of for seed in sorted(found, reverse=True) for model, of in found[seed].items()}
    names = table.only or dict.fromkeys(
        [*table.published, *(m for of in found.values() for m in of)]
    )
    labels, texts, means = [], [], []
    for name in names:
        printed = table.published.get(name, [None] * len(table.columns))
        ours = [
            [
                value
                for models in found.values()
                if name in models
                and (value := column.value(models[name], {**once, **models})) is not None
            ]
            for column in table.columns
        ]
        if any(ours) or any(number is not None for number in printed):
            labels.append(name)
            texts.append(tuple(_cell(*cell, table.digits) for cell in zip(ours, printed)))
            means.append(tuple(float(np.mean(values)) if values else None for values in ours))
    notes = list(table.notes)
    if found:
        spread = " ± standard deviation over the training seeds" if len(found) > 1 else ""
        seeds = ", ".join(map(str, sorted(found)))
        notes.append(f"In {table.unit}: ours{spread} [the paper's]. Training seeds: {seeds}.")
    headings = tuple(column.label for column in table.columns)
    return Table("Model", headings, tuple(labels), tuple(means), tuple(texts), notes=tuple(notes))


def by_seed(measured: Iterable[Row]) -> dict[int, dict[str, dict[Any, float]]]:
    """Groups results by training seed and model."""
    found: dict[int, dict[str, dict[Any, float]]] = {}
    for row in measured:
        of_model = found.setdefault(training_seed(row), {}).setdefault(row.model, {})
        of_model[row.corruption, row.severity, row.metric] = row.value
    return found


def training_seed(row: Row) -> int:
    """The seed that the model of a row was trained with."""
    return int((row.provenance or {}).get("training_seed", 0))


def accuracy(label: str, condition: str, severity: Optional[float] = None) -> Column:
    """Accuracy under a condition, in percent; the mean over severities if none is given."""
    return Column(label, lambda own, _: _percent(_mean_accuracy(own, condition, severity)))


def robust(label: str = "RA", names: Sequence[str] = TEST_CORRUPTIONS) -> Column:
    """Mean accuracy over corruptions and their severities, in percent; None if one is missing."""

    def value(own: Numbers, _: Any) -> Optional[float]:
        return _percent(_mean([_mean_accuracy(own, name) for name in names]))

    return Column(label, value)


def improvement(label: str, conditions: Sequence[str], baseline: str) -> Column:
    """Mean improvement in accuracy over the baseline, in points."""

    def value(own: Numbers, models: Mapping[str, Numbers]) -> Optional[float]:
        if own is models.get(baseline) or baseline not in models:
            return None
        pairs = [
            (_mean_accuracy(own, name), _mean_accuracy(models[baseline], name))
            for name in conditions
        ]
        gains = [None if None in pair else pair[0] - pair[1] for pair in pairs]  # type: ignore
        return _percent(_mean(gains))

    return Column(label, value)


def mce(label: str, names: Sequence[str], baseline: str) -> Column:
    """Mean corruption error in percent, relative to AlexNet or to a model of the table."""

    def errors(own: Numbers) -> Optional[dict[str, list[float]]]:
        levels = {
            name: [1 - own[key] for key in sorted(own, key=str) if key[::2] == (name, "accuracy")]
            for name in names
        }
        return levels if all(len(each) == 5 for each in levels.values()) else None

    def value(own: Numbers, models: Mapping[str, Numbers]) -> Optional[float]:
        mine = errors(own)
        theirs: Any = baseline if baseline == "alexnet" else errors(models.get(baseline, {}))
        if mine is None or theirs is None:
            return None
        return mean_corruption_error(mine, theirs, corruptions=names, values="error")

    return Column(label, value)


def metric(label: str, condition: str, name: str, scale: float = 1.0) -> Column:
    """Any metric under a condition, multiplied by `scale`."""

    def value(own: Numbers, _: Any) -> Optional[float]:
        found = [v for (c, _s, m), v in own.items() if c == condition and m == name]
        return scale * found[0] if len(found) == 1 else None

    return Column(label, value)


def mean_over(label: str, columns: Sequence[Column]) -> Column:
    """The mean of other columns; None if one of them has no value."""
    return Column(label, lambda own, models: _mean([c.value(own, models) for c in columns]))


#: Standard and robust accuracy: on clean images and under the 15 corruptions.
SA_RA = (accuracy("SA", CLEAN), robust("RA"))


def _mean_accuracy(
    own: Numbers, condition: str, severity: Optional[float] = None
) -> Optional[float]:
    return _mean(
        [
            value
            for (name, level, kind), value in own.items()
            if name == condition and kind == "accuracy" and severity in (None, level)
        ]
    )


def _mean(values: Sequence[Optional[float]]) -> Optional[float]:
    """The mean, or None if a value is missing or there are none."""
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known and len(known) == len(values) else None


def _percent(value: Optional[float]) -> Optional[float]:
    return None if value is None else 100 * value


def _cell(ours: Sequence[float], printed: Optional[float], digits: int) -> str:
    text = MISSING if not ours else f"{np.mean(ours):.{digits}f}"
    if len(ours) > 1:
        text += f" ± {np.std(ours, ddof=1):.{digits}f}"
    if printed is not None:
        text += f" [{printed:.{digits}f}]"
    return text
