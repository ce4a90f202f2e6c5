"""Data sets: train, validation and test as batched `tf.data`, images float32 in [0, 1]."""

from tfrobust.dataset_facts import CATALOG, IMAGENET_A_CLASSES, IMAGENET_R_CLASSES
from tfrobust.datasets.catalog import is_present
from tfrobust.datasets.corrupted import cifar10_corrupted, cifar_c, imagenet_c, published_as
from tfrobust.datasets.load import Data, Statistics, load
from tfrobust.datasets.natural import cifar10_1, imagenet_a, imagenet_r
from tfrobust.datasets.perturbed import cifar_p, imagenet_p
from tfrobust.datasets.prepare import prepare
from tfrobust.datasets.published import canonical_name
from tfrobust.registries import DATASETS

__all__ = [
    "CATALOG",
    "DATASETS",
    "IMAGENET_A_CLASSES",
    "IMAGENET_R_CLASSES",
    "Data",
    "Statistics",
    "canonical_name",
    "cifar10_1",
    "cifar10_corrupted",
    "cifar_c",
    "cifar_p",
    "imagenet_a",
    "imagenet_c",
    "imagenet_p",
    "imagenet_r",
    "is_present",
    "load",
    "prepare",
    "published_as",
]
