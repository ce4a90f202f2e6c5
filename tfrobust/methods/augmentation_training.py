"""Augmentation training (AT)."""

from __future__ import annotations

from typing import Any, Optional

import keras
import tensorflow as tf

from tfrobust import validation
from tfrobust.layers.seeded import Seeded
from tfrobust.methods.base import RobustModel, Terms
from tfrobust.ops import sampling


@keras.saving.register_keras_serializable(package="tfrobust")
class AugmentationTraining(RobustModel):
    """Cross-entropy on clean and augmented images (FMA paper, section 2.1).

        J = s·J0(x) + (1 − s)·J0(x̃)

    With s = ½ this is the mean over the data set extended by one augmented copy of every image.
    Clean and augmented images form one batch. `augmented_weight` and `probability` select two other
    forms:

    - w: J = J0(x) + w·J0(x̃), an additional loss on an augmented copy (FCL's "XE + Gaussian", with
      w = 10⁻⁴);
    - p: J = J0(x̂), where x̂ is x̃ with probability p and x otherwise, drawn for each image: data
      augmentation (DA; stability training, section 4.3). The net sees one copy of each image, and
      the training metrics are those on x̂. With p = 1 it sees augmented images only (FCL's "Patch
      Gaussian + XE").

    The augmentation may be an attack: the form with s is then adversarial training.

    Args:
        net: Functional or Sequential model from images in [0, 1] to logits.
        augment: Augmentation layer, or attack, that makes x̃.
        clean_weight: s in [0, 1]. Default 0.5.
        augmented_weight: w ≥ 0. Default None, the form with s.
        probability: p in [0, 1]. Default None, the form with s. The stability-training paper uses
            0.5 and 1.
        seed: Integer seed, used only with p. Default 0.

    Raises:
        ValueError: A number is out of range, or more than one of the three is given.

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
        clean_weight: float = 0.5,
        augmented_weight: Optional[float] = None,
        probability: Optional[float] = None,
        seed: int = 0,
        **kwargs: Any,
    ):
        clean_weight = validation.check_in_range("clean_weight", clean_weight, 0, 1)
        given = {"augmented_weight": augmented_weight, "probability": probability}
        given = {name: value for name, value in given.items() if value is not None}
        if len(given) + (clean_weight != 0.5) > 1:
            raise ValueError(
                "only one of clean_weight, augmented_weight and probability can be given; received "
                f"clean_weight={clean_weight:g}, "
                + ", ".join(f"{name}={value!r}" for name, value in given.items())
            )
        weights = {"cross_entropy": clean_weight, "augmented_cross_entropy": 1 - clean_weight}
        if augmented_weight is not None:
            augmented_weight = validation.check_in_range(
                "augmented_weight", augmented_weight, 0, 1e6
            )
            weights = {"cross_entropy": 1.0, "augmented_cross_entropy": augmented_weight}
        if probability is not None:
            probability = validation.check_in_range("probability", probability, 0, 1)
            weights = {"cross_entropy": 1.0}
        super().__init__(net, term_weights=weights, augment=augment, **kwargs)
        self.clean_weight = clean_weight
        self.augmented_weight = augmented_weight
        self.probability = probability
        self.seed = validation.check_whole("seed", seed, 0, 2**31 - 1)
        self.seeds = None if probability is None else Seeded(seed=seed)

    def views(self, images: tf.Tensor, labels: tf.Tensor) -> dict[str, tf.Tensor]:
        views = super().views(images, labels)
        if self.seeds is None:
            return views
        seed = sampling.fold_in(self.seeds.next_seed(), "augmentation_training")
        # All images are augmented, which works for attacks and crops and can be compiled.
        drawn = sampling.uniform(seed, [tf.shape(images)[0], 1, 1, 1]) < self.probability
        return {"augmented": tf.where(drawn, views["augmented"], views["clean"])}

    def terms(self, views: dict[str, tf.Tensor], labels: tf.Tensor) -> tuple[tf.Tensor, Terms]:
        if self.seeds is not None:
            logits = self.net(views["augmented"], training=True)
            return logits, {"cross_entropy": self.classification_loss(labels, logits)}
        clean, augmented = self.forward_together(views["clean"], views["augmented"])
        return clean, {
            "cross_entropy": self.classification_loss(labels, clean),
            "augmented_cross_entropy": self.classification_loss(labels, augmented),
        }

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "clean_weight": self.clean_weight,
            "augmented_weight": self.augmented_weight,
            "probability": self.probability,
            "seed": self.seed,
        }
