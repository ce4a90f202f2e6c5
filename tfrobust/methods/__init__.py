"""Training methods: Keras models that add the papers' losses to `model.fit`."""

from tfrobust.methods.augmentation_training import AugmentationTraining
from tfrobust.methods.base import RobustModel
from tfrobust.methods.baseline import Baseline
from tfrobust.methods.feature_map_augmentation import FeatureMapAugmentation
from tfrobust.methods.stability_training import StabilityTraining
from tfrobust.registries import METHODS

__all__ = [
    "METHODS",
    "AugmentationTraining",
    "Baseline",
    "FeatureMapAugmentation",
    "RobustModel",
    "StabilityTraining",
]
