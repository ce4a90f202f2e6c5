"""Augmentation training (AT)."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tfrobust import checks
from tfrobust.methods.base import RobustModel, Terms


@keras.saving.register_keras_serializable(package="tfrobust")
class AugmentationTraining(RobustModel):
    """Cross-entropy on the clean and on the augmented images (FMA paper, section 2.1).

        J = s·J0(x) + (1 − s)·J0(x̃)

    With s = ½, the mean over the data set extended by one augmented copy of every image. Clean and
    augmented images go through the net as one batch.

    Args:
        net: Functional or Sequential model from images in [0, 1] to logits.
        augment: Augmentation layer that makes x̃.
        clean_share: s in [0, 1]. Default 0.5.

    Raises:
        ValueError: `clean_share` is not in [0, 1].

    Example:

    >>> from tfrobust import augment, nets
    >>> model = AugmentationTraining(nets.small_cnn(), augment=augment.GaussianNoise(0.1))
    >>> model.compile("sgd", metrics=["accuracy"])
    """

    def __init__(
        self,
        net: keras.Model,
        *,
        augment: keras.layers.Layer,
        clean_share: float = 0.5,
        **kwargs: Any,
    ):
        self_share = checks.check_in_range("clean_share", clean_share, 0, 1)
        weights = {"cross_entropy": self_share, "augmented_cross_entropy": 1 - self_share}
        super().__init__(net, term_weights=weights, augment=augment, **kwargs)
        self.clean_share = self_share

    def terms(self, views: dict[str, tf.Tensor], labels: tf.Tensor) -> tuple[tf.Tensor, Terms]:
        clean, augmented = self.forward_together(views["clean"], views["augmented"])
        return clean, {
            "cross_entropy": self.classification_loss(labels, clean),
            "augmented_cross_entropy": self.classification_loss(labels, augmented),
        }

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "clean_share": self.clean_share}
