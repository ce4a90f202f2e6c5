"""Tables from result rows: accuracies, summaries, sweeps, attacks, differences, strengths."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from tfrobust.registries import (
    CORRUPTION_GROUPS,
    CORRUPTIONS,
    HELD_OUT_CORRUPTIONS,
    TEST_CORRUPTIONS,
)
from tfrobust.reports.answer import WORDS, described
from tfrobust.reports.protocols import DIVIDED, NO_BASELINE, baseline_note
from tfrobust.reports.results import (
    ATTACKS,
    FRACTIONS,
    Results,
    collect,
    corruption_labels,
    is_attack,
    shown_name,
    shown_strength,
)
from tfrobust.reports.table import MISSING, Line, Table
from tfrobust.rows import CLEAN, Row

ARROWS = "↑: more is better; ↓: less is better."
CALIBRATION = {
    "expected_calibration_error": "Calibration error ECE",
    "rms_calibration_error": "RMS calibration error",
    "aurra": "AURRA",
}


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
    if not rows:
        raise ValueError(f"needs rows with {metric!r} of one data set; got none")
    results = collect(rows, mixed_protocols=mixed_protocols)
    error = 100 * max(standard_error(row.value, row.n) for row in rows)
    models, labels = results.models, corruption_labels(rows)
    baseline = baseline or ("baseline" if "baseline" in models else models[0])
    if baseline not in models:
        raise ValueError(f"baseline must be one of the models {list(models)}; got {baseline!r}")
    columns = {m: {k: 100 * results.value(m, *k, metric) for k in labels} for m in models}
    lines = [Line(label, [columns[m][key] for m in models]) for key, label in labels.items()]
    augmented = [key for key in labels if key[0] != CLEAN]
    averages = {}
    if augmented and len(models) > 1:
        averages[f"Average improvement, {len(augmented)} augmented"] = augmented
        if len(labels) > len(augmented):
            averages[f"Average improvement, {len(labels)} rows with clean"] = list(labels)
    for label, keys in averages.items():
        gains = [[columns[m][k] - columns[baseline][k] for k in keys] for m in models]
        means = [_mean(gain) if m != baseline else math.nan for m, gain in zip(models, gains)]
        lines.append(Line(label, means, form="+.2f"))
    sizes = " or ".join(map(str, sorted({row.n for row in rows})))
    notes = [f"One standard error is at most ±{error:.2f} points, n = {sizes} images."]
    if averages and len(results.cells) < len(models) * len(labels):
        notes.append("Averages use only the corruptions that both models have.")
    notes += results.notes
    return Table.from_lines("Images", models, lines, summary_rows=len(averages), notes=tuple(notes))


def _mean(values: Iterable[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return math.fsum(known) / len(known) if known else math.nan


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
    results = collect(filter(in_summary, rows), mixed_protocols=mixed_protocols)
    sections = [
        [(line, note) for line, note in section(results) if _is_measured(line)]
        for section in (_accuracies, _corruption_errors, _attacks, _calibration, _flips)
    ]
    notes = dict.fromkeys(note for section in sections for _, note in section if note)
    groups = [[line for line, _ in section] for section in sections]
    return _grouped("Measure", results, groups, [ARROWS, *notes])


def in_summary(row: Row) -> bool:
    """Whether a row belongs in the summary."""
    if row.epoch is not None:
        return False
    if row.metric == "accuracy":
        return row.corruption in (CLEAN, *CORRUPTIONS) or is_attack(row)
    if row.metric in CALIBRATION:
        return row.corruption in (CLEAN, *TEST_CORRUPTIONS)
    return row.metric in ("robust_accuracy", "mean_flip_probability", *DIVIDED)


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
    higher = FRACTIONS[metric]
    groups = [[Line("Clean", _percent(results.line(CLEAN, None, metric)), higher)]]
    severities = set()
    for names in (*CORRUPTION_GROUPS.values(), HELD_OUT_CORRUPTIONS):
        means = {name: results.mean_line((name,), metric)[0] for name in names}
        groups.append([Line(shown_name(n), _percent(v), higher) for n, v in means.items()])
        severities |= {
            tuple(results.severities(name, metric))
            for name, values in means.items()
            if not all(map(math.isnan, values))
        }
    listed = " or ".join(", ".join(f"{s:g}" for s in one) for one in sorted(severities))
    notes = [f"Means over the severities {listed}."] if severities else []
    return _grouped("Images", results, groups, notes)


def augmentations_table(rows: Iterable[Row], *, mixed_protocols: bool = False) -> Table | None:
    """Accuracy under each augmentation at each strength, models side by side.

    Args:
        rows: Result rows of one data set.
        mixed_protocols: As for `robustness_table`, whose table it is; None if there is none.
    """
    chosen = [
        row
        for row in rows
        if row.metric == "accuracy" and row.epoch is None
        if row.corruption not in CORRUPTIONS and not is_attack(row)
    ]
    if all(row.corruption == CLEAN for row in chosen):
        return None
    return robustness_table(chosen, mixed_protocols=mixed_protocols)


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
    rows = [row for row in rows if row.metric == "accuracy"]
    if corruption not in {row.corruption for row in rows} - {CLEAN}:
        raise ValueError(f"needs rows with the accuracy under {corruption!r}; got none")
    kind = "Size" if corruption in ATTACKS else "Strength"
    wanted = [row for row in rows if row.corruption in (CLEAN, corruption)]
    results = collect(wanted, mixed_protocols=mixed_protocols)
    return _sizes_table(f"{kind} of {shown_name(corruption)}", results, (corruption,))


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
    wanted = [row for row in rows if row.metric == "accuracy"]
    wanted = [row for row in wanted if row.corruption == CLEAN or is_attack(row)]
    results = collect(wanted, mixed_protocols=mixed_protocols)
    return _sizes_table("Attack", results, results.attacks or ATTACKS)


def _sizes_table(corner: str, results: Results, names: Sequence[str]) -> Table:
    """Accuracy on clean images and at each strength; the labels name one of several conditions."""
    lines = [Line("Clean", _percent(results.line(CLEAN, None)))]
    for name in names:
        for severity, values in _sizes(results, name):
            strength = shown_strength(name, severity)
            label = strength or shown_name(name)
            if len(names) > 1 or corner == "Attack":
                label = name if "=" in name else f"{name} {strength}".strip()
            lines.append(Line(label, _percent(values)))
    return _grouped(corner, results, [lines])


def strengths_table(records: Iterable[Mapping[str, Any]]) -> Table:
    """The calibrated strength of each augmentation and its effect on the baseline.

    Args:
        records: One mapping per augmentation with `augmentation`, `parameter`, `strength`,
            `reached`, `accuracy` and `drop`, and optionally `note`.

    Returns:
        The table, with accuracies in percent and drops in points.
    """
    columns = [("Parameter", ""), ("Strength", ".4g"), ("Accuracy (%)", ".2f")]
    columns += [("Drop (points)", ".2f"), ("Note", "")]
    lines = []
    for record in records:
        note = record.get("note") or ("" if record["reached"] else "wanted drop not reached")
        numbers = (record["strength"], 100 * record["accuracy"], 100 * record["drop"])
        lines.append((record["augmentation"], (record["parameter"], *numbers, note)))
    return Table.from_records("Augmentation", columns, lines)


def differences_table(records: Iterable[Mapping[str, Any]]) -> Table:
    """Differences in accuracy between two models on the same images, with intervals.

    Args:
        records: Mappings with `model`, `baseline`, `corruption`, `severity`, `difference`, `low`,
            `high`, `level` (fractions) and `n`; as in `differences.json`.

    Returns:
        The table, with differences in points and the level in percent. A difference whose interval
        contains 0 may be chance.

    Raises:
        ValueError: A record lacks a key, or its numbers are not low ≤ difference ≤ high.
    """
    columns = [("Points", "+.2f"), ("From", "+.2f"), ("To", "+.2f")]
    columns += [("Verdict", ""), ("Level (%)", "g"), ("Images", "d")]
    known = {**WORDS, "test": "corrupted images"}
    lines = []
    for record in records:
        try:
            name, severity = record["corruption"], record["severity"]
            pair = f"{record['model']} minus {record['baseline']}"
            numbers = [100 * float(record[key]) for key in ("difference", "low", "high", "level")]
            count = int(record["n"])
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"a difference needs numbers and names; {error!r}") from error
        points, low, high, level = numbers
        if not (low <= points <= high and 0 < level < 100):
            raise ValueError(
                "a difference must be low <= difference <= high at a level in (0, 1); received "
                f"{record['low']}, {record['difference']}, {record['high']}, {record['level']}"
            )
        images = known.get(name) or f"{shown_name(name)} {shown_strength(name, severity)}".strip()
        if 0 < len(record.get("severities", ())) < 5:
            images += f" (severity {', '.join(map(str, record['severities']))})"
        verdict = "better" if low > 0 else "worse" if high < 0 else "can be chance"
        lines.append((f"{pair}, {images}", (points, low, high, verdict, level, count)))
    return Table.from_records("Difference", columns, lines)


_Lines = Iterator[tuple[Line, str]]


def _accuracies(results: Results) -> _Lines:
    yield Line("Clean accuracy (%) ↑", _percent(results.line(CLEAN, None))), ""
    names = {"test": "all 15 × 5", **{name: name for name in CORRUPTION_GROUPS}}
    note = "Robust accuracy is the mean over 15 corruptions at 5 severities, or over a group."
    if all(map(math.isnan, results.line("test", None, "robust_accuracy"))):
        yield from _parts(results)
    for corruption, name in {**names, "without_noise": "without noise"}.items():
        values = _percent(results.line(corruption, None, "robust_accuracy"))
        yield Line(f"Robust accuracy, {name} (%) ↑", values), note


def _parts(results: Results) -> _Lines:
    """The mean over those corruptions and severities that were measured."""
    for kind, known in (("", TEST_CORRUPTIONS), ("held out, ", HELD_OUT_CORRUPTIONS)):
        names = [name for name in known if results.severities(name, "accuracy")]
        found = [
            {"corruption": name, "severity": severity}
            for name in names
            for severity in results.severities(name, "accuracy")
        ]
        means, _ = results.mean_line(names, "accuracy")
        yield Line(f"Accuracy, {kind}{described(found)} (%) ↑", _percent(means)), ""


def _corruption_errors(results: Results) -> _Lines:
    yield from _divided(results, "mean_corruption_error", "test")
    yield from _divided(results, "relative_mean_corruption_error", "test")


def _flips(results: Results) -> _Lines:
    values = _percent(results.line("perturbations", None, "mean_flip_probability"))
    yield Line("Mean flip probability mFP (%) ↓", values, False), ""
    yield from _divided(results, "mean_flip_rate", "perturbations")


def _divided(results: Results, metric: str, corruption: str) -> _Lines:
    """One line per baseline, so that numbers with different baselines are never mixed."""
    divided, plain = DIVIDED[metric]
    found: dict[str | None, list[float]] = {}
    for j, model in enumerate(results.models):
        row = results.cells.get((model, corruption, None, metric))
        if row is not None:
            baseline = (row.protocol or {}).get("baseline")
            found.setdefault(baseline, [math.nan] * len(results.models))[j] = row.value
    for baseline, values in found.items():
        label = f"{divided} ({'baseline not stated' if baseline is None else f'{baseline} = 100'})"
        if baseline == NO_BASELINE:
            label = f"{plain} (%, plain mean, not normalised)"
        yield Line(f"{label} ↓", values, False), baseline_note(metric, baseline)


def _calibration(results: Results) -> _Lines:
    for metric, name in CALIBRATION.items():
        higher = FRACTIONS[metric]
        unit = "(%) ↑" if higher else "(%) ↓"
        yield Line(f"{name}, clean {unit}", _percent(results.line(CLEAN, None, metric)), higher), ""
        means, count = results.mean_line(TEST_CORRUPTIONS, metric)
        label = f"{name}, mean of {count} corrupted sets {unit}"
        yield Line(label, _percent(means), higher), ""


def _attacks(results: Results) -> _Lines:
    for attack in results.attacks:
        unsized, *sized = _sizes(results, attack)
        # Of a sweep, which also has a figure, only the largest sizes.
        for size, values in (unsized, *sized[-3:]):
            shown = "" if "=" in attack else shown_strength(attack, size)
            label = f"Accuracy under {attack} {shown}".strip()
            yield Line(f"{label} (%) ↑", _percent(values)), ""


def _sizes(results: Results, corruption: str) -> Iterator[tuple[float | None, list[float]]]:
    """The accuracies without a severity, then those at each severity."""
    for severity in (None, *results.severities(corruption)):
        yield severity, results.line(corruption, severity)


def _percent(values: Sequence[float]) -> list[float]:
    return [100 * value for value in values]


def _is_measured(line: Line) -> bool:
    return not all(map(math.isnan, line.values))


def _grouped(
    corner: str, results: Results, groups: Iterable[Sequence[Line]], notes: Sequence[str] = ()
) -> Table:
    """A table without empty lines, with rules between the groups."""
    kept = [list(filter(_is_measured, group)) for group in groups]
    lines = list(itertools.chain(*kept))
    ends = set(itertools.accumulate(map(len, kept))) - {0, len(lines)}
    table = Table.from_lines(corner, results.models, lines, breaks=tuple(sorted(ends)))
    notes = list(notes)
    if any(None in values for values in table.values):
        notes.append(
            f"{MISSING} stands where a model was not measured, or lacks some of the severities."
        )
    return dataclasses.replace(table, notes=(*notes, *results.notes))
