"""The worst of k random augmentations."""

from __future__ import annotations

from typing import Any, Callable, Optional

import keras
import tensorflow as tf

from tfrobust import validation
from tfrobust.attacks.base import Attack
from tfrobust.augment.base import Augment
from tfrobust.augment.combine import check_leaves_labels
from tfrobust.losses.classification import cross_entropy
from tfrobust.ops import sampling


@keras.saving.register_keras_serializable(package="tfrobust")
class WorstOfK(Attack):
    """Draws an augmentation k times and keeps the draw with the highest loss for each image.

        x' = argmax over x_1, …, x_k of J0(f(x_i), y)

    The draws are independent, and the image itself is not among them. The net runs in inference
    mode. Memory does not grow with k: only the worst and the current candidate are kept.

    Args:
        augment: An augmentation layer; its own seed is unused.
        k: Number of draws, 1 or more. Default 10, as in AugMax's CIFAR-10-STA (AdvMix uses 5).
        seed: Integer seed. Default 0.

    Raises:
        ValueError: `augment` is not an augmentation layer or mixes labels, or `k` is below 1.

    Example:

    >>> from tfrobust import augment, nets
    >>> attack = WorstOfK(augment.GaussianNoise(0.1), k=3)
    >>> images, labels = tf.fill([2, 32, 32, 3], 0.5), tf.constant([0, 1])
    >>> attack.perturb(nets.small_cnn(), images, labels).shape
    TensorShape([2, 32, 32, 3])

    Reference: Engstrom et al., "Exploring the Landscape of Spatial Robustness", ICML 2019; AugMax
    paper, section 4.4 and appendix B.
    """

    def __init__(self, augment: Augment, k: int = 10, *, seed: int = 0, **kwargs: Any):
        super().__init__(seed=seed, **kwargs)
        if not isinstance(augment, Augment):
            raise ValueError(
                f"WorstOfK takes an augmentation layer; received {type(augment).__name__}"
            )
        check_leaves_labels("augment", augment)
        self.augment = augment
        self.k = validation.check_whole("k", k, 1, 10**6)

    uses_gradients = False

    def search(
        self, net: Any, images: tf.Tensor, labels: tf.Tensor, seed: Optional[tf.Tensor] = None
    ) -> tf.Tensor:
        images = tf.stop_gradient(images)
        seed = sampling.fold_in(self.seed_of(seed), "worst_of_k")

        def draw(i: tf.Tensor) -> tf.Tensor:
            return self.augment.apply(images, self.augment.draw(images, sampling.fold_in(seed, i)))

        shape = self.augment.compute_output_shape(images.shape)
        return worst_of(net, labels, draw, self.k, shape[1:])

    def call(self, images: tf.Tensor, training: Optional[bool] = None) -> tf.Tensor:
        return self.augment(super().call(images, training), training=False)

    def start_epoch(self, epoch: int) -> None:
        self.augment.start_epoch(epoch)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return self.augment.compute_output_shape(input_shape)

    def get_config(self) -> dict[str, Any]:
        augment = keras.saving.serialize_keras_object(self.augment)
        return {**super().get_config(), "augment": augment, "k": self.k}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> WorstOfK:
        augment = keras.saving.deserialize_keras_object(config["augment"])
        return cls(**{**config, "augment": augment})


def worst_of(
    net: Any, labels: tf.Tensor, draw: Callable[[tf.Tensor], tf.Tensor], k: int, image_shape: Any
) -> tf.Tensor:
    """Keeps the candidate with the highest cross-entropy for each image; of ties, the first.

    Args:
        net: Maps images in [0, 1] to logits; it runs in inference mode.
        labels: [B] or [B, 1] class indices, or [B, classes] one-hot or soft labels.
        draw: Function of i, a scalar int32 tensor from 0 to k − 1, that returns the candidates
            [B, H, W, C]. It is traced once.
        k: Number of candidates, 1 or more.
        image_shape: (H, W, C) of the candidates.

    Returns:
        [B, H, W, C]; no gradient flows back from the result.
    """
    labels = tf.convert_to_tensor(labels)
    batch = tf.shape(labels)[0]

    def look(i: tf.Tensor, best: tf.Tensor, highest: tf.Tensor) -> tuple[tf.Tensor, ...]:
        images = tf.ensure_shape(draw(i), [None, *image_shape])
        loss = cross_entropy(labels, net(images, training=False))
        better = tf.logical_or(tf.equal(i, 0), loss > highest)
        best = tf.where(tf.reshape(better, [-1, 1, 1, 1]), images, best)
        return i + 1, best, tf.where(better, loss, highest)

    nothing = tf.zeros([batch, *image_shape]), tf.zeros([batch])
    _, best, _ = tf.while_loop(
        lambda i, *_: i < k,
        look,
        (tf.constant(0), *nothing),
        shape_invariants=(
            tf.TensorShape([]),
            tf.TensorShape([None, *image_shape]),
            tf.TensorShape([None]),
        ),
        maximum_iterations=k,
        parallel_iterations=1,
    )
    return tf.stop_gradient(tf.ensure_shape(best, [labels.shape[0], *image_shape]))
