"""Plain training."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tfrobust.methods.base import RobustModel, Terms


@keras.saving.register_keras_serializable(package="tfrobust")
class Baseline(RobustModel):
    """Cross-entropy on clean images: J0(x) (FMA paper [5]).

    The baseline of the other methods, and the starting point of those that finetune.

    Args:
        net: Functional or Sequential model from images in [0, 1] to logits.

    Example:

    >>> from tfrobust import nets
    >>> model = Baseline(nets.small_cnn())
    >>> model.compile("sgd", metrics=["accuracy"])
    """

    def __init__(self, net: keras.Model, **kwargs: Any):
        super().__init__(net, term_weights={"cross_entropy": 1.0}, **kwargs)

    def terms(self, views: dict[str, tf.Tensor], labels: tf.Tensor) -> tuple[tf.Tensor, Terms]:
        logits = self.net(views["clean"], training=True)
        return logits, {"cross_entropy": self.classification_loss(labels, logits)}
