"""Figure sections of an evaluation report: calibration, flips, worst examples."""

from __future__ import annotations

import pathlib
import zipfile
from collections.abc import Iterator
from typing import Any

import numpy as np

from tfrobust.reports import page
from tfrobust.reports.flips import flip_bars
from tfrobust.reports.picture_pairs import maps_figure, worst_examples
from tfrobust.reports.reliability import curve_error, reliability_diagram
from tfrobust.rows import CLEAN, Row

#: Maximum number of worst examples per model.
WORST_SHOWN = 12


def reliability(
    folder: pathlib.Path, records: list[dict[str, Any]], dataset: str, level: int
) -> Iterator[str]:
    """Reliability diagrams of one data set."""
    chosen = [record for record in records if record["dataset"] == dataset]
    figures = []
    for record in chosen:
        images = {CLEAN: "clean images", "test": "corrupted images"}.get(record["corruption"])
        title = f"{record['model']}, {images or record['corruption']}"
        try:
            error = curve_error(record)
            figure = reliability_diagram(record, title=title, error=error)
        except ValueError as error_found:
            raise ValueError(f"{folder / 'reliability.json'}: {error_found}") from error_found
        alt = f"Reliability diagram: {title}. Expected calibration error {100 * error:.2f} percent."
        figures.append(page.figure(figure, "svg+xml", alt, "", kind=""))
    if figures:
        yield page.heading("Is a model right as often as it is sure?", level)
        yield page.paragraph(
            "Images are grouped by how sure the model is of its answer. A well calibrated "
            "model is right as often as it is sure: its bars end at the dashed line. The hatched "
            "part is the gap; ECE is its mean over all images. The grey bars show how many images "
            "each group has."
        )
        yield page.grid(figures)


def flips(rows: list[Row], level: int, mixed: bool) -> Iterator[str]:
    """Flip probabilities and rates of one data set."""
    figures = []
    for metric in ("flip_probability", "flip_rate"):
        chosen = [row for row in rows if row.metric == metric]
        difficulties = sorted({row.severity for row in chosen}, key=lambda s: (s is not None, s))
        if chosen and metric == "flip_probability":
            yield page.heading("Changed predictions in slowly changing pictures", level)
            yield page.paragraph(
                "How often the predicted class changes from one picture of a sequence to the next, "
                "or, where noise is added, from the clean picture to a noisy one."
            )
        for difficulty in difficulties:
            those = [row for row in chosen if row.severity == difficulty]
            title = "Flip probability" if metric == "flip_probability" else "Flip rate"
            title += "" if difficulty is None else f", difficulty {difficulty:g}"
            figure = flip_bars(those, metric=metric, title=title, mixed_protocols=mixed)
            shown = 100 if metric == "flip_probability" else 1
            numbers = (f"{r.model}, {r.corruption}: {shown * r.value:.1f}" for r in those)
            alt = f"{title}. {'; '.join(numbers)}."
            figures.append(page.figure(figure, "svg+xml", alt, "", kind=""))
    if figures:
        yield page.grid(figures)


def worst(folder: pathlib.Path) -> Iterator[str]:
    """The worst examples of each model."""
    path, arrays_path = folder / "worst.json", folder / "worst.npz"
    keys = ("model", "corruption", "severity", "label", "predicted", "confidence")
    records = page.read_records(path, keys)
    if not records:
        return
    try:
        with np.load(arrays_path, allow_pickle=False) as arrays:
            clean, changed = arrays["clean"], arrays["changed"]
            if not len(clean) == len(changed) == len(records):
                sizes = f"{len(clean)}, {len(changed)} and {len(records)} examples"
                raise ValueError(f"clean, changed and {path.name} hold {sizes}")
    except (KeyError, OSError, TypeError, ValueError, zipfile.BadZipFile) as error:
        raise ValueError(f"{arrays_path} must hold clean and changed pictures; {error}") from error
    yield page.heading("Worst examples")
    yield page.paragraph(
        "Pictures that a model gets right when they are clean, and of which it is most sure of a "
        "wrong answer when they are changed."
    )
    figures = []
    for model in dict.fromkeys(record["model"] for record in records):
        chosen = [i for i, r in enumerate(records) if r["model"] == model][:WORST_SHOWN]
        those = [records[i] for i in chosen]
        try:
            figure = worst_examples(clean[chosen], changed[chosen], those, title=str(model))
        except ValueError as error:
            raise ValueError(f"{path} and {arrays_path.name}: {error}") from error
        pairs = (f"{r['corruption']}: {r['label']} taken for {r['predicted']}" for r in those)
        alt = f"Worst examples of {model}. {'; '.join(pairs)}."
        figures.append(page.figure(figure, "png", alt, "", kind=""))
    yield page.grid(figures)


def maps(folder: pathlib.Path) -> Iterator[str]:
    """Per-pixel utility and sensitivity of some images, for each model."""
    path, arrays_path = folder / "maps.json", folder / "maps.npz"
    description = page.read_json(path)
    if not description:
        return
    try:
        with np.load(arrays_path, allow_pickle=False) as arrays:
            images, found = arrays["images"], arrays["maps"]
        if len(found) != len(description["models"]):
            raise ValueError(f"{len(found)} sets of maps and {len(description['models'])} models")
        figures = [
            maps_figure(images / np.float32(255), one, description["maps"], title=str(model))
            for model, one in zip(description["models"], found)
        ]
    except (KeyError, OSError, TypeError, ValueError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"{arrays_path} must hold images and maps as {path.name} says; {error}"
        ) from error
    yield page.heading("What the models look at")
    yield page.paragraph(
        "Utility: how much the loss changes with a pixel. Sensitivity: how far the features move "
        "with it, whatever the class. FCL trains for features that move where the utility is high."
    )
    yield page.grid(
        [
            page.figure(figure, "png", f"Utility and sensitivity of {model}.", "", kind="")
            for model, figure in zip(description["models"], figures)
        ]
    )
