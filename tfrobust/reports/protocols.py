"""Protocols of results: checked where models are shown side by side, and shown in full."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from tfrobust.registries import CORRUPTIONS
from tfrobust.reports.table import Table
from tfrobust.rows import CLEAN, Row

NOT_GIVEN = "not given"
NO_BASELINE = "none"
#: Metric to its name when normalised by a baseline, and when not.
DIVIDED = {
    "mean_corruption_error": ("mCE", "Mean error on corrupted images"),
    "relative_mean_corruption_error": ("Relative mCE", "Mean error minus clean error"),
    "mean_flip_rate": ("Mean flip rate mFR", "Mean flip rate"),
}
#: Maximum number of values listed per field of a protocol.
LISTED = 4


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


def protocol_table(rows: Iterable[Row]) -> Table:
    """All fields of `protocol` and `provenance`, with n and seed, models side by side.

    Args:
        rows: Result rows, of one or more data sets.

    Returns:
        A table of texts. A field that differs between the rows of a model lists all its values.

    Example:

    >>> row = Row("net", "cifar10/test", "clean", 0.0, "accuracy", 0.9, n=100, seed=0,
    ...           protocol={"table": "cifar"}, provenance={"keras": "2.15.0"})
    >>> print(protocol_table([row]).to_text(), end="")
    Field             net
    ------------------------------
    data set          cifar10/test
    images (n)        100
    seed              0
    ------------------------------
    protocol: table   cifar
    ------------------------------
    made with: keras  2.15.0
    """
    rows = list(rows)
    models = list(dict.fromkeys(row.model for row in rows))
    groups: list[dict[str, dict[str, dict[str, None]]]] = [{}, {}, {}]
    for row in rows:
        common = {"data set": row.dataset, "images (n)": row.n, "seed": row.seed}
        parts = (("", common), ("protocol: ", row.protocol), ("made with: ", row.provenance))
        for fields, (group, found) in zip(groups, parts):
            for key, value in found.items() if isinstance(found, Mapping) else ():
                values = fields.setdefault(f"{group}{key}", {}).setdefault(row.model, {})
                values[shown(value)] = None
    lines = [
        (name, [_join_values(values.get(model, {})) for model in models])
        for fields in groups
        for name, values in fields.items()
    ]
    ends = {len(groups[0]), len(groups[0]) + len(groups[1])} - {len(lines)}
    return Table.from_records(
        "Field", [(model, "") for model in models], lines, breaks=tuple(sorted(ends))
    )


def sentences(rows: Sequence[Row]) -> Iterator[str]:
    """Caveats for comparing the results with others."""
    for metric in DIVIDED:
        selected = [row for row in rows if row.metric == metric]
        for name in dict.fromkeys((row.protocol or {}).get("baseline") for row in selected):
            yield baseline_note(metric, name)
    if any(row.metric == "accuracy" for row in rows):
        yield "Accuracies and calibration errors are not normalised: they are plain fractions."
    corrupted = [row for row in rows if row.corruption in CORRUPTIONS and row.metric == "accuracy"]
    frosted = [row for row in corrupted if row.corruption == "frost"]
    for chosen, field, what in (
        (frosted, "frost", "Frost textures"),
        (corrupted, "table", "Table of severities"),
    ):
        values = list(dict.fromkeys(shown((r.protocol or {}).get(field, "")) for r in chosen))
        known = [value for value in values if value]
        if known:
            yield f"{what}: {', '.join(known)}{', some rows do not say' * ('' in values)}."
        elif chosen:
            yield f"{what}: the rows do not say."
    unknown = ", ".join(dict.fromkeys(row.model for row in rows if row.protocol is None))
    if unknown:
        yield f"Some or all rows have no protocol, so how they were measured is unknown: {unknown}."


def baseline_note(metric: str, baseline: Any) -> str:
    """Says what a metric of `DIVIDED` was divided by."""
    divided, plain = DIVIDED[metric]
    if baseline is None:
        return f"The rows do not say by what {divided} was divided."
    if baseline == NO_BASELINE:
        return (
            f"{plain} is a plain mean in percent: it is not divided by a baseline, and cannot be "
            f"compared with published numbers of {divided}."
        )
    return f"{divided} is divided by the numbers of {shown(baseline)}; 100 is as bad as those."


def shown(value: Any) -> str:
    """A protocol value as text, identical for equal values."""
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)


def _fields(row: Row) -> dict[str, str]:
    fields = {"n": str(row.n), "seed": str(row.seed)}
    if row.protocol is None:
        return {**fields, "protocol": "unknown"}
    if not isinstance(row.protocol, Mapping):
        raise ValueError(
            f"protocol of {row.model} must be a mapping or None; received {row.protocol!r}"
        )
    return {**fields, "protocol": "known", **{k: shown(v) for k, v in row.protocol.items()}}


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


def _join_values(values: Mapping[str, None]) -> str:
    more = len(values) - LISTED
    return "; ".join([*list(values)[:LISTED], *([f"{more} more"] * (more > 0))]) or NOT_GIVEN
