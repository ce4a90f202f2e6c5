"""What a model consists of."""

from __future__ import annotations

from typing import Any


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
