"""Reliability diagram: accuracy against confidence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from tfrobust.reports.figures import open_up, styled


@styled
def reliability_diagram(
    curve: Mapping[str, Any], *, title: str = "", error: float | None = None
) -> Figure:
    """Accuracy against confidence by bin, with a histogram of the confidence below.

    Guo et al. 2017 (arXiv:1706.04599), figure 1.

    Args:
        curve: Mapping with `edges` [bins + 1] from 0 to 1, and `confidence`, `accuracy` and
            `count` [bins]; None or NaN where a bin is empty. `dataclasses.asdict` of a reliability
            curve is one.
        title: Title of the figure.
        error: Expected calibration error, a fraction, for the legend.

    Returns:
        A matplotlib figure.

    Raises:
        ValueError: A key is missing, or the numbers are inconsistent.

    Example:

    >>> curve = {"edges": [0, 0.5, 1], "confidence": [None, 0.8], "accuracy": [None, 0.7],
    ...          "count": [0, 10]}
    >>> reliability_diagram(curve, error=0.1)
    <Figure size 420x450 with 2 Axes>
    """
    edges, confidence, accuracy, count = _arrays(curve)
    full = count > 0
    left, width = 100 * edges[:-1][full], 100 * np.diff(edges)[full]
    right, sure = 100 * accuracy[full], 100 * confidence[full]
    figure = Figure(figsize=(4.2, 4.5))
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    style: dict[str, Any] = {"align": "edge", "width": width}
    bars = above.bar(left, right, color="#56B4E9", edgecolor="#000000", lw=0.6, **style)
    # The gap between confidence and accuracy, which the calibration error averages.
    style_of_gap = {"facecolor": "none", "edgecolor": "#D55E00", "hatch": "////", "lw": 0.6}
    gap = above.bar(left, sure - right, bottom=right, **style_of_gap, **style)
    (diagonal,) = above.plot([0, 100], [0, 100], color="black", linestyle="--", lw=1)
    gap_name = "gap to confidence" + ("" if error is None else f", ECE {100 * error:.2f} %")
    names = ["accuracy", gap_name, "perfect calibration"]
    # Below, where it covers no bar.
    figure.legend([bars, gap, diagonal], names, loc="outside lower center", ncols=2, fontsize=8)
    above.set(title=title, xlim=(0, 100), ylim=(0, 100), ylabel="Accuracy (%)")
    below.bar(left, 100 * count[full] / count.sum(), color="0.6", edgecolor="0.2", **style)
    below.set(xlabel="Confidence (%)", ylabel="Images (%)")
    open_up(above)
    open_up(below)
    return figure


def curve_error(curve: Mapping[str, Any]) -> float:
    """Expected calibration error of a reliability curve: Σ count / n · |accuracy − confidence|.

    >>> curve_error({"edges": [0, 0.5, 1], "confidence": [None, 0.75], "accuracy": [None, 0.5],
    ...              "count": [0, 10]})
    0.25
    """
    _, confidence, accuracy, count = _arrays(curve)
    full = count > 0
    gaps = count[full] * np.abs(accuracy[full] - confidence[full])
    return float(gaps.sum() / count.sum())


def _arrays(curve: Mapping[str, Any]) -> tuple[np.ndarray, ...]:
    names = ("edges", "confidence", "accuracy", "count")
    try:
        edges, confidence, accuracy, count = (np.asarray(curve[n], np.float64) for n in names)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"a reliability curve needs numbers in {names}; {error!r}") from error
    bins = len(count) if count.ndim == 1 else 0
    shapes = [array.shape for array in (edges, confidence, accuracy, count)]
    if bins < 1 or shapes != [(bins + 1,), (bins,), (bins,), (bins,)]:
        raise ValueError(f"a reliability curve needs bins + 1 edges and bins values; got {shapes}")
    full = count > 0
    inside = [np.all((a >= 0) & (a <= 1)) for a in (edges, confidence[full], accuracy[full])]
    if not (all(inside) and np.all(np.diff(edges) > 0) and full.any() and np.all(count >= 0)):
        raise ValueError(
            "a reliability curve needs rising edges and fractions in [0, 1], counts of 0 or more "
            f"and one image at least; got edges {edges.tolist()}, counts {count.tolist()}, "
            f"confidence {confidence.tolist()} and accuracy {accuracy.tolist()}"
        )
    return edges, confidence, accuracy, count
