"""Mixup."""

from __future__ import annotations

from typing import Any, Optional, Union

import keras
import tensorflow as tf

from tfrobust import validation
from tfrobust.augment.base import Augment
from tfrobust.ops import mixing, sampling


@keras.saving.register_keras_serializable(package="tfrobust")
class Mixup(Augment):
    """Mixes each image with another of its batch: λ·x + (1 − λ)·x[π] (Zhang et al., 2018).

    λ ~ Beta(α, α), and π is a random permutation of the batch, which may map an image to itself.
    Labels must be mixed with the same draws:

        draws = layer.draw(images)
        images, labels = layer.apply(images, draws), layer.mix_labels(labels, draws)

    Under a distribution strategy, images are mixed within each replica.

    Args:
        alpha: α in (0, 100]; small values hardly mix, 1 draws λ uniformly. Default 1.0, as in
            NoisyMix.
        per_image: Whether each image has its own λ. Default False, one λ per batch as in mixup's
            released code and NoisyMix.
        seed: Integer seed. Default 0.

    Raises:
        ValueError: `alpha` is out of range.

    Example:

    >>> layer = Mixup(alpha=1.0)
    >>> images = tf.constant([0.0, 1.0], shape=[2, 1, 1, 1])
    >>> draws = {"mixing_weight": tf.constant([0.75, 0.75]), "partner": tf.constant([1, 0])}
    >>> layer.apply(images, draws).numpy().ravel()
    array([0.25, 0.75], dtype=float32)
    >>> layer.mix_labels(tf.eye(2), draws).numpy()
    array([[0.75, 0.25], [0.25, 0.75]], dtype=float32)
    """

    mixes_labels = True

    def __init__(
        self, *, alpha: float = 1.0, per_image: bool = False, seed: int = 0, **kwargs: Any
    ):
        super().__init__(seed=seed, **kwargs)
        self.alpha = validation.check_in_range("alpha", alpha, 0, 100)
        if self.alpha == 0:
            raise ValueError(f"alpha must be a number above 0 and up to 100; received {alpha!r}")
        self.per_image = bool(per_image)

    def draw(self, images: tf.Tensor, seed: Optional[tf.Tensor] = None) -> dict[str, Any]:
        return self._draw_pairs(tf.shape(images)[0], self._batch_seed(seed))

    def _batch_seed(self, seed: Optional[tf.Tensor]) -> tf.Tensor:
        seed = self._own_seed(seed)
        if sampling.is_per_image(seed):
            raise ValueError(
                f"{type(self).__name__} draws for a whole batch and takes one seed for it, "
                "int32[2]; received one for each image"
            )
        return seed

    def _draw_pairs(self, batch: tf.Tensor, seed: tf.Tensor) -> dict[str, Any]:
        count = batch if self.per_image else 1
        mixing_weight = sampling.beta(sampling.fold_in(seed, 0), [count], self.alpha, self.alpha)
        order = tf.argsort(sampling.uniform(sampling.fold_in(seed, 1), [batch]))
        return {"mixing_weight": tf.broadcast_to(mixing_weight, [batch]), "partner": order}

    def apply(self, images: tf.Tensor, draws: dict[str, Any]) -> tf.Tensor:
        return mixing.mix_pairs(images, draws["partner"], draws["mixing_weight"])

    def mix_labels(
        self,
        labels: tf.Tensor,
        draws: dict[str, Any],
        sample_weight: Optional[tf.Tensor] = None,
    ) -> Union[tf.Tensor, tuple[tf.Tensor, tf.Tensor]]:
        """Mixes labels as `apply` mixes the images.

        Weights belong to the labels: each image's cross-entropy with the mixed label, times its
        mixed weight, is λ·w·CE(y) + (1 − λ)·w[π]·CE(y[π]). Give class weights here too, as
        `tf.gather(class_weights, classes)`: `fit(class_weight=...)` takes a mixed label for the
        class of its largest entry.

        Args:
            labels: [B, classes], one-hot or soft.
            draws: The result of `draw`.
            sample_weight: w ≥ 0, [B]. Default None.

        Returns:
            [B, classes] soft labels; float32 if `labels` are integers. With `sample_weight`, the
            labels and the weights, [B].

        Raises:
            ValueError: The labels are class indices.
        """
        labels = tf.convert_to_tensor(labels)
        if labels.shape.rank != 2 or labels.shape[1] == 1:
            raise ValueError(
                "labels to be mixed must be one-hot or soft, of shape [batch, classes]; received "
                f"shape {tuple(labels.shape)} (for class indices: tf.one_hot(labels, classes))"
            )
        if not labels.dtype.is_floating:
            labels = tf.cast(labels, tf.float32)

        def mixed(values: tf.Tensor) -> tf.Tensor:
            return mixing.mix_pairs(values, draws["partner"], draws["mixing_weight"])

        if sample_weight is None:
            return mixed(labels)
        weight = tf.cast(sample_weight, labels.dtype)[:, tf.newaxis]
        total = mixed(weight)
        # Where both weights are 0, the label does not matter.
        labels = tf.where(
            total > 0, mixed(weight * labels) / tf.maximum(total, 1e-30), mixed(labels)
        )
        return labels, total[:, 0]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "alpha": self.alpha, "per_image": self.per_image}
