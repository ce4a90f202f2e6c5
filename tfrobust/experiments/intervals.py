"""Confidence intervals for the differences between the models of a table."""

from __future__ import annotations

import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Optional

import numpy as np

from tfrobust import files
from tfrobust.evaluation.paired import difference_of_means
from tfrobust.evaluation.results_folder import Results
from tfrobust.reports.table import Table
from tfrobust.rows import CLEAN, Row

#: Takes the place of a corruption's name for the mean over all conditions.
ROBUST = "mean over the conditions"
#: The metrics of a difference: the value, and the ends of its 95% confidence interval.
METRICS = ("difference", "difference_low", "difference_high")


def folder_of(root: files.PathLike, seed: int) -> pathlib.Path:
    """Folder of the predictions of the models of one training seed."""
    return pathlib.Path(root) / "measured" / f"seed_{seed}"


def differences(measured: Sequence[Row], root: files.PathLike) -> list[Row]:
    """Accuracy of each model minus that of the first and of the previous one, with intervals.

    The intervals are from `evaluation.paired_bootstrap` on the same test images for both models;
    the score of an image is its mean over conditions (severities first) and training seeds. They
    reflect the choice of test images, not the variation between trainings.

    Args:
        measured: Rows of the models, in the order of the table, with the training seed in their
            `provenance`.
        root: Folder of the experiment, which holds the predictions.

    Returns:
        Three rows, one for each of `METRICS`, for clean images and three for the mean over the
        conditions, for each model with saved predictions; the `baseline` in their `protocol` is the
        model that it is compared with.
    """
    trained: dict[str, dict[int, list[Row]]] = {}
    for row in measured:
        if row.metric == "accuracy":
            seed = int((row.provenance or {}).get("training_seed", 0))
            trained.setdefault(row.model, {}).setdefault(seed, []).append(row)
    scores: dict[str, dict[str, np.ndarray]] = {}
    for model, seeds in trained.items():
        each = [_scores(of_seed, root, seed) for seed, of_seed in seeds.items()]
        if all(each):
            names = [name for name in each[0] if all(name in one for one in each)]
            scores[model] = {name: np.mean([one[name] for one in each], axis=0) for name in names}
    if not trained or next(iter(trained)) not in scores:
        return []
    first, *others = scores
    found = []
    for before, model in zip(scores, others):
        like = next(iter(trained[model].values()))[0]
        for baseline in dict.fromkeys([first, before]):
            found += _difference(model, scores[model], baseline, scores[baseline], like)
    return found


def _difference(
    model: str,
    mine: Mapping[str, np.ndarray],
    baseline: str,
    theirs: Mapping[str, np.ndarray],
    like: Row,
) -> list[Row]:
    """Rows for the difference of two models, on clean images and under their shared conditions."""
    shared = [name for name in mine if name in theirs]
    robust = [name for name in shared if name != CLEAN]
    found = []
    for label, names in ((CLEAN, [CLEAN]), (ROBUST, robust)):
        if not names:
            continue
        difference = difference_of_means(
            *(np.mean([x[n] for n in names], axis=0) for x in (mine, theirs))
        )
        protocol = {
            "baseline": baseline,
            "confidence": difference.confidence,
            "conditions": len(names),
        }
        for metric, value in zip(METRICS, (difference.difference, difference.low, difference.high)):
            found.append(
                Row(
                    model=model,
                    dataset=like.dataset,
                    corruption=label,
                    severity=0.0 if label == CLEAN else None,
                    metric=metric,
                    value=value,
                    n=difference.n,
                    seed=difference.seed,
                    protocol=protocol,
                    provenance=like.provenance,
                )
            )
    return found


def table(measured: Iterable[Row]) -> Optional[Table]:
    """The differences as a table, in points; None if there are none."""
    found: dict[str, dict[tuple[str, str], dict[str, Row]]] = {}
    for row in measured:
        if row.metric in METRICS:
            baseline = (row.protocol or {})["baseline"]
            pair = found.setdefault(row.model, {}).setdefault((baseline, row.corruption), {})
            pair[row.metric] = row
    if not found:
        return None
    (first, _), some = next(iter(next(iter(found.values())).items()))
    labels = [
        label for label in (CLEAN, ROBUST) if any((first, label) in one for one in found.values())
    ]
    before = len(found) > 1  # else the previous model is the first
    values, texts = [], []
    for of_model in found.values():
        pairs = [of_model[first, label] for label in labels]
        previous = [pair for (other, label), pair in of_model.items() if label == labels[-1]]
        if before:
            pairs.append(previous[-1])
        values.append(tuple(100 * pair[METRICS[0]].value for pair in pairs))
        texts.append(
            tuple(_text(*(100 * pair[metric].value for metric in METRICS)) for pair in pairs)
        )
    columns = [f"{label[0].upper()}{label[1:]}" for label in labels]
    if before:
        columns.append(f"{columns[-1]}, above the model before")
    return Table(
        "Model",
        tuple(columns),
        tuple(found),
        tuple(values),
        tuple(texts),
        notes=(
            f"Points of accuracy above {first}, with 95% intervals of a paired bootstrap over the "
            f"{some[METRICS[0]].n} test images, the same for both; they do not say what another "
            "training seed would give.",
        ),
    )


def _text(difference: float, low: float, high: float) -> str:
    return f"{difference:+.1f} ({low:+.1f} to {high:+.1f})"


def _scores(of_seed: Sequence[Row], root: files.PathLike, seed: int) -> Mapping[str, np.ndarray]:
    """Condition to a score per image: the fraction of the severities at which it is correct."""
    some = of_seed[0]
    if not folder_of(root, seed).is_dir():
        return {}
    kept = Results(folder_of(root, seed), some.model, some.dataset)
    answers: dict[str, list[np.ndarray]] = {}
    for row in of_seed:
        condition = (row.corruption, row.severity)
        if kept.has(condition):
            answers.setdefault(row.corruption, []).append(kept.answers(*condition).right)
    return {name: np.mean(right, axis=0) for name, right in answers.items()}
