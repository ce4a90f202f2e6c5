"""Confidence intervals for the differences between the models of a table."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Optional

import numpy as np

from tfrobust import files
from tfrobust.evaluation.paired import difference_of_means
from tfrobust.evaluation.results_folder import Results
from tfrobust.experiments.tables import training_seed
from tfrobust.reports.table import Table
from tfrobust.rows import CLEAN, Row

#: Takes the place of a corruption's name for the mean over all conditions.
ROBUST = "mean over the conditions"
#: The metrics of a difference: the value, and the ends of its 95% confidence interval.
METRICS = ("difference", "difference_low", "difference_high")

#: Condition to a score per image: the fraction of the severities at which it is correct.
Scores = Mapping[str, np.ndarray]


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
            trained.setdefault(row.model, {}).setdefault(training_seed(row), []).append(row)
    scores: dict[str, Scores] = {}
    for model, seeds in trained.items():
        each = [_scores(of_seed, root, seed) for seed, of_seed in seeds.items()]
        if all(each):
            names = [name for name in each[0] if all(name in one for one in each)]
            scores[model] = {name: np.mean([one[name] for one in each], axis=0) for name in names}
    if not trained or next(iter(trained)) not in scores:
        return []
    first, *others = scores
    return [
        row
        for before, model in zip(scores, others)
        for baseline in dict.fromkeys([first, before])
        for row in _difference(
            next(iter(trained[model].values()))[0], scores[model], baseline, scores[baseline]
        )
    ]


def _scores(of_seed: Sequence[Row], root: files.PathLike, seed: int) -> Scores:
    if not folder_of(root, seed).is_dir():
        return {}
    kept = Results(folder_of(root, seed), of_seed[0].model, of_seed[0].dataset)
    answers: dict[str, list[np.ndarray]] = {}
    for row in of_seed:
        condition = (row.corruption, row.severity)
        if kept.has(condition):
            answers.setdefault(row.corruption, []).append(kept.answers(*condition).right)
    return {name: np.mean(right, axis=0) for name, right in answers.items()}


def _difference(like: Row, mine: Scores, baseline: str, theirs: Scores) -> list[Row]:
    """Rows for the difference of two models, on clean images and under their shared conditions."""
    found = []
    robust = [name for name in mine if name in theirs and name != CLEAN]
    for label, severity, names in ((CLEAN, 0.0, [CLEAN]), (ROBUST, None, robust)):
        if not names:
            continue
        means = (np.mean([scores[name] for name in names], axis=0) for scores in (mine, theirs))
        difference = difference_of_means(*means)
        row = dataclasses.replace(
            like,
            corruption=label,
            severity=severity,
            n=difference.n,
            seed=difference.seed,
            protocol={
                "baseline": baseline,
                "confidence": difference.confidence,
                "conditions": len(names),
            },
        )
        values = (difference.difference, difference.low, difference.high)
        found += [dataclasses.replace(row, metric=m, value=v) for m, v in zip(METRICS, values)]
    return found


def table(measured: Iterable[Row]) -> Optional[Table]:
    """The differences as a table, in points; None if there are none."""
    found: dict[str, dict[tuple[str, str], dict[str, Row]]] = {}
    for row in measured:
        if row.metric in METRICS:
            pair = ((row.protocol or {})["baseline"], row.corruption)
            found.setdefault(row.model, {}).setdefault(pair, {})[row.metric] = row
    if not found:
        return None
    (first, _), some = next(iter(next(iter(found.values())).items()))
    labels = [
        label for label in (CLEAN, ROBUST) if any((first, label) in one for one in found.values())
    ]
    columns = [f"{label[0].upper()}{label[1:]}" for label in labels]
    after_another = len(found) > 1  # else the previous model is the first
    if after_another:
        columns.append(f"{columns[-1]}, above the model before")
    values = []
    for of_model in found.values():
        pairs = [of_model[first, label] for label in labels]
        if after_another:
            pairs.append([of for (_, label), of in of_model.items() if label == labels[-1]][-1])
        values.append([[100 * pair[metric].value for metric in METRICS] for pair in pairs])
    return Table(
        "Model",
        tuple(columns),
        tuple(found),
        tuple(tuple(difference for difference, _, _ in of_model) for of_model in values),
        tuple(tuple("{:+.1f} ({:+.1f} to {:+.1f})".format(*x) for x in line) for line in values),
        notes=(
            f"Points of accuracy above {first}, with 95% intervals of a paired bootstrap over the "
            f"{some[METRICS[0]].n} test images, the same for both; they do not say what another "
            "training seed would give.",
        ),
    )
