"""A net as one function of images, for formats other than the SavedModel."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfrobust.compat.layers import every_layer
from tfrobust.compat.variables import plain_variables
from tfrobust.layers.route import route
from tfrobust.nets.input_adapter import original_of, returned_by, taken_by


class PlainNet(tf.Module):
    """The clean route of a net as one function, traced, and the weights that it uses.

    Args:
        model: A tfrobust method or any Keras model with one image input and one output.
        float32: Whether a net of mixed precision is made anew to compute in float32.

    Attributes:
        image_shape: (height, width, channels); the first two are None where any size will do.
        classes: Number of outputs.
        output: What the function returns: "logits", or "probabilities" of nets that end in softmax.
        signature: Of `call`: `images` of any batch size.
        call: Images [B, H, W, C], float32 in [0, 1], or as the original of an adapted net takes
            them, to {output: float32 [B, classes]}.
        concrete: `call`, traced.
        taken: Images in [0, 1] to those that `call` takes.

    Raises:
        ValueError: The model has not one image input and one output.
    """

    def __init__(self, model: keras.Model, *, float32: bool = False):
        super().__init__()
        net = getattr(model, "net", model)
        self.image_shape = _shape(net, "input", ("batch", "height", "width", "channels"))[1:]
        self.classes = _shape(net, "output", ("batch", "classes"))[-1]
        if float32 and _is_mixed(net):
            net = _in_float32(net)
        original = original_of(net)
        # A function, for a net in an attribute would become part of the module.
        self.taken = lambda images: np.asarray(taken_by(net, images), "float32")
        (self.output,) = returned_by(net, tf.zeros([1, self.classes]))
        self.weights = plain_variables(net.variables)
        self.signature = [tf.TensorSpec([None, *self.image_shape], tf.float32, name="images")]

        @tf.function(input_signature=self.signature)
        def call(images: tf.Tensor) -> dict[str, tf.Tensor]:
            return returned_by(net, tf.cast(original(images, training=False), tf.float32))

        self.call = call
        with route("clean"):  # it is chosen while the function is traced, which is here
            self.concrete = call.get_concrete_function()


def _shape(net: Any, what: str, names: tuple[str, ...]) -> tuple[Any, ...]:
    shape = getattr(net, f"{what}_shape", None)
    if not isinstance(shape, tuple) or len(shape) != len(names):
        raise ValueError(
            f"a model for serving must have one {what} [{', '.join(names)}]; received {what} "
            f"shape {shape}"
        )
    return shape


def _is_mixed(net: Any) -> bool:
    """Whether a layer computes in a shorter type than float32."""
    return any(layer.compute_dtype in ("float16", "bfloat16") for layer in every_layer(net))


def _in_float32(net: Any) -> Any:
    """The same net with the same weights, whose layers compute in float32."""
    again = type(net).from_config(_with_float32(net.get_config()))
    again.set_weights(net.get_weights())
    return again


def _with_float32(config: Any) -> Any:
    if isinstance(config, (list, tuple)):
        return type(config)(_with_float32(part) for part in config)
    if not isinstance(config, dict):
        return config
    return {
        key: "float32" if key == "dtype" and "float" in str(value) else _with_float32(value)
        for key, value in config.items()
    }
