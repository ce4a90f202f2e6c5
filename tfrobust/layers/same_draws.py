"""The same random numbers for all views of an image inside a net."""

from __future__ import annotations

import collections
import contextlib
import re
from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf

from tfrobust.compat.layers import holds_generator
from tfrobust.layers.inner_layers import inner_layers, is_foreign
from tfrobust.layers.output_hooks import call_hook
from tfrobust.layers.seeded import Seeded

_FACTORS = (keras.layers.Dropout, keras.layers.GaussianDropout)
_SUMMANDS = (keras.layers.GaussianNoise,)

#: Operations of TensorFlow that draw random numbers.
_DRAWING = re.compile(r"Random|Rng|Multinomial|TruncatedNormal|Stateful(Uniform|StandardNormal)")


@contextlib.contextmanager
def same_draws(net: keras.Model, batch: tf.Tensor, drawn: dict[Any, Any]) -> Iterator[None]:
    """Has one pass through a net draw random numbers for the first `batch` rows alone.

    The inputs of the pass are views, stacked: row i is a view of image i mod `batch`. Dropout of
    all kinds and Gaussian noise change all views of an image alike. Each draws once for the images
    and not for the views, as a factor or summand.

    The block acts while TensorFlow traces, in the tracing thread; enter it next to the call of the
    net, once for each pass.

    Args:
        net: A net that `check_draws` accepts.
        batch: Number of images, int32.
        drawn: Filled in the first pass. Further passes with the same dictionary meet the same
            numbers.

    Example:

    >>> net = keras.Sequential([keras.Input([6]), keras.layers.Dropout(0.5)])
    >>> with same_draws(net, tf.constant(2), {}):
    ...     views = net(tf.ones([4, 6]), training=True)
    >>> bool(tf.reduce_all(views[:2] == views[2:]))
    True
    """
    calls: collections.Counter[int] = collections.Counter()

    @tf.autograph.experimental.do_not_convert
    def draw_once(layer: Any, call: Any, inputs: tf.Tensor, *args: Any, **kwargs: Any) -> tf.Tensor:
        place = id(layer), calls[id(layer)]
        calls[id(layer)] += 1
        is_summand = isinstance(layer, _SUMMANDS)
        if place not in drawn:
            neutral = tf.zeros_like if is_summand else tf.ones_like
            drawn[place] = call(neutral(inputs[:batch]), *args, **kwargs)
        views = tf.shape(inputs)[0] // tf.maximum(batch, 1)
        numbers = tf.tile(drawn[place], [views, *[1] * (inputs.shape.rank - 1)])
        return inputs + numbers if is_summand else inputs * numbers

    with call_hook(_shared(net), draw_once):
        yield


def check_draws(net: keras.Model, owner: str) -> None:
    """Checks that all views of an image can meet the same random numbers inside a net.

    Args:
        net: A built net.
        owner: Name of the method in the message.

    Raises:
        ValueError: The net draws others than those of Dropout and Gaussian noise.
    """
    shared = _shared(net)
    suspects = [
        layer
        for layer in inner_layers(net)
        if not isinstance(layer, (*_FACTORS, *_SUMMANDS))
        and (holds_generator(layer) or is_foreign(layer) or isinstance(layer, Seeded))
    ]
    if suspects and _draws_without(net, shared):
        names = ", ".join(f"{layer.name} ({type(layer).__name__})" for layer in suspects)
        raise ValueError(
            f"{owner} compares views of an image, which must meet the same random numbers inside "
            f"the net; net {net.name!r} draws others for each view in {names} (put such a layer in "
            "front of the net, in data.map or as augment=; Dropout and GaussianNoise may stay)"
        )


def _shared(net: keras.Model) -> list[Any]:
    return [layer for layer in inner_layers(net) if isinstance(layer, (*_FACTORS, *_SUMMANDS))]


def _draws_without(net: keras.Model, shared: list[Any]) -> bool:
    """Whether a training pass draws random numbers elsewhere than in some layers."""

    def forward(images: tf.Tensor) -> tf.Tensor:
        with call_hook(shared, lambda layer, call, inputs, *args, **kwargs: inputs):
            return net(images, training=True)

    images = tf.TensorSpec([2, *(size or 64 for size in net.input_shape[1:])], tf.float32)
    strategy = tf.distribute.get_strategy()
    traced = tf.function(lambda images: strategy.run(forward, args=(images,)))
    graph = traced.get_concrete_function(images).graph.as_graph_def()
    nodes = [*graph.node, *(node for f in graph.library.function for node in f.node_def)]
    return any(_DRAWING.search(node.op) for node in nodes)
