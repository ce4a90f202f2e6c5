"""Decision boundaries of classifiers of two-dimensional points."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from tfrobust.reports.figures import legend_below, styled

# From white to a blue on which black markers are still visible; lightness decreases monotonically.
_SHADES = LinearSegmentedColormap.from_list("shades", ["white", "#56A3D0"])


@styled
def decision_boundaries(
    probabilities: np.ndarray,
    points: np.ndarray,
    labels: np.ndarray,
    *,
    limits: tuple[float, float],
    titles: Sequence[str],
    classes: tuple[str, str] = ("class 0", "class 1"),
    outlines: Sequence[np.ndarray] = (),
    title: str = "",
    columns: int = 3,
) -> Figure:
    """Figure 4 of the NoisyMix paper: decision boundaries of several binary classifiers.

    One panel per classifier: the probability of class 1 as shading, its ½ contour, and the points,
    class 0 as white circles and class 1 as black triangles.

    Args:
        probabilities: float [K, S, S] in [0, 1], of class 1, on a square grid with S values from
            the lower to the upper limit along each axis: [k, i, j] is at x_j, y_i.
        points: float [N, 2].
        labels: [N], 0 or 1.
        limits: Lower and upper limit of both axes. Points outside are not shown.
        titles: Titles of the K panels.
        classes: Names of the two classes.
        outlines: Polygons to draw dashed, each float [vertices, 2].
        title: Title of the figure.
        columns: Number of panels per row.

    Returns:
        A matplotlib figure.

    Raises:
        ValueError: The arrays are inconsistent or out of range.

    Example:

    >>> grid = np.tile(np.linspace(0, 1, 9), [2, 9, 1])
    >>> points, labels = np.array([[-0.5, 0.0], [0.5, 0.1]]), np.array([0, 1])
    >>> decision_boundaries(grid, points, labels, limits=(-1, 1), titles=["a", "b"])
    <Figure size 590x... with 3 Axes>
    """
    probabilities, points = np.asarray(probabilities), np.asarray(points)
    labels = np.asarray(labels)
    _check(probabilities, points, labels, limits, titles)
    columns = min(columns, len(titles))
    lines = -(-len(titles) // columns)
    figure = Figure(figsize=(2.5 * columns + 0.9, 2.45 * lines + 0.7))
    figure.suptitle(title)
    panels = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for axes in panels[len(titles) :]:
        axes.remove()
    panels = panels[: len(titles)]
    for axes, grid, name in zip(panels, probabilities, titles):
        image = _panel(axes, grid, limits)
        axes.set_title(name)
        for outline in outlines:
            axes.plot(*np.vstack([outline, outline[:1]]).T, color="0.35", lw=0.8, ls="--")
        for label, marker, fill in ((0, "o", "white"), (1, "^", "black")):
            style = {"marker": marker, "facecolor": fill, "edgecolor": "black", "linewidth": 0.5}
            axes.scatter(*points[labels == label].T, s=11, label=classes[label], **style)
        axes.label_outer()
    legend_below(figure, 2)
    bar = figure.colorbar(image, ax=list(panels), shrink=0.7, aspect=30)
    bar.set_label(f"Probability of {classes[1]}")
    return figure


def _panel(axes: Axes, grid: np.ndarray, limits: tuple[float, float]) -> ScalarMappable:
    """Draws the shading and the boundary of one classifier."""
    ticks = np.linspace(*limits, len(grid))
    style: dict[str, Any] = {
        "cmap": _SHADES,
        "vmin": 0,
        "vmax": 1,
        "shading": "gouraud",
        "rasterized": True,
    }
    image = axes.pcolormesh(ticks, ticks, grid, **style)
    if grid.min() < 0.5 < grid.max():
        axes.contour(ticks, ticks, grid, levels=[0.5], colors="black", linewidths=1.6)
    axes.set(xlim=limits, ylim=limits, aspect="equal")
    axes.set_xlabel("$x_1$", parse_math=True)
    axes.set_ylabel("$x_2$", parse_math=True)
    return image


def _check(
    probabilities: np.ndarray,
    points: np.ndarray,
    labels: np.ndarray,
    limits: tuple[float, float],
    titles: Sequence[str],
) -> None:
    shape = probabilities.shape
    if len(shape) != 3 or not shape[0] == len(titles) > 0 or not shape[1] == shape[2] > 1:
        raise ValueError(
            "probabilities must be [K, S, S], with a title for each of the K classifiers and S of "
            f"2 or more; received the shape {shape} and {len(titles)} titles"
        )
    if not (probabilities.min() >= 0 and probabilities.max() <= 1):
        raise ValueError(
            f"probabilities must lie in [0, 1]; received values from {probabilities.min():.4g} to "
            f"{probabilities.max():.4g}"
        )
    if points.ndim != 2 or points.shape[1] != 2 or labels.shape != points.shape[:1]:
        raise ValueError(
            f"there must be points [N, 2] and N labels; received the shapes {points.shape} and "
            f"{labels.shape}"
        )
    if not np.isin(labels, (0, 1)).all():
        raise ValueError(f"labels must be 0 or 1; received {np.unique(labels).tolist()}")
    if not limits[0] < limits[1]:
        raise ValueError(f"limits must be a lower and an upper one; received {limits!r}")
