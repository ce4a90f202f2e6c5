"""Finds how strong an augmentation must be to cost a wanted share of the accuracy."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any, Optional, Union

import numpy as np
import tensorflow as tf

from tfrobust import files
from tfrobust.augment.base import StrengthAugment
from tfrobust.evaluation import passes
from tfrobust.evaluation.metrics import class_indices
from tfrobust.evaluation.predictor import Model, Predictor
from tfrobust.ops import sampling
from tfrobust.registries import AUGMENTS
from tfrobust.rows import CLEAN
from tfrobust.validation import check_between, check_images, check_in_range, check_labels

#: How far a drop may be below the wanted one and counts as it: 1 - 0.9 is a hair less than 0.1.
ROUNDING = 1e-9

#: How strong the bisection may go, for each augmentation of the FMA paper's Table 1. The signs
#: tell B+ from B− and S+ from S−; S− ends at grey.
STRONGEST = {"B+": 1.0, "B-": -1.0, "GB": 10.0, "GN": 1.0, "SAP": 1.0, "S+": 50.0, "S-": 0.0}


@dataclasses.dataclass(frozen=True)
class Calibration:
    """One calibrated augmentation.

    Args:
        augmentation: Its name in the table.
        kind: Its name in `AUGMENTS`.
        fixed: Its parameters that were not searched.
        parameter: Name of the number that was searched.
        strength: The number found; the strongest allowed where the drop could not be reached.
        reached: Whether the wanted drop was reached.
        clean_accuracy: Accuracy without augmentation, a fraction.
        accuracy: Accuracy at `strength`, a fraction.
        drop: clean_accuracy − accuracy.
        target_drop: The wanted drop.
        n: Number of images.
        note: Why the drop was not reached, or "".
    """

    augmentation: str
    kind: str
    fixed: dict[str, Any]
    parameter: str
    strength: float
    reached: bool
    clean_accuracy: float
    accuracy: float
    drop: float
    target_drop: float
    n: int
    note: str = ""


def calibrate(
    model: Union[Model, Predictor],
    validation: Iterable[Any],
    augmentations: Mapping[str, StrengthAugment],
    *,
    drop: float = 0.10,
    strongest: Optional[Mapping[str, float]] = None,
    steps: int = 12,
    seed: int = 0,
) -> list[Calibration]:
    """Finds the strength of each augmentation that costs `drop` of accuracy (FMA paper, 3.3.2).

    Bisection between the strength that does nothing and the strongest allowed, with the same draws
    at every strength. Of the strengths tried the one whose drop is nearest the wanted one is kept.
    Where even the strongest does not cost that much, as the paper's S−, it is kept and said.

    Args:
        model: As in `tfrobust.evaluation.benchmark`.
        validation: Batches of (images, labels), or a pair of arrays: validation, never test.
        augmentations: Name to layer; their strengths are not read, their other parameters are.
        drop: Wanted loss of accuracy, absolute, in (0, 1). Default 0.10, the paper's 10 points.
        strongest: Name to the strongest value allowed. Default `STRONGEST`; for other names the
            end of the layer's limits that changes most.
        steps: Number of bisections after the first try at the strongest. Default 12: the interval
            shrinks to 1/4096.
        seed: Seed of the draws.

    Returns:
        One `Calibration` for each augmentation.

    Raises:
        ValueError: `drop` is not in (0, 1) or not below the clean accuracy, an augmentation has
            no strength or is not in `AUGMENTS`, a strongest value is beyond the layer's limits,
            or there is no data.
    """
    check_between("drop", drop, 0, 1)
    wrong = [name for name, a in augmentations.items() if not isinstance(a, StrengthAugment)]
    if wrong:
        raise ValueError(
            "only augmentations with one strength can be calibrated (augment.StrengthAugment); "
            f"received {', '.join(wrong)}"
        )
    strongest = {**STRONGEST, **(strongest or {})}
    limits = {
        name: check_in_range(
            f"the strongest {name}", strongest.get(name, layer.weak_and_strong()[1]), *layer.limits
        )
        for name, layer in augmentations.items()
    }
    kinds = {name: _kind(layer) for name, layer in augmentations.items()}
    batches = list(passes.numbered(passes.batches_of(validation)))
    if not batches:
        raise ValueError("the validation data are empty: calibration needs at least one batch")
    for batch in batches:
        check_images(batch.images, "validation images")
    labels = np.concatenate([batch.labels for batch in batches])
    predictor = model if isinstance(model, Predictor) else Predictor(model)

    def accuracy_of(images: Iterable[Any], shown: str) -> float:
        predicted = [passes.answer(predictor, some, shown)[0] for some in images]
        check_labels(labels, predictor.class_count, "validation labels")
        return float(np.mean(np.concatenate(predicted) == class_indices(labels)))

    clean = accuracy_of((batch.images for batch in batches), CLEAN)
    if clean <= drop:
        raise ValueError(
            f"the clean accuracy must be above the wanted drop of {drop:.2%}; it is {clean:.2%}"
        )

    found = []
    for name, given in augmentations.items():
        weak, _ = given.weak_and_strong()
        limit = limits[name]
        # With all strengths that will be tried, because a layer may need to know the largest.
        ranged = given.with_strength((min(weak, limit), max(weak, limit)))

        @tf.function(reduce_retracing=True)
        def augmented(images, seeds, strength, layer=ranged):
            draws = layer.draw(images, seeds)
            strengths = tf.fill([tf.shape(images)[0]], strength)
            return layer.apply(images, {**draws, layer.parameter: strengths})

        def accuracy_at(strength, name=name, augmented=augmented):
            changed = (
                augmented(
                    batch.images,
                    sampling.image_seeds(seed, name, batch.index),
                    tf.constant(strength, tf.float32),
                )
                for batch in batches
            )
            return accuracy_of(changed, name)

        strength, reached_accuracy = _bisect(accuracy_at, weak, limit, clean - drop, steps)
        reached = strength != limit or clean - reached_accuracy >= drop - ROUNDING
        found.append(
            Calibration(
                augmentation=name,
                kind=kinds[name],
                fixed=_fixed_parameters(given),
                parameter=given.parameter,
                strength=strength,
                reached=reached,
                clean_accuracy=clean,
                accuracy=reached_accuracy,
                drop=clean - reached_accuracy,
                target_drop=drop,
                n=len(labels),
                note=""
                if reached
                else f"the strongest allowed, {given.parameter} = {limit:g}, costs less",
            )
        )
    return found


def augmentations_at(calibrations: Iterable[Calibration]) -> dict[str, StrengthAugment]:
    """The calibrated augmentations as layers.

    Args:
        calibrations: What `calibrate` or `read` returned.

    Returns:
        Name to layer, each at the strength that was found.
    """
    return {
        c.augmentation: AUGMENTS[c.kind](**{c.parameter: c.strength}, **c.fixed)
        for c in calibrations
    }


def write(calibrations: Iterable[Calibration], path: files.PathLike) -> None:
    """Writes calibrations as JSON, whole or not at all."""
    files.write_json([dataclasses.asdict(c) for c in calibrations], path)


def read(path: files.PathLike) -> list[Calibration]:
    """Reads what `write` wrote.

    Raises:
        ValueError: The file is not a list of calibrations.
    """
    try:
        found = [Calibration(**record) for record in files.read_json(path, list)]
        if not found:
            raise ValueError("it is empty")
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{path} must be a strengths file, as `tfrobust calibrate` writes it; {error}"
        ) from error
    return found


def _kind(layer: StrengthAugment) -> str:
    names = [name for name in AUGMENTS if AUGMENTS[name] is type(layer)]
    if not names:
        raise ValueError(
            f"{type(layer).__name__} is not in tfrobust.registries.AUGMENTS; choose from: "
            f"{', '.join(AUGMENTS)}"
        )
    return names[0]


def _fixed_parameters(layer: StrengthAugment) -> dict[str, Any]:
    """What the layer's own class adds to the configuration of every augmentation."""
    common = set(StrengthAugment.get_config(layer))
    return {k: v for k, v in layer.get_config().items() if k not in common}


def _bisect(
    accuracy_at: Any, weak: float, strong: float, target: float, steps: int
) -> tuple[float, float]:
    """The strength tried whose accuracy is nearest `target`, and that accuracy."""
    tried = [(strong, accuracy_at(strong))]
    if tried[0][1] > target + ROUNDING:
        return tried[0]
    for _ in range(steps):
        middle = (weak + strong) / 2
        tried.append((middle, accuracy_at(middle)))
        if tried[-1][1] > target + ROUNDING:
            weak = middle
        else:
            strong = middle
    return min(tried, key=lambda pair: abs(pair[1] - target))
