"""The layers inside a net."""

from __future__ import annotations

from typing import Any

import keras

from tfrobust.compat.layers import sublayers


def inner_layers(layer: Any) -> list[Any]:
    """Each layer and function inside a net, or another layer, once.

    Nested models and layers that hold others are looked into. What is inside of one comes in the
    order in which it is called in a functional or Sequential model, else in which it was assigned;
    a layer comes after what is inside of it.

    Args:
        layer: A net, or any layer, which is itself not in the list.
    """
    found, seen = [], {id(layer)}

    def look_into(outer: Any) -> None:
        for inner in sublayers(outer):
            if id(inner) not in seen:
                seen.add(id(inner))
                look_into(inner)
                found.append(inner)

    look_into(layer)
    return found


def every_layer(net: Any) -> list[Any]:
    """A net and all layers inside it, without functions; see `inner_layers`."""
    every = (net, *inner_layers(net))
    return [layer for layer in every if isinstance(layer, keras.layers.Layer)]


def is_foreign(layer: Any) -> bool:
    """Whether a layer is neither Keras' nor ours, so that nothing is known of what it computes."""
    home = type(layer).__module__.partition(".")[0]
    is_lambda = type(layer).__name__ == "Lambda"
    return is_lambda or home not in ("keras", "tfrobust")
