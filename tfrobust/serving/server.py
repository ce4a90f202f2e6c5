"""The net's variables and the functions that are exported."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Callable, Optional

import keras
import numpy as np
import tensorflow as tf

from tfrobust.compat.variables import plain_variables
from tfrobust.layers.inner_layers import inner_layers
from tfrobust.layers.output_hooks import input_hook, output_hook
from tfrobust.nets.input_adapter import original_of, returned_by, taken_by
from tfrobust.serving.batch_decoder import batch_decoder

Outputs = dict[str, tf.Tensor]

#: Message for an image of which the net makes no finite numbers.
NOT_FINITE = "the model must return finite numbers; it returned NaN or infinite ones for this image"


class Server(tf.Module):
    """What a SavedModel is made of; `functions` are its signatures.

    Args:
        net: A Keras model with one image input and one output [B, classes].
        class_names: Name of each class, or None.
        image_size: (height, width) for encoded images, or None, then they are not served.
        resize: Pixels of the shorter side of encoded images before the centre is cut out.
    """

    def __init__(
        self,
        net: keras.Model,
        class_names: Optional[Sequence[str]],
        image_size: Optional[tuple[int, int]],
        resize: Optional[int],
    ):
        super().__init__()
        self.weights = plain_variables(net.variables)
        original = original_of(net)

        def outputs(images: tf.Tensor) -> Outputs:
            values = tf.cast(original(images, training=False), tf.float32)
            given = returned_by(net, values)
            given.setdefault("probabilities", tf.nn.softmax(values))
            if class_names is not None:
                given["class"] = tf.gather(tf.constant(class_names), tf.argmax(values, axis=1))
            return _where(tf.reduce_all(tf.math.is_finite(values), axis=1), given)

        def of_pixels(images: tf.Tensor) -> Outputs:
            return outputs(taken_by(net, tf.cast(images, tf.float32) / 255.0))

        def of_bytes(contents: tf.Tensor) -> Outputs:
            images, wrong = decode(contents)
            given = _where(wrong == "", of_pixels(images))
            ok = tf.math.is_finite(given["probabilities"][:, 0])
            error = tf.where(ok | (wrong != ""), wrong, NOT_FINITE)
            return {**given, "ok": ok, "error": error}

        shape = [None, *net.input_shape[1:]]
        self.functions: dict[str, Callable[..., Any]] = {
            "serving_default": _function(outputs, shape, tf.float32),
            "uint8": _function(of_pixels, shape, tf.uint8),
        }
        features = _features(original)
        if features is not None:
            self.functions["features"] = _function(features, shape, tf.float32)
        if image_size is not None:
            decode = batch_decoder(*image_size, shape[-1], resize)
            self.functions["serving_bytes"] = _function(of_bytes, [None], tf.string)


def _function(function: Callable[..., Outputs], shape: list, dtype: tf.DType) -> Any:
    """A signature that checks the shape of what comes, and whose batch may be empty."""

    @tf.function(input_signature=[tf.TensorSpec(shape, dtype, name="images")])
    def serve(images: tf.Tensor) -> Outputs:
        # Nobody else does: kernels end the process where the number of axes is wrong.
        images = tf.ensure_shape(images, shape)
        count = tf.shape(images)[0]
        # Some operations take no empty batch. It becomes one image, whose answer is left out.
        one = tf.concat([[1], tf.shape(images)[1:]], 0)
        some = tf.cond(count > 0, lambda: images, lambda: tf.zeros(one, dtype))
        some = tf.ensure_shape(some, shape)
        given = function(some)
        if dtype.is_floating:
            given = _where(tf.reduce_all(tf.math.is_finite(some), axis=[1, 2, 3]), given)
        return {name: value[:count] for name, value in given.items()}

    return serve


def _where(good: tf.Tensor, given: Outputs) -> Outputs:
    """The answers to the good images of a batch; NaN and empty texts in place of the others."""
    found = {}
    for name, value in given.items():
        missing = tf.constant("" if value.dtype == tf.string else np.nan, value.dtype)
        every = tf.reshape(good, [-1, *[1] * (value.shape.rank - 1)])
        found[name] = tf.where(every, value, missing)
    return found


def _features(net: keras.Model) -> Optional[Callable[[tf.Tensor], Outputs]]:
    """Images to what the layer `features` returns, or the last Dense takes; None without both."""
    layers = inner_layers(net)
    named = [layer for layer in layers if layer.name == "features"]
    dense = [layer for layer in layers if isinstance(layer, keras.layers.Dense)]
    if not named and not dense:
        return None

    def features(images: tf.Tensor) -> Outputs:
        seen = []

        def see(layer: Any, values: tf.Tensor) -> tf.Tensor:
            seen.append(values)
            return values

        with output_hook(named[-1:], see) if named else input_hook(dense[-1:], see):
            net(images, training=False)
        return {"features": tf.cast(seen[-1], tf.float32)}

    return features
