"""Hooks on the inputs, outputs and calls of layers inside any Keras net.

A second functional model over the net's inner tensors would work for flat nets only. It does not
reach layers in nested models (`keras.applications` backbones inside a `Sequential`) or shared
layers, so the layers themselves are instrumented.
"""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

# Per thread: MirroredStrategy traces every replica in its own thread.
_hooks = threading.local()


@contextlib.contextmanager
def output_hook(layers: Iterable[Any], hook: Callable[[Any, Any], Any]) -> Iterator[None]:
    """Replaces the outputs of layers by those of a function, for calls inside the block.

    The hook acts while TensorFlow traces, in the tracing thread: enter the block inside the
    training step, next to the call of the net. Blocks may be nested; the outer ones act first.

    Args:
        layers: Layers of a built net.
        hook: Function of (layer, outputs) that returns the new outputs, called once per call of the
            layer.

    Example:

    >>> import keras, numpy as np
    >>> net = keras.Sequential([keras.Input([2]), keras.layers.ReLU(), keras.layers.Flatten()])
    >>> with output_hook(net.layers[:1], lambda layer, outputs: outputs + 1):
    ...     print(np.asarray(net(np.array([[-1.0, 2.0]], "float32"))))
    [[1. 3.]]
    """
    with _hooked("outputs", layers, hook):
        yield


@contextlib.contextmanager
def input_hook(layers: Iterable[Any], hook: Callable[[Any, Any], None]) -> Iterator[None]:
    """Passes the inputs of layers to a function, for calls inside the block.

    Args:
        layers: Layers of a built net that take one input.
        hook: Function of (layer, input), called once per call; its result is ignored.
    """
    with _hooked("inputs", layers, hook):
        yield


@contextlib.contextmanager
def call_hook(layers: Iterable[Any], hook: Callable[..., Any]) -> Iterator[None]:
    """Replaces the calls of layers by those of a function, for calls inside the block.

    Args:
        layers: Layers of a built net.
        hook: Function of (layer, call, *arguments), where `call` is what the layer would have done
            with the arguments; returns the outputs.
    """
    with _hooked("calls", layers, hook):
        yield


@contextlib.contextmanager
def _hooked(where: str, layers: Iterable[Any], hook: Callable[[Any, Any], Any]) -> Iterator[None]:
    layers = list(layers)
    for layer in layers:
        _make_observable(layer)
    wanted = {id(layer) for layer in layers}
    stack = _hooks.__dict__.setdefault(where, [])
    stack.append((wanted, hook))
    try:
        yield
    finally:
        stack.pop()


def _make_observable(layer: Any) -> None:
    # Once per layer and permanently: undoing it would race with other replicas. Without hooks, the
    # layer behaves as before.
    if getattr(layer, "_tfrobust_observable", False):
        return
    original = layer.call

    @functools.wraps(original)
    def call(*args: Any, **kwargs: Any) -> Any:
        for wanted, hook in getattr(_hooks, "inputs", ()):
            if id(layer) in wanted:
                hook(layer, args[0])
        run = original
        for wanted, hook in getattr(_hooks, "calls", ()):
            if id(layer) in wanted:
                run = functools.partial(hook, layer, run)
        outputs = run(*args, **kwargs)
        for wanted, hook in getattr(_hooks, "outputs", ()):
            if id(layer) in wanted:
                outputs = hook(layer, outputs)
        return outputs

    layer.call = call
    layer._tfrobust_observable = True
