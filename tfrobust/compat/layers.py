"""What a model consists of."""

from __future__ import annotations

import functools
from typing import Any, Optional

import keras

from tfrobust.compat.stack import KERAS_2


def every_layer(layer: Any) -> list[Any]:
    """A layer and all layers inside it, each once, also those that a subclassed layer holds.

    No generation has a public function for it; the `layers` of a model lack what its layers hold.

    Args:
        layer: A layer or model.
    """
    return list(dict.fromkeys(layer._flatten_layers()))


def operations(net: Any) -> list[Any]:
    """The layers of a net, and the functions that are called in it.

    A function such as `keras.activations.relu` is one of the `layers` in Keras 2, and only one of
    the `operations` in Keras 3. Without it a ReLU used as a function is not found there.

    Args:
        net: A functional or Sequential model.
    """
    return list(getattr(net, "operations", None) or net.layers)


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
