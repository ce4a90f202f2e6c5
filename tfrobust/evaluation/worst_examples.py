"""The images on which a condition did the most harm."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from tfrobust.evaluation.condition import Condition
from tfrobust.evaluation.passes import numbered
from tfrobust.evaluation.predictions import Predictions
from tfrobust.evaluation.predictor import Predictor


@dataclasses.dataclass(frozen=True)
class Example:
    """An image that is classified correctly when clean and wrongly under a condition.

    Args:
        condition: Name of the condition.
        index: Its index in the data.
        label: Its class.
        predicted: The class predicted for the changed image.
        confidence: The probability of that class.
        clean: The image, [H, W, C] float32 in [0, 1].
        changed: What the model saw, [H, W, C].
    """

    condition: Condition
    index: int
    label: int
    predicted: int
    confidence: float
    clean: np.ndarray
    changed: np.ndarray


def worst_examples(
    predictor: Predictor,
    data: Any,
    clean: Predictions,
    answers: Iterable[tuple[Condition, Predictions]],
    *,
    count: int = 6,
    seed: int = 0,
) -> list[Example]:
    """The images that are right when clean and wrong, with the highest confidence, when changed.

    At most one per condition and one per image, for variety.

    Args:
        predictor: The model that was measured.
        data: What it was measured on.
        clean: Its predictions for the clean images.
        answers: Its predictions under each condition.
        count: How many. Default 6.
        seed: The seed of the measurement.

    Returns:
        Examples, the most confident first; fewer than `count` if there are not enough.
    """
    best: dict[str, tuple[float, int, Condition, Predictions]] = {}
    for condition, found in answers:
        if len(found) != len(clean):
            continue  # published files of other images
        fooled = np.flatnonzero(clean.right & ~found.right)
        if len(fooled):
            index = int(fooled[np.argmax(found.confidence[fooled])])
            sure = float(found.confidence[index])
            if condition.name not in best or sure > best[condition.name][0]:
                best[condition.name] = sure, index, condition, found
    chosen: list[tuple[float, int, Condition, Predictions]] = []
    for candidate in sorted(best.values(), key=lambda one: -one[0]):
        if candidate[1] not in [one[1] for one in chosen]:
            chosen.append(candidate)
    return [
        _example(predictor, data, condition, index, found, seed)
        for _, index, condition, found in chosen[:count]
    ]


def _example(
    predictor: Predictor, data: Any, condition: Condition, index: int, found: Predictions, seed: int
) -> Example:
    shown = condition.data(data)
    for clean, batch in zip(numbered(data), numbered(shown)):
        if index in batch.index:
            place = index - int(batch.index[0])
            return Example(
                condition=condition,
                index=index,
                label=int(found.labels[index]),
                predicted=int(found.predicted[index]),
                confidence=float(found.confidence[index]),
                clean=np.asarray(clean.images[index - int(clean.index[0])]),
                changed=np.asarray(condition.change(batch, predictor, seed)[place]),
            )
    raise ValueError(f"the data must hold image {index} as it did before; it ended earlier")


def pictures(examples: Sequence[Example]) -> dict[str, np.ndarray]:
    """Their pixels: uint8 [K, H, W, C] "clean" and "changed"."""
    return {
        name: np.stack(
            [np.rint(np.clip(getattr(e, name), 0, 1) * 255).astype("uint8") for e in examples]
        )
        for name in ("clean", "changed")
    }
