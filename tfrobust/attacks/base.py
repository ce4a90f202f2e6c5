"""Base class of attacks."""

from __future__ import annotations

from typing import Any, Optional

import tensorflow as tf

from tfrobust.layers.seeded import Seeded
from tfrobust.nets.logits import without_softmax


class Attack(Seeded):
    """Base class of attacks, which perturb images so that a net misclassifies them.

    The net runs in inference mode, so its moving statistics do not change, and its weights get no
    gradient. Methods accept an attack wherever an augmentation may depend on the net.

    A subclass defines `search`.

    Args:
        seed: Integer from 0 to 2³¹ − 1. Default 0. Under a distribution strategy every replica
            draws its own numbers.
        **kwargs: Keras layer arguments such as `name`.
    """

    #: Whether the search follows the gradient of the loss.
    uses_gradients: bool = True

    def perturb(
        self, net: Any, images: tf.Tensor, labels: tf.Tensor, seed: Optional[tf.Tensor] = None
    ) -> tf.Tensor:
        """Perturbs images.

        Args:
            net: Maps images in [0, 1] to logits. A softmax at its end is left out, where its
                structure shows it (`tfrobust.nets.to_logits` also sees others).
            images: [B, H, W, C] in [0, 1], of any floating-point type.
            labels: [B] or [B, 1] class indices, or [B, classes] one-hot or soft labels.
            seed: int32[2], or int32[B, 2] with one for each image, whose draws then depend on that
                seed alone; or a whole number n, for what the attack draws after n draws. Default
                None: the next seed, which counts as a draw.

        Returns:
            [B, H, W, C] float32 in [0, 1]; no gradient flows back from them.
        """
        images, labels = tf.cast(images, tf.float32), tf.convert_to_tensor(labels)
        return self.search(without_softmax(net), images, labels, seed)

    def search(
        self, net: Any, images: tf.Tensor, labels: tf.Tensor, seed: Optional[tf.Tensor] = None
    ) -> tf.Tensor:
        """Perturbs images; as `perturb`, which calls it with float32 images and logits."""
        raise NotImplementedError

    def call(self, images: tf.Tensor, training: Optional[bool] = None) -> tf.Tensor:
        """Returns the batch itself; for training, `perturb` is needed, with net and labels."""
        if training:
            raise TypeError(
                f"{type(self).__name__} needs the net and the labels; call perturb(net, images, "
                "labels) instead of the layer"
            )
        return images

    def start_epoch(self, epoch: int) -> None:
        """Tells the attack that an epoch, counted from 0, begins; most ignore it."""

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape
