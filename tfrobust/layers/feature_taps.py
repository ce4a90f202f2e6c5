"""Recording of the inputs and outputs of layers inside a net."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import keras

from tfrobust.compat.layers import operations
from tfrobust.layers.output_hooks import input_hook, output_hook


def relu_layers(net: keras.Model) -> list[Any]:
    """Finds the layers of a net whose output comes from a ReLU, nested models included.

    These are `ReLU` layers (without negative slope and threshold), `Activation("relu")`, layers
    with `activation="relu"`, and `keras.activations.relu` or `tf.nn.relu` used as a function in the
    net. ReLU6 counts, since its outputs are not negative either.

    Args:
        net: A Keras model.

    Returns:
        The layers, without duplicates, in the order of the net.
    """
    found = []
    for layer in operations(net):
        if hasattr(layer, "layers"):
            found += relu_layers(layer)
        elif _ends_in_relu(layer):
            found.append(layer)
    return list(dict.fromkeys(found))


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
