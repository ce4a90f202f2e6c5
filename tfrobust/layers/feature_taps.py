"""Recording of the inputs and outputs of layers inside a net."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from tfrobust.layers.inner_layers import inner_layers, is_foreign
from tfrobust.layers.output_hooks import input_hook, output_hook

#: ReLU6 counts, since its outputs are not negative either.
_OPERATIONS = ("Relu", "Relu6")


class ReLUs(NamedTuple):
    """The ReLUs of a net.

    Args:
        layers: The layers whose output comes from a ReLU, without duplicates, in their order.
        found: Number of all ReLUs.
        hidden: Number of ReLUs that are inside other layers, which do not give their output away.
        hiding: Names of the layers that may hide some.
    """

    layers: list[Any]
    found: int
    hidden: int = 0
    hiding: tuple[str, ...] = ()


def relu_layers(net: keras.Model) -> list[Any]:
    """Finds the layers of a net whose output comes from a ReLU, nested layers included.

    These are `ReLU` layers (without negative slope and threshold), `Activation("relu")`, layers
    with `activation="relu"`, and `keras.activations.relu` or `tf.nn.relu` used as a function in the
    net, also where they are inside nested models and layers of other packages, and such layers
    themselves if they end in a ReLU. ReLU6 counts, since its outputs are not negative either.

    Args:
        net: A Keras model.

    Returns:
        The layers, without duplicates, in the order of the net.
    """
    return find_relus(net).layers


def find_relus(net: keras.Model) -> ReLUs:
    """Finds the ReLUs of a net, and those that cannot be recorded.

    What layers of other packages compute is looked up in a trace of the net.

    Args:
        net: A built Keras model.
    """
    inner = inner_layers(net)
    hiding = tuple(f"{layer.name} ({type(layer).__name__})" for layer in inner if is_foreign(layer))
    if not hiding:
        layers = [layer for layer in inner if _ends_in_relu(layer)]
        return ReLUs(layers, found=len(layers))
    seen: dict[str, Any] = {}

    @tf.autograph.experimental.do_not_convert
    def look(layer: Any, output: Any) -> Any:
        inside = isinstance(output, tf.Tensor) and output.graph is tf.compat.v1.get_default_graph()
        if inside and output.op.type in _OPERATIONS:
            seen.setdefault(output.op.name, layer)  # the innermost layer comes first
        elif inside and not is_foreign(layer) and _ends_in_relu(layer):
            seen.setdefault(output.op.name, layer)
        return output

    def forward(images: tf.Tensor) -> tf.Tensor:
        with output_hook(inner, look):
            return net(images, training=False)

    images = tf.TensorSpec([2, *(size or 64 for size in net.input_shape[1:])], tf.float32)
    graph = tf.function(forward).get_concrete_function(images).graph.as_graph_def()
    nodes = [*graph.node, *(node for f in graph.library.function for node in f.node_def)]
    count = sum(node.op in _OPERATIONS for node in nodes)
    hidden = max(count - len(seen), 0)
    return ReLUs(list(dict.fromkeys(seen.values())), len(seen) + hidden, hidden, hiding)


@contextlib.contextmanager
def recorded_outputs(layers: list[Any]) -> Iterator[list[Any]]:
    """Records the outputs of layers inside the block, in the order of the calls.

    Args:
        layers: Layers of a built net.

    Yields:
        A list that is filled as the layers are called, with one entry per call.

    Example:

    >>> import numpy as np
    >>> dense = keras.layers.Dense
    >>> net = keras.Sequential([keras.Input([3]), dense(2, activation="relu"), dense(1)])
    >>> with recorded_outputs(relu_layers(net)) as maps:
    ...     logits = net(np.zeros([4, 3], "float32"))
    >>> [tuple(feature_map.shape) for feature_map in maps]
    [(4, 2)]
    """
    outputs: list[Any] = []

    def record(layer: Any, output: Any) -> Any:
        outputs.append(output)
        return output

    with output_hook(layers, record):
        yield outputs


@contextlib.contextmanager
def recorded_inputs(layers: list[Any]) -> Iterator[list[Any]]:
    """Records the inputs of layers inside the block, in the order of the calls.

    Args:
        layers: Layers of a built net that take one input.

    Yields:
        A list that is filled as the layers are called, with one entry per call.

    Example:

    >>> import numpy as np
    >>> net = keras.Sequential([keras.Input([2]), keras.layers.ReLU(), keras.layers.Dense(3)])
    >>> with recorded_inputs(net.layers[-1:]) as seen:
    ...     logits = net(np.array([[-1.0, 2.0]], "float32"))
    >>> np.asarray(seen[0])
    array([[0., 2.]], dtype=float32)
    """
    inputs: list[Any] = []
    with input_hook(layers, lambda layer, given: inputs.append(given)):
        yield inputs


def _ends_in_relu(layer: Any) -> bool:
    # By name, because the operations that keras.ops.relu and keras.activations.relu create in a net
    # have no public class.
    if type(layer).__name__ in ("ReLU", "Relu", "ReLU6", "Relu6"):
        slope, threshold = (getattr(layer, name, 0) for name in ("negative_slope", "threshold"))
        return not float(slope or 0) and not float(threshold or 0)
    function = getattr(layer, "activation", None) or getattr(layer, "function", None)
    return getattr(function, "__name__", "") in ("relu", "relu6")
