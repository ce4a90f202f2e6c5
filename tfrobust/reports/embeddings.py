"""Two-dimensional embeddings of image features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from tfrobust.reports.figures import COLOURS, legend_below, styled

_MARKERS = ("o", "^", "s", "D", "v", "P", "X")


@styled
def embedding_panels(
    points: Mapping[str, np.ndarray],
    labels: np.ndarray,
    class_names: Sequence[str],
    *,
    title: str,
) -> Figure:
    """Figure 1 of the AugMax paper: the same images, changed in several ways, one panel each.

    Args:
        points: Panel title (what was done to the images) to their coordinates [N, 2].
        labels: Class index of each image, [N], the same in all panels.
        class_names: Names of the classes.
        title: Title of the figure.

    Returns:
        A matplotlib figure; all panels share axes. Classes differ in colour and marker.

    Raises:
        ValueError: The shapes are inconsistent.

    Example:

    >>> embedding_panels({"clean": np.zeros([2, 2])}, np.array([0, 1]), ["cat", "dog"], title="φ")
    <Figure size ... with 1 Axes>
    """
    labels = np.asarray(labels)
    for name, coordinates in points.items():
        if np.shape(coordinates) != (len(labels), 2):
            raise ValueError(
                f"points must be [N, 2] for N labels; received {np.shape(coordinates)} for "
                f"{name!r} and {len(labels)} labels"
            )
    figure = Figure(figsize=(2.7 * len(points), 3.1))
    figure.suptitle(title)
    panels = figure.subplots(1, len(points), sharex=True, sharey=True, squeeze=False)[0]
    for axes, (name, coordinates) in zip(panels, points.items()):
        for i, class_name in enumerate(class_names):
            colour = COLOURS[i % len(COLOURS)]
            axes.scatter(
                *np.asarray(coordinates)[labels == i].T,
                s=12,
                marker=_MARKERS[i % len(_MARKERS)],
                facecolors="none" if i % 2 else colour,
                edgecolors=colour,
                linewidths=0.7,
                label=class_name,
            )
        axes.set(title=name, xlabel="first coordinate")
    panels[0].set_ylabel("second coordinate")
    legend_below(figure, max(len(class_names), 1))
    return figure
