"""Multiplicative noise on the weights of a net while it is trained (DAMP)."""

from __future__ import annotations

import contextlib
from typing import Any

import keras
import tensorflow as tf

from tfrobust import validation
from tfrobust.compat.variables import in_place_of
from tfrobust.layers.inner_layers import every_layer
from tfrobust.layers.seeded import Seeded
from tfrobust.ops import sampling

#: What is multiplied: kernels, and the scales of norms.
_KERNELS, _SCALE = ("kernel", "depthwise_kernel", "pointwise_kernel"), "gamma"


@keras.saving.register_keras_serializable(package="tfrobust")
class WeightNoise(Seeded):
    """Multiplies every weight of a net's kernels and norms by 1 + N(0, σ²) for one pass.

    Biases, offsets and frozen weights stay as they are. Each replica draws its own numbers.

    Args:
        sigma: σ in [0, 10].
        seed: Integer seed. Default 0.

    Raises:
        ValueError: `sigma` is out of range.
    """

    def __init__(self, sigma: float, *, seed: int = 0, **kwargs: Any):
        super().__init__(seed=seed, **kwargs)
        self.sigma = validation.check_in_range("sigma", sigma, 0, 10)

    def draw(self, net: keras.Model) -> list[tf.Tensor]:
        """Draws the factors of all weights that are multiplied, in the order of the layers."""
        seed = self.next_seed()
        return [
            1 + self.sigma * sampling.normal(sampling.fold_in(seed, number), tf.shape(variable))
            for number, (_, variable) in enumerate(_multiplied(net))
        ]

    def applied(
        self, net: keras.Model, factors: list[tf.Tensor]
    ) -> contextlib.AbstractContextManager[None]:
        """The net computes with the multiplied weights inside the block.

        The gradient with respect to a weight is that of the loss at the product, times the factor.
        """
        pairs = _multiplied(net)
        values = []
        for (layer, variable), factor in zip(pairs, factors):
            value = tf.convert_to_tensor(variable) * factor
            if _name_of(variable) != _SCALE:  # norms compute with float32
                value = tf.cast(value, layer.compute_dtype)
            values.append(value)
        return in_place_of([variable for _, variable in pairs], values, [one for one, _ in pairs])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "sigma": self.sigma}


def _multiplied(net: keras.Model) -> list[tuple[Any, Any]]:
    """Each layer with a weight that is multiplied, and the weight."""
    found = []
    for layer in every_layer(net):
        own = {id(value) for value in vars(layer).values()}
        found += [
            (layer, variable)
            for variable in layer.trainable_weights
            if id(variable) in own and _name_of(variable) in (*_KERNELS, _SCALE)
        ]
    return found


def _name_of(variable: Any) -> str:
    return str(variable.name).rpartition("/")[2].partition(":")[0]
