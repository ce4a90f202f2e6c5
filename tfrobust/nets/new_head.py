"""Another last layer for a classifier."""

from __future__ import annotations

from typing import Any

import keras

from tfrobust import validation
from tfrobust.compat.layers import is_graph
from tfrobust.layers.embedding import inner_layers
from tfrobust.nets.copying import copied


def new_head(model: keras.Model, classes: int) -> keras.Model:
    """Copies a classifier for other classes: the last layer is new, all others keep their weights.

    Name, activation and kind of the last layer stay, so that a model that ends in a softmax still
    does.

    Args:
        model: Functional or Sequential model.
        classes: Number of classes, 2 or more.

    Returns:
        A new model.

    Raises:
        ValueError: Its last layer cannot be replaced.

    Example:

    >>> layers = [keras.Input([4, 4, 3]), keras.layers.Flatten(), keras.layers.Dense(10)]
    >>> new_head(keras.Sequential(layers), 3).output_shape
    (None, 3)
    """
    validation.check_net(model)
    validation.check_whole("classes", classes, 2, 10**6)
    head = head_of(model)
    before = model.output_shape[-1]

    def replacement(layer: Any) -> Any:
        config = layer.get_config() if layer is head or _is_reshape(layer, before) else None
        if config is None:
            return None
        size = {"units", "filters", "target_shape"} & set(config)
        new = {name: (classes,) if name == "target_shape" else classes for name in size}
        return type(layer).from_config({**config, **new, "trainable": True})

    return copied(model, replacement)


def head_of(model: keras.Model) -> Any:
    """The layer that makes the outputs of a classifier: the last dense layer or convolution.

    Raises:
        ValueError: It cannot be replaced: the model is subclassed, or the layer makes something
            else.
    """
    classes = model.output_shape[-1] if is_graph(model) else None
    for layer in reversed(inner_layers(model) if is_graph(model) else []):
        if getattr(layer, "kernel", None) is not None:
            if classes in (getattr(layer, "units", 0), getattr(layer, "filters", 0)):
                return layer
            break
    raise ValueError(
        f"{model.name} does not end in a dense layer or convolution of a functional or Sequential "
        "model, so that its last layer cannot be replaced; build the model with the new classes "
        "and load the weights of the other layers"
    )


def _is_reshape(layer: Any, classes: int) -> bool:
    return isinstance(layer, keras.layers.Reshape) and tuple(layer.target_shape) == (classes,)
