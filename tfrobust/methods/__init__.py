"""Training methods: Keras models whose `fit` trains with the papers' losses."""

from tfrobust.methods.adversarial_training import AdversarialTraining
from tfrobust.methods.advmax import AdvMax
from tfrobust.methods.advmix import AdvMix
from tfrobust.methods.augmax import AugMax
from tfrobust.methods.augmentation_training import AugmentationTraining
from tfrobust.methods.augmix_pgdat import AugMixPGDAT
from tfrobust.methods.augmix_training import AugMixTraining
from tfrobust.methods.base import RobustModel
from tfrobust.methods.baseline import Baseline
from tfrobust.methods.feature_contrastive import FeatureContrastive
from tfrobust.methods.feature_map_augmentation import FeatureMapAugmentation
from tfrobust.methods.learning_rate_plan import PLANS, learning_rate_plan, plan_optimizer
from tfrobust.methods.noisymix import NoisyMix
from tfrobust.methods.stability_training import StabilityTraining
from tfrobust.registries import METHODS

__all__ = [
    "METHODS",
    "PLANS",
    "AdvMax",
    "AdvMix",
    "AdversarialTraining",
    "AugMax",
    "AugMixPGDAT",
    "AugMixTraining",
    "AugmentationTraining",
    "Baseline",
    "FeatureContrastive",
    "FeatureMapAugmentation",
    "NoisyMix",
    "RobustModel",
    "StabilityTraining",
    "learning_rate_plan",
    "plan_optimizer",
]
