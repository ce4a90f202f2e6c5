"""NoisyMix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Optional, Union

import keras
import tensorflow as tf

from tfrobust import validation
from tfrobust.layers.feature_mixing import feature_mixing, usable_points
from tfrobust.layers.seeded import Seeded
from tfrobust.methods.augmix_training import AugMixTraining
from tfrobust.methods.base import Terms
from tfrobust.ops import sampling
from tfrobust.ops.noisy_feature_mixup import noisy_feature_mixup

_NO_VIEWS = {"augment": None, "jsd": False}
_NO_MIXING = {"alpha": 0.0}
_NO_NOISE = {"additive": 0.0, "multiplicative": 0.0}

#: Arguments that switch off parts, for each row of the paper's Table 4 and for mixup at the input
#: as in Tables 2 and 3: `NoisyMix(net, **ABLATION["nfm"])`.
ABLATION: dict[str, dict[str, Any]] = {
    "baseline": {**_NO_VIEWS, **_NO_MIXING, **_NO_NOISE},
    "noise": {**_NO_VIEWS, **_NO_MIXING},
    "mixup": {**_NO_VIEWS, **_NO_NOISE, "mixing_points": (0,)},
    "manifold_mixup": {**_NO_VIEWS, **_NO_NOISE},
    "nfm": {**_NO_VIEWS},
    "augmix": {"jsd": False, **_NO_MIXING, **_NO_NOISE},
    "augmix_noise_jsd": {**_NO_MIXING},
    "augmix_jsd": {**_NO_MIXING, **_NO_NOISE},
    "augmix_nfm": {"jsd": False},
    "augmix_manifold_mixup_jsd": {**_NO_NOISE},
    "noisymix": {},
}


@keras.saving.register_keras_serializable(package="tfrobust")
class NoisyMix(AugMixTraining):
    """Noisy feature mixup with consistency of an image and two AugMix views.

        L = λ·CE(p_1, y) + (1 − λ)·CE(p_1, y[π]) + γ·JSD(p_1, p_2, p_3)   (NoisyMix paper [2])

    p_1, p_2 and p_3 are the predictions on the clean and the two AugMix views, one batch of 3B.
    Inside the net, all three are changed at one mixing point k, drawn anew at every step:
    h ← m ⊙ (λ·h + (1 − λ)·h[π]) + a. λ ~ Beta(α, α) and the permutation π of the batch are drawn
    once per step and shared by the views, so that they remain views of the same mixed images. The
    noise a and m is drawn separately for each view (see `ops.noisy_feature_mixup`). Its standard
    deviation or width is the level times a number from Beta(2, 5) per view; for the additive noise
    it is also multiplied by 1, 2 and 3 for the three views, as in the authors' code. The labels are
    used for the clean view only. Sample and class weights belong to the labels: with weights w, the
    first two terms are λ·w(y)·CE(p_1, y) + (1 − λ)·w(y[π])·CE(p_1, y[π]). Nothing is mixed outside
    training.

    Each part can be switched off, which leaves exactly the smaller method: `ABLATION` has the
    settings of the paper's Table 4. Without the divergence there is a single view (the augmented
    one, if there is an augmentation), and the training accuracy is that on this view.

    On several devices every replica draws k, λ, π and the noise for all three views of its own
    images. `jit_compile=True` changes the entries of a and m but no other draws.

    Args:
        net: Functional or Sequential model from images in [0, 1] to logits. It is mixed at its
            layers named `mixing_point_0`, `mixing_point_1`, …; without a layer for point 0, that
            point is the images themselves. The noise levels are meant for inputs in [−1, 1].
        augment: Layer that makes the augmented views, each with its own draws. Default "augmix":
            `augment.AugMix()`, severity 3 and width 3. None for no augmentation.
        jsd: Whether to compare the predictions. Default True.
        alpha: α from 0 to 100; 0 disables mixing. Default 1.0.
        additive: Level of the additive noise, 0 or more. Default 0.5.
        multiplicative: Level of the multiplicative noise, 0 or more. Default 0.5.
        sparse: Fraction in [0, 1] of the entries without noise, for each of the two noises. Default
            0.65.
        jsd_weight: γ ≥ 0. Default 12.
        mixing_points: The candidates for k. Default: those of 0 to 3 that the net has, so never
            the last of four stages.
        seed: Integer seed. Default 0.

    Raises:
        ValueError: An argument is out of range, the net lacks one of `mixing_points`, or `jsd` is
            True without an augmentation.

    Example:

    >>> from tfrobust import nets
    >>> model = NoisyMix(nets.resnet_20())
    >>> model.mixing_points
    (0, 1, 2, 3)
    >>> nfm = NoisyMix(nets.resnet_20(), **ABLATION["nfm"])
    """

    def __init__(
        self,
        net: keras.Model,
        *,
        augment: Union[keras.layers.Layer, str, None] = "augmix",
        jsd: bool = True,
        alpha: float = 1.0,
        additive: float = 0.5,
        multiplicative: float = 0.5,
        sparse: float = 0.65,
        jsd_weight: float = 12.0,
        mixing_points: Optional[Sequence[int]] = None,
        seed: int = 0,
        **kwargs: Any,
    ):
        super().__init__(net, augment=augment, jsd=jsd, jsd_weight=jsd_weight, seed=seed, **kwargs)
        if self.dual_norms:
            raise ValueError("NoisyMix mixes its views in one batch and has no dual_norms=True")
        self.alpha = validation.check_in_range("alpha", alpha, 0, 100)
        self.additive = validation.check_in_range("additive", additive, 0, 100)
        self.multiplicative = validation.check_in_range("multiplicative", multiplicative, 0, 100)
        self.sparse = validation.check_in_range("sparse", sparse, 0, 1)
        self.mixing_points = usable_points(self.net, mixing_points)
        self.seeds = Seeded(seed=seed)
        if self.alpha:
            # Instance attributes, because without mixing the class defaults hold.
            self.smallest_batch = 2
            self.compares_images = True

    def draw(self, batch: tf.Tensor, streams: int) -> dict[str, Any]:
        """Draws the mixing point, the mixture and the noise of one step.

        Args:
            batch: B, the number of images.
            streams: Number of views per image.

        Returns:
            "point": k, int32; "mixing_weight": λ; "partner": π, int32 [B], or None without mixing;
            "additive" and "multiplicative": strength of the noise, [streams], or None without it;
            "seed": int32[2], seed of the noise.
        """
        seed = self.seeds.next_seed()
        seeds = [sampling.fold_in(seed, i) for i in range(6)]
        draws: dict[str, Any] = {"mixing_weight": 1.0, "partner": None, "seed": seeds[5]}
        place = sampling.integers(seeds[0], [], 0, len(self.mixing_points))
        draws["point"] = tf.gather(tf.constant(self.mixing_points), place)
        if self.alpha:
            draws["mixing_weight"] = sampling.beta(seeds[1], [], self.alpha, self.alpha)
            draws["partner"] = tf.argsort(sampling.uniform(seeds[2], [batch]))
        levels = {"additive": self.additive, "multiplicative": self.multiplicative}
        for i, (name, level) in enumerate(levels.items()):
            strength = level * sampling.beta(seeds[3 + i], [streams], 2.0, 5.0)
            draws[name] = strength if level else None
        if self.additive:
            draws["additive"] *= tf.range(1.0, streams + 1.0)
        return draws

    def views(self, images: tf.Tensor, labels: tf.Tensor) -> dict[str, Any]:
        """Makes the views of one batch, and "draws" unless mixing and noise are off."""
        views = super().views(images, labels)
        if not (self.alpha or self.additive or self.multiplicative):
            return views
        return {**views, "draws": self.draw(tf.shape(images)[0], len(views))}

    def terms(self, views: dict[str, Any], labels: tf.Tensor) -> tuple[tf.Tensor, Terms]:
        if "draws" not in views:
            return super().terms(views, labels)
        parts = dict(views)
        draws = parts.pop("draws")
        images, streams = tf.concat(list(parts.values()), axis=0), len(parts)

        def change(values: tf.Tensor) -> tf.Tensor:
            return noisy_feature_mixup(
                values,
                draws["seed"],
                streams=streams,
                partner=draws["partner"],
                mixing_weight=draws["mixing_weight"],
                additive=draws["additive"],
                multiplicative=draws["multiplicative"],
                sparse=self.sparse,
            )

        with feature_mixing(self.net, self.mixing_points, draws["point"], change) as enter:
            logits = tf.split(self.net(enter(images), training=True), streams, axis=0)
        return logits[0], {
            "cross_entropy": self.mixed_loss(labels, logits[0], draws),
            **self.consistency(logits),
        }

    def mixed_loss(self, labels: tf.Tensor, logits: tf.Tensor, draws: dict[str, Any]) -> tf.Tensor:
        """Classification loss of images that were mixed with these draws, [B].

        An image's number is the loss of its label, on its own mixture and on the one that it is the
        partner in. The sum is that of the formula, and a sample or class weight of the image
        multiplies both of them.
        """
        own = self.classification_loss(labels, logits)
        if draws["partner"] is None:
            return own
        mixtures = tf.argsort(draws["partner"])  # the inverse permutation
        as_partner = self.classification_loss(labels, tf.gather(logits, mixtures))
        weight = tf.cast(draws["mixing_weight"], own.dtype)
        return weight * own + (1.0 - weight) * as_partner

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "alpha": self.alpha,
            "additive": self.additive,
            "multiplicative": self.multiplicative,
            "sparse": self.sparse,
            "mixing_points": self.mixing_points,
        }
