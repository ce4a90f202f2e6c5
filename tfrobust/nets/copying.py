"""Copies of nets in which some layers are replaced."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Optional

import keras

from tfrobust.compat.layers import is_graph
from tfrobust.layers.inner_layers import inner_layers, is_foreign


def copied(
    net: keras.Model,
    replacement: Callable[[Any], Any] = lambda layer: None,
    fill: Callable[[Any, Any], None] = lambda old, new: None,
    *,
    input_dtype: Optional[str] = None,
) -> Any:
    """Copies a net with its weights; names, order and `trainable` of the layers are kept.

    Args:
        net: Functional or Sequential model; nested ones are copied too.
        replacement: Returns the layer to put in the place of a layer, or None for a copy of it.
        fill: Sets the weights of a replacement: called with the old layer and the new one.
        input_dtype: Dtype of the input. Default: that of the net.

    Returns:
        A new, uncompiled model of the same kind.
    """
    pairs: list[tuple[Any, Any]] = []
    replaced: list[tuple[Any, Any]] = []

    def copy(layer: Any) -> Any:
        new = replacement(layer)
        if new is not None:
            replaced.append((layer, new))
        elif (
            is_graph(layer) and is_foreign(layer) and not any(map(replacement, inner_layers(layer)))
        ):
            # It knows how it is made again; its layers alone may not, as some of keras-hub.
            new = type(layer).from_config(layer.get_config())
            pairs.extend(zip(inner_layers(layer), inner_layers(new)))
        elif is_graph(layer):
            new = keras.models.clone_model(layer, clone_function=copy, input_tensors=given(layer))
        else:
            new = type(layer).from_config(layer.get_config())
        pairs.append((layer, new))
        return new

    def given(model: Any) -> Any:
        if input_dtype is None or model is not net:
            return None
        (first,) = net.inputs
        new = keras.Input(first.shape[1:], dtype=input_dtype, name=first.name)
        return [new] if isinstance(net.input, (list, tuple)) else new

    made = copy(net)
    if not made.built:  # a Sequential model that was built by its first call
        made.build(net.input_shape)
    for old, new in reversed(pairs):  # a model before its layers, whose flags may differ from it
        if getattr(old, "trainable", None) != getattr(new, "trainable", None):
            new.trainable = old.trainable
    for old, new in pairs:
        if (old, new) not in replaced and not is_graph(old) and hasattr(old, "get_weights"):
            _copy_weights(old, new)
    for old, new in replaced:
        fill(old, new)
    return made


def _copy_weights(old: Any, new: Any) -> None:
    new.set_weights(old.get_weights())
    if isinstance(new, keras.layers.Normalization):
        new.finalize_state()  # it computes with values derived from its weights
