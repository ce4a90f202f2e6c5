"""Logits of any classifier, also of one that ends in a softmax."""

from __future__ import annotations

import weakref
from typing import Any, NamedTuple, Optional

import keras
import numpy as np
import tensorflow as tf

from tfrobust.compat.layers import is_graph, producer, without_activation

#: By how much rows of probabilities may miss a sum of 1; models of low precision miss it most.
_SUM_TOLERANCE = 1e-2

#: Side of the images on which a net for any size is tried.
_ANY_SIZE = 96

#: The smallest normal numbers. The inverse of a smaller one, which is the slope of the logarithm,
#: is not finite in its own precision.
_SMALLEST = {"float16": 2.0**-14}
_SMALLEST_OF_OTHERS = 2.0**-126

#: Layers that pass on the same numbers in another shape or type.
_PASSING = (keras.layers.Flatten, keras.layers.Reshape, keras.layers.Identity)


class Logits(NamedTuple):
    """What `to_logits` returns.

    Args:
        model: From images to logits, on the weights of the model that was given.
        found: What the given model returns: "logits"; "softmax", probabilities of a softmax that
            could be removed; or "probabilities", of which `model` returns the logarithms.
    """

    model: keras.Model
    found: str


def to_logits(model: keras.Model, images: Any = None) -> Logits:
    """Finds out what a classifier returns, and makes a model that returns logits.

    Whether the outputs are probabilities is decided by their values (`are_probabilities`). The
    softmax is removed if it is the activation of the last layer, a layer or a function of Keras or
    TensorFlow at the end of the model or of the model nested there; linear activations, casts by
    them and changes of shape may follow. Otherwise, as after a softmax inside a custom layer, the
    logits are the logarithms of the probabilities. They differ from the logits before the softmax
    by a constant for each image, down to the smallest number of the precision, below which they
    stay constant.

    Args:
        model: A built Keras model from one batch of images to one row of numbers per image; a
            tfrobust method counts as its net.
        images: A few images to try it on, [B, H, W, C]. Default: random ones of its input shape.

    Returns:
        The model of logits, which is `model` itself if it returns logits, and what was found.

    Raises:
        ValueError: It does not return two or more numbers per image, or `images` are needed.

    Example:

    >>> dense = keras.layers.Dense(3, activation="softmax")
    >>> net = keras.Sequential([keras.Input([2, 2, 1]), keras.layers.Flatten(), dense])
    >>> logits = to_logits(net)
    >>> logits.found, logits.model.layers[-1].activation.__name__
    ('softmax', 'linear')
    >>> logits.model.layers[-1].kernel is dense.kernel
    True
    """
    model = getattr(model, "net", model)
    images = tf.cast(_random_images(model) if images is None else images, tf.float32)
    outputs = model(images, training=False)
    shape = getattr(outputs, "shape", None)
    if shape is None or len(shape) != 2 or shape[1] < 2:
        raise ValueError(
            "a model must return one number for each of 2 classes or more, [batch, classes]; "
            f"{model.name} returns {shape}"
        )
    if not are_probabilities(outputs):
        return Logits(model, "logits")
    before_softmax = cut_softmax(model)
    if before_softmax is not None:
        return Logits(before_softmax, "softmax")
    inputs = keras.Input(_image_shape(model) or images.shape[1:])
    logarithms = LogProbabilities()(model(inputs))
    return Logits(keras.Model(inputs, logarithms, name=model.name), "probabilities")


def are_probabilities(outputs: Any) -> tf.Tensor:
    """Whether outputs are probabilities: no number is below 0, and each row sums to 1.

    Args:
        outputs: [B, classes], all outputs of a model.

    Returns:
        A scalar bool.

    Example:

    >>> bool(are_probabilities([[0.9, 0.1], [1.0, 0.0]])), bool(are_probabilities([[0.9, -0.1]]))
    (True, False)
    """
    outputs = tf.cast(outputs, tf.float32)
    sums = tf.reduce_sum(outputs, axis=1)
    return tf.reduce_all(outputs >= 0) & tf.reduce_all(tf.abs(sums - 1) <= _SUM_TOLERANCE)


