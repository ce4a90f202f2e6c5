"""Reading what the layers inside a net return, for any Keras net.

A second functional model over the net's inner tensors would do for a flat net. It does not reach
into nested models (`keras.applications` backbones inside a `Sequential`), nor layers that are used
several times; so the layers themselves are asked.
"""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Iterator
from typing import Any

import keras

# Per thread: MirroredStrategy traces every replica in a thread of its own.
_recording = threading.local()


def relu_layers(net: keras.Model) -> list[Any]:
    """Every layer of a net, nested models included, whose output comes from a ReLU.

    A `ReLU` layer (no negative slope, no threshold), an `Activation("relu")`, any layer with
    `activation="relu"`, and `keras.activations.relu` or `tf.nn.relu` used as a function in the
    net. ReLU6 counts: its outputs are not negative either.

    Args:
        net: A Keras model.

    Returns:
        The layers, each once, in the order of the net.
    """
    found = []
    # `operations` also holds the functions of a Keras 3 net; a Keras 2 net has them as layers.
    for layer in getattr(net, "operations", None) or net.layers:
        if hasattr(layer, "layers"):
            found += relu_layers(layer)
        elif _ends_in_relu(layer):
            found.append(layer)
    return list(dict.fromkeys(found))


@contextlib.contextmanager
def recorded_outputs(layers: list[Any]) -> Iterator[list[Any]]:
    """Records what the layers return while the block runs, in the order of the calls.

    Args:
        layers: Layers of a built net.

    Yields:
        A list that fills as the layers are called. A layer that is called twice is in it twice.

    Example:

    >>> import numpy as np
    >>> dense = keras.layers.Dense
    >>> net = keras.Sequential([keras.Input([3]), dense(2, activation="relu"), dense(1)])
    >>> with recorded_outputs(relu_layers(net)) as maps:
    ...     logits = net(np.zeros([4, 3], "float32"))
    >>> [tuple(feature_map.shape) for feature_map in maps]
    [(4, 2)]
    """
    for layer in layers:
        _make_observable(layer)
    wanted = {id(layer) for layer in layers}
    outputs: list[Any] = []
    stack = _recording.__dict__.setdefault("stack", [])
    stack.append((wanted, outputs))
    try:
        yield outputs
    finally:
        stack.pop()


def _make_observable(layer: Any) -> None:
    # Once for each layer, and for good: taking it off again would race with the other replicas.
    # While nothing records, the layer behaves as before.
    if getattr(layer, "_tfrobust_observable", False):
        return
    original = layer.call

    @functools.wraps(original)
    def call(*args: Any, **kwargs: Any) -> Any:
        outputs = original(*args, **kwargs)
        for wanted, record in getattr(_recording, "stack", ()):
            if id(layer) in wanted:
                record.append(outputs)
        return outputs

    layer.call = call
    layer._tfrobust_observable = True


def _ends_in_relu(layer: Any) -> bool:
    # By name: what keras.ops.relu and keras.activations.relu leave in a net has no public class.
    if type(layer).__name__ in ("ReLU", "Relu", "ReLU6", "Relu6"):
        slope, threshold = (getattr(layer, name, 0) for name in ("negative_slope", "threshold"))
        return not float(slope or 0) and not float(threshold or 0)
    function = getattr(layer, "activation", None) or getattr(layer, "function", None)
    return getattr(function, "__name__", "") in ("relu", "relu6")
