"""Base class of AugMax and the methods that it is compared with."""

from __future__ import annotations

from typing import Any, Optional

import keras
import tensorflow as tf

from tfrobust import validation
from tfrobust.attacks.base import Attack
from tfrobust.augment.augmix import AugMix
from tfrobust.compat.layers import every_layer
from tfrobust.layers.dual_batch_normalization import DualBatchNormalization
from tfrobust.layers.route import route
from tfrobust.losses import consistency
from tfrobust.methods.base import RobustModel, Terms


class RoutedModel(RobustModel):
    """Base class of methods that route adversarial images separately (AugMax [5, 6]).

        L = (1 − s)·CE(f(x), y) + s·CE(f(x*), y) + λ·JSD(f(x), f(x̃), f(x*))

    A step has three passes of B images each: x* through the auxiliary batch norms, then x̃ and x
    through the clean ones, so that no batch norm mixes two of them in a batch. Gradients flow
    through all three predictions, but not through the attack.

    Args:
        net: Functional or Sequential model from images in [0, 1] to logits.
        attack: Makes x*; it uses the net on the route of x*. Default: the method's.
        augment: Makes x̃. Default: AugMix with the attack's settings, or its defaults.
        jsd_weight: λ ≥ 0. Default 10.
        adversarial_weight: s in [0, 1]. Default ½.
        dual_norms: Whether x* takes the auxiliary route. False sends everything through the clean
            one, for nets without dual norms. Default True.
        one_clean_batch: Whether x and x̃ go through the net as one batch of 2B. Default False.
        seed: Integer seed of the default attack and augmentation. Default 0.

    Raises:
        TypeError: `attack` is not an `Attack`.
        ValueError: The net has no dual norms, or a number is out of range.
    """

    def __init__(
        self,
        net: keras.Model,
        *,
        attack: Optional[Attack] = None,
        augment: Optional[keras.layers.Layer] = None,
        jsd_weight: float = 10.0,
        adversarial_weight: float = 0.5,
        dual_norms: bool = True,
        one_clean_batch: bool = False,
        seed: int = 0,
        **kwargs: Any,
    ):
        seed = validation.check_whole("seed", seed, 0, 2**31 - 1)
        jsd_weight = validation.check_in_range("jsd_weight", jsd_weight, 0, 1e6)
        adversarial_weight = validation.check_in_range(
            "adversarial_weight", adversarial_weight, 0, 1
        )
        attack = self.default_attack(seed) if attack is None else attack
        example = "an attack, for example tfrobust.attacks.PGD()"
        validation.check_type("attack", attack, Attack, example)
        weights = {
            "cross_entropy": 1 - adversarial_weight,
            "adversarial_cross_entropy": adversarial_weight,
            "jsd": jsd_weight,
        }
        augment = _augmix_like(attack, seed) if augment is None else augment
        super().__init__(net, term_weights=weights, augment=augment, **kwargs)
        net = self.net
        if dual_norms and not has_dual_norms(net):
            raise ValueError(
                f"{type(self).__name__} trains clean and adversarial images through batch norms of "
                f"their own and needs a net with dual norms; received net {net.name!r} without any "
                "(build it with norm='dubin', or convert its BatchNormalization layers with "
                "tfrobust.nets.convert_norms(net, 'dubn'); dual_norms=False trains without)"
            )
        self.attack = attack
        self.jsd_weight, self.adversarial_weight = jsd_weight, adversarial_weight
        self.dual_norms, self.one_clean_batch = bool(dual_norms), bool(one_clean_batch)
        self.seed = seed

    @staticmethod
    def default_attack(seed: int) -> Attack:
        """Creates the attack of the method with the paper's settings."""
        raise NotImplementedError

    def views(self, images: tf.Tensor, labels: tf.Tensor) -> dict[str, tf.Tensor]:
        """Makes the clean images, x̃ and x*."""
        views = super().views(images, labels)
        with route(self._adversarial_route):
            views["adversarial"] = self.attack.perturb(self.net, views["clean"], labels)
        return views

    def terms(self, views: dict[str, tf.Tensor], labels: tf.Tensor) -> tuple[tf.Tensor, Terms]:
        with route(self._adversarial_route):
            adversarial = self.net(views["adversarial"], training=True)
        if self.one_clean_batch:
            clean, augmented = self.forward_together(views["clean"], views["augmented"])
        else:
            augmented = self.net(views["augmented"], training=True)
            clean = self.net(views["clean"], training=True)
        return clean, {
            "cross_entropy": self.classification_loss(labels, clean),
            "adversarial_cross_entropy": self.classification_loss(labels, adversarial),
            "jsd": consistency.jensen_shannon(clean, augmented, adversarial),
        }

    @property
    def _adversarial_route(self) -> str:
        return "auxiliary" if self.dual_norms else "clean"

    def get_config(self) -> dict[str, Any]:
        names = ("jsd_weight", "adversarial_weight", "dual_norms", "one_clean_batch", "seed")
        return {
            **super().get_config(),
            "attack": keras.saving.serialize_keras_object(self.attack),
            **{name: getattr(self, name) for name in names},
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> RobustModel:
        attack = keras.saving.deserialize_keras_object(config["attack"], custom_objects)
        return super().from_config({**config, "attack": attack}, custom_objects)


def has_dual_norms(net: keras.Model) -> bool:
    """Whether there is a dual norm in a net, in nested models and layers too."""
    return any(isinstance(layer, DualBatchNormalization) for layer in every_layer(net))


def _augmix_like(attack: Attack, seed: int) -> AugMix:
    """AugMix with the settings of the attack's AugMix, if it has one."""
    augmix: Any = getattr(attack, "augmix", AugMix())
    return AugMix(**{**augmix.get_config(), "seed": seed, "name": None})
