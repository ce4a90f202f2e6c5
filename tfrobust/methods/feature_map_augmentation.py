"""Feature map augmentation (FMA)."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tfrobust import validation
from tfrobust.layers import feature_taps
from tfrobust.layers.output_hooks import output_hook
from tfrobust.losses import fused_feature_maps
from tfrobust.methods.base import RobustModel, Terms


@keras.saving.register_keras_serializable(package="tfrobust")
class FeatureMapAugmentation(RobustModel):
    """Cross-entropy, and stability of all feature maps under augmentation (FMA paper [4, 6]).

        J = J0(x) + γ·J_FMA(x, x̃)

    J_FMA compares every ReLU output of the net on the clean and the augmented image; the labels are
    used for the clean image only. Clean and augmented images form one batch. The method is meant
    for finetuning a net that was trained on clean images. It works better on nets with
    normalisation layers: J_FMA divides by the mean of the map, so a net without them can lower it
    by raising that mean.

    Args:
        net: Functional or Sequential model from images in [0, 1] to logits, with ReLUs.
        augment: Augmentation layer that makes x̃; the paper uses `augment.combined`.
        gamma: γ ≥ 0. Default 0.1; the paper finds it by grid search and does not give it.
        fixed_clean: Whether the clean maps are a fixed target of J_FMA, so that it changes the net
            by the augmented images alone; the paper does not say. Default False.

    Raises:
        ValueError: The net has no ReLU output, or `gamma` is negative or not finite.

    Example:

    >>> from tfrobust import augment, nets
    >>> noise = augment.GaussianNoise(0.075)
    >>> model = FeatureMapAugmentation(nets.small_cnn(), augment=noise, gamma=0.1)
    >>> len(model.relu_layers)
    6
    """

    def __init__(
        self,
        net: keras.Model,
        *,
        augment: keras.layers.Layer,
        gamma: float = 0.1,
        fixed_clean: bool = False,
        **kwargs: Any,
    ):
        gamma = validation.check_in_range("gamma", gamma, 0, 1e6)
        weights = {"cross_entropy": 1.0, "fma": gamma}
        super().__init__(net, term_weights=weights, augment=augment, **kwargs)
        self.gamma, self.fixed_clean = gamma, bool(fixed_clean)
        if not self.relu_layers:
            kinds = sorted({type(layer).__name__ for layer in self.net.layers})
            raise ValueError(
                "FeatureMapAugmentation compares ReLU outputs and needs a net with at least one; "
                f"net {self.net.name!r} has none (its layers: {', '.join(kinds)})"
            )

    @property
    def relu_layers(self) -> list[Any]:
        """The layers whose outputs are compared."""
        return feature_taps.relu_layers(self.net)

    def terms(self, views: dict[str, tf.Tensor], labels: tf.Tensor) -> tuple[tf.Tensor, Terms]:
        means, squares = [], []

        def compare(layer: Any, feature_map: tf.Tensor) -> tf.Tensor:
            feature_map, mean, square = fused_feature_maps.compare_halves(
                feature_map, fixed_clean=self.fixed_clean
            )
            means.append(mean)
            squares.append(square)
            return feature_map

        with output_hook(self.relu_layers, compare):
            clean, _ = self.forward_together(views["clean"], views["augmented"])
        return clean, {
            "cross_entropy": self.classification_loss(labels, clean),
            "fma": fused_feature_maps.loss_of_means(means, squares),
        }

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "gamma": self.gamma, "fixed_clean": self.fixed_clean}
