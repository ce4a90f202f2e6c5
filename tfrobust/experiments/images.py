"""The images of an experiment: for training flipped and cropped, for testing corrupted."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from tfrobust import datasets, validation
from tfrobust.augment import Flip, PadAndCrop
from tfrobust.datasets.element_seeds import element_seeds
from tfrobust.evaluation import corrupted, published
from tfrobust.evaluation.condition import Condition

if TYPE_CHECKING:
    from tfrobust.experiments.experiment import ExperimentConfig

#: Random crops of training images: the usual ones for CIFAR and for ImageNet.
CROPS = ("padded", "resized")


def flipped_and_cropped(data: datasets.Data, seed: int, crops: str = "padded") -> datasets.Data:
    """Adds random flips, and shifts of up to 4 pixels, to the training images.

    This is the standard CIFAR augmentation, shared by all views of an image. Like the shuffling, it
    is redrawn in each epoch and depends only on the seed and the epoch.

    Args:
        data: The data.
        seed: Integer seed.
        crops: One of `CROPS`; images that are "resized" crops already are only flipped.

    Returns:
        The data with augmented training images.
    """
    validation.check_choice("crops", crops, CROPS)
    layers = [PadAndCrop(4), Flip()] if crops == "padded" else [Flip()]

    def change(batch: Any, own_seed: tf.Tensor) -> Any:
        images, labels = batch
        for layer in layers:
            images = layer.apply(images, layer.draw(images, own_seed))
        return images, labels

    batches = tf.data.Dataset.zip((data.train, element_seeds(seed)))
    train = batches.map(change).prefetch(2)
    return dataclasses.replace(data, train=train)


def corruptions(setting: ExperimentConfig, names: str = "test") -> list[Condition]:
    """Common corruptions of the test images: the published files, or made here.

    Args:
        setting: The setting.
        names: "test" for the 15, "all" for the 19.
    """
    chosen: dict[str, Any] = {"names": names, "severities": setting.severities}
    if setting.corrupted_dir is None:
        return corrupted(**chosen)
    return published(f"{setting.dataset}_c", setting.corrupted_dir, **chosen)
