"""Outputs of nets."""

from __future__ import annotations

import keras


def final_activation(net: keras.Model) -> str:
    """Returns the name of a net's last activation, such as "linear" (logits) or "softmax".

    Args:
        net: A Keras model; if its last layer is a model, that model's last layer counts.

    Returns:
        The name; if the last layer has no activation, its class name in lower case.

    Example:

    >>> final_activation(keras.Sequential([keras.layers.Dense(3, activation="softmax")]))
    'softmax'
    """
    last = net.layers[-1]
    while getattr(last, "layers", None):
        last = last.layers[-1]
    activation = getattr(last, "activation", None)
    return getattr(activation, "__name__", type(last).__name__.lower())
