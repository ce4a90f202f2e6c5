"""Whether a graph could run on a GPU, from TensorFlow's registry of kernels alone."""

from __future__ import annotations

import tensorflow as tf
from tensorflow.python.framework import function_def_to_graph, kernels

#: Not computations: TensorFlow removes them, or runs them itself wherever the graph is.
NOT_KERNELS = {"Placeholder", "_Arg", "_Retval", "NoOp", "Const", "Assert"}


def problems(function: tf.types.experimental.ConcreteFunction) -> set[str]:
    """What keeps a traced function from the GPU.

    An operation without a GPU kernel for its types; and an operation that has one which keeps
    images in the host's memory, as TensorFlow's do for int32. Inside functions compiled by XLA
    both is decided by XLA's own registry.
    """
    definition = function.graph.as_graph_def()
    library = {f.signature.name: f for f in definition.library.function}
    found: set[str] = set()
    with tf.Graph().as_default() as scratch:
        tf.graph_util.import_graph_def(definition, name="")
        _check(scratch, library, False, found, set())
    return found


def _check(graph, library, compiled, found, seen):
    for op in graph.get_operations():
        node = op.node_def
        if node.op in NOT_KERNELS:
            continue
        inner = [a.func.name for a in node.attr.values() if a.WhichOneof("value") == "func"]
        for a in node.attr.values():
            inner += [f.name for f in a.list.func]
        for name in inner:
            is_compiled = compiled or library[name].attr["_XlaMustCompile"].b
            if (name, is_compiled) not in seen:
                seen.add((name, is_compiled))
                body = function_def_to_graph.function_def_to_graph(library[name])
                _check(body, library, is_compiled, found, seen)
        if inner:
            continue
        devices = ("XLA_GPU_JIT",) if compiled else ("GPU", "DEFAULT")
        fitting = [
            kernel
            for kernel in kernels.get_registered_kernels_for_op(node.op).kernel
            if kernel.device_type in devices and _fits(kernel, node)
        ]
        if not fitting:
            types = [d.name for d in op._input_types] + [o.dtype.name for o in op.outputs]
            found.add(f"{node.op}{types}: no {devices[0]} kernel")
        elif not compiled and any(map(_is_image_like, op.outputs)):
            names = [argument.name for argument in op.op_def.output_arg]
            if all(set(names) & set(kernel.host_memory_arg) for kernel in fitting):
                found.add(
                    f"{node.op} {op.outputs[0].dtype.name} {op.outputs[0].shape}: on the host"
                )


def _fits(kernel, node) -> bool:
    return all(
        node.attr[c.name].type in c.allowed_values.list.type
        for c in kernel.constraint
        if c.name in node.attr
    )


def _is_image_like(tensor) -> bool:
    return tensor.shape.rank is not None and {18, 22} <= set(tensor.shape.as_list())
