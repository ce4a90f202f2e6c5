"""Graphs of TensorFlow functions: private attributes of their nodes, and freezing."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import tensorflow as tf

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
