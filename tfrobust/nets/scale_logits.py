"""Logits divided by a temperature."""

from __future__ import annotations

import keras
import numpy as np

from tfrobust import validation
from tfrobust.nets.logits import to_logits
from tfrobust.nets.new_head import head_of


def scale_logits(net: keras.Model, temperature: float) -> None:
    """Divides a net's logits by a temperature, in the weights of its last layer.

    So they are divided wherever the net goes: in a `.keras` file, a SavedModel, TensorFlow Lite and
    ONNX. Predicted classes stay.

    Args:
        net: A built functional or Sequential net that ends in a dense layer or convolution, with or
            without a softmax behind it. It is changed.
        temperature: T, between 0 and infinity; above 1, confidences fall.

    Raises:
        ValueError: The outputs do not follow linearly from the last layer; the net is as before.

    Example:

    >>> net = keras.Sequential([keras.Input([2, 2, 1]), keras.layers.Flatten(),
    ...                         keras.layers.Dense(3)])
    >>> images = np.ones([1, 2, 2, 1], "float32")
    >>> before = np.asarray(net(images))
    >>> scale_logits(net, 2.0)
    >>> np.allclose(net(images), before / 2, atol=1e-6)
    True
    """
    temperature = validation.check_between("temperature", temperature, 0, float("inf"))
    head = head_of(net)
    shape = [side or 96 for side in net.input_shape[1:]]
    images = np.random.default_rng(0).random([4, *shape], "float32")
    logits = to_logits(net, images).model
    before, weights = np.asarray(logits(images, training=False), "float64"), head.get_weights()
    head.set_weights([weight / temperature for weight in weights])
    after = np.asarray(logits(images, training=False), "float64") * temperature
    # Probabilities have lost a constant of each image.
    centred = [z - z.mean(axis=1, keepdims=True) for z in (before, after)]
    if np.abs(centred[1] - centred[0]).max() > 1e-3 * np.abs(centred[0]).max():
        head.set_weights(weights)
        raise ValueError(
            f"the outputs of {net.name} do not grow with the weights of its last layer "
            f"{head.name}, so that a temperature cannot be put into them"
        )
