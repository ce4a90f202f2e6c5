"""Sections of an evaluation report for each data set."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

from tfrobust.registries import CORRUPTIONS
from tfrobust.reports import evaluation_pictures, evaluation_tables, page, tables
from tfrobust.reports.curves import strength_curves
from tfrobust.reports.differences import differences_table
from tfrobust.reports.heat_maps import accuracy_heat_map
from tfrobust.reports.results import ATTACKS, FRACTIONS, RATIOS, shown_name
from tfrobust.rows import CLEAN, Row

FILES = ("differences.json", "reliability.json", "worst.json", "worst.npz")
OWN_METRICS = {*FRACTIONS, *RATIOS} - {"accuracy"}
KEYS = ("model", "dataset", "corruption", "severity")


def is_evaluation(folder: pathlib.Path, rows: Sequence[Row]) -> bool:
    """Whether a run folder holds an evaluation, not only accuracies on augmented images."""
    rows = [row for row in rows if row.epoch is None]
    known = any(
        row.corruption in (*CORRUPTIONS, *ATTACKS) and row.protocol is not None for row in rows
    )
    files = any((folder / name).exists() for name in FILES)
    return files or known or any(row.metric in OWN_METRICS for row in rows)


def sections(
    folder: pathlib.Path, rows: Sequence[Row], *, mixed_protocols: bool = False
) -> Iterator[str]:
    """The sections of the page.

    Args:
        folder: The run folder.
        rows: Its rows.
        mixed_protocols: Allows models measured under different protocols.

    Yields:
        Fragments of HTML.

    Raises:
        ValueError: A file has the wrong content; the message names it.
    """
    rows = [row for row in rows if row.epoch is None]
    path = folder / "rows.jsonl"
    if not rows:
        raise ValueError(f"{path} has no row of a finished model")
    datasets = list(dict.fromkeys(row.dataset for row in rows))
    records = {
        "differences": page.read_records(folder / "differences.json", KEYS),
        "reliability": page.read_records(folder / "reliability.json", KEYS),
    }
    for dataset in datasets:
        chosen = [row for row in rows if row.dataset == dataset]
        level = 2 if len(datasets) == 1 else 3
        if level == 3:
            yield page.heading(dataset)
        try:
            yield from _summary(dataset, chosen, level, mixed_protocols)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
        yield from _differences(folder, records["differences"], dataset, level)
        try:
            yield from _corruptions(chosen, level, mixed_protocols)
            yield from _augmentations(chosen, level, mixed_protocols)
            yield from _strengths(chosen, level, mixed_protocols)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
        yield from evaluation_pictures.reliability(folder, records["reliability"], dataset, level)
        try:
            yield from evaluation_pictures.flips(chosen, level, mixed_protocols)
            yield from _attacks(chosen, level, mixed_protocols)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
    yield from evaluation_pictures.worst(folder)
    yield from evaluation_pictures.maps(folder)


def _summary(dataset: str, rows: list[Row], level: int, mixed: bool) -> Iterator[str]:
    if not evaluation_tables.has_summary(rows):
        return
    table = evaluation_tables.summary_table(rows, mixed_protocols=mixed)
    yield page.paragraph(_lead_text(dataset, rows, table), kind="lead")
    yield page.heading("Summary", level)
    yield page.paragraph(
        "Each column is a model. An arrow says which way is better: ↑ more, ↓ less. Bold marks "
        "the best model of a row."
    )
    yield page.scroll(table.to_html(caption=f"All models on {dataset}"), kind="long")
    yield from _notes(table)


def _notes(table: tables.Table) -> Iterator[str]:
    notes = [note for note in table.notes if note != evaluation_tables.ARROWS]
    if notes:
        yield page.paragraph(" ".join(notes), kind="note")


def _lead_text(dataset: str, rows: list[Row], table: tables.Table) -> str:
    sizes = sorted({row.n for row in rows if row.corruption == CLEAN} or {row.n for row in rows})
    count = len(table.columns)
    who = f"{count} models" if count > 1 else table.columns[0]
    text = f"{who} on {dataset}, {' or '.join(map(str, sizes))} images."
    for start, form in (
        ("Clean accuracy", "Clean images: {} % right{}."),
        (
            "Robust accuracy, all",
            "Corrupted images (15 corruptions at 5 severities): {} % right{}.",
        ),
        ("mCE", "Mean corruption error {label}: {}{}."),
        ("Mean flip probability", "Predictions that flip: {} %{}."),
    ):
        i = next((i for i, label in enumerate(table.labels) if label.startswith(start)), None)
        if i is not None:
            label = table.labels[i].removeprefix("mCE ").rstrip(" ↑↓")
            best = [j for j in range(count) if (i, j) in table.best]
            known = [j for j, value in enumerate(table.values[i]) if value is not None]
            names = " and ".join(table.columns[j] for j in best)
            of_whom = "" if count == 1 else f" at best ({names})" if best else ""
            of_whom = of_whom or ("" if count == 1 else _for_whom(table, known))
            text += " " + form.format(table.texts[i][(best or known)[0]], of_whom, label=label)
    if any(note.startswith("Not measured alike") for note in table.notes):
        text += " Not all models were measured alike: see the notes under the tables."
    return text


def _for_whom(table: tables.Table, known: list[int]) -> str:
    if len(known) == len(table.columns):
        return " for every model"
    return f" ({' and '.join(table.columns[j] for j in known)})"


def _differences(
    folder: pathlib.Path, records: list[dict[str, Any]], dataset: str, level: int
) -> Iterator[str]:
    chosen = [record for record in records if record["dataset"] == dataset]
    if chosen:
        try:
            table = differences_table(chosen)
        except ValueError as error:
            raise ValueError(f"{folder / 'differences.json'}: {error}") from error
        yield page.heading("Differences between models", level)
        yield page.paragraph(
            "Accuracy of one model minus that of another on the same images. From and To are the "
            "ends of a confidence interval: how far other images of the same kind might have moved "
            "the difference. Where 0 lies between them, it can be chance. What another training "
            "run would give is not in it."
        )
        yield page.scroll(table.to_html(caption=f"Differences in points on {dataset}"))


def _corruptions(rows: list[Row], level: int, mixed: bool) -> Iterator[str]:
    measured = [r for r in rows if r.metric == "accuracy" and r.corruption in CORRUPTIONS]
    if not measured:
        return
    table = evaluation_tables.corruptions_table(rows, mixed_protocols=mixed)
    yield page.heading("Accuracy on each corruption", level)
    yield page.scroll(table.to_html(caption="Accuracy in percent, mean over the severities"))
    yield from _notes(table)
    yield page.paragraph(
        "The maps show every severity. The colours run from 0 to 100 % in all of them: the "
        "lighter, the more images are right."
    )
    figures = []
    for model in dict.fromkeys(row.model for row in measured):
        figure = accuracy_heat_map(rows, model=model)
        j = table.columns.index(model)
        means = "; ".join(f"{label}: {t[j]}" for label, t in zip(table.labels, table.texts))
        alt = f"Accuracy of {model} in percent, corruptions by severities. Means: {means}."
        figures.append(page.figure(figure, "png", alt, "", kind=""))
    yield page.grid(figures)


def _augmentations(rows: list[Row], level: int, mixed: bool) -> Iterator[str]:
    """Augmentations at a single strength; those at several are shown as curves."""
    several = _swept(rows)
    other = {*CORRUPTIONS, *ATTACKS, *several}
    chosen = [r for r in rows if r.metric == "accuracy" and r.corruption not in other]
    if any(row.corruption != CLEAN for row in chosen):
        table = tables.robustness_table(chosen, mixed_protocols=mixed)
        yield page.heading("Accuracy on augmented images", level)
        yield page.scroll(table.to_html(caption="Accuracy in percent"))
        yield from _notes(table)


def _swept(rows: list[Row]) -> list[str]:
    """Augmentations and attacks measured at several strengths."""
    pairs = dict.fromkeys((r.corruption, r.severity) for r in rows if r.metric == "accuracy")
    names = [name for name, strength in pairs if strength is not None]
    return [
        n for n in dict.fromkeys(names) if names.count(n) > 1 and n not in (CLEAN, *CORRUPTIONS)
    ]


def _strengths(rows: list[Row], level: int, mixed: bool) -> Iterator[str]:
    names = _swept(rows)
    if names:
        yield page.heading("Accuracy at rising strength", level)
    figures = []
    for name in names:
        figure = strength_curves(rows, name, mixed_protocols=mixed)
        alt = f"Accuracy under {name} at rising strength; the numbers are in the table below."
        figures.append(page.figure(figure, "svg+xml", alt, "", kind=""))
    if figures:
        yield page.grid(figures)
    for name in names:
        table = evaluation_tables.sweep_table(rows, name, mixed_protocols=mixed)
        yield page.details(f"Numbers: {shown_name(name)}", page.scroll(table.to_html()))
        yield from _notes(table)


def _attacks(rows: list[Row], level: int, mixed: bool) -> Iterator[str]:
    if any(row.corruption in ATTACKS and row.metric == "accuracy" for row in rows):
        table = evaluation_tables.attacks_table(rows, mixed_protocols=mixed)
        yield page.heading("Attacks", level)
        yield page.paragraph(
            "An attack looks for a change of each image that makes the model wrong. A stronger "
            "attack may find more, so that the true accuracy under the worst change is at most "
            "this. The number behind a name is the largest change of a pixel, of images in [0, 1]."
        )
        yield page.scroll(table.to_html(caption="Accuracy in percent under attack"))
        yield from _notes(table)
