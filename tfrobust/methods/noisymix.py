"""NoisyMix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Optional, Union

import keras
import tensorflow as tf

from tfrobust import validation
from tfrobust.layers.feature_mixing import feature_mixing, usable_points
from tfrobust.layers.seeded import Seeded
from tfrobust.losses.mixup import mixup_loss
from tfrobust.methods.augmix_training import AugMixTraining
from tfrobust.methods.base import Terms
from tfrobust.ops import sampling
from tfrobust.ops.noisy_feature_mixup import noisy_feature_mixup

_NO_VIEWS = {"augment": None, "jsd": False}
_NO_MIXING = {"alpha": 0.0}
_NO_NOISE = {"additive": 0.0, "multiplicative": 0.0}

#: Table 4 of the paper, row by row, and mixup at the input as in Tables 2 and 3: what to switch
#: off. `NoisyMix(net, **ABLATION["nfm"])`.
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
    """Noisy feature mixup of an image and two AugMix views, whose predictions must agree.

        L = λ·CE(p_1, y) + (1 − λ)·CE(p_1, y[π]) + γ·JSD(p_1, p_2, p_3)   (NoisyMix paper [2])

    p_1, p_2 and p_3 are the predictions on the clean and the two AugMix views, one batch of 3B.
    On their way through the net all three are changed at one mixing point k, drawn anew at every
    step: h ← m ⊙ (λ·h + (1 − λ)·h[π]) + a. λ ~ Beta(α, α) and the order π of the batch are drawn
    once a step and shared by the views, so that they stay views of the same mixed images. The noise
    a and m is drawn for each view, `ops.noisy_feature_mixup` says how; its standard deviation or
    width is the level times one number from Beta(2, 5) a view, and for the additive noise times 1,
    2 and 3 for the three views, as in the authors' code. The labels are used on the clean view
    only. Nothing is mixed outside training.

    Every part can be switched off; what is left is then exactly the smaller method: `ABLATION` has
    the settings of the paper's Table 4. Without the divergence there is one view, the augmented one
    if there is an augmentation, and the accuracy shown during training is that on this view.

    Args:
        net: Functional or Sequential model from images in [0, 1] to logits. It is mixed at its
            layers named `mixing_point_0`, `mixing_point_1`, …; without a layer for point 0, that is
            the images as they are. The levels of noise are meant for inputs in [−1, 1].
        augment: Layer that makes the augmented views, each with draws of its own. Default
            "augmix": `augment.AugMix()`, severity 3 and width 3. None: no augmentation.
        jsd: Whether the predictions are compared. Default True.
        alpha: α from 0 to 100; 0 mixes nothing. Default 1.0.
        additive: Level of the additive noise, 0 or more. Default 0.5.
        multiplicative: Level of the multiplicative noise, 0 or more. Default 0.5.
        sparse: Share in [0, 1] of the entries that each of the two noises leaves alone. Default
            0.65.
        jsd_weight: γ ≥ 0. Default 12.
        mixing_points: The numbers that k is drawn from. Default: 0 to 3 as far as the net has
            them; so never the last of four stages. The released code draws 0 to 2 on its WRN-28.
        seed: Whole number.

    On several devices every replica draws k, λ, π and the noise for its own images, all three
    views of them. With `jit_compile=True` the entries of a and m are other ones; all other draws
    are the same.

    Raises:
        ValueError: An argument is out of range, or the net lacks one of `mixing_points`; or the
            predictions are to be compared and there is no augmentation.

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
        self.alpha = validation.check_in_range("alpha", alpha, 0, 100)
        self.additive = validation.check_in_range("additive", additive, 0, 100)
        self.multiplicative = validation.check_in_range("multiplicative", multiplicative, 0, 100)
        self.sparse = validation.check_in_range("sparse", sparse, 0, 1)
        self.mixing_points = usable_points(net, mixing_points)
        self.seeds = Seeded(seed=seed)
        if self.alpha:
            # Of this model alone: without mixing there is no need.
            self.smallest_batch = 2
            self.compares_images = True

    def draw(self, batch: tf.Tensor, streams: int) -> dict[str, Any]:
        """Draws what one step changes in the feature maps, and where.

        Args:
            batch: B, the number of images.
            streams: Number of views of each.

        Returns:
            "point": k, int32; "mixing_weight": λ; "partner": π, int32 [B], or None where nothing is
            mixed; "additive" and "multiplicative": strength of the noise, [streams], or None where
            there is none; "seed": int32[2], of the noise.
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
        """The images that go through the net together, and "draws", where there are any."""
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
        """The classification loss of images mixed with these draws. [B]."""
        if draws["partner"] is None:
            return self.classification_loss(labels, logits)
        loss = self.classification_loss
        return mixup_loss(loss, labels, logits, draws["partner"], draws["mixing_weight"])

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "alpha": self.alpha,
            "additive": self.additive,
            "multiplicative": self.multiplicative,
            "sparse": self.sparse,
            "mixing_points": self.mixing_points,
        }
