"""Moving statistics of batch norm from unlabelled images."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tfrobust import validation
from tfrobust.compat.stack import KERAS_2
from tfrobust.layers.inner_layers import every_layer
from tfrobust.layers.output_hooks import input_hook


class BatchNormAdapter:
    """Replaces the moving statistics of a net by a mixture with those of unlabelled images.

        μ = w·μ_s + (1 − w)·μ_t,  σ² = w·σ_s² + (1 − w)·σ_t²

    μ_s and σ_s² are the statistics of the training, μ_t and σ_t² those of the images, all of which
    go through the net at once: what a layer gets has been normalised with the mixtures before it.
    The paper writes the weight as w = N/(N + n) for n images and N pseudo-samples of the training.
    Frozen batch norms are adapted, too; of dual norms, the clean half.

    Args:
        net: A built Keras net from images to logits or probabilities.

    Raises:
        ValueError: It has no batch norm.

    Example:

    >>> import numpy as np
    >>> norm = keras.layers.BatchNormalization()
    >>> net = keras.Sequential([keras.Input([1, 2, 1]), norm, keras.layers.Flatten()])
    >>> adapter = BatchNormAdapter(net)
    >>> adapter.adapt(np.array([1.0, 3.0], "float32").reshape(1, 1, 2, 1), weight=0.75)
    >>> norm.moving_mean.numpy(), norm.moving_variance.numpy()
    (array([0.5], dtype=float32), array([1.], dtype=float32))
    >>> adapter.reset()
    >>> norm.moving_mean.numpy()
    array([0.], dtype=float32)

    Reference: Schneider et al., "Improving robustness against common corruptions by covariate shift
    adaptation", NeurIPS 2020.
    """

    def __init__(self, net: keras.Model):
        norms = [x for x in every_layer(net) if isinstance(x, keras.layers.BatchNormalization)]
        if not norms:
            raise ValueError(
                f"a net must have batch norms for its moving statistics to be adapted; {net.name} "
                "has none"
            )
        self._source = {id(n): (n.moving_mean.numpy(), n.moving_variance.numpy()) for n in norms}
        self._norms = norms

        def run(images: tf.Tensor, weight: tf.Tensor) -> None:
            def mix(norm: Any, inputs: tf.Tensor) -> None:
                variables = norm.moving_mean, norm.moving_variance
                moments = moments_of(norm, inputs)
                for variable, source, new in zip(variables, self._source[id(norm)], moments):
                    mixed = weight * source + (1 - weight) * tf.reshape(new, source.shape)
                    variable.assign(tf.cast(mixed, source.dtype))

            with input_hook(norms, mix):
                net(images, training=False)

        # Keras 2 converts Python's `if` and `while` in the layers that it calls, Keras 3 does not.
        self._run = tf.function(run, reduce_retracing=True, autograph=KERAS_2)

    def adapt(self, images: Any, weight: float) -> None:
        """Sets the moving statistics.

        Args:
            images: [B, H, W, C] as the net takes them, all at once.
            weight: w in [0, 1], that of the training's statistics. 1 changes nothing.

        Raises:
            ValueError: `weight` is out of range.
        """
        weight = validation.check_in_range("weight", weight, 0, 1)
        self._run(tf.cast(images, tf.float32), tf.constant(weight, tf.float32))

    def reset(self) -> None:
        """Restores the statistics of the training."""
        for norm in self._norms:
            for variable, value in zip(
                (norm.moving_mean, norm.moving_variance), self._source[id(norm)]
            ):
                variable.assign(value)


def moments_of(norm: Any, inputs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Mean and variance of the inputs of a batch norm, over all but its axis: float32."""
    inputs = tf.cast(inputs, tf.float32)
    rank, axis = inputs.shape.rank, norm.axis
    kept = {a % rank for a in (axis if isinstance(axis, (list, tuple)) else [axis])}
    mean, variance = tf.nn.moments(inputs, [a for a in range(rank) if a not in kept])
    return mean, variance
