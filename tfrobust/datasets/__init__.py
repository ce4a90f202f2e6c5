"""Data sets: train, validation and test as batched `tf.data`, images float32 in [0, 1]."""

from tfrobust.datasets.load import Data, load
from tfrobust.registries import DATASETS

__all__ = ["DATASETS", "Data", "load"]
