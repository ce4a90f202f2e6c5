"""Figures of images: worst examples, and maps beside their images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from tfrobust.registries import CORRUPTIONS
from tfrobust.reports.figures import show_picture, styled
from tfrobust.reports.results import ATTACKS, shown_name, shown_strength


@styled
def worst_examples(
    clean: np.ndarray,
    changed: np.ndarray,
    records: Sequence[Mapping[str, Any]],
    *,
    title: str = "Worst examples",
    columns: int = 2,
) -> Figure:
    """Correctly classified images beside changed versions that are confidently misclassified.

    Args:
        clean: uint8 [K, H, W, 1 or 3], the images.
        changed: uint8 of the same shape, the changed images.
        records: K mappings with `corruption`, `severity`, `label` and `predicted` (class names)
            and `confidence` (a fraction).
        title: Title of the figure.
        columns: Number of pairs per row.

    Returns:
        A matplotlib figure.

    Raises:
        ValueError: The arrays and the records are inconsistent, or a record lacks a key.

    Example:

    >>> record = {"corruption": "fog", "severity": 5, "label": "cat", "predicted": "dog",
    ...           "confidence": 0.98}
    >>> worst_examples(np.zeros([1, 8, 8, 3], "uint8"), np.zeros([1, 8, 8, 3], "uint8"), [record])
    <Figure size 240x... with 2 Axes>
    """
    clean, changed = np.asarray(clean), np.asarray(changed)
    fits = clean.ndim == 4 and clean.shape == changed.shape and len(clean) == len(records) > 0
    if not fits or clean.shape[3] not in (1, 3) or {clean.dtype, changed.dtype} != {_UINT8}:
        raise ValueError(
            "needs clean and changed pictures, uint8 [K, H, W, 1 or 3], and K records; got "
            f"{clean.dtype} {clean.shape}, {changed.dtype} {changed.shape} and {len(records)}"
        )
    columns = min(columns, len(records))
    lines = -(-len(records) // columns)
    height = 1.05 * clean.shape[1] / clean.shape[2]
    figure = Figure(figsize=(2.4 * columns, (height + 0.78) * lines + 0.4))
    figure.suptitle(title)
    cells = figure.subfigures(lines, columns, squeeze=False, wspace=0.09).ravel()
    for cell, before, after, record in zip(cells, clean, changed, records):
        try:
            confidence = f"{100 * float(record['confidence']):.1f} %"
            change = _truncated(shown_name(record["corruption"]))
            change += _strength_label(record["corruption"], record["severity"])
            label, predicted = (_truncated(str(record[key])) for key in ("label", "predicted"))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"record of a worst example: {error!r}") from error
        texts = (("clean", f"true:\n{label}"), (change, f"says, {confidence} sure:\n{predicted}"))
        for axes, picture, (above, below) in zip(cell.subplots(1, 2), (before, after), texts):
            show_picture(axes, picture)
            axes.set_title(above, fontsize=7.5)
            axes.set_xlabel(below, fontsize=7.5)
    return figure


@styled
def maps_figure(
    images: np.ndarray, maps: np.ndarray, titles: Sequence[str], *, title: str = ""
) -> Figure:
    """Images beside maps of a magnitude: utility or sensitivity of each pixel.

    Args:
        images: float [K, H, W, 1 or 3] in [0, 1]; values outside are clipped.
        maps: float [K, H, W], or [K, M, H, W] for M maps per image; 0 or more. Reduce the channels
            first, for example by their maximum or sum.
        titles: Names of the M maps.
        title: Title of the figure.

    Returns:
        A matplotlib figure. All maps under one name share a scale that starts at 0.

    Raises:
        ValueError: The shapes are inconsistent, or a map is negative or not finite.

    Example:

    >>> maps_figure(np.zeros([2, 8, 8, 3]), np.ones([2, 8, 8]), ["utility"])
    <Figure size ... with 5 Axes>
    """
    images, maps = np.asarray(images, np.float32), np.asarray(maps, np.float64)
    maps = maps[:, np.newaxis] if maps.ndim == 3 else maps
    fits = images.ndim == 4 and images.shape[3] in (1, 3) and maps.ndim == 4 and len(images) > 0
    wanted = (len(images), len(titles), *images.shape[1:3]) if fits else ()
    if not fits or maps.shape != wanted or not len(titles):
        raise ValueError(
            "needs images [K, H, W, 1 or 3], maps [K, M, H, W] and M titles; got images "
            f"{images.shape}, maps {maps.shape} and {len(titles)} titles"
        )
    if not np.all(np.isfinite(maps)) or maps.min() < 0:
        raise ValueError(f"maps must be magnitudes, finite and 0 or more; got {maps.min():g}")
    rows, names = len(images), ["image", *titles]
    tall = 1.7 * images.shape[1] / images.shape[2] * rows
    figure = Figure(figsize=(1.8 * len(names), tall + 1.1))
    figure.suptitle(title)
    grid = figure.subplots(rows, len(names), squeeze=False)
    for axes, name in zip(grid[0], names):
        axes.set_title(name)
    for axes, image in zip(grid[:, 0], images):
        show_picture(axes, np.clip(image, 0, 1))
    for column, some in zip(grid.T[1:], maps.swapaxes(0, 1)):
        style: dict[str, Any] = {"cmap": "cividis", "vmin": 0.0, "vmax": some.max() or 1.0}
        for axes, one in zip(column, some):
            drawn = axes.imshow(one, interpolation="nearest", **style)
            axes.set(xticks=[], yticks=[])
        layout: dict[str, Any] = {"shrink": 0.9, "aspect": 14, "pad": 0.02}
        bar = figure.colorbar(drawn, ax=list(column), orientation="horizontal", **layout)
        bar.ax.locator_params(nbins=3)
        bar.ax.tick_params(labelsize=7)
        bar.ax.ticklabel_format(axis="x", scilimits=(-2, 3))
    return figure


_UINT8 = np.dtype("uint8")


def _strength_label(corruption: str, severity: float | None) -> str:
    if severity is None:
        return ""
    kinds = {**dict.fromkeys(CORRUPTIONS, "severity"), **dict.fromkeys(ATTACKS, "size")}
    return f"\n{kinds.get(corruption, 'strength')} {shown_strength(corruption, severity)}"


def _truncated(text: str, longest: int = 17) -> str:
    """Truncates a name so that it does not overlap the next image."""
    text = " ".join(text.split())
    return text if len(text) <= longest else text[: longest - 1] + "…"
