"""Table of a search's trials, and their accuracy against each hyper-parameter."""

from __future__ import annotations

import json
import math
import pathlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from tfrobust.reports import page
from tfrobust.reports.figures import LOOK
from tfrobust.reports.table import MISSING, Table

SCORE = "score"
_KEYS = ("number", "values", "status", "epochs")
_COLUMNS = 3
#: Up to this many values become tick labels.
_TICKS = 7
_CLEAN, _ROBUST = "#000000", "#0072B2"


def trials_table(records: Iterable[Mapping[str, Any]], about: Mapping[str, Any]) -> Table:
    """The trials of a search, best first.

    Args:
        records: One mapping per trial, as in `trials.jsonl`.
        about: The settings of the search, as in `tuning.json`; only "objective", "direction",
            "clean_floor" and "space" are used.

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
    names = _names(found, about)
    objective = about.get("objective") or SCORE
    own = objective != SCORE
    varied = len({record["epochs"] for record in found}) > 1  # as with Hyperband
    labels, values, texts = [], [], []
    for rank, record in enumerate(found):
        done = record["status"] == "completed"
        note = "best" if rank == 0 and done else ""
        if not done:
            note = f"{record['status']}: {record.get('message') or 'unknown'}"
        elif record.get("keeps_floor") is False:
            note = "best, but below the floor" if note else "below the floor"
        numbers: list[Any] = [record["values"].get(name) for name in names]
        shown = [MISSING if value is None else f"{value:g}" for value in numbers]
        for key in ("clean_accuracy", "robust_accuracy"):
            value = record.get(key)
            numbers.append(None if value is None else 100 * value)
            shown.append(MISSING if value is None else f"{100 * value:.2f}")
        if own:
            numbers.append(record.get("score"))
            shown.append(MISSING if numbers[-1] is None else f"{numbers[-1]:.4g}")
        numbers.append(record.get("epoch"))
        of_how_many = f" of {record['epochs']}" if varied else ""
        shown.append(MISSING if numbers[-1] is None else f"{numbers[-1]}{of_how_many}")
        labels.append(str(record["number"]))
        values.append((*numbers, note))
        texts.append((*shown, note))
    columns = [*names, "Clean (%)", "Robust (%)", *([objective] if own else []), "Epoch", "Note"]
    best: frozenset[tuple[int, int]] = frozenset()
    if found[0]["status"] == "completed":
        best = frozenset({(0, len(names) + (2 if own else 1))})
    notes = ["Clean and robust accuracy on validation images, after the best epoch of each trial."]
    floor = about.get("clean_floor")
    if floor is not None:
        notes.append(
            f"Trials with less than {100 * floor:.2f}% on clean images rank below all others."
        )
    return Table(
        "Trial",
        tuple(columns),
        tuple(labels),
        tuple(values),
        tuple(texts),
        best,
        notes=tuple(notes),
    )


def trials_figure(
    records: Iterable[Mapping[str, Any]], about: Mapping[str, Any], *, title: str = ""
) -> Figure:
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
    names = _names(found, about)
    scales = {one["name"]: one.get("scale", "linear") for one in about.get("space", ())}
    columns = min(len(names), _COLUMNS)
    lines = -(-len(names) // columns)
    with matplotlib.style.context(LOOK):
        size = (4.8 if columns == 1 else 3.1 * columns, 2.7 * lines + 0.9)
        figure = Figure(figsize=size, layout="constrained")
        if title:
            figure.suptitle(title, parse_math=False, fontsize=10.0)
        grid = figure.subplots(lines, columns, squeeze=False, sharey=True).ravel()
        for i, (axes, name) in enumerate(zip(grid, names)):
            _draw(axes, found, name, scales.get(name, "linear"), about, joined=len(names) == 1)
            axes.set_xlabel(name, parse_math=False)
            if i % columns == 0:
                axes.set_ylabel("Validation accuracy (%)")
        for axes in grid[len(names) :]:
            axes.set_axis_off()
        handles, texts = grid[0].get_legend_handles_labels()
        figure.legend(
            handles,
            texts,
            loc="outside lower center",
            ncols=3 if columns == 1 else len(texts),
            frameon=False,
            fontsize=8,
        )
    return figure


def sections(folder: pathlib.Path) -> Iterator[str]:
    """The section of a report on a search; empty if there was none."""
    path = folder / "trials.jsonl"
    if not path.is_file():
        return
    about = page.read_json(folder / "tuning.json")
    if not isinstance(about, dict):
        raise ValueError(f"{folder / 'tuning.json'} must hold the settings of the search")
    try:
        records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        if not records:
            return
        table = trials_table(records, about)
        done = any(record["status"] == "completed" for record in records)
        figure = trials_figure(records, about) if done else None
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} must hold one trial a line; {error!r}") from error
    yield page.heading("Trials of the search")
    yield page.paragraph(_summary(about, records))
    yield page.scroll(table.to_html(caption="Trials, the best first"))
    for note in table.notes:
        yield page.paragraph(note, kind="note")
    if figure is not None:
        names = ", ".join(_names(records, about))
        alt = f"Clean and robust validation accuracy of each trial against {names}. " + "; ".join(
            " ".join(f"{column} {cell}" for column, cell in zip(table.columns, cells) if cell)
            for cells in table.texts[:12]
        )
        caption = (
            "Circles are accuracy on clean images, squares robust accuracy; they are hollow where "
            "a trial lies below the floor of clean accuracy. The ring marks the best trial."
        )
        yield page.figure(figure, "svg+xml", alt, caption, kind="plot")


def _summary(about: Mapping[str, Any], records: Sequence[Mapping[str, Any]]) -> str:
    count = len(records)
    text = f"{count} trial{'' if count == 1 else 's'}, tuner {about.get('tuner', 'unknown')}. "
    if about.get("objective", SCORE) == SCORE:
        text += "Ranked by robust accuracy on validation images"
        return text + (
            "." if about.get("clean_floor") is None else ", with a floor on clean accuracy."
        )
    best = "largest" if about.get("direction") == "max" else "smallest"
    return text + f"Ranked by {about['objective']}, the {best} first."


def _ranked(
    records: Iterable[Mapping[str, Any]], about: Mapping[str, Any]
) -> list[Mapping[str, Any]]:
    found = list(records)
    if not found:
        raise ValueError("a table of trials needs one trial or more; received none")
    for record in found:
        missing = [key for key in _KEYS if key not in record]
        if missing:
            raise ValueError(f"a trial must have {', '.join(_KEYS)}; one lacks {missing[0]}")
    sign = 1 if about.get("direction") == "min" else -1

    def key(record: Mapping[str, Any]) -> tuple[float, int]:
        score = record.get("score")
        return (math.inf if score is None else sign * score), record["number"]

    return sorted(found, key=key)


def _names(records: Sequence[Mapping[str, Any]], about: Mapping[str, Any]) -> list[str]:
    names = [one["name"] for one in about.get("space", ())]
    return names or list(dict.fromkeys(name for record in records for name in record["values"]))


def _draw(
    axes: Axes,
    found: Sequence[Mapping[str, Any]],
    name: str,
    scale: str,
    about: Mapping[str, Any],
    *,
    joined: bool,
) -> None:
    if scale == "log":
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
    axes.grid(color="0.9")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    shown = sorted(found, key=lambda record: record["values"][name])
    positions = [record["values"][name] for record in shown]
    if len(set(positions)) <= _TICKS:
        axes.set_xticks(
            sorted(set(positions)), [f"{value:.3g}" for value in sorted(set(positions))]
        )
    kinds = (
        ("clean_accuracy", "Clean", _CLEAN, "o", "--"),
        ("robust_accuracy", "Robust", _ROBUST, "s", "-"),
    )
    for key, label, colour, marker, dashes in kinds:
        heights = [100 * record[key] for record in shown]
        axes.plot(
            positions,
            heights,
            color=colour,
            marker=marker,
            markersize=5,
            linestyle=dashes if joined else "none",
            linewidth=1,
            label=label,
        )
        below = [i for i, record in enumerate(shown) if record.get("keeps_floor") is False]
        axes.plot(
            [positions[i] for i in below],
            [heights[i] for i in below],
            color=colour,
            marker=marker,
            markersize=5,
            markerfacecolor="white",
            linestyle="none",
            label=f"{label}, below the floor" if below and key == "robust_accuracy" else None,
        )
        best = found[0]
        axes.plot(
            best["values"][name],
            100 * best[key],
            color=colour,
            marker="o",
            markersize=11,
            markerfacecolor="none",
            linestyle="none",
            label="Best trial" if key == "robust_accuracy" else None,
        )
    floor = about.get("clean_floor")
    if floor is not None:
        axes.axhline(100 * floor, color="0.4", linestyle=":", linewidth=1, label="Floor (clean)")
