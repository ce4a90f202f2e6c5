"""The look of all figures, examples of the augmentations, and accuracy over the epochs."""

from __future__ import annotations

import base64
import io
import math
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from tfrobust.reports.protocols import corruption_key
from tfrobust.reports.results import corruption_labels
from tfrobust.reports.table import with_minus_signs
from tfrobust.rows import CLEAN, Row

# Makes figures independent of the user's matplotlib settings. The salt makes the ids in an SVG,
# and so the file, reproducible. Names may contain $, so text is never parsed as a formula.
LOOK: list[Any] = [
    "default",
    {
        "svg.hashsalt": "tfrobust",
        "text.parse_math": False,
        "figure.constrained_layout.use": True,
        "font.size": 9,
        "axes.titlesize": 10,
        "figure.titlesize": 10,
        "axes.axisbelow": True,
        "grid.color": "0.9",
        "legend.frameon": False,
    },
]
#: Decorates a function that draws a figure.
styled = matplotlib.style.context(LOOK)

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
HATCHES = ("", "////", "\\\\\\\\", "....", "xxxx", "----")


@styled
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
    figure = Figure(figsize=(1.1 * columns + 0.2, 1.1 * height / width * examples + 0.6))
    figure.suptitle(title)
    grid = figure.subplots(examples, columns, squeeze=False)
    for axes, picture in zip(grid.ravel(), pictures.reshape(-1, *pictures.shape[2:])):
        show_picture(axes, np.clip(picture, 0.0, 1.0))
    for axes, name in zip(grid[0], names):
        label = with_minus_signs("Clean" if name == CLEAN else name)
        # Fit the label to the column: a letter is about 0.55 of the font size wide.
        axes.set_title(label, fontsize=min(10.0, 79 / (0.55 * max(len(label), 1))))
    return figure


@styled
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
    labels = corruption_labels(rows)
    figure = Figure(figsize=(7.5, max(4.4, 0.2 * len(labels) + 1.0)))
    axes = figure.add_subplot(title=title, xlabel="Epochs of training (0 is before it)")
    axes.set_ylabel(f"{split} accuracy (%)".strip().capitalize())
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    open_up(axes)
    for i, (key, label) in enumerate(labels.items()):
        points = sorted((r.epoch or 0, 100 * r.value) for r in rows if corruption_key(r) == key)
        other = (COLOURS[i % 7], DASHES[i % 4], MARKERS[i % 5])
        style = dict(zip(("color", "linestyle", "marker"), STYLES.get(key[0], other)))
        axes.plot(*zip(*points), markersize=5, markevery=len(points) // 20 + 1, **style)
        ends.append((points[-1], with_minus_signs(label), style))
    ends.sort(key=lambda end: -end[0][1])
    _label_curves(axes, ends, line=0.17 / (figure.get_figheight() - 0.9))  # in plot heights
    return figure


def _label_curves(axes: Axes, ends: list[tuple[Any, str, dict[str, Any]]], line: float) -> None:
    """Labels each curve at the right of the plot; overlapping labels are pushed down."""
    low, high = axes.get_ylim()  # read before the limits are frozen, which resets them
    axes.autoscale(False)
    at_right = axes.get_yaxis_transform()  # x in widths of the plot, y in percent
    height = high
    for point, label, style in ends:
        height = min(point[1], height - line * (high - low))
        leader = {"arrowstyle": "-", "color": "0.6", "linewidth": 0.6, "shrinkB": 4}
        axes.annotate("", point, (1.05, height), textcoords=at_right, arrowprops=leader)
        sample: dict[str, Any] = {
            "markersize": 5,
            "markevery": [1],
            "clip_on": False,
            "transform": at_right,
        }
        axes.plot((1.05, 1.085, 1.12), [height] * 3, **sample, **style)
        axes.text(1.14, height, label, transform=at_right, va="center")


def open_up(axes: Axes) -> None:
    """Replaces the frame of a plot by a grid and the two axes."""
    axes.grid(True)
    axes.spines[["top", "right"]].set_visible(False)


def show_picture(axes: Axes, picture: np.ndarray) -> None:
    """Shows a picture without ticks."""
    # A single channel is repeated, because imshow would stretch its contrast.
    axes.imshow(np.broadcast_to(picture, (*picture.shape[:2], 3)), interpolation="nearest")
    axes.set(xticks=[], yticks=[])


def legend_below(
    figure: Figure, columns: int | None = None, notes: Sequence[str] = (), **style: Any
) -> None:
    """Adds the legend of the first plot below a figure, headed by notes on differing protocols."""
    handles, labels = figure.axes[0].get_legend_handles_labels()
    if columns is None:
        columns = 1 if max(map(len, labels), default=0) > 18 else 2
    text = "\n".join(textwrap.fill(note, 75) for note in notes)
    height = 0.13 * len(text.splitlines()) + 0.19 * math.ceil(len(labels) / columns)
    figure.set_figheight(figure.get_figheight() + height)
    style = {"title": text or None, "title_fontsize": 7, **style}
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, **style)


def legend_label(text: str) -> str:
    """A name as a legend label."""
    # Matplotlib omits labels that start with _ from the legend.
    return f" {text}" if text.startswith("_") else text


def encoded(figure: Figure, media: str) -> bytes:
    """Encodes a figure as a `"png"` or `"svg+xml"` file, reproducibly."""
    stream = io.BytesIO()
    form, metadata = ("png", None) if media == "png" else ("svg", {"Date": None})
    with matplotlib.style.context(LOOK):
        figure.savefig(stream, format=form, dpi=160, metadata=metadata)
    return stream.getvalue()


def as_image(figure: Figure, media: str, alt: str) -> dict[str, str]:
    """A figure as an image of a page, with its alternative text."""
    code = base64.b64encode(encoded(figure, media)).decode("ascii")
    return {"source": f"data:image/{media};base64,{code}", "alt": alt}
