"""Graphs of TensorFlow functions: private attributes of their nodes, and freezing."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tfrobust.compat.stack import KERAS_2

_COMPILED = "_XlaMustCompile"


def one_operation(function: Callable[..., tf.Tensor]) -> Callable[..., tf.Tensor]:
    """A function that stays one operation in the graph.

    TensorFlow inlines functions, and visits the operations of a branch that is not taken all the
    same, one by one. Only a private attribute keeps it from that; without it a decoder of several
    formats takes longer for each of them.

    Args:
        function: Takes and returns tensors.
    """
    return tf.function(function, experimental_attributes={"_noinline": True})


def keep_nan(images: tf.Tensor, changed: tf.Tensor) -> tf.Tensor:
    """Changed images, and NaN in place of those that were made of NaN.

    With TensorFlow 2.15, XLA on the CPU clips and rounds NaN to a number. Without
    this a broken image becomes a black one there, and training goes on.

    Args:
        images: [B, H, W, C].
        changed: [B, H', W', C'] made of them.
    """
    if not KERAS_2:
        return changed
    broken = tf.math.is_nan(tf.reduce_sum(images, axis=[1, 2, 3], keepdims=True))
    return tf.where(broken, tf.constant(float("nan"), changed.dtype), changed)


def frozen_without_xla(concrete: Any) -> Any:
    """A traced function with constants for variables, without the mark of parts for XLA.

    Keras marks grouped convolutions so, and tf2onnx does not look into marked parts: without this
    it refuses the net. Freezing is not in TensorFlow's public interface; tf2onnx takes it from
    there as well.

    Args:
        concrete: A concrete function of one input and one output.

    Returns:
        The function, of one tensor.
    """
    constants = importlib.import_module("tensorflow.python.framework.convert_to_constants")
    frozen = constants.convert_variables_to_constants_v2(concrete)
    definition = frozen.graph.as_graph_def()
    functions = definition.library.function
    for nodes in (definition.node, functions, *(function.node_def for function in functions)):
        for node in nodes:
            if _COMPILED in node.attr:
                del node.attr[_COMPILED]

    def call(images: tf.Tensor) -> tf.Tensor:
        given, names = {frozen.inputs[0].name: images}, [frozen.outputs[0].name]
        return tf.graph_util.import_graph_def(definition, given, names, name="")[0]

    return call