def cut_softmax(model: keras.Model) -> Optional[keras.Model]:
    """Removes the softmax at the end of a functional or Sequential model, by its structure alone.

    Args:
        model: A Keras model.

    Returns:
        A model on the same layers and weights, without the softmax; None if there is none, or none
        that can be removed.
    """
    if not is_graph(model) or len(model.outputs) != 1:
        return None
    logits = _before_softmax(model.outputs[0])
    inputs = model.inputs[0] if len(model.inputs) == 1 else model.inputs
    return None if logits is None else keras.Model(inputs, logits, name=model.name)


def without_softmax(net: Any) -> Any:
    """The net without the softmax at its end, if `cut_softmax` can remove one; else the net itself.

    It is made once for each net, and may be called while a function is traced.

    Args:
        net: A Keras model or another function of images.
    """
    if not isinstance(net, keras.Model):
        return net
    if net not in _without_softmax:
        with tf.init_scope():
            cut = cut_softmax(net)
        if cut is None:
            return net
        _without_softmax[net] = cut
    return _without_softmax[net]


# A net that is dropped is dropped here as well: the model without softmax does not hold it.
_without_softmax: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()


@keras.saving.register_keras_serializable(package="tfrobust")
class LogProbabilities(keras.layers.Layer):
    """The logarithms of probabilities, no less than that of the smallest number above 0."""

    def __init__(self, **kwargs: Any):
        super().__init__(**{"dtype": "float32", "autocast": False, **kwargs})

    def call(self, probabilities: tf.Tensor) -> tf.Tensor:
        smallest = _SMALLEST.get(probabilities.dtype.name, _SMALLEST_OF_OTHERS)
        return tf.math.log(tf.maximum(tf.cast(probabilities, tf.float32), smallest))

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape


def _before_softmax(outputs: Any) -> Any:
    """The tensor of a model that a softmax makes `outputs` from; None if none does."""
    maker, inputs = producer(outputs)
    if len(inputs) != 1:
        return None
    (given,) = inputs
    if isinstance(maker, keras.Model):
        cut = cut_softmax(maker)
        return None if cut is None else cut(given)
    activation = getattr(maker, "activation", None)
    if isinstance(maker, keras.layers.Activation) and activation is not keras.activations.linear:
        return given if _is_softmax(activation) else None
    if _is_softmax(type(maker)) or _is_softmax(getattr(maker, "function", None)):
        return given
    if _is_softmax(activation):
        linear = without_activation(maker)
        return None if linear is None else linear(given)
    if isinstance(maker, (*_PASSING, keras.layers.Activation)):
        before = _before_softmax(given)
        return None if before is None else type(maker).from_config(maker.get_config())(before)
    return None


def _is_softmax(thing: Any) -> bool:
    """Whether a function or class is a softmax of Keras or TensorFlow."""
    package = (getattr(thing, "__module__", None) or "").partition(".")[0]
    name = getattr(thing, "__name__", "").lower()
    return package in ("keras", "tensorflow") and name in ("softmax", "softmax_v2")


def _image_shape(model: keras.Model) -> Optional[tuple[Optional[int], ...]]:
    """(height, width, channels) of a model's input, if it is one batch of images."""
    try:
        shape = model.input_shape
    except AttributeError:  # a subclassed model
        return None
    is_one = isinstance(shape, tuple) and len(shape) == 4 and not isinstance(shape[-1], tuple)
    return tuple(shape[1:]) if is_one else None


def _random_images(model: keras.Model) -> np.ndarray:
    shape = _image_shape(model)
    if shape is None:
        raise ValueError(
            f"{model.name} does not say which images it takes; give some as images=[B, H, W, C]"
        )
    sides = [_ANY_SIZE if side is None else side for side in shape]
    return np.random.default_rng(0).random([2, *sides], "float32")
