"""Feature contrastive learning (FCL)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Optional

import keras
import tensorflow as tf

from tfrobust import validation
from tfrobust.attacks.utility import noise_by_utility, utility
from tfrobust.layers.embedding import Embedding, inner_layers
from tfrobust.layers.seeded import Seeded
from tfrobust.losses import contrastive
from tfrobust.methods.base import RobustModel, Terms
from tfrobust.ops import noise

#: Arguments for each data set from appendix B (noisy CIFAR, CIFAR-C and ImageNet-C agree, except
#: for the ramp and Patch Gaussian's σ). "_pg" is for `augment=PatchGaussian(...)`, "_cl" is the
#: baseline CL+Gaussian. For start and ramp of the weight see `callbacks.LossWeightSchedule`.
PUBLISHED_SETTINGS: dict[str, dict[str, Any]] = {
    "mnist": {"weight": 1e-3, "k": 256, "sigma": 0.5, "temperature": 0.1},
    "cifar10": {"weight": 1e-4, "k": 256, "sigma": 0.5, "temperature": 2.0},
    "cifar10_pg": {"weight": 1e-4, "k": 256, "sigma": 0.5, "temperature": 1.0},
    "cifar10_cl": {"weight": 1e-4, "sigma": 0.5, "temperature": 0.5, "positive": "gaussian"},
    "cifar100": {"weight": 1e-4, "k": 256, "sigma": 0.5, "temperature": 0.1},
    "cifar100_pg": {"weight": 1e-4, "k": 256, "sigma": 0.5, "temperature": 0.1},
    "cifar100_cl": {"weight": 1e-4, "sigma": 0.5, "temperature": 0.5, "positive": "gaussian"},
    "imagenet": {"weight": 2e-4, "k": 512, "sigma": 1.0, "temperature": 0.5},
    "imagenet_pg": {"weight": 4e-4, "k": 2048, "sigma": 0.5, "temperature": 1.0},
    "imagenet_cl": {"weight": 1e-4, "sigma": 0.5, "temperature": 0.5, "positive": "gaussian"},
}


@keras.saving.register_keras_serializable(package="tfrobust")
class FeatureContrastive(RobustModel):
    """Feature contrastive learning: sensitivity to useful inputs only (FCL paper, Algorithm 1).

        J = ℓ(x) + λ·ℓ_FCL(φ(x), φ(x⁺), φ(x⁻))

    The utility `|∂ℓ/∂x|` of each input entry is computed with the net in inference mode. x⁺ has
    noise N(0, σ²) on the k entries of lowest utility, x⁻ on the k of highest, both clipped to
    [0, 1]; if the largest utility of an image is below 10⁻¹², its x⁻ is ignored. ℓ_FCL pulls φ(x)
    towards φ(x⁺) and pushes it away from φ(x⁻) and from the φ(x_j) of the other images in the batch
    (under a distribution strategy, of the same replica). The labels are used for x only.

    x, x⁺ and x⁻ form one batch and share BatchNorm's statistics. The paper keeps λ at 0 for the
    first part of the training and then raises it linearly:
    `callbacks.LossWeightSchedule("fcl", start=..., ramp=...)`. While λ = 0, a step is that of the
    baseline, at the same cost, and "fcl" is reported as 0. However, under a distribution strategy,
    and with layers that are not Keras' own or have an activity regularizer, everything is computed;
    then train a `Baseline` first, on the same net.

    The loss is a mean over the images, while the paper's Algorithm 1 sums ℓ_FCL over the batch. If
    its ℓ is nevertheless a mean, its λ must be multiplied by the batch size: 1e-4 becomes 0.1.

    The baselines of the paper's section 4.2:

    - XE+Gaussian: `AugmentationTraining(net, augment=GaussianNoise(0.3), augmented_weight=1e-4)`;
    - CL+Gaussian: `FeatureContrastive(net, **PUBLISHED_SETTINGS["cifar10_cl"])`;
    - Patch Gaussian+XE: `AugmentationTraining(net, augment=PatchGaussian(...), probability=1)`;
    - Patch Gaussian+FCL: `FeatureContrastive(net, augment=PatchGaussian(...), ...)`.

    Args:
        net: Functional or Sequential model from images in [0, 1] to logits.
        augment: Augmentation layer that is applied to x first. Default None.
        weight: λ ≥ 0. Default 1e-4, as for CIFAR-10. ℓ_FCL is a mean here: if the paper means its
            sum, the weight must be larger by the batch size, which worked on `corner_digits`.
        k: Number of entries (one channel of one pixel each) that get noise, from 1 to all of an
            image. Default 256, as for CIFAR-10.
        sigma: σ in [0, 10]. Default 0.5, as for CIFAR-10.
        temperature: τ above 0, up to 1000. Default 2, as for CIFAR-10 without Patch Gaussian.
        loss: "softmax" (default, the paper's choice [5]) or "margin" [4].
        margin: γ in [0, 2] of the margin loss, a cosine distance. Default 1; the paper gives none.
        positive: "utility" (default) for FCL, or "gaussian" for CL+Gaussian, where x⁺ is the image
            with noise everywhere, there is no x⁻, and no utility is computed.
        embedding_layer: Name of the layer whose output is φ. Default: the penultimate layer, see
            `tfrobust.layers.embedding`.
        seed: Integer seed. Default 0.

    Raises:
        ValueError: An argument is out of range, or the net has no layer `embedding_layer`.

    Example:

    >>> from tfrobust import nets
    >>> model = FeatureContrastive(nets.small_cnn(), **PUBLISHED_SETTINGS["cifar10"])
    >>> model.compile("sgd", metrics=["accuracy"])
    """

    smallest_batch = 2
    compares_images = True

    def __init__(
        self,
        net: keras.Model,
        *,
        augment: Optional[keras.layers.Layer] = None,
        weight: float = 1e-4,
        k: int = 256,
        sigma: float = 0.5,
        temperature: float = 2.0,
        loss: str = "softmax",
        margin: float = 1.0,
        positive: str = "utility",
        embedding_layer: Optional[str] = None,
        seed: int = 0,
        **kwargs: Any,
    ):
        weight = validation.check_in_range("weight", weight, 0, 1e6)
        weights = {"cross_entropy": 1.0, "fcl": weight}
        super().__init__(net, term_weights=weights, augment=augment, **kwargs)
        self.weight = weight
        self.k = validation.check_whole("k", k, 1, 2**31 - 1)
        self.sigma = validation.check_in_range("sigma", sigma, 0, 10)
        self.temperature = validation.check_in_range("temperature", temperature, 1e-4, 1e3)
        self.form = validation.check_choice("loss", loss, ("softmax", "margin"))
        self.margin = validation.check_in_range("margin", margin, 0, 2)
        self.positive = validation.check_choice("positive", positive, ("utility", "gaussian"))
        self.embedding_layer = embedding_layer
        self.embedding = Embedding(self.net, embedding_layer)
        self.seeds = Seeded(seed=seed)
        self._can_skip = not any(_may_add_losses(layer) for layer in inner_layers(self.net))
        if self.positive == "utility" and None not in self.net.input_shape[1:]:
            validation.check_whole("k", k, 1, math.prod(self.net.input_shape[1:]))

    def views(self, images: tf.Tensor, labels: tf.Tensor) -> dict[str, tf.Tensor]:
        if self.augment is not None:
            images = self.perturbed(self.augment, images, labels)
        seed = self.seeds.next_seed()  # counts the draw even if nothing is drawn
        names = ["clean", "positive"] + ["negative"] * (self.positive == "utility")
        same = {**dict.fromkeys(names, images), "has_negative": tf.zeros([tf.shape(images)[0]])}
        return self._unless_weight_is_zero(
            lambda: self._contrastive_views(images, labels, seed), lambda: same
        )

    def _contrastive_views(
        self, images: tf.Tensor, labels: tf.Tensor, seed: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """x, x⁺ and x⁻, and whether each image has an x⁻, [B]."""
        if self.positive == "gaussian":
            noisy = noise.gaussian_noise(images, self.sigma, seed)
            none = tf.zeros([tf.shape(images)[0]])
            return {"clean": images, "positive": noisy, "has_negative": none}
        useful = utility(self.net, images, labels, loss=self.classification_loss)
        low, high, known = noise_by_utility(images, useful, self.k, self.sigma, seed)
        kept = tf.cast(known, tf.float32)
        return {"clean": images, "positive": low, "negative": high, "has_negative": kept}

    def terms(self, views: dict[str, tf.Tensor], labels: tf.Tensor) -> tuple[tf.Tensor, Terms]:
        logits, fcl = self._unless_weight_is_zero(
            lambda: self._contrast(views), lambda: self._baseline_step(views)
        )
        return logits, {"cross_entropy": self.classification_loss(labels, logits), "fcl": fcl}

    def _contrast(self, views: dict[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        """The clean logits, [B, classes], and ℓ_FCL, [B]."""
        images = [views[name] for name in ("clean", "positive", "negative") if name in views]
        with self.embedding.recorded() as embedded:
            logits = self.forward_together(*images)[0]
        embeddings = tf.split(embedded(), len(images), axis=0)
        kept = views["has_negative"]
        if self.form == "softmax":
            return logits, contrastive.softmax_contrastive(
                *embeddings, has_negative=kept, temperature=self.temperature
            )
        return logits, contrastive.margin_contrastive(
            *embeddings, has_negative=kept, margin=self.margin
        )

    def _baseline_step(self, views: dict[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        logits = self.net(views["clean"], training=True)
        return logits, tf.zeros([tf.shape(logits)[0]])

    def _unless_weight_is_zero(self, on: Callable[[], Any], off: Callable[[], Any]) -> Any:
        """Returns `on()`, or `off()` while the weight is 0 if a condition is possible."""
        # Replicas cannot update BatchNorm inside a condition, and layers' losses cannot leave it.
        if not self._can_skip or tf.distribute.has_strategy():
            return on()
        return tf.cond(tf.not_equal(tf.convert_to_tensor(self.term_weights["fcl"]), 0.0), on, off)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "weight": self.weight,
            "k": self.k,
            "sigma": self.sigma,
            "temperature": self.temperature,
            "loss": self.form,
            "margin": self.margin,
            "positive": self.positive,
            "embedding_layer": self.embedding_layer,
            "seed": self.seeds.seed,
        }


def _may_add_losses(layer: Any) -> bool:
    foreign = type(layer).__module__.split(".")[0] not in ("keras", "tfrobust")
    return foreign or getattr(layer, "activity_regularizer", None) is not None
