"""A small net for points in the plane."""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import layers

from tfrobust import validation
from tfrobust.nets.parts import dense


def mlp(
    inputs: int = 2,
    classes: int = 2,
    *,
    hidden: Sequence[int] = (16,),
    weight_decay: float = 0.0,
    name: str = "mlp",
) -> keras.Model:
    """Shallow ReLU net for NoisyMix' toy problem (appendix A), from points to logits.

    It takes points, not images: it has no normalization, is not in the registry, and does not work
    with augmentations. `mixing_point_0` (the points) and `mixing_point_1` .. (after each ReLU) are
    identities where NoisyMix mixes.

    Args:
        inputs: Number of coordinates of a point.
        classes: Number of outputs.
        hidden: Units of each hidden layer. Default one layer of 16; the paper has one layer and
            does not give its size.
        weight_decay: Adds weight_decay/2·‖w‖² of every trainable weight to the loss. Default 0.
        name: Name of the model.

    Weights are initialized with Keras' default.

    Returns:
        A functional model: float32 points [B, inputs] to logits [B, classes].

    Raises:
        ValueError: An argument is out of range.

    Example:

    >>> mlp(hidden=(8, 8)).output_shape
    (None, 2)
    """
    validation.check_whole("inputs", inputs, 1, 10**6)
    validation.check_whole("classes", classes, 1, 10**6)
    validation.check_in_range("weight_decay", weight_decay, 0, 1)
    for units in hidden:
        validation.check_whole("hidden", units, 1, 10**6)
    points = keras.Input((inputs,), name="points")
    x = layers.Activation("linear", name="mixing_point_0")(points)
    for i, units in enumerate(hidden, start=1):
        x = dense(x, units, weight_decay, f"hidden{i}")
        x = layers.ReLU(name=f"hidden{i}_relu")(x)
        x = layers.Activation("linear", name=f"mixing_point_{i}")(x)
    return keras.Model(points, dense(x, classes, weight_decay, "logits"), name=name)
