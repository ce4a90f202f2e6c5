"""AdvMax."""

from __future__ import annotations

import keras

from tfrobust.attacks.augmax_attack import AugMaxAttack
from tfrobust.methods.routed import RoutedModel


@keras.saving.register_keras_serializable(package="tfrobust")
class AdvMax(RoutedModel):
    """AugMax that also attacks the operators' levels (AugMax, appendix B).

        L = (1 − s)·CE(f(x), y) + s·CE(f(x*), y) + λ·JSD(f(x), f(x̃), f(x*))

    First, as in `AdvMix`, each image uses the worst of five draws of the levels; then, as in
    `AugMax`, the worst mixture of these chains. This is one of the baselines of Table 10, without
    the paper's displacement of pixels (StAdv). What the paper does not specify is as in `AugMax`:
    the loss, the passes and their routes.

    Args:
        net: Functional or Sequential model from images in [0, 1] to logits, with dual norms.
        attack: Makes x*. Default `AugMaxAttack(level_draws=5)`.
        augment: Makes x̃. Default: `AugMix` with the settings of the attack's.
        jsd_weight: λ ≥ 0. Default 10.
        adversarial_weight: s in [0, 1]. Default ½.
        dual_norms: Whether x* takes the auxiliary route. If False, all take the clean route,
            for nets without dual norms. Default True.
        one_clean_batch: Whether x and x̃ go through the net as one batch of 2B. Default False.
        seed: Integer seed of the default attack and augmentation. Default 0.

    Raises:
        TypeError: `attack` is not an `Attack`.
        ValueError: The net has no dual norms, or a number is out of range.

    Example:

    >>> from tfrobust import nets
    >>> attack = AdvMax(nets.resnet_20(norm="dubin")).attack
    >>> attack.level_draws, attack.steps
    (5, 10)
    """

    @staticmethod
    def default_attack(seed: int) -> AugMaxAttack:
        """The worst of 5 draws of the levels, then 10 steps of the mixture."""
        return AugMaxAttack(level_draws=5, seed=seed)
