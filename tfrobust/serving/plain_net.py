"""A net as one traced function of images, for formats other than the SavedModel."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfrobust.compat.variables import plain_variables
from tfrobust.layers.inner_layers import inner_layers
from tfrobust.layers.route import route
from tfrobust.nets.classifier import check_classifier
from tfrobust.nets.input_adapter import original_of, returned_by, taken_by


class PlainNet(tf.Module):
    """The clean route of a net as one traced function, with the weights that it uses.

    Args:
        model: A tfrobust method or any Keras model with one image input and one output.
        float32: Whether to rebuild a net in mixed precision to compute in float32.

    Attributes:
        image_shape: (height, width, channels); the first two are None if any size is accepted.
        classes: Number of outputs.
        output: Name of the output: "logits", or "probabilities" for a net with softmax.
        signature: Of `call`: `images` of any batch size.
        call: Images [B, H, W, C], float32 in [0, 1], or as the original of an adapted net takes
            them, to {output: float32 [B, classes]}.
        concrete: `call`, traced.
        taken: Images in [0, 1] to those that `call` takes.

    Raises:
        ValueError: The model is not an image classifier.
    """

    def __init__(self, model: keras.Model, *, float32: bool = False):
        super().__init__()
        net = getattr(model, "net", model)
        check_classifier(net)
        self.image_shape = net.input_shape[1:]
        self.classes = net.output_shape[-1]
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


def _is_mixed(net: Any) -> bool:
    """Whether a layer computes in lower precision than float32."""
    types = [getattr(layer, "compute_dtype", None) for layer in (net, *inner_layers(net))]
    return "float16" in types or "bfloat16" in types


def _in_float32(net: Any) -> Any:
    """A copy of the net with the same weights that computes in float32."""
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
