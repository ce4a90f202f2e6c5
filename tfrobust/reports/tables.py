"""Tables from result rows: one column per model, one row per corruption."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from tfrobust.reports import protocols
from tfrobust.reports.protocols import corruption_key
from tfrobust.reports.table import MISSING, Table, best_cells, with_minus_signs
from tfrobust.rows import CLEAN, Row

__all__ = [
    "MISSING",
    "ORDER",
    "Table",
    "corruption_key",
    "corruption_labels",
    "robustness_table",
    "standard_error",
    "strengths_table",
    "with_minus_signs",
]

# The order of Table 3 in the FMA paper; anything else follows in order of first appearance.
ORDER = (CLEAN, "B+", "B-", "GB", "GN", "SAP", "S+", "S-", "Combined+", "Combined-")


def corruption_labels(rows: Iterable[Row]) -> dict[tuple[str, float | None], str]:
    """Keys in table order with labels, which name the severity if there are several."""
    keys = list(dict.fromkeys(map(corruption_key, rows)))
    names = [name for name, _ in keys]
    order = list(dict.fromkeys([*ORDER, *names]))
    keys.sort(key=lambda key: (order.index(key[0]), -math.inf if key[1] is None else key[1]))
    several = {key for key in keys if key[1] is not None and names.count(key[0]) > 1}
    labels = {key: f"{key[0]} {key[1]:g}" if key in several else key[0] for key in keys}
    return {key: "Clean" if label == CLEAN else label for key, label in labels.items()}


def standard_error(value: float, n: int) -> float:
    """Standard error of an accuracy `value` measured on `n` images: `sqrt(p (1 - p) / n)`.

    Args:
        value: Accuracy p, a fraction in [0, 1].
        n: Number of images, 1 or more.

    Returns:
        The standard error, a fraction.

    Raises:
        ValueError: `value` is outside [0, 1] or `n` is below 1.

    >>> standard_error(0.5, 100)
    0.05
    """
    if not (0 <= value <= 1 and n >= 1):
        raise ValueError(f"needs an accuracy in [0, 1] and n of at least 1; got {value} and {n}")
    return math.sqrt(value * (1 - value) / n)


def robustness_table(
    rows: Iterable[Row],
    *,
    metric: str = "accuracy",
    baseline: str | None = None,
    mixed_protocols: bool = False,
) -> Table:
    """Table 3 of the FMA paper: accuracy of each model on clean and corrupted images.

    The last rows are two averages of model minus baseline: without clean images, and with them as
    in the paper. Both omit cells that the model or the baseline lacks. Rows with an epoch belong
    to training curves and are ignored.

    Args:
        rows: Result rows of one data set.
        metric: Metric to show: a fraction in [0, 1], higher is better.
        baseline: Model to compare with. Default: the one named `"baseline"`, else the first.
        mixed_protocols: Allows models measured under different protocols; a note says what differs.

    Returns:
        The table, with the models in order of first appearance.

    Raises:
        ValueError: No row has the metric, there are several data sets, the baseline is missing, a
            value is not a fraction, two rows have different values for one cell, or the protocols
            differ.

    Example:

    >>> rows = [Row("baseline", "digits/test", "GN", 0.1, "accuracy", 0.50, n=100, seed=0),
    ...         Row("FMA/CA", "digits/test", "GN", 0.1, "accuracy", 0.75, n=100, seed=0)]
    >>> robustness_table(rows).values
    ((50.0, 75.0), (None, 25.0))
    """
    rows = [row for row in rows if row.metric == metric and row.epoch is None]
    datasets = list(dict.fromkeys(row.dataset for row in rows))
    if len(datasets) != 1:
        raise ValueError(f"needs rows with {metric!r} of one data set; got data sets {datasets}")
    models = list(dict.fromkeys(row.model for row in rows))
    baseline = baseline or ("baseline" if "baseline" in models else models[0])
    if baseline not in models:
        raise ValueError(f"baseline must be one of the models {models}; got {baseline!r}")
    points: dict[Any, float] = {}
    for row in rows:
        value = points.setdefault((row.model, corruption_key(row)), 100 * row.value)
        if value != 100 * row.value:
            raise ValueError(
                f"expected one value of {row.metric} for {row.model} on {row.dataset} under "
                f"{row.corruption} (severity {row.severity}); got {value / 100:g} and {row.value:g}"
            )
    protocol_notes = protocols.check_alike(rows, mixed_protocols=mixed_protocols)
    labels = corruption_labels(rows)
    names, lines = list(labels.values()), [[points.get((m, k)) for m in models] for k in labels]
    augmented = [key for key in labels if key[0] != CLEAN]
    averages = {}
    if augmented and len(models) > 1:
        averages[f"Average improvement, {len(augmented)} augmented"] = augmented
    if averages and len(labels) > len(augmented):
        averages[f"Average improvement, {len(labels)} rows with clean"] = list(labels)
    for name, keys in averages.items():
        shared = {m: [k for k in keys if {(m, k), (baseline, k)} <= set(points)] for m in models}
        gains = {m: [points[m, k] - points[baseline, k] for k in shared[m]] for m in models}
        means = {m: math.fsum(g) / len(g) for m, g in gains.items() if g and m != baseline}
        names, lines = [*names, name], [*lines, [means.get(m) for m in models]]
    forms = [".2f"] * len(labels) + ["+.2f"] * len(averages)
    texts = tuple(
        tuple(MISSING if value is None else format(value, form) for value in line)
        for form, line in zip(forms, lines)
    )
    error = 100 * max(standard_error(row.value, row.n) for row in rows)
    sizes = " or ".join(map(str, sorted({row.n for row in rows})))
    notes = [f"One standard error is at most ±{error:.2f} points, n = {sizes} images."]
    if averages and len(points) < len(models) * len(labels):
        notes.append("Averages use only the corruptions that both models have.")
    notes += protocol_notes
    cells = (tuple(names), tuple(map(tuple, lines)), texts, best_cells(texts))
    return Table("Images", tuple(models), *cells, len(averages), tuple(notes))


def strengths_table(records: Iterable[Mapping[str, Any]]) -> Table:
    """The calibrated strength of each augmentation and its effect on the baseline.

    Args:
        records: One mapping per augmentation with `augmentation`, `parameter`, `strength`,
            `reached`, `accuracy` and `drop`, and optionally `note`.

    Returns:
        The table, with accuracies in percent and drops in points.
    """
    labels, values, texts = [], [], []
    for record in records:
        note = record.get("note") or ("" if record["reached"] else "wanted drop not reached")
        numbers = record["strength"], 100 * record["accuracy"], 100 * record["drop"]
        labels.append(record["augmentation"])
        values.append((record["parameter"], *numbers, note))
        texts.append((record["parameter"], *map(format, numbers, (".4g", ".2f", ".2f")), note))
    columns = ("Parameter", "Strength", "Accuracy (%)", "Drop (points)", "Note")
    return Table("Augmentation", columns, tuple(labels), tuple(values), tuple(texts))
