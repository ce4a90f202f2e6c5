"""Augmentations: Keras layers that work on whole batches, on the accelerator, from a seed."""

from tfrobust.augment.base import Augment, StrengthAugment
from tfrobust.augment.brightness import Brightness
from tfrobust.augment.combine import Alternating, Sequence
from tfrobust.augment.gaussian_blur import GaussianBlur
from tfrobust.augment.gaussian_noise import GaussianNoise
from tfrobust.augment.presets import combinations, combined, table_1
from tfrobust.augment.salt_and_pepper import SaltAndPepper
from tfrobust.augment.saturation import Saturation
from tfrobust.registries import AUGMENTS

__all__ = [
    "AUGMENTS",
    "Alternating",
    "Augment",
    "Brightness",
    "GaussianBlur",
    "GaussianNoise",
    "SaltAndPepper",
    "Saturation",
    "Sequence",
    "StrengthAugment",
    "combinations",
    "combined",
    "table_1",
]
