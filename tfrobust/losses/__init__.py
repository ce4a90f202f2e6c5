"""Per-image losses: every function returns one number an image, [B]; reducing is the caller's."""

from tfrobust.losses.classification import cross_entropy
from tfrobust.losses.consistency import kl_divergence, symmetric_kl_divergence
from tfrobust.losses.feature_maps import feature_map_augmentation

__all__ = [
    "cross_entropy",
    "feature_map_augmentation",
    "kl_divergence",
    "symmetric_kl_divergence",
]
