"""Heat map of a model's accuracy by common corruption and severity."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tfrobust.registries import CORRUPTION_GROUPS, CORRUPTIONS, HELD_OUT_CORRUPTIONS
from tfrobust.reports.figures import styled
from tfrobust.reports.results import collect, shown_name
from tfrobust.rows import CLEAN, Row


@styled
def accuracy_heat_map(rows: Iterable[Row], *, model: str, title: str | None = None) -> Figure:
    """Heat map of accuracy, one row per corruption (grouped) and one column per severity.

    The colours always span 0 to 100 %, so that figures are comparable; their lightness increases
    with the accuracy, so that they are readable in greyscale.

    Args:
        rows: Result rows of one data set.
        model: The model to show. Other models are ignored.
        title: Title of the figure; the model's name by default.

    Returns:
        A matplotlib figure.

    Raises:
        ValueError: `model` has no accuracy on a common corruption, or a value is not a fraction.

    Example:

    >>> rows = [Row("net", "cifar10/test", "fog", s, "accuracy", 1 - s / 10, n=100, seed=0)
    ...         for s in (1, 2, 3, 4, 5)]
    >>> accuracy_heat_map(rows, model="net")
    <Figure size 410x... with 2 Axes>
    """
    names = (CLEAN, *CORRUPTIONS)
    rows = [row for row in rows if row.metric == "accuracy" and row.corruption in names]
    found = list(dict.fromkeys(row.model for row in rows))
    rows = [row for row in rows if row.model == model]
    if not any(row.corruption != CLEAN and row.epoch is None for row in rows):
        raise ValueError(
            f"needs accuracies of {model!r} on common corruptions; the rows have some of {found}"
        )
    results = collect(rows)
    shown = [name for name in CORRUPTIONS if results.severities(name)]
    severities = sorted({s for name in shown for s in results.severities(name)})
    grid = np.array([[results.value(model, n, s) for s in severities] for n in shown])
    figure = Figure(figsize=(1.7 + 0.48 * max(len(severities), 3), 1.35 + 0.25 * len(shown)))
    title = model if title is None else title
    clean = results.value(model, CLEAN, None)
    title += "" if math.isnan(clean) else f"\nclean images: {100 * clean:.1f} %"
    axes = figure.add_subplot(title=title, xlabel="Severity")
    colours = matplotlib.colormaps["cividis"].with_extremes(bad="white")
    values = np.ma.masked_invalid(100 * grid)
    image = axes.imshow(values, cmap=colours, vmin=0, vmax=100, aspect="auto")
    for (i, j), value in np.ndenumerate(grid):
        text = "–" if math.isnan(value) else f"{100 * value:.1f}"
        ink = "black" if math.isnan(value) else _text_colour(colours(value))
        axes.text(j, i, text, color=ink, ha="center", va="center", fontsize=8)
    axes.set_xticks(range(len(severities)), [f"{s:g}" for s in severities])
    axes.set_yticks(range(len(shown)), [shown_name(name) for name in shown])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    _separate_groups(axes, shown)
    bar = figure.colorbar(image, ax=axes, orientation="horizontal", pad=0.02, aspect=30)
    bar.set_label("Accuracy (%)")
    bar.outline.set_visible(False)
    return figure


def _text_colour(colour: tuple[float, ...]) -> str:
    """Black or white, whichever has more contrast (relative luminance of WCAG 2)."""
    red, green, blue = (
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour[:3]
    )
    return "black" if 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.179 else "white"


def _separate_groups(axes: Axes, shown: list[str]) -> None:
    """Draws white lines between the groups, and labels the groups."""
    style: dict[str, Any] = {"rotation": 270, "rotation_mode": "anchor", "ha": "center"}
    style.update(transform=axes.get_yaxis_transform(), va="bottom", fontsize=8, color="0.25")
    for group, names in {**CORRUPTION_GROUPS, "held out": HELD_OUT_CORRUPTIONS}.items():
        indices = [i for i, name in enumerate(shown) if name in names]
        if indices and indices[0] > 0:
            axes.axhline(indices[0] - 0.5, color="white", linewidth=4)
        if len(indices) > 1:
            axes.text(1.03, (indices[0] + indices[-1]) / 2, group, **style)
