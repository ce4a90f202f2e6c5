"""Data sets: train, validation and test as batched `tf.data`, images float32 in [0, 1]."""

from tfrobust.datasets.checksums import published_as
from tfrobust.datasets.corrupted import cifar10_corrupted, cifar_c, imagenet_c
from tfrobust.datasets.load import Data, load
from tfrobust.datasets.natural import (
    IMAGENET_A_CLASSES,
    IMAGENET_R_CLASSES,
    cifar10_1,
    imagenet_a,
    imagenet_r,
)
from tfrobust.datasets.perturbed import cifar_p, imagenet_p
from tfrobust.datasets.published import canonical_name
from tfrobust.registries import DATASETS

__all__ = [
    "DATASETS",
    "IMAGENET_A_CLASSES",
    "IMAGENET_R_CLASSES",
    "Data",
    "canonical_name",
    "cifar10_1",
    "cifar10_corrupted",
    "cifar_c",
    "cifar_p",
    "imagenet_a",
    "imagenet_c",
    "imagenet_p",
    "imagenet_r",
    "load",
    "published_as",
]
