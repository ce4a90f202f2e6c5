"""AugMix training."""

from __future__ import annotations

from typing import Any, Union

import keras
import tensorflow as tf

from tfrobust import validation
from tfrobust.augment.augmix import AugMix
from tfrobust.layers.route import route
from tfrobust.losses import consistency
from tfrobust.methods.base import RobustModel, Terms
from tfrobust.methods.routed import has_dual_norms


@keras.saving.register_keras_serializable(package="tfrobust")
class AugMixTraining(RobustModel):
    """Cross-entropy, and consistency of an image with two AugMix views (AugMix, section 3).

        L = CE(x, y) + λ·JSD(p(x), p(x_augmix1), p(x_augmix2))

    The labels are used for the clean image only; gradients flow through all three predictions. The
    three views form one batch of 3B, so BatchNorm uses the statistics of all of them.

    Without the Jensen–Shannon divergence the paper trains with CE(x_augmix, y) on one AugMix view,
    a batch of B. The training accuracy is then that on this view.

    Args:
        net: Functional or Sequential model from images in [0, 1] to logits.
        augment: Layer that makes the augmented views, each with its own draws. Default "augmix":
            `augment.AugMix()`, severity 3 as on CIFAR. None, together with `jsd=False`, is plain
            training.
        jsd: Whether to compare the predictions. Default True.
        jsd_weight: λ ≥ 0. Default 12, as in the paper. Even if it is 0, the augmented views
            contribute to the statistics of BatchNorm.
        dual_norms: Whether the two augmented views, as one batch of 2B, take the auxiliary route
            through dual norms, and the image the clean one (AugMax, Table 8). Default False.
        seed: Integer seed of the default AugMix. Default 0.

    Raises:
        ValueError: `jsd_weight` is negative or not finite, `jsd` is True without an augmentation,
            or `dual_norms` without `jsd` or without such norms in the net.

    Example:

    >>> from tfrobust import nets
    >>> model = AugMixTraining(nets.small_cnn())
    >>> model.compile("sgd", metrics=["accuracy"])

    Reference: Hendrycks et al., "AugMix: A Simple Data Processing Method to Improve Robustness and
    Uncertainty", ICLR 2020.
    """

    def __init__(
        self,
        net: keras.Model,
        *,
        augment: Union[keras.layers.Layer, str, None] = "augmix",
        jsd: bool = True,
        jsd_weight: float = 12.0,
        dual_norms: bool = False,
        seed: int = 0,
        **kwargs: Any,
    ):
        seed = validation.check_whole("seed", seed, 0, 2**31 - 1)
        jsd_weight = validation.check_in_range("jsd_weight", jsd_weight, 0, 1e6)
        if jsd and augment is None:
            raise ValueError(
                "the Jensen–Shannon divergence compares augmented views; received augment=None "
                "with jsd=True (give an augmentation, or jsd=False)"
            )
        if isinstance(augment, str) and augment == "augmix":
            augment = AugMix(seed=seed)
        weights = {"cross_entropy": 1.0, **({"jsd": jsd_weight} if jsd else {})}
        super().__init__(net, term_weights=weights, augment=augment, **kwargs)
        if dual_norms and not (jsd and has_dual_norms(net)):
            raise ValueError(
                "dual_norms=True sends the two views of the divergence through the auxiliary half "
                "of dual norms, and needs jsd=True and a net that has them (norm='dubn' or "
                f"'dubin'); received jsd={jsd} and net {net.name!r}"
            )
        self.jsd, self.jsd_weight, self.seed = bool(jsd), jsd_weight, seed
        self.dual_norms = bool(dual_norms)

    def views(self, images: tf.Tensor, labels: tf.Tensor) -> dict[str, tf.Tensor]:
        """Makes the views of one batch; the labels belong to the first."""
        if self.augment is None:
            return {"clean": images}
        if not self.jsd:
            return {"augmented": self.perturbed(self.augment, images, labels)}
        return {
            "clean": self.augment(images, training=False),
            "augmented_1": self.perturbed(self.augment, images, labels),
            "augmented_2": self.perturbed(self.augment, images, labels),
        }

    def terms(self, views: dict[str, tf.Tensor], labels: tf.Tensor) -> tuple[tf.Tensor, Terms]:
        if self.dual_norms:
            clean, *augmented = views.values()
            with route("auxiliary"):
                changed = self.forward_together(*augmented)
            logits = [self.net(clean, training=True), *changed]
        else:
            logits = self.forward_together(*views.values())
        terms = {"cross_entropy": self.classification_loss(labels, logits[0])}
        return logits[0], {**terms, **self.consistency(logits)}

    def consistency(self, logits: list[tf.Tensor]) -> Terms:
        """The Jensen–Shannon divergence of the views as a term, or no terms without `jsd`."""
        return {"jsd": consistency.jensen_shannon(*logits)} if self.jsd else {}

    def get_config(self) -> dict[str, Any]:
        return {
            "augment": None,  # the base class omits None, and here the default is AugMix
            **super().get_config(),
            "jsd": self.jsd,
            "jsd_weight": self.jsd_weight,
            "dual_norms": self.dual_norms,
            "seed": self.seed,
        }
