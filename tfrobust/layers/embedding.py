"""The embedding φ of a net, the input of its last layer."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, Optional

import keras
import tensorflow as tf

from tfrobust.layers.feature_taps import recorded_inputs, recorded_outputs
from tfrobust.layers.inner_layers import inner_layers

#: Name of the penultimate layer in tfrobust's nets.
FEATURES = "features"


class Embedding:
    """Access to the embedding φ(x) of a net (FCL paper, section 2.1: f = h ∘ φ).

    φ is the output of the layer `features`, the penultimate layer of tfrobust's nets, or else the
    input of the last layer with a kernel (dense or convolution), nested layers included. Pooling,
    activations and norms after that layer do not count.

    The embedding is recorded in a forward pass that happens anyway, without a second pass or model.

    Args:
        net: Functional or Sequential model.
        layer: Name of the layer whose output is used instead; it may be inside a nested model.

    Raises:
        ValueError: No layer has this name, or no layer has a kernel.

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
        every = inner_layers(net)
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
        """Records the embeddings of a forward pass inside the block.

        Yields:
            A function that, after the pass, returns the embeddings, [B, D] float32. Feature maps
            are flattened; after a mean over positions, moving a feature would have no effect.
        """
        with self._record([self._layer]) as seen:
            yield lambda: _flatten(seen[-1])


def _flatten(embeddings: Any) -> tf.Tensor:
    embeddings = tf.cast(embeddings, tf.float32)
    size = embeddings.shape[1:].num_elements()
    if size is None:  # maps of any height and width
        size = tf.reduce_prod(tf.shape(embeddings)[1:])
    return tf.reshape(embeddings, [tf.shape(embeddings)[0], size])
