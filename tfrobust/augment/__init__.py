"""Augmentations: seeded Keras layers that process whole batches on the accelerator."""

from tfrobust.augment.augmix import AugMix
from tfrobust.augment.base import Augment, StrengthAugment
from tfrobust.augment.brightness import Brightness
from tfrobust.augment.color import Color
from tfrobust.augment.combine import Alternating, PerImageChoice, RandomApply, Sequence
from tfrobust.augment.contrast import Contrast
from tfrobust.augment.cutmix import CutMix
from tfrobust.augment.exposure import Exposure
from tfrobust.augment.flip import Flip
from tfrobust.augment.fourier_basis import FourierBasis
from tfrobust.augment.gamma import Gamma
from tfrobust.augment.gaussian_blur import GaussianBlur
from tfrobust.augment.gaussian_noise import GaussianNoise
from tfrobust.augment.jpeg import Jpeg
from tfrobust.augment.mixup import Mixup
from tfrobust.augment.nonuniform_noise import NonuniformNoise
from tfrobust.augment.pad_and_crop import PadAndCrop
from tfrobust.augment.patch_gaussian import PatchGaussian
from tfrobust.augment.pixmix import PixMix
from tfrobust.augment.presets import (
    combinations,
    combined,
    stability_grid,
    stability_practical,
    table_1,
    table_3,
)
from tfrobust.augment.prime import Prime
from tfrobust.augment.random_erasing import RandomErasing
from tfrobust.augment.random_resized_crop import RandomResizedCrop
from tfrobust.augment.rotation import Rotation
from tfrobust.augment.salt_and_pepper import SaltAndPepper
from tfrobust.augment.saturation import Saturation
from tfrobust.augment.shear import Shear
from tfrobust.augment.shifted_crop import ShiftedCrop
from tfrobust.augment.speckle_noise import SpeckleNoise
from tfrobust.augment.thumbnail import Thumbnail
from tfrobust.augment.translation import Translation
from tfrobust.augment.trivial_augment import TrivialAugment
from tfrobust.augment.uniform_noise import UniformNoise
from tfrobust.registries import AUGMENTS

__all__ = [
    "AUGMENTS",
    "Alternating",
    "AugMix",
    "Augment",
    "Brightness",
    "Color",
    "Contrast",
    "CutMix",
    "Exposure",
    "Flip",
    "FourierBasis",
    "Gamma",
    "GaussianBlur",
    "GaussianNoise",
    "Jpeg",
    "Mixup",
    "NonuniformNoise",
    "PadAndCrop",
    "PatchGaussian",
    "PerImageChoice",
    "PixMix",
    "Prime",
    "RandomApply",
    "RandomErasing",
    "RandomResizedCrop",
    "Rotation",
    "SaltAndPepper",
    "Saturation",
    "Sequence",
    "Shear",
    "ShiftedCrop",
    "SpeckleNoise",
    "StrengthAugment",
    "Thumbnail",
    "Translation",
    "TrivialAugment",
    "UniformNoise",
    "combinations",
    "combined",
    "stability_grid",
    "stability_practical",
    "table_1",
    "table_3",
]
