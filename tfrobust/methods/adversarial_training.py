"""Adversarial training."""

from __future__ import annotations

from typing import Any, Optional

import keras
import tensorflow as tf

from tfrobust import validation
from tfrobust.attacks.base import Attack
from tfrobust.attacks.fgsm import FGSM
from tfrobust.augment.combine import alternates
from tfrobust.methods.base import RobustModel, Terms


@keras.saving.register_keras_serializable(package="tfrobust")
class AdversarialTraining(RobustModel):
    """Cross-entropy on the clean and on the attacked images (stability training [7]).

        L = μ·L0(x, y) + (1 − μ)·L0(x', y)

    The attack uses the net before the step, in inference mode. Both copies have the same label, and
    no gradient flows through the attack. Clean and attacked images form one batch, so BatchNorm
    normalises them together.

    With μ = 0, `AdversarialTraining(net, attack=PGD(), mu=0)`, only the attacked images train the
    net (Madry et al.) and update the moving statistics. The clean images then pass through the net
    in inference mode, for the metrics only: raising the weight of their term later has no effect.

    Args:
        net: Functional or Sequential model from images in [0, 1] to logits.
        attack: Attack that makes x'. Default `FGSM()`, as in the paper.
        mu: μ in [0, 1]. Default 0.5, as in the paper.

    Raises:
        TypeError: `attack` is not an `Attack`.
        ValueError: `mu` is not in [0, 1], or the attack alternates between augmentations.

    Example:

    >>> from tfrobust import attacks, nets
    >>> model = AdversarialTraining(nets.small_cnn(), attack=attacks.FGSM(0.01))
    >>> model.compile("sgd", metrics=["accuracy"])

    Reference: Goodfellow et al., "Explaining and Harnessing Adversarial Examples", ICLR 2015; Madry
    et al., "Towards Deep Learning Models Resistant to Adversarial Attacks", ICLR 2018.
    """

    def __init__(
        self,
        net: keras.Model,
        *,
        attack: Optional[Attack] = None,
        mu: float = 0.5,
        **kwargs: Any,
    ):
        mu = validation.check_in_range("mu", mu, 0, 1)
        attack = self.default_attack() if attack is None else attack
        example = "an attack, for example tfrobust.attacks.FGSM()"
        validation.check_type("attack", attack, Attack, example)
        if alternates(attack):
            raise ValueError(
                "attack must not alternate by epochs; received one that does (use "
                "AugmentationTraining with augment=attack, which does the same and is told of them)"
            )
        weights = {"cross_entropy": mu, "adversarial_cross_entropy": 1 - mu}
        super().__init__(net, term_weights=weights, **kwargs)
        self.attack = attack
        self.mu = mu

    @staticmethod
    def default_attack(seed: int = 0) -> Attack:
        """The paper's attack."""
        return FGSM(seed=seed)

    def views(self, images: tf.Tensor, labels: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"clean": images, "adversarial": self.perturbed(self.attack, images, labels)}

    def terms(self, views: dict[str, tf.Tensor], labels: tf.Tensor) -> tuple[tf.Tensor, Terms]:
        if self.mu == 0:
            clean = tf.stop_gradient(self.net(views["clean"], training=False))
            adversarial = self.net(views["adversarial"], training=True)
        else:
            clean, adversarial = self.forward_together(views["clean"], views["adversarial"])
        return clean, {
            "cross_entropy": self.classification_loss(labels, clean),
            "adversarial_cross_entropy": self.classification_loss(labels, adversarial),
        }

    def get_config(self) -> dict[str, Any]:
        attack = keras.saving.serialize_keras_object(self.attack)
        return {**super().get_config(), "attack": attack, "mu": self.mu}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> RobustModel:
        attack = keras.saving.deserialize_keras_object(config["attack"], custom_objects)
        return super().from_config({**config, "attack": attack}, custom_objects)
