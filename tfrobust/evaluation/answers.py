"""What an evaluation answers: the accuracy under all that was asked for, and how sure it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Optional

import numpy as np

from tfrobust.evaluation.paired import difference_of_means
from tfrobust.evaluation.results_folder import Results
from tfrobust.registries import CORRUPTIONS, HELD_OUT_CORRUPTIONS
from tfrobust.rows import CLEAN, Row

#: The kinds of conditions, in the order of the answers.
KINDS = (CLEAN, "corruptions", "held_out", "augmentations", "attacks")


def kind_of(row: Row) -> str:
    """Which of `KINDS` a condition is of."""
    if row.corruption == CLEAN:
        return CLEAN
    if row.corruption in CORRUPTIONS:
        return "held_out" if row.corruption in HELD_OUT_CORRUPTIONS else "corruptions"
    return "attacks" if "attack" in (row.protocol or {}) else "augmentations"


def answers(
    rows: Iterable[Row],
    results: Mapping[str, Results],
    *,
    kind_of: Callable[[Row], str] = kind_of,
) -> list[dict[str, Any]]:
    """The mean accuracy of each model under the conditions of each kind, with its interval.

    Only conditions count under which all models were measured. An image's score is the fraction of
    these under which it is classified correctly; the intervals are those of
    `paired.difference_of_means` over the images.

    Args:
        rows: The rows of one data set.
        results: Name of the model to its results on it; the others are compared with the first.
        kind_of: Says of which kind the condition of a row is.

    Returns:
        Plain values for JSON, for each model and kind: "model", "dataset", "kind", "conditions"
        (with "corruption", "severity" and "accuracy"), "n", "level", "accuracy", "low" and "high",
        and of the difference from the first model "baseline", "difference", "difference_low" and
        "difference_high".
    """
    measured = [
        row
        for row in rows
        if row.metric == "accuracy" and row.epoch is None and row.model in results
    ]
    found = []
    kinds = {kind_of(row) for row in measured}
    for kind in sorted(kinds, key=lambda kind: (*KINDS, kind).index(kind)):
        places = dict.fromkeys(
            (row.corruption, row.severity) for row in measured if kind_of(row) == kind
        )
        common = [place for place in places if all(one.has(place) for one in results.values())]
        if not common:
            continue
        first: Optional[np.ndarray] = None
        for name, result in results.items():
            right = [result.answers(*place).right for place in common]
            accuracies = [float(np.mean(one)) for one in right]
            record: dict[str, Any] = {
                "model": name,
                "dataset": measured[0].dataset,
                "kind": kind,
                "conditions": [
                    {"corruption": corruption, "severity": severity, "accuracy": accuracy}
                    for (corruption, severity), accuracy in zip(common, accuracies)
                ],
                "n": len(right[0]),
                "accuracy": float(np.mean(accuracies)),
                **dict.fromkeys(("level", "low", "high", "baseline", "difference")),
                **dict.fromkeys(("difference_low", "difference_high")),
            }
            if len({len(one) for one in right}) == 1:
                scores = np.mean(right, axis=0)
                own = difference_of_means(scores, np.zeros_like(scores))
                record.update(level=own.confidence, low=own.low, high=own.high)
                if first is not None and len(first) == len(scores):
                    more = difference_of_means(scores, first)
                    record.update(baseline=next(iter(results)), difference=more.difference)
                    record.update(difference_low=more.low, difference_high=more.high)
                first = scores if first is None else first
            found.append(record)
    return found
