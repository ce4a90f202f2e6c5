"""Flip probabilities and rates: how often predictions change along perturbation sequences."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from tfrobust.reports.figures import (
    COLOURS,
    HATCHES,
    legend_below,
    legend_label,
    open_up,
    styled,
)
from tfrobust.reports.results import collect, corruption_labels, shown_name
from tfrobust.reports.table import with_minus_signs
from tfrobust.rows import Row


@styled
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
        key: with_minus_signs(label.replace(key[0], shown_name(key[0]), 1))
        for key, label in corruption_labels(rows).items()
    }
    models, factor = results.models, 100 if metric == "flip_probability" else 1
    thickness = 0.8 / len(models)
    height = 1.1 + len(labels) * (0.12 + 0.13 * len(models))
    figure = Figure(figsize=(4.4, max(height, 2.0)))
    axes = figure.add_subplot(title=title)
    open_up(axes)
    for j, model in enumerate(models):
        values = np.array([factor * results.value(model, *key, metric) for key in labels])
        positions = np.arange(len(labels)) + (j - (len(models) - 1) / 2) * thickness
        style: dict[str, Any] = {"color": COLOURS[j % 7], "edgecolor": "white", "lw": 0.5}
        bars = axes.barh(
            positions,
            np.nan_to_num(values),
            thickness,
            hatch=HATCHES[j % 6] or None,
            label=legend_label(model),
            **style,
        )
        printed = ["–" if math.isnan(value) else f"{value:.1f}" for value in values]
        axes.bar_label(bars, printed, padding=2, fontsize=min(7, 90 * thickness))
    axes.set_yticks(range(len(labels)), list(labels.values()))
    axes.set_ylim(len(labels) - 0.45, -0.55)
    axes.margins(x=0.09)
    kind = "probability (%)" if metric == "flip_probability" else "rate (100 = the baseline)"
    axes.set_xlabel(f"Flip {kind}, less is better")
    axes.grid(False, axis="y")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    legend_below(figure, notes=results.notes)
    return figure
