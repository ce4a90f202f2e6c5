"""Pure tensor functions on image batches: no Keras, no state, no hidden randomness."""

from tfrobust.ops.color import (
    add_brightness,
    apply_gamma,
    change_exposure,
    scale_color,
    scale_contrast,
    scale_saturation,
)
from tfrobust.ops.compression import jpeg
from tfrobust.ops.entries import gaussian_noise_at, lowest_and_highest_entries
from tfrobust.ops.filters import gaussian_blur
from tfrobust.ops.geometry import crop, flip, rotate, shear, translate
from tfrobust.ops.mixing import mix_pairs
from tfrobust.ops.noise import (
    PlacesByDeviation,
    gaussian_noise,
    nonuniform_noise,
    patch_gaussian,
    salt_and_pepper,
    speckle_noise,
    uniform_noise,
)
from tfrobust.ops.noisy_feature_mixup import noisy_feature_mixup
from tfrobust.ops.resampling import thumbnail

__all__ = [
    "PlacesByDeviation",
    "add_brightness",
    "apply_gamma",
    "change_exposure",
    "crop",
    "flip",
    "gaussian_blur",
    "gaussian_noise",
    "gaussian_noise_at",
    "jpeg",
    "lowest_and_highest_entries",
    "mix_pairs",
    "noisy_feature_mixup",
    "nonuniform_noise",
    "patch_gaussian",
    "rotate",
    "salt_and_pepper",
    "scale_color",
    "scale_contrast",
    "scale_saturation",
    "shear",
    "speckle_noise",
    "thumbnail",
    "translate",
    "uniform_noise",
]
