"""What the report of an evaluation holds: tables and figures of each data set, and examples."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tfrobust.registries import CORRUPTIONS
from tfrobust.reports import answer, figures, tables
from tfrobust.reports.curves import strength_curves
from tfrobust.reports.flips import flip_bars
from tfrobust.reports.heat_maps import accuracy_heat_map
from tfrobust.reports.picture_pairs import maps_figure, worst_examples
from tfrobust.reports.reliability import curve_error, reliability_diagram
from tfrobust.reports.results import FRACTIONS, RATIOS, is_attack, shown_name
from tfrobust.reports.run_files import naming, read_arrays, read_json, read_records
from tfrobust.reports.table import Table
from tfrobust.rows import CLEAN, Row

FILES = ("answers.json", "differences.json", "reliability.json", "worst.json", "worst.npz")
OWN_METRICS = {*FRACTIONS, *RATIOS} - {"accuracy"}
KEYS = ("model", "dataset", "corruption", "severity")
#: Maximum number of worst examples per model.
WORST_SHOWN = 12

_Image = dict[str, str]


def is_evaluation(folder: pathlib.Path, rows: Sequence[Row]) -> bool:
    """Whether a run folder holds an evaluation, not only accuracies on augmented images."""
    rows = [row for row in rows if row.epoch is None]
    known = any(
        (row.corruption in CORRUPTIONS or is_attack(row)) and row.protocol is not None
        for row in rows
    )
    files = any((folder / name).exists() for name in FILES)
    return files or known or any(row.metric in OWN_METRICS for row in rows)


def content(folder: pathlib.Path, rows: Sequence[Row], mixed: bool) -> dict[str, Any]:
    """What the template shows of an evaluation.

    Args:
        folder: The run folder.
        rows: Its rows.
        mixed: Allows models measured under different protocols.

    Returns:
        `evaluations`, one mapping per data set, and the images `worst` and `maps`.

    Raises:
        ValueError: A file has the wrong content; the message names it.
    """
    path = folder / "rows.jsonl"
    rows = [row for row in rows if row.epoch is None]
    if not rows:
        raise ValueError(f"{path} has no row of a finished model")
    differences = read_records(folder / "differences.json", KEYS)
    reliability = read_records(folder / "reliability.json", KEYS)
    answered = read_records(folder / "answers.json", ("model", "dataset", "kind"))
    evaluations = []
    for dataset in dict.fromkeys(row.dataset for row in rows):
        with naming(path):
            chosen = [row for row in rows if row.dataset == dataset]
            part = _measured(dataset, chosen, mixed)
        with naming(folder / "answers.json"):
            records = [record for record in answered if record["dataset"] == dataset]
            part["answer"] = answer.answer(records) if records else None
        with naming(folder / "differences.json"):
            records = [record for record in differences if record["dataset"] == dataset]
            part["differences"] = tables.differences_table(records) if records else None
        with naming(folder / "reliability.json"):
            records = [record for record in reliability if record["dataset"] == dataset]
            part["reliability"] = list(map(_reliability, records))
        evaluations.append(part)
    return {"evaluations": evaluations, "worst": _worst(folder), "maps": _maps(folder)}


def _measured(dataset: str, rows: list[Row], mixed: bool) -> dict[str, Any]:
    """The tables and figures that come from the rows of a data set."""
    accuracies = [row for row in rows if row.metric == "accuracy"]
    names = {row.corruption for row in accuracies}
    swept = _swept(accuracies)
    # Augmentations at a single strength; those at several are shown as curves.
    single = [r for r in accuracies if r.corruption not in (*CORRUPTIONS, *swept)]
    single = [row for row in single if not is_attack(row)]
    wanted: dict[str, tuple[Any, list[Row], bool]] = {
        "summary": (tables.summary_table, rows, any(map(tables.in_summary, rows))),
        "corruptions": (tables.corruptions_table, rows, bool(names & set(CORRUPTIONS))),
        "augmentations": (
            tables.robustness_table,
            single,
            any(r.corruption != CLEAN for r in single),
        ),
        "attacks": (tables.attacks_table, rows, any(map(is_attack, accuracies))),
    }
    found: dict[str, Any] = {
        name: make(some, mixed_protocols=mixed) if there else None
        for name, (make, some, there) in wanted.items()
    }
    found["lead"] = found["summary"] and _lead_text(dataset, rows, found["summary"])
    found["heat_maps"] = list(_heat_maps(accuracies, found["corruptions"]))
    found["sweeps"] = [_sweep(rows, name, mixed) for name in swept]
    return {**found, "dataset": dataset, "flips": list(_flips(rows, mixed))}


def _swept(accuracies: list[Row]) -> list[str]:
    """Augmentations and attacks measured at several strengths."""
    pairs = dict.fromkeys((row.corruption, row.severity) for row in accuracies)
    names = [name for name, strength in pairs if strength is not None]
    return [
        n for n in dict.fromkeys(names) if names.count(n) > 1 and n not in (CLEAN, *CORRUPTIONS)
    ]


def _lead_text(dataset: str, rows: list[Row], table: Table) -> str:
    sizes = sorted({row.n for row in rows if row.corruption == CLEAN} or {row.n for row in rows})
    count = len(table.columns)
    who = f"{count} models" if count > 1 else table.columns[0]
    text = f"{who} on {dataset}, {' or '.join(map(str, sizes))} images."
    forms = {
        "Clean accuracy": "Clean images: {} % right{}.",
        "Robust accuracy, all": "Corrupted images (15 corruptions at 5 severities): {} % right{}.",
        "mCE": "Mean corruption error {label}: {}{}.",
        "Mean flip probability": "Predictions that flip: {} %{}.",
    }
    for start, form in forms.items():
        i = next((i for i, label in enumerate(table.labels) if label.startswith(start)), None)
        if i is not None:
            best = [j for j in range(count) if (i, j) in table.best]
            known = [j for j, value in enumerate(table.values[i]) if value is not None]
            names = " and ".join(table.columns[j] for j in best or known)
            if best:
                of_whom = f" at best ({names})"
            elif len(known) == count:
                of_whom = " for every model" if count > 1 else ""
            else:
                of_whom = f" ({names})"
            label = table.labels[i].removeprefix("mCE ").rstrip(" ↑↓")
            text += " " + form.format(table.texts[i][(best or known)[0]], of_whom, label=label)
    if any(note.startswith("Not measured alike") for note in table.notes):
        text += " Not all models were measured alike: see the notes under the tables."
    return text


def _heat_maps(accuracies: list[Row], table: Any) -> Iterator[_Image]:
    corrupted = (row for row in accuracies if row.corruption in CORRUPTIONS)
    for model in dict.fromkeys(row.model for row in corrupted):
        j = table.columns.index(model)
        means = "; ".join(f"{label}: {t[j]}" for label, t in zip(table.labels, table.texts))
        alt = f"Accuracy of {model} in percent, corruptions by severities. Means: {means}."
        yield figures.as_image(accuracy_heat_map(accuracies, model=model), "png", alt)


def _sweep(rows: list[Row], name: str, mixed: bool) -> dict[str, Any]:
    alt = f"Accuracy under {name} at rising strength; the numbers are in the table below."
    figure = strength_curves(rows, name, mixed_protocols=mixed)
    table = tables.sweep_table(rows, name, mixed_protocols=mixed)
    picture = figures.as_image(figure, "svg+xml", alt)
    return {"name": shown_name(name), "table": table, "picture": picture}


def _reliability(record: Mapping[str, Any]) -> _Image:
    images = {CLEAN: "clean images", "test": "corrupted images"}.get(record["corruption"])
    title = f"{record['model']}, {images or record['corruption']}"
    error = curve_error(record)
    alt = f"Reliability diagram: {title}. Expected calibration error {100 * error:.2f} percent."
    return figures.as_image(reliability_diagram(record, title=title, error=error), "svg+xml", alt)


def _flips(rows: list[Row], mixed: bool) -> Iterator[_Image]:
    for metric, name, factor in (
        ("flip_probability", "Flip probability", 100),
        ("flip_rate", "Flip rate", 1),
    ):
        chosen = [row for row in rows if row.metric == metric]
        for difficulty in sorted({r.severity for r in chosen}, key=lambda s: (s is not None, s)):
            those = [row for row in chosen if row.severity == difficulty]
            title = name if difficulty is None else f"{name}, difficulty {difficulty:g}"
            figure = flip_bars(those, metric=metric, title=title, mixed_protocols=mixed)
            numbers = (f"{r.model}, {r.corruption}: {factor * r.value:.1f}" for r in those)
            yield figures.as_image(figure, "svg+xml", f"{title}. {'; '.join(numbers)}.")


def _worst(folder: pathlib.Path) -> list[_Image]:
    path, arrays_path = folder / "worst.json", folder / "worst.npz"
    keys = ("model", "corruption", "severity", "label", "predicted", "confidence")
    records = read_records(path, keys)
    if not records:
        return []
    what = "clean and changed pictures"
    clean, changed = read_arrays(arrays_path, what, "clean", "changed")
    if not len(clean) == len(changed) == len(records):
        sizes = f"{len(clean)}, {len(changed)} and {len(records)} examples"
        raise ValueError(
            f"{arrays_path} must hold {what}; clean, changed and {path.name} hold {sizes}"
        )
    images = []
    for model in dict.fromkeys(record["model"] for record in records):
        chosen = [i for i, r in enumerate(records) if r["model"] == model][:WORST_SHOWN]
        those = [records[i] for i in chosen]
        with naming(f"{path} and {arrays_path.name}"):
            figure = worst_examples(clean[chosen], changed[chosen], those, title=str(model))
        pairs = (f"{r['corruption']}: {r['label']} taken for {r['predicted']}" for r in those)
        alt = f"Worst examples of {model}. {'; '.join(pairs)}."
        images.append(figures.as_image(figure, "png", alt))
    return images


def _maps(folder: pathlib.Path) -> list[_Image]:
    path = folder / "maps.json"
    description = read_json(path)
    if not description:
        return []
    what = f"images and maps as {path.name} says"
    images, maps = read_arrays(folder / "maps.npz", what, "images", "maps")
    with naming(f"{folder / 'maps.npz'} must hold {what}"):
        models, titles = description["models"], description["maps"]
        if len(maps) != len(models):
            raise ValueError(f"{len(maps)} sets of maps and {len(models)} models")
        drawn = [
            maps_figure(images / np.float32(255), one, titles, title=str(model))
            for model, one in zip(models, maps)
        ]
    return [
        figures.as_image(figure, "png", f"Utility and sensitivity of {model}.")
        for model, figure in zip(models, drawn)
    ]
