"""Shapes and outputs of nets."""

from __future__ import annotations

from typing import Any

import keras

from tfrobust.compat.layers import is_graph, producer

#: Layers that pass on the same numbers in another shape.
_PASSING = (keras.layers.Flatten, keras.layers.Reshape, keras.layers.Identity)


def final_activation(net: keras.Model) -> str:
    """Returns the name of a net's last activation, such as "linear" (logits) or "softmax".

    Args:
        net: A Keras model; of a model at its end, the last layer counts. Linear activations and
            changes of shape after another activation do not count.

    Returns:
        The name; if the last layer or function has no activation, its own name in lower case.

    Example:

    >>> final_activation(keras.Sequential([keras.layers.Dense(3, activation="softmax")]))
    'softmax'
    """
    if is_graph(net):
        return _activation(net.outputs[0])
    last = net.layers[-1]
    return final_activation(last) if getattr(last, "layers", None) else _name(last)


def shape_of(net: Any, side: str) -> Any:
    """Returns the shape of a net's input or output.

    Args:
        net: A Keras model, or another function of images.
        side: "input" or "output".

    Returns:
        The shape with None for what is unknown, a structure of several; None for a subclassed model
        and a function, which do not know theirs.
    """
    try:
        return getattr(net, f"{side}_shape", None)
    except (AttributeError, RuntimeError, ValueError):
        return None


def _activation(tensor: Any) -> str:
    maker, given = producer(tensor)
    if isinstance(maker, keras.Model):
        return final_activation(maker)
    name = _name(maker)
    linear = isinstance(maker, keras.layers.Activation) and name == "linear"
    if (linear or isinstance(maker, _PASSING)) and len(given) == 1:
        return _activation(given[0])
    return name


def _name(maker: Any) -> str:
    function = getattr(maker, "activation", None) or getattr(maker, "function", None)
    return getattr(function, "__name__", type(maker).__name__.lower())
