"""Accuracy versus strength: one line per model, or bands between the worst and the best."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tfrobust.reports.figures import COLOURS, DASHES, LOOK, MARKERS
from tfrobust.reports.results import ATTACKS, Results, collect, shown_name
from tfrobust.rows import CLEAN, Row

HATCHES = ("", "////", "\\\\\\\\", "....", "xxxx", "----")


def strength_curves(
    rows: Iterable[Row],
    corruption: str,
    *,
    band: bool | Mapping[str, Sequence[str]] = False,
    title: str | None = None,
    unit: str | None = None,
    mixed_protocols: bool = False,
) -> Figure:
    """Accuracy of several models against the strength of an augmentation or attack.

    With `band`, as in the stability-training paper: at each strength the best and the worst of
    several models (such as one method with different settings), shaded in between.

    Args:
        rows: Result rows of one data set.
        corruption: The augmentation, attack or corruption to show.
        band: True for one band over all models, or a mapping from band name to models.
        title: Title of the figure; the name of the corruption by default.
        unit: Unit for the axis label, such as "degrees". Default "strength", for attacks their
            size.
        mixed_protocols: Allows models measured under different protocols; a note says what differs.

    Returns:
        A matplotlib figure: strengths across, accuracy in percent upwards.

    Raises:
        ValueError: There are no results at a strength of `corruption`, a model of a band is missing
            or lacks every strength, or the protocols differ.

    Example:

    >>> rows = [Row(m, "cifar10/test", "GN", s, "accuracy", a - s, n=100, seed=0)
    ...         for m, a in {"AT": 0.9, "ST": 0.95}.items() for s in (0.1, 0.2, 0.3)]
    >>> strength_curves(rows, "GN", band=True)
    <Figure size 440x... with 1 Axes>
    """
    rows = [r for r in rows if r.metric == "accuracy" and r.corruption == corruption]
    rows = [row for row in rows if row.severity is not None and row.epoch is None]
    if not rows or corruption == CLEAN:
        raise ValueError(f"needs accuracies at strengths of {corruption!r}; the rows have none")
    results = collect(rows, mixed_protocols=mixed_protocols)
    bands = {"all models": results.models} if band is True else dict(band or {})
    with matplotlib.style.context(LOOK):
        entries = 2 * len(bands) or len(results.models)
        columns = 1 if bands or max(map(len, results.models)) > 18 else 2
        entries = -(-entries // columns)
        figure = Figure(figsize=(4.4, 3.1 + 0.19 * entries), layout="constrained")
        axes = figure.add_subplot()
        name = shown_name(corruption)
        axes.set_title(name if title is None else title, parse_math=False)
        if unit is None:
            unit = "size, images in [0, 1]" if corruption in ATTACKS else "strength"
        axes.set_xlabel(f"{name} ({unit})", parse_math=False)
        axes.set_ylabel("Accuracy (%)")
        axes.grid(color="0.9")
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        if bands:
            for i, (label, models) in enumerate(bands.items()):
                _draw_band(axes, results, corruption, label, models, i)
        else:
            _draw_lines(axes, results, corruption)
        low, high = axes.get_ylim()
        axes.set_ylim(max(low, -2), min(high, 102))
        legend_below(figure, columns, results.notes)
    return figure


def legend_below(figure: Figure, columns: int, notes: Sequence[str]) -> None:
    """Adds a legend below a figure, headed by notes on differing protocols."""
    text = "\n".join(textwrap.fill(note, 75) for note in notes)
    figure.set_figheight(figure.get_figheight() + 0.13 * len(text.splitlines()))
    legend = figure.legend(
        title=text,
        title_fontsize=7,
        loc="outside lower center",
        ncols=columns,
        frameon=False,
        handlelength=4,
    )
    for name in (legend.get_title(), *legend.get_texts()):
        name.set_parse_math(False)


def _draw_lines(axes: Axes, results: Results, corruption: str) -> None:
    for i, model in enumerate(results.models):
        strengths = results.severities(corruption)
        values = [100 * results.value(model, corruption, s, "accuracy") for s in strengths]
        points = [(s, v) for s, v in zip(strengths, values) if not math.isnan(v)]
        axes.plot(
            *zip(*points),
            color=COLOURS[i % 7],
            linestyle=DASHES[i % 4],
            marker=(*"osD^v", *MARKERS)[i % 10],
            markersize=5,
            label=legend_label(model),
        )


def _draw_band(
    axes: Axes, results: Results, corruption: str, label: str, models: Sequence[str], i: int
) -> None:
    missing = [model for model in models if model not in results.models]
    if missing or not models:
        raise ValueError(
            f"band {label!r} must name models with accuracies under {corruption!r}, which are "
            f"{list(results.models)}; received {list(models)}"
        )
    strengths = np.array(results.severities(corruption))
    lines = [[results.value(m, corruption, s, "accuracy") for s in strengths] for m in models]
    values = 100 * np.array(lines)
    shared = ~np.isnan(values).any(axis=0)  # the best of fewer models is not comparable
    if not shared.any():
        raise ValueError(f"the models of band {label!r} share no strength of {corruption!r}")
    strengths, values = strengths[shared], values[:, shared]
    worst, best = values.min(axis=0), values.max(axis=0)
    colour = COLOURS[i % 7]
    hatch = HATCHES[i % 6] or None
    axes.fill_between(
        strengths, worst, best, facecolor=colour, edgecolor=colour, alpha=0.18, hatch=hatch, lw=0
    )
    edges = [(best, "-", "^", "best of"), (worst, "--", "v", "worst of")]
    if len(models) == 1:
        edges = [(best, "-", "o", "")]
    for edge, dash, marker, which in edges:
        text = f"{label}: {which} {len(models)} models" if which else label
        line = axes.plot(strengths, edge, label=legend_label(text), color=colour, linestyle=dash)
        line[0].set(marker=marker, markersize=4)


def legend_label(text: str) -> str:
    """A name as a legend label."""
    # Matplotlib omits labels that start with _ from the legend.
    return f" {text}" if text.startswith("_") else text
