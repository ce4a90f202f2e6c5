"""Whether the models of a table differ by more than the choice of test images explains."""

from __future__ import annotations

import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Optional

import numpy as np

from tfrobust import files
from tfrobust.evaluation.paired import difference_of_means
from tfrobust.evaluation.results import Results
from tfrobust.reports.table import Table
from tfrobust.rows import CLEAN, Row

#: Stands in place of a corruption for the mean over all of them.
ROBUST = "mean over the conditions"
#: The metrics of a difference: the value, and the ends of its 95% confidence interval.
METRICS = ("difference", "difference_low", "difference_high")

Condition = tuple[str, Optional[float]]


def folder_of(root: files.PathLike, seed: int) -> pathlib.Path:
    """Where the answers of the models of one training seed are, or will be."""
    return pathlib.Path(root) / "measured" / f"seed_{seed}"


def differences(measured: Sequence[Row], root: files.PathLike) -> list[Row]:
    """Accuracy of each model less that of the first one, with its interval.

    The interval is of `evaluation.paired_bootstrap`: the same test images for both models, an
    image's score being the mean over conditions (severities first) and over training seeds. So it
    says what other images might have given, not what another training might.

    Args:
        measured: The rows of the models; the training seed stands in their `made_with`.
        root: The folder of the experiment, where the answers are.

    Returns:
        Three rows, of `METRICS`, for clean images and three for the mean over the conditions, for
        each model whose answers are there.
    """
    trained: dict[str, dict[int, list[Row]]] = {}
    for row in measured:
        if row.metric == "accuracy":
            seed = int((row.made_with or {}).get("training_seed", 0))
            trained.setdefault(row.model, {}).setdefault(seed, []).append(row)
    scores = {}
    for model, seeds in trained.items():
        each = [_scores(of_seed, root, seed) for seed, of_seed in seeds.items()]
        if all(each):
            names = [name for name in each[0] if all(name in one for one in each)]
            scores[model] = {name: np.mean([one[name] for one in each], axis=0) for name in names}
    if not trained or next(iter(trained)) not in scores:
        return []
    first, *others = scores
    found = []
    for model in others:
        of_model = next(iter(trained[model].values()))[0]
        shared = [name for name in scores[model] if name in scores[first]]
        robust = [name for name in shared if name != CLEAN]
        for label, names in ((CLEAN, [CLEAN]), (ROBUST, robust)):
            if not names:
                continue
            mine, theirs = (
                np.mean([scores[each][name] for name in names], axis=0) for each in (model, first)
            )
            made = difference_of_means(mine, theirs)
            for metric, value in zip(METRICS, (made.difference, made.low, made.high)):
                found.append(
                    Row(
                        model=model,
                        dataset=of_model.dataset,
                        corruption=label,
                        severity=0.0 if label == CLEAN else None,
                        metric=metric,
                        value=value,
                        n=made.n,
                        seed=made.seed,
                        protocol={
                            "baseline": first,
                            "confidence": made.confidence,
                            "conditions": len(names),
                        },
                        made_with=of_model.made_with,
                    )
                )
    return found


def table(measured: Iterable[Row]) -> Optional[Table]:
    """The differences as a table, in points; None where there are none."""
    found: dict[str, dict[str, dict[str, Row]]] = {}
    for row in measured:
        if row.metric in METRICS:
            found.setdefault(row.model, {}).setdefault(row.corruption, {})[row.metric] = row
    if not found:
        return None
    some = next(iter(next(iter(found.values())).values()))["difference"]
    baseline = (some.protocol or {})["baseline"]
    labels = [label for label in (CLEAN, ROBUST) if any(label in one for one in found.values())]
    values, texts = [], []
    for of_model in found.values():
        numbers = [[100 * of_model[label][metric].value for metric in METRICS] for label in labels]
        values.append(tuple(number[0] for number in numbers))
        texts.append(tuple(f"{d:+.1f} ({low:+.1f} to {high:+.1f})" for d, low, high in numbers))
    return Table(
        "Model",
        tuple(f"{label[0].upper()}{label[1:]}" for label in labels),
        tuple(found),
        tuple(values),
        tuple(texts),
        notes=(
            f"Points of accuracy above {baseline}, with 95% intervals of a paired bootstrap over "
            f"the {some.n} test images, the same for both; they do not say what another training "
            "seed would give.",
        ),
    )


def _scores(of_seed: Sequence[Row], root: files.PathLike, seed: int) -> Mapping[str, np.ndarray]:
    """Condition to the score of each image: the share of the severities at which it is right."""
    some = of_seed[0]
    if not folder_of(root, seed).is_dir():
        return {}
    kept = Results(folder_of(root, seed), some.model, some.dataset)
    answers: dict[str, list[np.ndarray]] = {}
    for row in of_seed:
        condition: Condition = (row.corruption, row.severity)
        if kept.has(condition):
            answers.setdefault(row.corruption, []).append(kept.answers(*condition).right)
    return {name: np.mean(right, axis=0) for name, right in answers.items()}
