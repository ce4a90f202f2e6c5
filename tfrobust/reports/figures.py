"""Report figures: examples of the augmentations, and accuracy over the epochs."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from typing import Any

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from tfrobust.reports import tables
from tfrobust.rows import CLEAN, Row

# Makes reports independent of the user's matplotlib settings. The salt makes the ids in an SVG,
# and so the file, reproducible.
LOOK: list[Any] = ["default", {"svg.hashsalt": "tfrobust", "font.size": 9, "axes.titlesize": 10}]
# Okabe-Ito colours without yellow, which is hard to see on white. Dashes and markers differ as
# well, so that the lines are distinguishable in greyscale.
STYLES: dict[str, tuple[str, Any, str]] = {
    "clean": ("#000000", "-", "o"),
    "B+": ("#E69F00", "-", "^"),
    "B-": ("#E69F00", "--", "v"),
    "GB": ("#009E73", "-", "s"),
    "GN": ("#0072B2", "--", "D"),
    "SAP": ("#56B4E9", ":", "P"),
    "S+": ("#CC79A7", "-.", ">"),
    "S-": ("#CC79A7", (0, (3, 1, 1, 1, 1, 1)), "<"),
    "Combined+": ("#D55E00", "-", "*"),
    "Combined-": ("#D55E00", "--", "X"),
}
# For all other corruptions; 7 colours, 4 dashes and 5 markers repeat only after 140 lines.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DASHES, MARKERS = ("-", "--", "-.", ":"), ("p", "h", "d", "H", "8")


def augmentation_grid(pictures: np.ndarray, names: Sequence[str], *, title: str) -> Figure:
    """Figure 3 of the FMA paper: one row per example, one column per augmentation.

    Args:
        pictures: float [examples, names, H, W, 1 or 3] in [0, 1]; values outside are clipped.
        names: Name of each column, such as the augmentation.
        title: Title of the figure.

    Returns:
        A matplotlib figure.

    Raises:
        ValueError: `pictures` has the wrong shape, or does not match `names`.

    Example:

    >>> augmentation_grid(np.zeros([2, 3, 8, 8, 3]), ["clean", "B+", "B-"], title="Digits")
    <Figure size 350x280 with 6 Axes>
    """
    pictures = np.asarray(pictures, np.float32)
    if pictures.ndim != 5 or pictures.shape[1] != len(names) or pictures.shape[4] not in (1, 3):
        raise ValueError(
            "pictures must be [examples, names, H, W, 1 or 3] with as many names; got shape "
            f"{pictures.shape} and {len(names)} names"
        )
    examples, columns, height, width, _ = pictures.shape
    size = (1.1 * columns + 0.2, 1.1 * height / width * examples + 0.6)
    with matplotlib.style.context(LOOK):
        figure = Figure(figsize=size, layout="constrained")
        figure.suptitle(title, parse_math=False, fontsize=10.0)
        for i, line in enumerate(figure.subplots(examples, columns, squeeze=False)):
            for picture, name, axes in zip(pictures[i], names, line):
                # A single channel is repeated, because imshow would stretch its contrast.
                picture = np.broadcast_to(np.clip(picture, 0.0, 1.0), (height, width, 3))
                axes.imshow(picture, interpolation="nearest")
                axes.set(xticks=[], yticks=[])
                label = tables.with_minus_signs("Clean" if name == CLEAN else name)
                # Fit the label to the column: a letter is about 0.55 of the font size wide.
                size_of_label = min(10.0, 79 / (0.55 * max(len(label), 1)))
                axes.set_title(label if i == 0 else "", parse_math=False, fontsize=size_of_label)
    return figure


def accuracy_over_epochs(rows: Iterable[Row], *, model: str, title: str) -> Figure:
    """Figure 4 of the FMA paper: accuracy on each corruption during finetuning.

    Args:
        rows: Rows with an epoch; 0 is before finetuning. Other rows are ignored.
        model: The model to show. Other models are ignored.
        title: Title of the figure.

    Returns:
        A matplotlib figure: validation accuracy in percent against epochs.

    Raises:
        ValueError: `model` has no accuracies with an epoch, or has them on several data sets.
    """
    rows = [row for row in rows if row.epoch is not None and row.metric == "accuracy"]
    found = sorted({row.model for row in rows})
    rows = [row for row in rows if row.model == model]
    datasets = sorted({row.dataset for row in rows})
    if len(datasets) != 1:
        got = f"models {found}, of which {model!r} has data sets {datasets}"
        raise ValueError(f"needs accuracies of {model!r} over epochs on one data set; got {got}")
    split, ends = datasets[0].partition("/")[2], []
    labels = tables.corruption_labels(rows)
    with matplotlib.style.context(LOOK):
        figure = Figure(figsize=(7.5, max(4.4, 0.2 * len(labels) + 1.0)), layout="constrained")
        axes = figure.add_subplot()
        axes.set_title(title, parse_math=False)
        axes.set_xlabel("Epochs of training (0 is before it)")
        axes.set_ylabel(f"{split} accuracy (%)".strip().capitalize(), parse_math=False)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.grid(color="0.9")
        axes.spines[["top", "right"]].set_visible(False)
        for i, (key, label) in enumerate(labels.items()):
            values = {r.epoch or 0: 100 * r.value for r in rows if tables.corruption_key(r) == key}
            other = (COLOURS[i % 7], DASHES[i % 4], MARKERS[i % 5])
            style = dict(zip(("color", "linestyle", "marker"), STYLES.get(key[0], other)))
            points = sorted(values.items())
            axes.plot(*zip(*points), markersize=5, markevery=len(points) // 20 + 1, **style)
            ends.append((points[-1], label, style))
        ends.sort(key=lambda end: -end[0][1])
        _label_curves(axes, ends, line=0.17 / (figure.get_figheight() - 0.9))  # in plot heights
    return figure


def _label_curves(axes: Axes, ends: list[tuple[Any, str, dict[str, Any]]], line: float) -> None:
    """Labels each curve at the right of the plot; overlapping labels are pushed down."""
    low, high = axes.get_ylim()  # read before the limits are frozen, which resets them
    axes.autoscale(False)
    axes_transform = axes.get_yaxis_transform()  # x in widths of the plot, y in percent
    height = high
    for point, label, style in ends:
        height = min(point[1], height - line * (high - low))
        leader = {"arrowstyle": "-", "color": "0.6", "linewidth": 0.6, "shrinkB": 4}
        axes.annotate("", point, (1.05, height), textcoords=axes_transform, arrowprops=leader)
        x, y = (1.05, 1.085, 1.12), (height, height, height)  # a sample of the line
        axes.plot(
            x, y, markersize=5, markevery=[1], clip_on=False, transform=axes_transform, **style
        )
        label = tables.with_minus_signs(label)
        axes.text(1.14, height, label, transform=axes_transform, va="center", parse_math=False)


def encoded(figure: Figure, media: str) -> bytes:
    """Encodes a figure as a `"png"` or `"svg+xml"` file, reproducibly."""
    stream = io.BytesIO()
    form, metadata = ("png", None) if media == "png" else ("svg", {"Date": None})
    with matplotlib.style.context(LOOK):
        figure.savefig(stream, format=form, dpi=160, metadata=metadata)
    return stream.getvalue()
