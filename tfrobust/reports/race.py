"""What the report of `robustify` says: the answer, what was tried, and clean against robust."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from tfrobust.reports.figures import legend_below, open_up, styled
from tfrobust.reports.table import Table

_Record = Mapping[str, Any]
#: Marker of a candidate by its method, so that the figure can be read without colour.
_LOOKS = {
    "augmix_training": ("AugMix", "#0072B2", "o"),
    "noisymix": ("NoisyMix", "#D55E00", "s"),
    "augmentation_training": ("AT", "#009E73", "^"),
    "stability_training": ("ST", "#CC79A7", "v"),
    "feature_map_augmentation": ("FMA", "#E69F00", "D"),
    "adversarial_training": ("Adversarial", "#56B4E9", "P"),
    "augmax": ("AugMax", "#000000", "X"),
}


def answer(story: _Record, differences: Sequence[_Record]) -> str:
    """The first sentence of the report.

    Args:
        story: What `recipes.robustify` wrote into robustify.json.
        differences: The records of differences.json.

    Returns:
        Whether there is a better model, by how much on the test images, and how sure that is.
    """
    if story["chosen"] is None:
        return (
            "Nothing that was tried within the budget is better than the original model on the "
            "validation images, so the result is the original."
        )
    found = {one["corruption"]: one for one in differences if one["model"] == "robust"}
    parts = []
    for key, words in (("test", "on corrupted"), ("clean", "on clean")):
        if key in found:
            low, difference, high = (100 * found[key][n] for n in ("low", "difference", "high"))
            sure = "" if low > 0 or high < 0 else "; the difference can be chance"
            parts.append(
                f"{difference:+.1f} points {words} images (95% interval {low:+.1f} to {high:+.1f}"
                f"{sure})"
            )
    return f"The result against the original, on test images: {' and '.join(parts)}."


def advice(story: _Record) -> list[str]:
    """What to do next."""
    found = []
    images, failed = story["start"]["n"], [one for one in story["tried"] if "failed" in one]
    if story["left_out"]:
        found.append(
            f"More budget: {len(story['left_out'])} candidates did not fit it, and those that did "
            "trained for few steps."
        )
    if images < 500:
        found.append(
            f"More validation images: with {images}, models that differ by less than "
            f"{100 * images**-0.5:.0f} points cannot be told apart, and the choice is partly luck."
        )
    if failed:
        found.append(f"{len(failed)} trainings failed; the table says why.")
    found.append("Another backbone: a newer net often gains more than any method does.")
    return found


def race_table(story: _Record) -> Table:
    """All candidates with their last rung, the best first."""
    last = {one["name"]: one for one in story["tried"]}
    order = sorted(
        last.values(), key=lambda one: (one["rung"], one.get("robust", -1.0)), reverse=True
    )
    lines: list[tuple[str, list[Any]]] = []
    for one in order:
        notes = [one["failed"]] if "failed" in one else []
        notes += ["below the floor"] if one.get("clean", 1.0) < story["floor"] - 1e-6 else []
        notes += [f"trained on images like {' and '.join(one['seen'])}"] if one["seen"] else []
        numbers = [None if one.get(k) is None else 100 * one[k] for k in ("clean", "robust")]
        made = [one["method"], one["augment"], one["learning_rate"], f"{100 * one['first']:g}%"]
        counts = [one["rung"], one.get("steps")]
        lines.append((str(len(lines) + 1), [*made, *counts, *numbers, "; ".join(notes)]))
    columns = [("Method", ""), ("Augmentation", ""), ("Learning rate", "g"), ("Layers trained", "")]
    columns += [("Rung", "d"), ("Steps", "d"), ("Clean (%)", ".2f"), ("Robust (%)", ".2f")]
    return Table.from_records("Place", [*columns, ("Note", "")], lines)


@styled
def race_figure(story: _Record) -> Figure:
    """Clean against robust accuracy on validation images: candidates, dial and chosen point."""
    figure = Figure(figsize=(5.6, 4.2))
    axes = figure.subplots()
    for method, (label, colour, marker) in _LOOKS.items():
        chosen = [one for one in story["tried"] if one["method"] == method and "clean" in one]
        if chosen:
            x, y = ([100 * one[k] for one in chosen] for k in ("clean", "robust"))
            axes.plot(x, y, marker, color=colour, label=label, alpha=0.8)
    start = story["start"]
    dial = [start, *(one for one in story["points"] if one["name"].endswith("of the way"))]
    x, y = ([100 * one[k] for one in dial] for k in ("clean", "robust"))
    axes.plot(x, y, "--", color="0.4", marker=".", label="From the original to the winner")
    axes.plot(x[:1], y[:1], "*", color="black", markersize=13, label="Original")
    best = story["chosen"] or start
    ring: dict[str, Any] = {
        "marker": "o",
        "markersize": 15,
        "markerfacecolor": "none",
        "linestyle": "",
    }
    axes.plot([100 * best["clean"]], [100 * best["robust"]], color="black", label="Taken", **ring)
    axes.axvline(100 * story["floor"], color="0.6", linestyle=":", label="Floor of clean accuracy")
    axes.set(
        title=f"Candidates on {start['n']} validation images",
        xlabel="Accuracy on clean images (%)",
        ylabel="Robust accuracy (%)",
    )
    open_up(axes)
    legend_below(figure)
    return figure
