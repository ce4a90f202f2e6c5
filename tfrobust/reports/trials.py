"""Table of a search's trials, and their accuracy against each hyper-parameter."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from tfrobust.reports.figures import legend_below, open_up, styled
from tfrobust.reports.table import Table

_Record = Mapping[str, Any]

SCORE = "score"
_KEYS = ("number", "values", "status", "epochs")
_COLUMNS = 3
#: Up to this many values become tick labels.
_TICKS = 7
#: Accuracy to label, colour, marker, and line where lines join the points.
_LOOKS = {
    "clean_accuracy": ("Clean", "#000000", "o", "--"),
    "robust_accuracy": ("Robust", "#0072B2", "s", "-"),
}
_RING = {"marker": "o", "markersize": 11, "markerfacecolor": "none"}


def trials_table(records: Iterable[_Record], about: _Record, start: _Record | None = None) -> Table:
    """The trials of a search, best first.

    Args:
        records: One mapping per trial, as in `trials.jsonl`.
        about: The settings of the search, as in `tuning.json`; only "objective", "direction",
            "clean_floor" and "space" are used.
        start: The start model, as in `start.json`: its accuracies, and what the best trial gains
            in robust accuracy, with the ends of the 95% interval.

    Returns:
        The table, with accuracies in percent. Notes mark the best trial, those below the floor, and
        those that failed.

    Raises:
        ValueError: There are no trials, or one lacks a required key.

    Example:

    >>> record = {"number": 1, "values": {"gamma": 0.1}, "status": "completed", "epochs": 6,
    ...           "epoch": 5, "clean_accuracy": 0.975, "robust_accuracy": 0.9, "score": 0.9,
    ...           "keeps_floor": True}
    >>> print(trials_table([record], {"clean_floor": 0.95}).to_text(), end="")
    Trial  gamma   Clean (%)   Robust (%)   Epoch   Note
    -----------------------------------------------------
    1        0.1       97.50        90.00*      5   best
    Clean and robust accuracy on validation images, after the best epoch of each trial.
    Trials with less than 95.00% on clean images rank below all others.
    """
    found = _ranked(records, about)
    names = parameter_names(found, about)
    objective = about.get("objective") or SCORE
    columns = [*((name, "g") for name in names), ("Clean (%)", ".2f"), ("Robust (%)", ".2f")]
    columns += [(objective, ".4g")] * (objective != SCORE)
    ranked_by = len(columns) - 1
    columns += [("Epoch", ""), ("Note", "")]
    varied = len({record["epochs"] for record in found}) > 1  # as with Hyperband
    lines = []
    for record in found:
        values = [record["values"].get(name) for name in names]
        for key in ("clean_accuracy", "robust_accuracy"):
            values.append(None if record.get(key) is None else 100 * record[key])
        if objective != SCORE:
            values.append(record.get("score"))
        epoch = record.get("epoch")
        values.append(f"{epoch} of {record['epochs']}" if varied and epoch is not None else epoch)
        lines.append((str(record["number"]), [*values, _note(record, record is found[0])]))
    if start is not None:
        columns_between = [None] * len(names)
        numbers = [100 * start[key] for key in ("clean_accuracy", "robust_accuracy")]
        more = [None] * (objective != SCORE)
        lines.append(("start", [*columns_between, *numbers, *more, None, _gain(start)]))
    notes = ["Clean and robust accuracy on validation images, after the best epoch of each trial."]
    floor = about.get("clean_floor")
    if floor is not None:
        notes.append(
            f"Trials with less than {100 * floor:.2f}% on clean images rank below all others."
        )
    best = frozenset({(0, ranked_by)} if found[0]["status"] == "completed" else ())
    return Table.from_records("Trial", columns, lines, best=best, notes=tuple(notes))


def _gain(start: _Record) -> str:
    if start.get("difference") is None:
        return "start model"
    gain, low, high = (
        100 * start[name] for name in ("difference", "difference_low", "difference_high")
    )
    return f"start model; the best is {gain:+.1f} points more robust ({low:+.1f} to {high:+.1f})"


def _note(record: _Record, first: bool) -> str:
    if record["status"] != "completed":
        return f"{record['status']}: {record.get('message') or 'unknown'}"
    notes = ["best"] * first + ["below the floor"] * (record.get("keeps_floor") is False)
    return ", but ".join(notes)


@styled
def trials_figure(records: Iterable[_Record], about: _Record, *, title: str = "") -> Figure:
    """Clean and robust accuracy of all trials against each hyper-parameter.

    Args:
        records: One mapping per trial, as in `trials.jsonl`.
        about: The settings of the search, as in `tuning.json`.
        title: Title of the figure.

    Returns:
        A matplotlib figure with one plot per hyper-parameter, logarithmic if its range is. Circles
        show clean, squares robust accuracy, hollow below the floor; a ring marks the best trial.
        With a single hyper-parameter lines join the points.

    Raises:
        ValueError: No trial was completed.
    """
    found = [r for r in _ranked(records, about) if r["status"] == "completed"]
    if not found:
        raise ValueError("a figure of trials needs one that was completed; there is none")
    names = parameter_names(found, about)
    scales = {one["name"]: one.get("scale", "linear") for one in about.get("space", ())}
    columns = min(len(names), _COLUMNS)
    lines = -(-len(names) // columns)
    figure = Figure(figsize=(4.8 if columns == 1 else 3.1 * columns, 2.7 * lines + 0.7))
    figure.suptitle(title)
    grid = figure.subplots(lines, columns, squeeze=False, sharey=True)
    for axes in grid[:, 0]:
        axes.set_ylabel("Validation accuracy (%)")
    for axes in grid.flat[len(names) :]:
        axes.set_axis_off()
    for axes, name in zip(grid.flat, names):
        _draw(axes, found, name, about.get("clean_floor"), len(names) == 1)
        axes.set_xlabel(name)
        if scales.get(name) == "log":
            axes.set_xscale("log")
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axes.xaxis.set_minor_formatter(NullFormatter())
        ticks = sorted({record["values"][name] for record in found})
        if len(ticks) <= _TICKS:
            axes.set_xticks(ticks, [f"{value:.3g}" for value in ticks])
    legend_below(figure, 3 if columns == 1 else 6, fontsize=8)
    return figure


def _draw(
    axes: Axes, found: Sequence[_Record], name: str, floor: float | None, joined: bool
) -> None:
    open_up(axes)
    shown = sorted(found, key=lambda record: record["values"][name])
    below = [record for record in shown if record.get("keeps_floor") is False]
    for key, (label, colour, marker, line) in _LOOKS.items():
        first = key == "clean_accuracy"  # one entry in the legend is enough
        hollow = f"{label}, below the floor" if below and not first else None
        for records, style in (
            (shown, {"marker": marker, "linestyle": line if joined else "none", "label": label}),
            (below, {"marker": marker, "markerfacecolor": "white", "label": hollow}),
            (found[:1], {**_RING, "label": None if first else "Best trial"}),
        ):
            x = [record["values"][name] for record in records]
            y = [100 * record[key] for record in records]
            shared: dict[str, Any] = {
                "color": colour,
                "markersize": 5,
                "linestyle": "none",
                "lw": 1,
            }
            axes.plot(x, y, **{**shared, **style})
    if floor is not None:
        axes.axhline(100 * floor, color="0.4", linestyle=":", linewidth=1, label="Floor (clean)")


def _ranked(records: Iterable[_Record], about: _Record) -> list[_Record]:
    found = list(records)
    if not found:
        raise ValueError("a table of trials needs one trial or more; received none")
    for record in found:
        missing = [key for key in _KEYS if key not in record]
        if missing:
            raise ValueError(f"a trial must have {', '.join(_KEYS)}; one lacks {missing[0]}")
    sign = 1 if about.get("direction") == "min" else -1

    def key(record: _Record) -> tuple[float, int]:
        score = record.get("score")
        return (math.inf if score is None else sign * score), record["number"]

    return sorted(found, key=key)


def parameter_names(records: Sequence[_Record], about: _Record) -> list[str]:
    """Names of the hyper-parameters, in the order of the search space."""
    names = [one["name"] for one in about.get("space", ())]
    return names or list(dict.fromkeys(name for record in records for name in record["values"]))
