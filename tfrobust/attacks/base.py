"""What every attack is: a search for the change of an image that raises the loss."""

from __future__ import annotations

from typing import Any, Optional

import tensorflow as tf

from tfrobust.layers.seeded import Seeded


class Attack(Seeded):
    """Changes the images of a batch so that a net gets them wrong.

    The net is run in inference mode, so that its moving statistics stay as they are, and its
    weights get no gradient. Attacks stand wherever a method takes an augmentation that may look at
    the net.

    Args:
        seed: Whole number from 0 to 2³¹ − 1. Under a distribution strategy every replica draws
            its own numbers.
        **kwargs: `name` and the like, as for every Keras layer.
    """

    def perturb(self, net: Any, images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """The changed images.

        Args:
            net: From images in [0, 1] to logits.
            images: [B, H, W, C] in [0, 1].
            labels: [B] or [B, 1] class indices, or [B, classes] one-hot or soft labels.

        Returns:
            [B, H, W, C] in [0, 1]; no gradient flows back from them.
        """
        raise NotImplementedError

    def call(self, images: tf.Tensor, training: Optional[bool] = None) -> tf.Tensor:
        """The batch itself; while training a method calls `perturb`, which needs net and labels."""
        if training:
            raise TypeError(
                f"{type(self).__name__} needs the net and the labels; call perturb(net, images, "
                "labels) instead of the layer"
            )
        return images

    def start_epoch(self, epoch: int) -> None:
        """Tells the attack which epoch, counted from 0, begins; most do not care."""

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape
