"""AugMix with PGD adversarial training."""

from __future__ import annotations

import keras

from tfrobust.attacks.pgd import PGD
from tfrobust.methods.routed import RoutedModel


@keras.saving.register_keras_serializable(package="tfrobust")
class AugMixPGDAT(RoutedModel):
    """AugMix with PGD adversarial training (AugMix+PGDAT; AugMax, section 4.3).

        L = (1 − s)·CE(f(x), y) + s·CE(f(x*), y) + λ·JSD(f(x), f(x̃), f(x*))

    x̃ is an AugMix image, x* an adversarial one (PGD): the paper's "naive" way to have diversity and
    hardness, a baseline of its Table 10. What the paper does not specify is as in `AugMax`: the
    loss, the passes and their routes.

    Args:
        net: Functional or Sequential model from images in [0, 1] to logits, with dual norms.
        attack: Makes x*. Default `PGD()`: 10 steps of 2/255 within 8/255.
        augment: Makes x̃. Default `AugMix()`.
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
    >>> type(AugMixPGDAT(nets.resnet_20(norm="dubin")).attack).__name__
    'PGD'
    """

    @staticmethod
    def default_attack(seed: int) -> PGD:
        """10 steps of 2/255 within 8/255."""
        return PGD(seed=seed)
