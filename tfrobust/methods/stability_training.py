"""Stability training (ST)."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tfrobust import checks
from tfrobust.losses import consistency
from tfrobust.methods.base import RobustModel, Terms


@keras.saving.register_keras_serializable(package="tfrobust")
class StabilityTraining(RobustModel):
    """The prediction must not change with the image (stability training [1, 2]).

        L = L0(x, y) + α·D(f(x), f(x'))

    D is KL(f(x) ‖ f(x')) for noise [5], and its symmetric form for transformations like rotation
    [6]. The labels are used on the clean image only; gradients flow through both predictions.
    Clean and augmented images go through the net as one batch.

    Args:
        net: Functional or Sequential model from images in [0, 1] to logits.
        augment: Augmentation layer that makes x'.
        alpha: α ≥ 0. The paper searches 0.01 to 10; default 1.0.
        symmetric: Use the symmetric divergence [6]. Default False.

    Raises:
        ValueError: `alpha` is negative or not finite.

    Example:

    >>> from tfrobust import augment, nets
    >>> model = StabilityTraining(nets.small_cnn(), augment=augment.GaussianNoise(0.05), alpha=1.0)
    >>> model.compile("sgd", metrics=["accuracy"])
    """

    def __init__(
        self,
        net: keras.Model,
        *,
        augment: keras.layers.Layer,
        alpha: float = 1.0,
        symmetric: bool = False,
        **kwargs: Any,
    ):
        alpha = checks.check_in_range("alpha", alpha, 0, 1e6)
        weights = {"cross_entropy": 1.0, "stability": alpha}
        super().__init__(net, term_weights=weights, augment=augment, **kwargs)
        self.alpha = alpha
        self.symmetric = bool(symmetric)

    def terms(self, views: dict[str, tf.Tensor], labels: tf.Tensor) -> tuple[tf.Tensor, Terms]:
        clean, augmented = self.forward_together(views["clean"], views["augmented"])
        distance = (
            consistency.symmetric_kl_divergence if self.symmetric else consistency.kl_divergence
        )
        return clean, {
            "cross_entropy": self.classification_loss(labels, clean),
            "stability": distance(clean, augmented),
        }

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "alpha": self.alpha, "symmetric": self.symmetric}
