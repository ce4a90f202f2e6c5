"""What a model consists of."""

from __future__ import annotations

import functools
from typing import Any, Optional

import keras

from tfrobust.compat.stack import KERAS_2


def sublayers(layer: Any) -> list[Any]:
    """The layers and functions directly inside a layer or model, in their order.

    No generation has a public function for what a layer holds. A function in a model, such as
    `keras.activations.relu`, is one of its `layers` in Keras 2, and only one of its `operations` in
    Keras 3. Without this, what is inside of custom layers, or a ReLU used as a function, is missed.

    Args:
        layer: A layer, model or function.
    """
    if isinstance(layer, keras.Model):
        return list(getattr(layer, "operations", None) or layer.layers)
    if isinstance(layer, keras.layers.Layer):
        return list(layer._flatten_layers(include_self=False, recursive=False))
    return []


def holds_generator(layer: Any) -> bool:
    """Whether a layer may draw random numbers, as Keras' own do.

    Keras 2 has a private base class for such layers; layers of Keras 3 have generators of seeds,
    which are tracked in a private attribute. Without it, random layers are not told from others.

    Args:
        layer: A layer or function.
    """
    if KERAS_2:
        return isinstance(layer, keras.__internal__.layers.BaseRandomLayer)
    return bool(getattr(layer, "_seed_generators", None))


def is_graph(model: Any) -> bool:
    """Whether a model is the graph of its layers: functional or Sequential, and built.

    Functional models have no public class of their own, and a subclass may define another `call`.
    Without this, the tensors between the layers of such a subclass are taken for what it computes.

    Args:
        model: Anything.
    """
    whose = getattr(type(model), "call", None)
    by_keras = getattr(whose, "__module__", "").startswith("keras.")
    return isinstance(model, keras.Model) and by_keras and bool(getattr(model, "outputs", None))


def producer(tensor: Any) -> tuple[Any, list[Any]]:
    """What made a tensor of a functional model, and the tensors that it was made from.

    The graph of a model is kept in private attributes, which have other names in each generation.

    Args:
        tensor: An output of a layer, such as one of `model.outputs`.

    Returns:
        The layer, or the function (a layer of its own in Keras 2, an operation in Keras 3), and its
        inputs, none for an input of the model.
    """
    maker, node_index, _ = tensor._keras_history
    node = maker._inbound_nodes[node_index]
    return maker, list(node.keras_inputs if KERAS_2 else node.input_tensors)


def without_activation(layer: Any) -> Optional[Any]:
    """A copy of a built layer without its activation, on the same variables.

    No generation has a public way to give a layer existing variables. What `build` left in the
    original is put into the copy. Keras 2 keeps the regularisation of a variable in the layer and
    not with the variable: without `add_loss` the copy has none.

    Args:
        layer: A built layer with an argument `activation`, such as `Dense`.

    Returns:
        The copy; None if the layer keeps variables elsewhere than in its attributes.
    """
    copy = type(layer).from_config({**layer.get_config(), "activation": None})
    for name in [name for name in vars(layer) if name not in vars(copy)]:
        # Not what TensorFlow tracks, which each layer has of its own, nor a `call` that
        # `layers.output_hooks` has put in, which is that of the original.
        if not name.startswith("_self_") and name not in ("call", "_tfrobust_observable"):
            setattr(copy, name, getattr(layer, name))
    copy.input_spec = layer.input_spec
    copy.built = True
    if [id(weight) for weight in copy.weights] != [id(weight) for weight in layer.weights]:
        return None
    for name in ("kernel", "bias") if KERAS_2 else ():
        regularizer = getattr(layer, f"{name}_regularizer", None)
        if regularizer is not None and getattr(layer, name, None) is not None:
            copy.add_loss(functools.partial(regularizer, getattr(layer, name)))
    return copy
