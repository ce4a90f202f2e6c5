"""Evaluation tables, models side by side: summary, corruptions, sweeps, attacks."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from tfrobust.registries import (
    CORRUPTION_GROUPS,
    CORRUPTIONS,
    HELD_OUT_CORRUPTIONS,
    TEST_CORRUPTIONS,
)
from tfrobust.reports.results import (
    ATTACKS,
    FRACTIONS,
    Results,
    collect,
    shown_name,
    shown_strength,
)
from tfrobust.reports.table import MISSING, Table, best_cells
from tfrobust.rows import CLEAN, Row

ARROWS = "↑: more is better; ↓: less is better."
NO_BASELINE = "none"
CALIBRATION = {
    "expected_calibration_error": "Calibration error ECE",
    "rms_calibration_error": "RMS calibration error",
    "aurra": "AURRA",
}
#: Metric to its name when normalised by a baseline, and when not.
DIVIDED = {
    "mean_corruption_error": ("mCE", "Mean error on corrupted images"),
    "relative_mean_corruption_error": ("Relative mCE", "Mean error minus clean error"),
    "mean_flip_rate": ("Mean flip rate mFR", "Mean flip rate"),
}

#: Label, values, decimals, and whether higher is better.
_Line = tuple[str, Sequence[float], int, bool]


def summary_table(rows: Iterable[Row], *, mixed_protocols: bool = False) -> Table:
    """Summary of all single-number metrics, models side by side.

    Args:
        rows: Result rows of one data set. Metrics without rows are omitted.
        mixed_protocols: Allows models measured under different protocols; a note says what differs.

    Returns:
        The table. Fractions are in percent; normalised metrics name their baseline.

    Raises:
        ValueError: No row belongs in the table, a value is invalid for its metric, two rows have
            different values for one cell, or the protocols differ.

    Example:

    >>> rows = [Row("a", "cifar10/test", "clean", 0.0, "accuracy", 0.9, n=100, seed=0),
    ...         Row("b", "cifar10/test", "clean", 0.0, "accuracy", 0.8, n=100, seed=0)]
    >>> print(summary_table(rows).to_text(), end="")
    Measure                   a       b
    ------------------------------------
    Clean accuracy (%) ↑  90.00*  80.00
    ↑: more is better; ↓: less is better.
    """
    results = collect(filter(_in_summary, rows), mixed_protocols=mixed_protocols)
    lines: list[_Line] = []
    breaks = []
    notes = [ARROWS]
    for section in (_accuracies, _corruption_errors, _attacks, _calibration, _flips):
        breaks.append(len(lines))
        for line, note in section(results):
            lines.append(line)
            has_values = not all(map(math.isnan, line[1]))
            notes += [note] * (has_values and note not in ("", *notes))
    table = _table("Measure", results, lines, breaks)
    notes += [*_missing_notes(table), *results.notes]
    return Table(**{**vars(table), "notes": tuple(notes)})


def corruptions_table(
    rows: Iterable[Row], *, metric: str = "accuracy", mixed_protocols: bool = False
) -> Table:
    """Mean over the severities of each common corruption, models side by side.

    Args:
        rows: Result rows of one data set.
        metric: A fraction: `"accuracy"`, a calibration error or `"aurra"`.
        mixed_protocols: Allows models measured under different protocols; a note says what differs.

    Returns:
        The table in percent: clean first, then the groups of corruptions, separated by rules.

    Raises:
        ValueError: As for `summary_table`, or the metric is not a fraction.
    """
    if metric not in FRACTIONS:
        raise ValueError(f"metric must be one of {', '.join(FRACTIONS)}; received {metric!r}")
    wanted = (r for r in rows if r.metric == metric and r.corruption in (CLEAN, *CORRUPTIONS))
    results = collect(wanted, mixed_protocols=mixed_protocols)
    lines: list[_Line] = []
    breaks, counts = [], set()
    for names in ((CLEAN,), *CORRUPTION_GROUPS.values(), HELD_OUT_CORRUPTIONS):
        breaks.append(len(lines))
        for name in names:
            means, count = results.mean_line((name,), metric)
            if name == CLEAN:
                means, count = results.line(CLEAN, None, metric), 0
            if not all(map(math.isnan, means)):
                lines.append((shown_name(name), means, 2, FRACTIONS[metric]))
                counts |= {tuple(results.severities(name, metric))} if count else set()
    table = _table("Images", results, lines, breaks, factor=100)
    listed = " or ".join(", ".join(f"{s:g}" for s in severities) for severities in sorted(counts))
    notes = [f"Means over the severities {listed}."] if counts else []
    notes += [*_missing_notes(table), *results.notes]
    return Table(**{**vars(table), "notes": tuple(notes)})


def sweep_table(rows: Iterable[Row], corruption: str, *, mixed_protocols: bool = False) -> Table:
    """Accuracy at each strength of one augmentation or attack, models side by side.

    Args:
        rows: Result rows of one data set.
        corruption: The augmentation or attack.
        mixed_protocols: Allows models measured under different protocols; a note says what differs.

    Returns:
        The table in percent, clean images first.

    Raises:
        ValueError: As for `summary_table`, or there are no results for `corruption`.
    """
    wanted = [r for r in rows if r.metric == "accuracy" and r.corruption in (CLEAN, corruption)]
    if all(row.corruption == CLEAN for row in wanted):
        raise ValueError(f"needs rows with the accuracy under {corruption!r}; got none")
    results = collect(wanted, mixed_protocols=mixed_protocols)
    keys: list[tuple[str, float | None]] = [(CLEAN, None), (corruption, None)]
    keys += [(corruption, severity) for severity in results.severities(corruption)]
    lines: list[_Line] = []
    for name, severity in keys:
        values = results.line(name, severity, "accuracy")
        label = "Clean" if name == CLEAN else shown_strength(name, severity) or shown_name(name)
        if not all(map(math.isnan, values)):
            lines.append((label, values, 2, True))
    corner = f"{'Size' if corruption in ATTACKS else 'Strength'} of {shown_name(corruption)}"
    table = _table(corner, results, lines, factor=100)
    return Table(**{**vars(table), "notes": (*_missing_notes(table), *results.notes)})


def attacks_table(rows: Iterable[Row], *, mixed_protocols: bool = False) -> Table:
    """Accuracy under each attack at each size, models side by side, clean images first.

    Args:
        rows: Result rows of one data set.
        mixed_protocols: Allows models measured under different protocols; a note says what differs.

    Returns:
        The table in percent.

    Raises:
        ValueError: As for `summary_table`.
    """
    names = (CLEAN, *ATTACKS)
    wanted = (row for row in rows if row.metric == "accuracy" and row.corruption in names)
    results = collect(wanted, mixed_protocols=mixed_protocols)
    lines: list[_Line] = [("Clean", results.line(CLEAN, None, "accuracy"), 2, True)]
    for attack in ATTACKS:
        sizes: list[float | None] = [None, *results.severities(attack)]
        for size in sizes:
            label = f"{attack} {shown_strength(attack, size)}".strip()
            lines.append((label, results.line(attack, size, "accuracy"), 2, True))
    table = _table("Attack", results, lines, factor=100)
    return Table(**{**vars(table), "notes": (*_missing_notes(table), *results.notes)})


def has_summary(rows: Iterable[Row]) -> bool:
    """Whether any of the rows belongs in the summary."""
    return any(map(_in_summary, rows))


def _in_summary(row: Row) -> bool:
    if row.epoch is not None:
        return False
    if row.metric == "accuracy":
        return row.corruption in (CLEAN, *ATTACKS)
    if row.metric in CALIBRATION:
        return row.corruption in (CLEAN, *TEST_CORRUPTIONS)
    return row.metric in ("robust_accuracy", "mean_flip_probability", *DIVIDED)


_Lines = Iterable[tuple[_Line, str]]


def _accuracies(results: Results) -> _Lines:
    line = results.line(CLEAN, None, "accuracy")
    yield ("Clean accuracy (%) ↑", [100 * v for v in line], 2, True), ""
    names = {"test": "all 15 × 5", **{name: name for name in CORRUPTION_GROUPS}}
    names["without_noise"] = "without noise"
    for corruption, name in names.items():
        line = [100 * v for v in results.line(corruption, None, "robust_accuracy")]
        note = "Robust accuracy is the mean over 15 corruptions at 5 severities, or over a group."
        yield (f"Robust accuracy, {name} (%) ↑", line, 2, True), note


def _corruption_errors(results: Results) -> _Lines:
    for metric in ("mean_corruption_error", "relative_mean_corruption_error"):
        yield from _divided(results, metric, "test")


def _flips(results: Results) -> _Lines:
    line = results.line("perturbations", None, "mean_flip_probability")
    yield ("Mean flip probability mFP (%) ↓", [100 * v for v in line], 2, False), ""
    yield from _divided(results, "mean_flip_rate", "perturbations")


def _divided(results: Results, metric: str, corruption: str) -> _Lines:
    """One line per baseline, so that numbers with different baselines are never mixed."""
    divided, plain = DIVIDED[metric]
    found: dict[str | None, list[float]] = {}
    for j, model in enumerate(results.models):
        row = results.cells.get((model, corruption, None, metric))
        if row is not None:
            baseline = (row.protocol or {}).get("baseline")
            line = found.setdefault(baseline, [math.nan] * len(results.models))
            line[j] = row.value
    for baseline, line in found.items():
        if baseline == NO_BASELINE:
            yield (
                (f"{plain} (%, plain mean, not normalised) ↓", line, 2, False),
                f"{plain} is a plain mean in percent: it is not divided by a baseline, and cannot "
                f"be compared with published numbers of {divided}.",
            )
        elif baseline is None:
            label = f"{divided} (baseline not stated) ↓"
            yield (label, line, 2, False), f"The rows do not say by what {divided} was divided."
        else:
            yield (
                (f"{divided} ({baseline} = 100) ↓", line, 2, False),
                f"{divided} is divided by the numbers of {baseline}; 100 is as bad as those.",
            )


def _calibration(results: Results) -> _Lines:
    for metric, name in CALIBRATION.items():
        more = FRACTIONS[metric]
        arrow = "↑" if more else "↓"
        line = [100 * v for v in results.line(CLEAN, None, metric)]
        yield (f"{name}, clean (%) {arrow}", line, 2, more), ""
        means, count = results.mean_line(TEST_CORRUPTIONS, metric)
        means = [100 * v for v in means]
        yield (f"{name}, mean of {count} corrupted sets (%) {arrow}", means, 2, more), ""


def _attacks(results: Results) -> _Lines:
    for attack in ATTACKS:
        sizes: list[float | None] = [None, *results.severities(attack)]
        for size in (
            sizes[:1] + sizes[1:][-3:]
        ):  # only the largest sizes of a sweep, which also has a figure
            line = [100 * v for v in results.line(attack, size, "accuracy")]
            of_size = "" if size is None else f" {shown_strength(attack, size)}"
            yield (f"Accuracy under {attack}{of_size} (%) ↑", line, 2, True), ""


def _table(
    corner: str,
    results: Results,
    lines: list[_Line],
    breaks: Sequence[int] = (),
    *,
    factor: float = 1,
) -> Table:
    """Lines as a table, without empty lines; the rules are shifted accordingly."""
    kept = [i for i, (_, values, _, _) in enumerate(lines) if not all(map(math.isnan, values))]
    shifted = tuple(sum(i < rule for i in kept) for rule in breaks)
    labels, values, texts, higher = [], [], [], []
    for label, line, decimals, more in (lines[i] for i in kept):
        numbers = [None if math.isnan(value) else factor * value for value in line]
        labels.append(label)
        values.append(tuple(numbers))
        texts.append(tuple(MISSING if v is None else f"{v:.{decimals}f}" for v in numbers))
        higher.append(more)
    best = best_cells(texts, higher)
    cells = (tuple(labels), tuple(values), tuple(texts), best)
    shifted = tuple(sorted({rule for rule in shifted if 0 < rule < len(labels)}))
    return Table(corner, results.models, *cells, breaks=shifted)


def _missing_notes(table: Table) -> list[str]:
    if not any(value is None for line in table.values for value in line):
        return []
    return [f"{MISSING} stands where a model was not measured, or lacks some of the severities."]
