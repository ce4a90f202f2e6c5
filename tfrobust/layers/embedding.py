"""The embedding φ of a net: what its last layer sees."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, Optional

import keras
import tensorflow as tf

from tfrobust.layers.feature_taps import recorded_inputs, recorded_outputs

#: The name that tfrobust's nets give to their penultimate layer.
FEATURES = "features"


class Embedding:
    """Where the embedding φ(x) of a net is to be had (FCL paper, section 2.1: f = h ∘ φ).

    The penultimate layer: the one called `features`, as in all nets of tfrobust, or else whatever
    goes into the last layer that has a kernel (dense, convolution), in nested models too. A pooling
    or an activation behind that layer does not count, nor does a norm.

    The forward pass that a training step makes anyway is looked at; there is no second one, and no
    second model.

    Args:
        net: Functional or Sequential model.
        layer: Name of the layer whose output is taken instead. Of nested models the inner layers
            count as well.

    Raises:
        ValueError: There is no layer of that name, or none with a kernel.

    Example:

    >>> import numpy as np
    >>> layers = [keras.layers.Flatten(), keras.layers.Dense(4), keras.layers.Dense(2)]
    >>> net = keras.Sequential([keras.Input([5, 5, 1]), *layers])
    >>> with Embedding(net).recorded() as embedded:
    ...     logits = net(np.zeros([3, 5, 5, 1], "float32"))
    >>> tuple(embedded().shape)
    (3, 4)
    """

    def __init__(self, net: keras.Model, layer: Optional[str] = None):
        every = list(inner_layers(net))
        names = [inner.name for inner in every]
        if layer is not None and layer not in names:
            raise ValueError(
                f"net {net.name!r} has no layer {layer!r} for the embedding; its layers: "
                f"{', '.join(names)}"
            )
        name = FEATURES if layer is None and FEATURES in names else layer
        if name is not None:
            self._layer, self._record = every[names.index(name)], recorded_outputs
            return
        with_kernel = [inner for inner in every if getattr(inner, "kernel", None) is not None]
        if not with_kernel:
            raise ValueError(
                f"net {net.name!r} has no dense layer or convolution that the embedding could go "
                f"into: name a layer with embedding_layer, one of {', '.join(names)}"
            )
        self._layer, self._record = with_kernel[-1], recorded_inputs

    @contextlib.contextmanager
    def recorded(self) -> Iterator[Callable[[], tf.Tensor]]:
        """Looks at the forward pass that the block makes.

        Yields:
            A function that, after the pass, returns the embeddings, [B, D] float32. Feature maps
            are flattened: with a mean over the places, moving a feature would change nothing.
        """
        with self._record([self._layer]) as seen:
            yield lambda: _flat(seen[-1])


def _flat(embeddings: Any) -> tf.Tensor:
    embeddings = tf.cast(embeddings, tf.float32)
    size = embeddings.shape[1:].num_elements()
    if size is None:  # maps of any height and width
        size = tf.reduce_prod(tf.shape(embeddings)[1:])
    return tf.reshape(embeddings, [tf.shape(embeddings)[0], size])


def inner_layers(net: Any) -> Iterator[Any]:
    """Every layer, those of nested models in their place, each model behind its own."""
    for layer in net.layers:
        if hasattr(layer, "layers"):
            yield from inner_layers(layer)
        yield layer
