"""Rows on published sets other than the corruptions: CIFAR-10.1, ImageNet-R, sequences."""

from __future__ import annotations

import dataclasses
from typing import Any

import keras

from tfrobust.datasets import IMAGENET_R_CLASSES
from tfrobust.evaluation import Evaluator, flips
from tfrobust.evaluation.calibration_error import rms_of
from tfrobust.evaluation.predictions import METRICS
from tfrobust.evaluation.results_folder import Results
from tfrobust.experiments.experiment import ModelSpec, Run
from tfrobust.experiments.settings import EVALUATION_BATCH
from tfrobust.experiments.tables import Column, metric
from tfrobust.registries import NOISE_PERTURBATIONS, PERTURBATIONS
from tfrobust.rows import CLEAN, Row

#: The RMS calibration error as the published script computes it, without the last bin.
PUBLISHED_RMS = "rms_calibration_error, published script"


def cifar10_1(run: Run, line: ModelSpec, model: keras.Model) -> list[Row]:
    """Accuracy on CIFAR-10.1, if the setting's `cifar10_1` is its folder."""
    folder = run.setting.numbers["cifar10_1"]
    if not folder:
        return []
    data = run.data(dataset="cifar10_1", data_dir=folder, images={})
    found = Evaluator([]).rows(model, data, model_name=line.name, seed=run.setting.seed)
    return [dataclasses.replace(row, corruption="CIFAR-10.1") for row in found]


def imagenet_r(run: Run, line: ModelSpec, seed: int, model: keras.Model) -> list[Row]:
    """All metrics on ImageNet-R, if the setting's `renditions` is its folder."""
    folder = run.setting.numbers["renditions"]
    if not folder:
        return []
    data = run.data(dataset="imagenet_r", data_dir=folder, images={})
    kept = run.folder / f"measured/renditions_{seed}"
    found = Evaluator([], metrics=METRICS).rows(
        model, data, classes=IMAGENET_R_CLASSES, model_name=line.name, seed=seed, out=kept
    )
    answers = Results(kept, line.name, found[0].dataset).answers(CLEAN, found[0].severity)
    value = rms_of(answers.confidence, answers.right.astype("float64"), reference=True)
    found.append(dataclasses.replace(found[0], metric=PUBLISHED_RMS, value=value))
    return [dataclasses.replace(row, corruption="ImageNet-R") for row in found]


def sequences(
    run: Run, line: ModelSpec, model: keras.Model, name: str, **options: Any
) -> list[Row]:
    """Flip probabilities on the sequences in the setting's folder `sequences`.

    Without a folder, on sequences made of `flip_images` test images (None for all), if the setting
    has that number.

    Args:
        run: The run.
        line: The model's line.
        model: The model.
        name: "cifar10_p", "cifar100_p" or "imagenet_p".
        **options: Further arguments of `evaluation.flips`.
    """
    numbers = run.setting.numbers
    options.update(model_name=line.name, seed=run.setting.seed)
    if numbers["sequences"]:
        return flips(model, published=(name, numbers["sequences"]), **options)
    count = numbers.get("flip_images", 0)
    if count == 0:
        return []
    images = run.data().test.map(lambda images, labels: images)
    if count is not None:
        images = images.unbatch().take(count).batch(EVALUATION_BATCH)
    return flips(model, images, **options)


def flip_columns(kind: str) -> list[Column]:
    """Columns for the ten sequences, in percent, and for their mean."""
    columns = [metric(name, name, kind, scale=100.0) for name in PERTURBATIONS]
    return [*columns, metric("mean", "perturbations", f"mean_{kind}", scale=100.0)]


def without_noise(columns: list[Column]) -> list[Column]:
    """The columns of the sequences without noise, of those of `flip_columns`."""
    pairs = zip(PERTURBATIONS, columns)
    return [column for name, column in pairs if name not in NOISE_PERTURBATIONS]
