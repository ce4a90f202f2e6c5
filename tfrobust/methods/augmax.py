"""AugMax."""

from __future__ import annotations

import keras

from tfrobust.attacks.augmax_attack import AugMaxAttack
from tfrobust.methods.routed import RoutedModel


@keras.saving.register_keras_serializable(package="tfrobust")
class AugMax(RoutedModel):
    """Training on the worst mixture of an image's AugMix chains (AugMax [5, 6], Algorithm 2).

        L = (1 − s)·CE(f(x), y) + s·CE(f(x*), y) + λ·JSD(f(x), f(x̃), f(x*))

    x* mixes AugMix chains with the weights that raise the loss most (`attacks.AugMaxAttack`), x̃ is
    an AugMix image of its own draws. With s = ½ this is the paper's [5]; the released code leaves
    CE(x*) out: s = 0.

    A step has three passes of B images each: x* through the auxiliary batch norms, then x̃, then x
    through the clean ones. Gradients flow through all three predictions, and none back to the
    search, which before that takes up to n passes in inference mode. Where s and λ are 0, the
    weights on the clean route change as in `Baseline`; their moving statistics have seen x̃ too.

    Args:
        net: Functional or Sequential model from images in [0, 1] to logits, with dual norms, such
            as `nets.wrn_40_2(norm="dubin")`.
        attack: Makes x*. Default `AugMaxAttack()`: 10 steps, severity 3, as on CIFAR; ImageNet
            has `AugMaxAttack(steps=5)`.
        augment: Makes x̃. Default: `AugMix` with the settings of the attack's.
        jsd_weight: λ ≥ 0. Default 10 (ImageNet 12; ResNet-18 on CIFAR-100 1).
        adversarial_weight: s in [0, 1]. Default ½.
        dual_norms: Whether x* takes the auxiliary route. False sends all through the clean one,
            for nets without dual norms (BN and IBN in Table 8). Default True.
        one_clean_batch: Whether x and x̃ go through the net as one batch of 2B, so that batch norm
            normalises them together. Default False, as in the released code.
        seed: Whole number; the seed of the default attack and augmentation.

    Raises:
        TypeError: `attack` is no attack.
        ValueError: The net has no dual norms; or a number is out of range.

    Example:

    >>> from tfrobust import attacks, nets
    >>> net = nets.resnet_20(norm="dubin")
    >>> model = AugMax(net, attack=attacks.AugMaxAttack(steps=5), jsd_weight=12)
    >>> model.compile("sgd", metrics=["accuracy"])

    Reference: Wang et al., "AugMax: Adversarial Composition of Random Augmentations for Robust
    Training", NeurIPS 2021.
    """

    @staticmethod
    def default_attack(seed: int) -> AugMaxAttack:
        """10 steps on chains of severity 3, as on CIFAR."""
        return AugMaxAttack(seed=seed)
