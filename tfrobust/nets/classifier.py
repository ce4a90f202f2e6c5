"""What a net must be to be trained, measured, exported: a classifier of images."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tfrobust import validation
from tfrobust.layers.outputs import final_activation, shape_of
from tfrobust.nets.logits import to_logits


def check_classifier(net: Any) -> None:
    """Checks that a net is a classifier of images, from its structure.

    Args:
        net: A Keras model.

    Raises:
        TypeError: The net is not a Keras model.
        ValueError: It is not built, has other inputs or outputs than one batch of images and one
            number per class, or ends in sigmoids.

    Example:

    >>> import keras
    >>> layers = [keras.layers.Flatten(), keras.layers.Dense(1, activation="sigmoid")]
    >>> check_classifier(keras.Sequential([keras.Input([8, 8, 3]), *layers]))
    Traceback (most recent call last):
    ...
    ValueError: a net must have one number for each of 2 classes or more; ... returns (None, 1) ...
    """
    validation.check_net(net)
    shape = shape_of(net, "output")
    if not _is_plain(shape, rank=2):
        known = "" if shape else " (call a subclassed model in a functional one)"
        raise ValueError(
            f"a net must have one output [batch, classes]; received output shape {shape} of "
            f"{net.name}{known}"
        )
    if shape[1] in (None, 1):
        raise ValueError(
            "a net must have one number for each of 2 classes or more; "
            f"{net.name} returns {shape} (of two classes, give the logits [0, z], where z is the "
            "logit of the second)"
        )
    shape = shape_of(net, "input")
    if not _is_plain(shape, rank=4):
        raise ValueError(
            "a net must have one input [batch, height, width, channels]; received input shape "
            f"{shape} of {net.name}"
        )
    if final_activation(net) == "sigmoid":
        raise ValueError(
            "a net must give each image one class, by logits or a softmax; received "
            f"{net.name!r}, which ends in sigmoid (if each image has one class, train it without "
            "the sigmoid, on the cross-entropy of its logits)"
        )


def returns_probabilities(net: Any) -> bool:
    """Whether a classifier returns probabilities, not logits; decided by structure, then by values.

    Args:
        net: A net that `check_classifier` accepts.
    """
    if final_activation(net) == "softmax":
        return True
    with tf.init_scope():  # may be asked while a function is traced
        return to_logits(net).found != "logits"


def _is_plain(shape: Any, rank: int) -> bool:
    """Whether this is the shape of one tensor of a rank, not of several."""
    return (
        isinstance(shape, tuple)
        and len(shape) == rank
        and all(size is None or isinstance(size, int) for size in shape)
    )
