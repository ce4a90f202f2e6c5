"""Which layers of a net are trained."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Optional

import keras
import numpy as np

from tfrobust import validation


def freeze(
    net: keras.Model,
    *,
    first: Optional[float] = None,
    until: Optional[str] = None,
    all_but_first: Optional[float] = None,
) -> None:
    """Freezes layers of a net; those that are frozen already stay so.

    A frozen layer keeps its weights, and a frozen batch norm normalises in training by its stored
    statistics, as in inference.

    Args:
        net: The net; its layers with weights count, nested ones too, in the order of the net.
        first: Fraction of the layers, the first ones, to freeze.
        until: Name of a layer; all before it are frozen.
        all_but_first: Fraction of the layers, the first ones, to train; all others are frozen.

    Raises:
        ValueError: Not exactly one of the three is given, there is no such layer, or nothing is
            left to train.

    Example:

    >>> from tfrobust import nets
    >>> net = nets.small_cnn()
    >>> freeze(net, until="logits")
    >>> trained(net)
    'trained: 1 of 13 layers with weights, 650 of 73,402 weights'
    """
    given = {"first": first, "until": until, "all_but_first": all_but_first}
    chosen = [name for name, value in given.items() if value is not None]
    if len(chosen) != 1:
        raise ValueError(f"give one of {', '.join(given)}; received {', '.join(chosen) or 'none'}")
    layers = list(_with_weights(net))
    if until is not None:
        every = [layer.name for layer in _leaves(net)]
        if until not in every:
            raise ValueError(
                f"{net.name} has no layer {until!r} to freeze until; its layers with weights: "
                f"{', '.join(layer.name for layer in layers)}"
            )
        before = {id(layer) for layer in list(_leaves(net))[: every.index(until)]}
        frozen = [layer for layer in layers if id(layer) in before]
    else:
        name, share = chosen[0], given[chosen[0]]
        count = round(validation.check_in_range(name, share, 0, 1) * len(layers))
        frozen = layers[:count] if first is not None else layers[count:]
    for layer in frozen:
        layer.trainable = False
    trained(net)


def trained(net: keras.Model) -> str:
    """Says how much of a net is trained.

    Raises:
        ValueError: Nothing is.
    """
    layers = list(_with_weights(net))
    if not net.trainable_weights:
        raise ValueError(
            f"nothing of {net.name} is left to train: all {len(layers)} layers with weights are "
            "frozen (trainable=False)"
        )
    count = sum(1 for layer in layers if layer.trainable_weights)
    some, every = (_size(weights) for weights in (net.trainable_weights, net.weights))
    return f"trained: {count} of {len(layers)} layers with weights, {some:,} of {every:,} weights"


def _size(weights: Sequence[Any]) -> int:
    return sum(int(np.prod(tuple(weight.shape))) for weight in weights)


def _with_weights(net: Any) -> Iterator[Any]:
    return (layer for layer in _leaves(net) if layer.weights)


def _leaves(net: Any) -> Iterator[Any]:
    for layer in net.layers:
        if getattr(layer, "layers", None):
            yield from _leaves(layer)
        else:
            yield layer
