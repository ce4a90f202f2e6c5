"""Stability training (ST)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Optional, Union

import keras
import tensorflow as tf

from tfrobust import validation
from tfrobust.attacks.base import Attack
from tfrobust.augment.base import Augment
from tfrobust.layers.members import Members
from tfrobust.layers.seeded import Seeded
from tfrobust.losses import consistency
from tfrobust.methods.base import RobustModel, Terms
from tfrobust.ops import sampling


@keras.saving.register_keras_serializable(package="tfrobust")
class StabilityTraining(RobustModel):
    """Cross-entropy, and stability of the prediction under a perturbation (stability training).

        L = L0(x, y) + α·D(f(x), f(x'))    [1, 2]

    D is KL(f(x) ‖ f(x')) for noise [5], and its symmetric form for transformations like rotation
    [6]. The labels are used for the clean image only; gradients flow through both predictions.
    Clean and perturbed images form one batch.

    With several perturbations, D is the mean of their divergences from the clean image, and all
    1 + n copies form one batch. (To apply them to the same image in sequence, use
    `augment.Sequence`.)

    An attack is a perturbation too; the paper's is FGSM with ε = 0.001, `attacks.FGSM()`. The paper
    takes the gradient of the full loss L at x' = x. There D is at its minimum 0 and has gradient 0,
    so the gradient of L is that of the cross-entropy, which the attack ascends.

    Args:
        net: Functional or Sequential model from images in [0, 1] to logits.
        augment: Augmentation layer or attack that makes x', or a list of them.
        alpha: α ≥ 0. Default 1.0; the paper searches 0.01 to 10.
        symmetric: Whether to use the symmetric divergence [6]. Default False.

    Raises:
        ValueError: `alpha` is negative or not finite, or the list holds something else.

    Example:

    >>> from tfrobust import augment, nets
    >>> model = StabilityTraining(nets.small_cnn(), augment=augment.GaussianNoise(0.05), alpha=1.0)
    >>> model.compile("sgd", metrics=["accuracy"])
    >>> both = [augment.GaussianNoise(0.05), augment.Rotation(30.0)]
    >>> model = StabilityTraining(nets.small_cnn(), augment=both, symmetric=True)
    """

    compares_views = True

    def __init__(
        self,
        net: keras.Model,
        *,
        augment: Union[keras.layers.Layer, Sequence[keras.layers.Layer]],
        alpha: float = 1.0,
        symmetric: bool = False,
        **kwargs: Any,
    ):
        alpha = validation.check_in_range("alpha", alpha, 0, 1e6)
        weights = {"cross_entropy": 1.0, "stability": alpha}
        if isinstance(augment, (list, tuple)):
            augment = _Perturbations(augment)
        super().__init__(net, term_weights=weights, augment=augment, **kwargs)
        self.alpha = alpha
        self.symmetric = bool(symmetric)

    def views(self, images: tf.Tensor, labels: tf.Tensor) -> dict[str, tf.Tensor]:
        if not isinstance(self.augment, _Perturbations):
            return super().views(images, labels)
        views = {"clean": self.augment(images, training=False)}
        seed = self.augment.next_seed()
        for i, augment in enumerate(self.augment.augments):
            if isinstance(augment, Augment):
                draws = augment.draw(images, sampling.fold_in(seed, i))
                views[f"augmented_{i}"] = augment.apply(images, draws)
            else:
                views[f"augmented_{i}"] = self.perturbed(augment, images, labels)
        return views

    def terms(self, views: dict[str, tf.Tensor], labels: tf.Tensor) -> tuple[tf.Tensor, Terms]:
        names = [name for name in views if name != "clean"]
        clean, *others = self.forward_together(views["clean"], *(views[name] for name in names))
        distance = (
            consistency.symmetric_kl_divergence if self.symmetric else consistency.kl_divergence
        )
        return clean, {
            "cross_entropy": self.classification_loss(labels, clean),
            "stability": tf.add_n([distance(clean, other) for other in others]) / len(others),
        }

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "alpha": self.alpha, "symmetric": self.symmetric}


@keras.saving.register_keras_serializable(package="tfrobust", name="StabilityPerturbations")
class _Perturbations(Members, Seeded):
    """A list of perturbations, whose augmentations draw from seeds of this layer."""

    def __init__(self, augments: Sequence[keras.layers.Layer], *, seed: int = 0, **kwargs: Any):
        super().__init__(seed=seed, **kwargs)
        kinds = [type(augment).__name__ for augment in augments]
        if not augments or not all(isinstance(a, (Augment, Attack)) for a in augments):
            raise ValueError(
                "augment must be an augmentation layer or attack, or a list of one or more of "
                f"them; received a list of {kinds!r}"
            )
        self.augments = list(augments)

    def call(self, images: tf.Tensor, training: Optional[bool] = None) -> tf.Tensor:
        self.compute_output_shape(images.shape)
        return self.augments[0](images, training=False)

    def compute_output_shape(self, input_shape: Any) -> Any:
        shapes = [tuple(augment.compute_output_shape(input_shape)) for augment in self.augments]
        if len(set(shapes)) > 1:
            raise ValueError(f"all perturbations must give images of one shape; received {shapes}")
        return self.augments[0].compute_output_shape(input_shape)
