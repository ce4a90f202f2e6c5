"""Accuracy versus strength: one line per model, or bands between the worst and the best."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tfrobust.reports.figures import (
    COLOURS,
    DASHES,
    HATCHES,
    MARKERS,
    legend_below,
    legend_label,
    open_up,
    styled,
)
from tfrobust.reports.results import ATTACKS, Results, collect, shown_name
from tfrobust.rows import CLEAN, Row


@styled
def strength_curves(
    rows: Iterable[Row],
    corruption: str,
    *,
    band: bool | Mapping[str, Sequence[str]] = False,
    at: float | None = None,
    shaded: Sequence[str] | None = None,
    title: str | None = None,
    unit: str | None = None,
    mixed_protocols: bool = False,
) -> Figure:
    """Accuracy of several models against the strength of an augmentation or attack.

    With `band`, the range of several models (such as one method with different settings) is
    shaded, and its edges are drawn: at each strength another model may be the best. With `at`, as
    in the stability-training paper, the lines are those of the two models that are best and worst
    at one strength.

    Args:
        rows: Result rows of one data set.
        corruption: The augmentation, attack or corruption to show.
        band: True for one band over all models, or a mapping from band name to models.
        at: Strength at which the best and the worst model of each band are chosen. Default None:
            the edges of the band.
        shaded: Names of the bands to shade. Default: all.
        title: Title of the figure; the name of the corruption by default.
        unit: Unit for the axis label, such as "degrees". Default "strength", for attacks their
            size.
        mixed_protocols: Allows models measured under different protocols; a note says what differs.

    Returns:
        A matplotlib figure: strengths across, accuracy in percent upwards.

    Raises:
        ValueError: There are no results at a strength of `corruption`, a model of a band is missing
            or lacks every strength or `at`, or the protocols differ.

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
    figure = Figure(figsize=(4.4, 3.1))
    name = shown_name(corruption)
    axes = figure.add_subplot(title=name if title is None else title, ylabel="Accuracy (%)")
    if unit is None:
        unit = "size, images in [0, 1]" if corruption in ATTACKS else "strength"
    axes.set_xlabel(f"{name} ({unit})")
    open_up(axes)
    for i, (label, models) in enumerate(bands.items()):
        shade = shaded is None or label in shaded
        _draw_band(axes, results, corruption, label, models, i, at, shade)
    if not bands:
        _draw_lines(axes, results, corruption)
    low, high = axes.get_ylim()
    axes.set_ylim(max(low, -2), min(high, 102))
    legend_below(figure, 1 if bands else None, results.notes)
    return figure


def _draw_lines(axes: Axes, results: Results, corruption: str) -> None:
    for i, model in enumerate(results.models):
        strengths = results.severities(corruption)
        values = [100 * results.value(model, corruption, s) for s in strengths]
        points = [(s, v) for s, v in zip(strengths, values) if not math.isnan(v)]
        style: dict[str, Any] = {
            "color": COLOURS[i % 7],
            "linestyle": DASHES[i % 4],
            "markersize": 5,
        }
        marker = (*"osD^v", *MARKERS)[i % 10]
        axes.plot(*zip(*points), marker=marker, label=legend_label(model), **style)


def _draw_band(
    axes: Axes,
    results: Results,
    corruption: str,
    label: str,
    models: Sequence[str],
    i: int,
    at: float | None,
    shade: bool,
) -> None:
    if not models or not set(models) <= set(results.models):
        raise ValueError(
            f"band {label!r} must name models with accuracies under {corruption!r}, which are "
            f"{list(results.models)}; received {list(models)}"
        )
    strengths = np.array(results.severities(corruption))
    values = 100 * np.array([[results.value(m, corruption, s) for s in strengths] for m in models])
    shared = ~np.isnan(values).any(axis=0)  # the best of fewer models is not comparable
    if not shared.any():
        raise ValueError(f"the models of band {label!r} share no strength of {corruption!r}")
    strengths, values = strengths[shared], values[:, shared]
    worst, best = values.min(axis=0), values.max(axis=0)
    colour, hatch = COLOURS[i % 7], HATCHES[i % 6] or None
    fill: dict[str, Any] = {
        "facecolor": colour,
        "edgecolor": colour,
        "alpha": 0.18,
        "hatch": hatch,
        "lw": 0,
    }
    if shade:
        axes.fill_between(strengths, worst, best, **fill)
    several = f"of {len(models)} models"
    edges = [(best, "^-", f"{label}: best {several}"), (worst, "v--", f"{label}: worst {several}")]
    if at is not None:
        if at not in strengths:
            raise ValueError(
                f"at must be a strength of {corruption!r} that all models of band {label!r} have, "
                f"one of {strengths.tolist()}; received {at!r}"
            )
        there = values[:, strengths.tolist().index(at)]
        edges = [
            (values[one], look, f"{models[one]} ({which} at {at:g})")
            for one, look, which in (
                (int(there.argmax()), "^-", "best"),
                (int(there.argmin()), "v--", "worst"),
            )
        ]
    if len(models) == 1:
        edges = [(best, "o-", label)]
    for edge, look, text in edges:
        axes.plot(strengths, edge, look, color=colour, markersize=4, label=legend_label(text))
