"""The answer of an evaluation in sentences: the first thing on the screen and in the report."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tfrobust import files
from tfrobust.registries import CORRUPTION_GROUPS, TEST_CORRUPTIONS
from tfrobust.reports.results import shown_name, shown_strength
from tfrobust.reports.run_files import read_records
from tfrobust.rows import CLEAN

_Record = Mapping[str, Any]
#: What images of each kind are called.
WORDS = {
    CLEAN: "clean images",
    "corruptions": "corrupted images",
    "held_out": "images under held-out corruptions",
    "augmentations": "augmented images",
    "attacks": "attacked images",
}
#: What the threats of `robustify` are called that the corruptions belong to.
_THREATS = {
    **dict.fromkeys((*CORRUPTION_GROUPS["noise"], "speckle_noise"), "noise"),
    **dict.fromkeys((*CORRUPTION_GROUPS["blur"], "gaussian_blur"), "blur"),
    **dict.fromkeys(("pixelate", "jpeg_compression"), "compression"),
    "elastic_transform": "geometry",
    "contrast": "darkness",
}
#: Fewer images than these leave differences of some points to chance.
_ENOUGH = 1000
_WORST = 3
#: How far accuracy must fall before a condition is said to hurt.
_HURTS = 0.02


def answer(records: Sequence[_Record]) -> dict[str, Any]:
    """What is said of each model, for the screen and the page.

    Args:
        records: What `evaluation.answers` returned, of one data set; one or more.

    Returns:
        `lead`, which says what was measured; `models`, each with its name and `sentences`: the
        accuracy under what was asked for with its interval, the difference from the first model,
        and the worst conditions; and `advice`, what to do next.
    """
    by_model: dict[str, list[_Record]] = {}
    for record in records:
        by_model.setdefault(record["model"], []).append(record)
    first = records[0]
    lead = [f"{first['n']} images of {first['dataset']}."]
    asked = [one for one in by_model[first["model"]] if one["kind"] != CLEAN]
    for record in asked:
        kind = WORDS[record["kind"]].removesuffix(" images").capitalize()
        lead.append(f"{kind}: {described(record['conditions'])}.")
    level = next((one["level"] for one in records if one["level"]), None)
    if level is not None:
        lead.append(f"In brackets: {100 * level:g}% intervals.")
    models = [{"model": name, "sentences": list(_sentences(by_model[name]))} for name in by_model]
    return {"lead": " ".join(lead), "models": models, "advice": _advice(records)}


def answer_text(run_folder: files.PathLike, dataset: str) -> str:
    """The answer of an evaluation as lines of text.

    Args:
        run_folder: The folder, with `answers.json`.
        dataset: Name of the data, such as "digits/test".

    Returns:
        Each model with its sentences, and what to do next.
    """
    path = pathlib.Path(run_folder, "answers.json")
    records = read_records(path, ("model", "dataset", "kind"))
    told = answer([record for record in records if record["dataset"] == dataset])
    lines = [told["lead"]]
    for one in told["models"]:
        lines += [one["model"], *(f"  {sentence}" for sentence in one["sentences"])]
    return "\n".join([*lines, "", *told["advice"], ""])


def _advice(records: Sequence[_Record]) -> list[str]:
    """What to do next."""
    found, least = [], min((record["n"] for record in records), default=0)
    main = next((record["kind"] for record in records if record["kind"] != CLEAN), CLEAN)
    unclear = [
        record["model"]
        for record in records
        if record["kind"] == main and record["difference"] is not None
        if record["difference_low"] <= 0 <= record["difference_high"]
    ]
    if unclear:
        found.append(
            f"Whether {unclear[0]} is more robust than {records[0]['model']} cannot be told from "
            f"{least} images: their difference can be chance. More test images tell more."
        )
    elif least < _ENOUGH:
        found.append(f"{least} images: differences of a few points can be chance.")
    worst = _worst([one for one in records if one["kind"] in ("corruptions", "held_out")])
    clean = [record["accuracy"] for record in records if record["kind"] == CLEAN]
    if worst and worst[0]["accuracy"] < min(clean, default=1.0) - _HURTS:
        threat = _THREATS.get(worst[0]["corruption"], "unknown")
        found.append(
            f"What hurts most is {_label(worst[0])}. To train against it: tfrobust robustify MODEL "
            f"--against {threat}"
        )
    asked = {
        (one["corruption"], one["severity"])
        for record in records
        if record["kind"] == "corruptions"
        for one in record["conditions"]
    }
    if asked and len(asked) < 5 * len(TEST_CORRUPTIONS):
        found.append(
            "Published numbers are means over all 15 corruptions at all 5 severities; these cannot "
            "be compared with them."
        )
    return found


def _sentences(records: Sequence[_Record]) -> Iterator[str]:
    for record in sorted(records, key=lambda one: one["kind"] == CLEAN):
        text = f"{100 * record['accuracy']:.1f}% of {WORDS[record['kind']]} right"
        if record["low"] is not None:
            text += f" ({100 * record['low']:.1f} to {100 * record['high']:.1f})"
        if record["difference"] is not None:
            low, high = record["difference_low"], record["difference_high"]
            chance = "; can be chance" if low <= 0 <= high else ""
            text += f", {100 * record['difference']:+.1f} points against {record['baseline']}"
            text += f" ({100 * low:+.1f} to {100 * high:+.1f}{chance})"
        yield f"{text}."
    worst = _worst([record for record in records if record["kind"] != CLEAN])
    if len(worst) > 1:
        listed = ", ".join(f"{_label(one)} {100 * one['accuracy']:.1f}%" for one in worst)
        yield f"Worst: {listed}."


def described(conditions: Sequence[_Record]) -> str:
    """What the conditions are, in a few words.

    Example:

    >>> fog = [{"corruption": "fog", "severity": severity} for severity in (2, 4)]
    >>> described(fog)
    'fog at severities 2 and 4'
    """
    names = list(dict.fromkeys(one["corruption"] for one in conditions))
    levels = list(dict.fromkeys(one["severity"] for one in conditions))
    whole = len(conditions) == len(names) * len(levels) and set(levels) <= {1, 2, 3, 4, 5}
    shown = [shown_name(name) for name in names] if len(names) < 4 else []
    what = _listed(shown) or f"{len(names)} {'corruptions' if whole else 'conditions'}"
    if not whole:
        return what if len(names) == len(conditions) else f"{len(conditions)} conditions"
    plural = "severity" if len(levels) == 1 else "severities"
    texts = [f"{level:g}" for level in levels]
    range_ = f"{texts[0]} to {texts[-1]}" if levels == [1, 2, 3, 4, 5] else _listed(texts)
    return f"{what} at {plural} {range_}"


def _worst(records: Sequence[_Record]) -> list[_Record]:
    conditions = [one for record in records for one in record["conditions"]]
    return sorted(conditions, key=lambda one: one["accuracy"])[:_WORST]


def _label(condition: _Record) -> str:
    name, severity = condition["corruption"], condition["severity"]
    strength = "" if "=" in name else shown_strength(name, severity)
    return f"{shown_name(name)} {strength}".strip()


def _listed(texts: Sequence[str]) -> str:
    return " and ".join([", ".join(texts[:-1]), texts[-1]]) if len(texts) > 1 else "".join(texts)
