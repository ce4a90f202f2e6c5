"""What a net returns."""

from __future__ import annotations

import keras


def final_activation(net: keras.Model) -> str:
    """Name of the activation that a net ends in: "linear" for logits, "softmax", "sigmoid".

    Args:
        net: A Keras model; of nested models the last layer is looked at.

    Returns:
        The name; for a last layer without an activation its class name in lower case.

    Example:

    >>> final_activation(keras.Sequential([keras.layers.Dense(3, activation="softmax")]))
    'softmax'
    """
    last = net.layers[-1]
    while getattr(last, "layers", None):
        last = last.layers[-1]
    activation = getattr(last, "activation", None)
    return getattr(activation, "__name__", type(last).__name__.lower())
