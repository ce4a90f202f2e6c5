"""A plain Keras model of an adapted net, as the original was."""

from __future__ import annotations

import json
from typing import Any

import keras

from tfrobust import validation
from tfrobust.compat.layers import is_graph
from tfrobust.compat.safe_config import check_config
from tfrobust.layers.inner_layers import every_layer
from tfrobust.nets.copying import copied
from tfrobust.nets.input_adapter import adapter_of, original_of
from tfrobust.nets.plain_norms import is_ours, plain_norm, set_plain_weights


def restore(net: keras.Model) -> keras.Model:
    """Gives a net back as the model that it was made of, with the weights that it has now.

    The model has the input range, input size, dtype, output (a softmax if it had one), names and
    order of layers of the one that was given to `adapt`, and no class of tfrobust: its `.keras`
    file opens where tfrobust is not installed. Of dual norms it has the clean route; instance norms
    become Keras' GroupNormalization. A net that was not adapted, such as one of tfrobust, keeps its
    input and output.

    Args:
        net: What `adapt` returned, trained or converted since, or any functional or Sequential
            net; of a tfrobust method its net is taken.

    Returns:
        A new model, not compiled; a subclassed model itself.

    Raises:
        ValueError: The net has another layer of tfrobust inside.

    Example:

    >>> from tfrobust import nets
    >>> softmax = keras.layers.Dense(3, activation="softmax")
    >>> layers = [keras.Input([8, 8, 3]), keras.layers.Rescaling(1 / 255), keras.layers.Flatten()]
    >>> net = nets.adapt(keras.Sequential([*layers, softmax]))
    >>> [type(layer).__name__ for layer in restore(net).layers]
    ['Rescaling', 'Flatten', 'Dense']
    """
    net = getattr(net, "net", net)
    validation.check_net(net)
    adapter, trained = adapter_of(net), original_of(net)
    shape = trained
    if adapter is not None and adapter.original is not None:
        config = json.loads(adapter.original)
        own = {type(layer).__name__: type(layer) for layer in every_layer(trained)}
        check_config(config, net.name, own)  # it came out of a file
        shape = keras.saving.deserialize_keras_object(config, own)
    if not is_graph(shape):
        return shape
    counterparts = _counterparts(shape, trained)

    def replacement(layer: Any) -> Any:
        now = counterparts.get(id(layer), layer)
        return plain_norm(now) if is_ours(now) else None

    def fill(layer: Any, new: Any) -> None:
        set_plain_weights(counterparts.get(id(layer), layer), new)

    if shape is not trained:
        for layer in every_layer(shape):
            now = counterparts.get(id(layer))
            if now is not None and not is_ours(now) and not hasattr(layer, "layers"):
                layer.set_weights(now.get_weights())
                layer.trainable = now.trainable
    return copied(shape, replacement, fill)


def _counterparts(shape: Any, trained: Any) -> dict[int, Any]:
    """The layer in the trained net for each layer of the original, by the layer's id."""
    by_name = {layer.name: layer for layer in trained.layers}
    found = {}
    for layer in shape.layers:
        now = by_name.get(layer.name)
        if now is None:  # a softmax that was removed
            continue
        found[id(layer)] = now
        if is_graph(layer) and is_graph(now):
            found.update(_counterparts(layer, now))
    return found
