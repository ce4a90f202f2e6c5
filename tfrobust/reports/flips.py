"""Flip probabilities and rates: how often predictions change along perturbation sequences."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import matplotlib.style
from matplotlib.figure import Figure

from tfrobust.reports import tables
from tfrobust.reports.curves import HATCHES, legend_below, legend_label
from tfrobust.reports.figures import COLOURS, LOOK
from tfrobust.reports.results import collect, shown_name
from tfrobust.rows import Row


def flip_bars(
    rows: Iterable[Row],
    *,
    metric: str = "flip_probability",
    title: str = "Changed predictions",
    mixed_protocols: bool = False,
) -> Figure:
    """Grouped horizontal bars: one group per perturbation, one bar per model.

    Args:
        rows: Result rows of one data set.
        metric: `"flip_probability"`, shown in percent, or `"flip_rate"`, 100 for the baseline.
        title: Title of the figure.
        mixed_protocols: Allows models measured under different protocols.

    Returns:
        A matplotlib figure.

    Raises:
        ValueError: No row has the metric, or the protocols differ.

    Example:

    >>> rows = [Row("net", "cifar10/test", "tilt", 1, "flip_probability", 0.1, n=100, seed=0)]
    >>> flip_bars(rows)
    <Figure size 440x... with 1 Axes>
    """
    rows = [row for row in rows if row.metric == metric and row.epoch is None]
    if not rows:
        raise ValueError(f"needs rows with the metric {metric!r}; there are none")
    results = collect(rows, mixed_protocols=mixed_protocols)
    labels = {
        key: label.replace(key[0], shown_name(key[0]), 1)
        for key, label in tables.corruption_labels(rows).items()
    }
    models, factor = results.models, 100 if metric == "flip_probability" else 1
    columns = 1 if max(map(len, models)) > 18 else 2
    thickness = 0.8 / len(models)
    with matplotlib.style.context(LOOK):
        height = 1.1 + 0.2 * -(-len(models) // columns) + len(labels) * (0.12 + 0.13 * len(models))
        figure = Figure(figsize=(4.4, max(height, 2.2)), layout="constrained")
        axes = figure.add_subplot()
        axes.set_title(title, parse_math=False)
        for j, model in enumerate(models):
            values = [factor * results.value(model, *key, metric) for key in labels]
            positions = [i + (j - (len(models) - 1) / 2) * thickness for i in range(len(labels))]
            style: dict[str, Any] = {
                "color": COLOURS[j % 7],
                "edgecolor": "white",
                "hatch": HATCHES[j % 6] or None,
            }
            lengths = [0 if math.isnan(value) else value for value in values]
            bars = axes.barh(
                positions, lengths, thickness, lw=0.5, label=legend_label(model), **style
            )
            printed = ["–" if math.isnan(value) else f"{value:.1f}" for value in values]
            axes.bar_label(bars, printed, padding=2, fontsize=min(7, 90 * thickness))
        axes.set_yticks(range(len(labels)), [tables.with_minus_signs(x) for x in labels.values()])
        axes.set_ylim(len(labels) - 0.45, -0.55)
        axes.tick_params(axis="y", length=0)
        axes.margins(x=0.09)
        if metric == "flip_probability":
            axes.set_xlabel("Flip probability (%), less is better")
        else:
            axes.set_xlabel("Flip rate (100 = the baseline), less is better")
        axes.set_axisbelow(True)
        axes.grid(color="0.9", axis="x")
        axes.spines[["top", "right", "left"]].set_visible(False)
        legend_below(figure, columns, results.notes)
    return figure
