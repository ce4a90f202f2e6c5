"""Summary rows of a benchmark: means over corruptions and over flips."""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any, Union

import numpy as np

from tfrobust import rows as result_rows
from tfrobust.evaluation import corruption_error, stability
from tfrobust.evaluation.baselines import BASELINES, FLIP_BASELINES
from tfrobust.evaluation.predictions import METRICS
from tfrobust.registries import CORRUPTIONS
from tfrobust.rows import CLEAN, Row

#: The groups of corruptions with a mean, in the order of the rows.
CORRUPTION_GROUPS = ("test", "noise", "blur", "weather", "digital", "without_noise")

_MEAN_ERRORS = ("mean_corruption_error", "relative_mean_corruption_error")
_FLIP_METRICS = ("mean_flip_probability", "flip_rate", "mean_flip_rate")


def is_summary(row: Row) -> bool:
    """Whether a row is one of those that `summary` returns."""
    return row.corruption in CORRUPTION_GROUPS or row.metric in _FLIP_METRICS


def summary(
    rows: Iterable[Row], *, baseline: Union[str, os.PathLike[str], None] = None
) -> list[Row]:
    """Robust accuracies, mean corruption errors, mean calibration errors and mean flips of rows.

    A mean is left out where it would be incomplete: one over corruptions needs all five severities
    of each.

    Args:
        rows: Rows as returned by `benchmark`, of any number of models and data sets.
        baseline: What the corruption errors are divided by: "alexnet" (ImageNet-C),
            "tiny_imagenet_resnet18" (Tiny-ImageNet-C), or a rows file of one model. Default: no
            division; the mean corruption error is then the mean error in percent, as is usual for
            CIFAR-10-C, and its row says so (`protocol["baseline"]` is "none").

    Returns:
        For each model and data set, rows of "robust_accuracy" for the 15 corruptions ("test") and
        their groups, of "mean_corruption_error" and "relative_mean_corruption_error" (100 is as bad
        as the baseline), and the means of the calibration metrics over all 75 corrupted sets; the
        mean flip probability if all ten perturbations were measured, and flip rates if the baseline
        is "alexnet".

    Raises:
        ValueError: The baseline is unknown, its file holds several models or is incomplete, or rows
            are of another table of severities than the baseline.

    Example:

    >>> def row(severity):
    ...     return Row("net", "mine", "fog", severity, "accuracy", 0.5, n=100, seed=0)
    >>> summary([row(severity) for severity in range(1, 6)])  # the other 14 are missing
    []
    """
    rows = [row for row in rows if row.epoch is None and not is_summary(row)]
    name, numbers, theirs = _baseline(baseline)
    divided = [row for row in rows if _is_severity(row) or row.metric == "flip_probability"]
    corruption_error.check_tables(corruption_error.tables_of(divided), theirs)
    return [
        made
        for key in dict.fromkeys((row.model, row.dataset) for row in rows)
        for make in (_of_corruptions, _of_flips)
        for made in make([row for row in rows if (row.model, row.dataset) == key], name, numbers)
    ]


def _of_corruptions(rows: list[Row], baseline: str, numbers: Any) -> list[Row]:
    measured = [r for r in rows if r.corruption == CLEAN or _is_severity(r)]
    accuracies = [row for row in measured if row.metric == "accuracy"]
    found = corruption_error.collect_rows(_complete(accuracies)) if accuracies else {}

    def made(metric: str, group: str, value: float, **more: Any) -> Row:
        names = corruption_error.SELECTIONS[group]
        merged: dict[str, Any] = {}
        for row in accuracies:
            if row.corruption in names:
                merged.update(row.protocol or {})
        return dataclasses.replace(
            accuracies[0],
            corruption=group,
            severity=None,
            metric=metric,
            value=value,
            protocol={**merged, **more} or None,
        )

    made_rows = [
        made("robust_accuracy", group, corruption_error.robust_accuracy(found, corruptions=group))
        for group in CORRUPTION_GROUPS
        if set(corruption_error.SELECTIONS[group]) <= set(found)
    ]
    if not set(corruption_error.SELECTIONS["test"]) <= set(found):
        return made_rows
    for relative, metric in enumerate(_MEAN_ERRORS):
        if not relative or CLEAN in found:
            value = _mean_error(found, numbers, bool(relative))
            made_rows.append(made(metric, "test", value, baseline=baseline))
    for metric in METRICS[1:]:
        values = [
            row.value
            for row in measured
            if row.metric == metric and row.corruption in corruption_error.SELECTIONS["test"]
        ]
        if values:
            made_rows.append(made(metric, "test", float(np.mean(values))))
    return made_rows


def _of_flips(rows: list[Row], baseline: str, numbers: Any) -> list[Row]:
    flips = [row for row in rows if row.metric == "flip_probability"]
    made = []
    for difficulty in dict.fromkeys(row.severity for row in flips):
        some = {row.corruption: row for row in flips if row.severity == difficulty}
        divided = baseline in FLIP_BASELINES and difficulty == 1
        found = stability.metrics_of(
            {name: row.value for name, row in some.items()}, baseline if divided else None
        )
        for metric, name, value in found:
            if metric in _FLIP_METRICS:
                row = some.get(name, flips[0])
                more = {"baseline": baseline} if "rate" in metric else {}
                made.append(
                    dataclasses.replace(
                        row,
                        metric=metric,
                        corruption=name,
                        severity=difficulty if name in some else None,
                        value=value,
                        protocol={**(row.protocol or {}), **more} or None,
                    )
                )
    return made


def _mean_error(found: Mapping[str, Any], baseline: Any, relative: bool) -> float:
    # As errors, like the numbers of the named baselines.
    errors = {name: 1 - np.asarray(values) for name, values in found.items()}
    return corruption_error.mean_corruption_error(
        errors, baseline, relative=relative, values="error"
    )


def _baseline(baseline: Any) -> tuple[str, Any, Any]:
    """Name and errors of a baseline, and what says of which table they are."""
    if baseline is None:
        return "none", None, None
    if baseline in BASELINES:
        return str(baseline), BASELINES[str(baseline)], str(baseline)
    path = pathlib.Path(baseline)
    if not path.is_file():
        raise ValueError(
            f"baseline must be one of {', '.join(BASELINES)}, or a rows file; received "
            f"{os.fspath(baseline)!r}, which is neither"
        )
    rows = [r for r in result_rows.read(path) if r.corruption == CLEAN or _is_severity(r)]
    found = corruption_error.collect_rows(_complete(rows))
    errors = {name: 1 - np.asarray(values) for name, values in found.items()}
    model = next(row.model for row in rows if row.metric == "accuracy")
    return f"{model} ({path.name})", errors, rows


def _is_severity(row: Row) -> bool:
    return row.corruption in CORRUPTIONS and row.severity in range(
        1, corruption_error.SEVERITIES + 1
    )


def _complete(rows: list[Row]) -> list[Row]:
    """Rows without the corruptions that lack a severity."""
    counts: dict[str, set[Any]] = {}
    for row in rows:
        if row.metric == "accuracy":
            counts.setdefault(row.corruption, set()).add(row.severity)
    whole = {n for n, s in counts.items() if n == CLEAN or len(s) == corruption_error.SEVERITIES}
    return [row for row in rows if row.corruption in whole]
