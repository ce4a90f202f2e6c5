"""Per-image losses: every function returns shape [B] and leaves the reduction to the caller."""

from tfrobust.losses.classification import cross_entropy
from tfrobust.losses.consistency import (
    jensen_shannon,
    kl_divergence,
    symmetric_kl_divergence,
)
from tfrobust.losses.contrastive import margin_contrastive, softmax_contrastive
from tfrobust.losses.feature_maps import feature_map_augmentation
from tfrobust.losses.mixup import mixup_loss

__all__ = [
    "cross_entropy",
    "feature_map_augmentation",
    "jensen_shannon",
    "kl_divergence",
    "margin_contrastive",
    "mixup_loss",
    "softmax_contrastive",
    "symmetric_kl_divergence",
]
