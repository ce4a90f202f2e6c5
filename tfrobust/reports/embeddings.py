"""Features of images as points of the plane."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.style
import numpy as np
from matplotlib.figure import Figure

from tfrobust.reports.figures import COLOURS, LOOK

_MARKERS = ("o", "^", "s", "D", "v", "P", "X")


def embedding_panels(
    points: Mapping[str, np.ndarray],
    labels: np.ndarray,
    class_names: Sequence[str],
    *,
    title: str,
) -> Figure:
    """Figure 1 of the AugMax paper: the same images, changed in several ways, one panel each.

    Args:
        points: What was done to the images, to their places [N, 2].
        labels: Class of each image, whole numbers [N] from 0, the same in all panels.
        class_names: Names of the classes.
        title: Title of the figure.

    Returns:
        A matplotlib figure; all panels have the same axes. Classes differ in colour and marker.

    Raises:
        ValueError: The shapes do not fit one another.

    Example:

    >>> embedding_panels({"clean": np.zeros([2, 2])}, np.array([0, 1]), ["cat", "dog"], title="φ")
    <Figure size ... with 1 Axes>
    """
    labels = np.asarray(labels)
    for name, places in points.items():
        if np.shape(places) != (len(labels), 2):
            raise ValueError(
                f"points must be [N, 2] for N labels; received {np.shape(places)} for {name!r} and "
                f"{len(labels)} labels"
            )
    with matplotlib.style.context(LOOK):
        figure = Figure(figsize=(2.7 * len(points), 3.3), layout="constrained")
        panels = figure.subplots(1, len(points), sharex=True, sharey=True, squeeze=False)[0]
        for axes, (name, places) in zip(panels, points.items()):
            for number, class_name in enumerate(class_names):
                mine = labels == number
                axes.scatter(
                    places[mine, 0],
                    places[mine, 1],
                    s=12,
                    marker=_MARKERS[number % len(_MARKERS)],
                    facecolors="none" if number % 2 else COLOURS[number % len(COLOURS)],
                    edgecolors=COLOURS[number % len(COLOURS)],
                    linewidths=0.7,
                    label=class_name,
                )
            axes.set_title(name, parse_math=False)
            axes.set_xlabel("first coordinate")
        panels[0].set_ylabel("second coordinate")
        figure.suptitle(title, fontsize=11)
        figure.legend(
            *panels[0].get_legend_handles_labels(),
            loc="outside lower center",
            ncols=max(len(class_names), 1),
            frameon=False,
        )
    return figure
