"""The norms of tfrobust as layers of Keras alone."""

from __future__ import annotations

from typing import Any

import keras

from tfrobust.layers.dual_batch_normalization import DualBatchNormalization
from tfrobust.layers.half_instance_norm import HalfInstanceNorm
from tfrobust.layers.instance_normalization import InstanceNormalization


def is_ours(layer: Any) -> bool:
    """Whether the class of a layer is one of tfrobust."""
    return type(layer).__module__.partition(".")[0] == __name__.partition(".")[0]


def plain_norm(layer: Any) -> Any:
    """A new layer of Keras that computes what a norm of tfrobust computes on the clean route.

    The name is that of the norm. What has instance norm for some of the channels becomes a small
    model.

    Args:
        layer: A built layer of tfrobust.

    Raises:
        ValueError: It is no norm.
    """
    if isinstance(layer, DualBatchNormalization):
        return _batch_norm(layer, layer.name)
    if isinstance(layer, InstanceNormalization):
        return _instance_norm(layer, layer.name)
    if isinstance(layer, HalfInstanceNorm):
        return _half_instance_norm(layer)
    raise ValueError(
        f"a net with the layer {layer.name!r} ({type(layer).__name__}) cannot become a model of "
        "Keras alone; train it without that layer, or export a SavedModel, which needs no Keras"
    )


def set_plain_weights(layer: Any, new: Any) -> None:
    """Gives what `plain_norm` made the weights of the norm."""
    if isinstance(layer, HalfInstanceNorm):
        for name in ("instance_norm", "batch_norm"):
            set_plain_weights(getattr(layer, name), new.layers[-1].get_layer(name))
    else:
        new.set_weights(getattr(layer, "clean", layer).get_weights())


def _options(layer: Any) -> dict[str, Any]:
    names = ("axis", "epsilon", "center", "scale", "beta_regularizer", "gamma_regularizer")
    given = {name: getattr(layer, name) for name in names}
    return {**given, "trainable": layer.trainable, "dtype": layer.dtype_policy}


def _batch_norm(layer: Any, name: str) -> Any:
    return keras.layers.BatchNormalization(
        name=name,
        momentum=layer.momentum,
        synchronized=layer.synchronized,
        **_options(layer),
    )


def _instance_norm(layer: Any, name: str) -> Any:
    return keras.layers.GroupNormalization(groups=-1, name=name, **_options(layer))


def _half_instance_norm(layer: HalfInstanceNorm) -> Any:
    shape = layer.get_build_config()["input_shape"]
    axis = layer.axis % len(shape)
    split, _ = layer.part_sizes(shape[axis])
    whole = [None] * (len(shape) - 1)
    whole[axis - 1] = shape[axis]
    inputs = keras.Input(whole, dtype=layer.compute_dtype)
    before = tuple(slice(None) for _ in range(axis))
    parts = [
        _instance_norm(layer.instance_norm, "instance_norm")(inputs[(*before, slice(split))]),
        _batch_norm(layer.batch_norm, "batch_norm")(inputs[(*before, slice(split, None))]),
    ]
    outputs = keras.layers.Concatenate(axis, dtype=layer.dtype_policy)(parts)
    # Keras 2 cannot put a functional model, whose first call came before, in the place of a layer;
    # a Sequential model whose first layer knows no shape is built by its first call there.
    first = keras.layers.Activation("linear", dtype=layer.dtype_policy)
    return keras.Sequential([first, keras.Model(inputs, outputs)], name=layer.name)
