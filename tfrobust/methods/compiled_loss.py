"""The loss that a user gives to `compile`, as one number per image, of logits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import tensorflow as tf

from tfrobust.losses import classification

#: Of a batch of B images Keras divides the sum by B, as methods do.
_MEANS = ("auto", "none", "mean", "sum_over_batch_size", "None")


def loss_of_images(given: Any) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """Maps labels and logits to the loss of each image, [B] float32.

    Args:
        given: What `compile` was given as `loss`: nothing (cross-entropy), or as for a Keras model
            with one output.

    Raises:
        ValueError: A loss of Keras expects probabilities or is summed over the batch, or there are
            several; when called, the loss does not return one number per image.
    """
    if isinstance(given, Mapping):
        given = list(given.values())
    if isinstance(given, (list, tuple)):
        if len(given) > 1:
            raise ValueError(f"a method has one output and so one loss; received {len(given)}")
        given = next(iter(given), None)
    if given is None:
        return classification.cross_entropy
    loss = keras.losses.get(given)
    name = getattr(loss, "__name__", type(loss).__name__)
    if not _takes_logits(loss):
        raise ValueError(
            f"the loss must work on logits; received {name!r}, which expects probabilities or "
            "numbers (leave the loss out for cross-entropy, or give from_logits=True)"
        )
    function = loss
    if isinstance(loss, keras.losses.Loss):
        if str(loss.reduction) not in _MEANS:
            raise ValueError(
                "the loss of a method is a mean over the images of the global batch; received "
                f"{name} with reduction={loss.reduction!r} (scale the learning rate instead)"
            )
        function = loss.call

    def of_images(labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        values = tf.cast(function(labels, logits), tf.float32)
        if values.shape.rank == 2 and values.shape[1] == 1:
            values = values[:, 0]
        if values.shape.rank != 1:
            raise ValueError(
                "a loss must return one number per image, [B]; received shape "
                f"{tuple(values.shape)} from {name} (without a mean over the images)"
            )
        return values

    return of_images


def _takes_logits(loss: Any) -> bool:
    """False for what Keras has for probabilities; what users wrote is theirs to know."""
    is_object = isinstance(loss, keras.losses.Loss)
    config = loss.get_config() if is_object else {}
    if "from_logits" in config:
        return bool(config["from_logits"])
    home = type(loss).__module__ if is_object else getattr(loss, "__module__", "")
    name = type(loss).__name__ if is_object else getattr(loss, "__name__", "")
    return home.partition(".")[0] != "keras" or "hinge" in name.lower()
