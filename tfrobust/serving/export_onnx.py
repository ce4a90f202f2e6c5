"""Export to ONNX, for runtimes other than TensorFlow's."""

from __future__ import annotations

import importlib
from typing import Any, Callable, Optional

import keras
import numpy as np
import tensorflow as tf

from tfrobust import files, validation
from tfrobust.compat.graphs import frozen_without_xla
from tfrobust.serving.exported_file import (
    ExportedFile,
    Pairs,
    batches_of,
    check_file,
    check_same,
    compare,
    seeded_images,
)
from tfrobust.serving.plain_net import PlainNet

#: What tf2onnx was tried with; below 13 its int32 indices and sums get in the way.
OPSETS = (13, 18)


def export_onnx(
    model: keras.Model,
    path: files.PathLike,
    *,
    opset: int = 15,
    data: Any = None,
    overwrite: bool = False,
) -> ExportedFile:
    """Exports the net as an ONNX file, atomically, and compares it with the Keras model.

    Needs `pip install tfrobust[onnx]`, which brings tf2onnx and onnxruntime.

    The input is `images`, float32 [batch, H, W, C] in [0, 1], channels last as everywhere in
    tfrobust; the output is `logits` [batch, classes], or `probabilities` if the net ends in
    softmax. The batch size is dynamic. Dual norms are exported with their clean route, and a net in
    mixed precision in float32.

    If onnxruntime is installed, its outputs are compared with those of the Keras model on `data`,
    or on 64 seeded random images. A difference of more than a thousandth of the largest output is
    an error, and nothing is written.

    Args:
        model: A tfrobust method or any Keras model with one image input and one output.
        path: File to write, ending in `.onnx`.
        opset: ONNX operator set, 13 to 18; the target runtime must support it. Default: 15, as in
            tf2onnx.
        data: (images, labels) as arrays or as a batched `tf.data.Dataset`, to measure accuracies.
            Default: accuracies are not measured.
        overwrite: Whether to replace an existing file. Default: False.

    Returns:
        Size, differences from the Keras model, and the accuracies of both if `data` is given;
        without onnxruntime only the size.

    Raises:
        FileExistsError: `path` exists, and `overwrite` is off or it is a folder.
        ImportError: tf2onnx is not installed, or `data` is given and onnxruntime is not.
        ValueError: An argument does not fit the model.
        RuntimeError: ONNX lacks an operation of the net, or the outputs differ.

    Example:

    >>> layers = [keras.Input([8, 8, 1]), keras.layers.Flatten(), keras.layers.Dense(2)]
    >>> export_onnx(keras.Sequential(layers), "net.tflite")
    Traceback (most recent call last):
    ...
    ValueError: path must end in .onnx; received 'net.tflite'
    """
    validation.check_whole("opset", opset, *OPSETS)
    target = check_file(path, ".onnx", overwrite)
    tf2onnx = _needed("tf2onnx.convert", "export_onnx")
    onnxruntime = _needed("onnxruntime", "data of export_onnx") if data is not None else _runtime()
    net = PlainNet(model, float32=True)
    content = _convert(tf2onnx, net, opset)
    compared: dict[str, Any] = {}
    if onnxruntime is not None:
        run = _runner(onnxruntime, content, net.output)
        check_same(net, run)
        pairs: Pairs = seeded_images(net)
        if data is not None:
            pairs = batches_of(data, net, "data", labelled=True)
        compared = compare(PlainNet(model), run, pairs)
    with files.replacing(target) as temporary:
        temporary.write_bytes(content)
    return ExportedFile(target, len(content), **compared)


def _needed(module: str, what: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.split(".")[0]
        raise ImportError(f"{what} needs {package}: pip install tfrobust[onnx]") from error


def _runtime() -> Optional[Any]:
    try:
        return importlib.import_module("onnxruntime")
    except ImportError:
        return None


def _convert(tf2onnx: Any, net: PlainNet, opset: int) -> bytes:
    function = frozen_without_xla(net.concrete)

    @tf.function(input_signature=net.signature)
    def call(images: tf.Tensor) -> dict[str, tf.Tensor]:
        return {net.output: function(images)}

    try:
        # Not from_keras, which reads attributes that models of Keras 3 do not have.
        proto, _ = tf2onnx.from_function(call, input_signature=net.signature, opset=opset)
    except Exception as error:
        raise RuntimeError(f"tf2onnx cannot convert this net: {error}") from error
    onnx = importlib.import_module("onnx")  # tf2onnx needs it as well
    nodes = {(node.op_type, node.domain) for node in proto.graph.node}
    missing = sorted(name for name, domain in nodes if not onnx.defs.has(name, domain))
    if missing:
        raise RuntimeError(f"ONNX cannot hold this net: it has no operation {', '.join(missing)}")
    for value in (*proto.graph.input, *proto.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    onnx.checker.check_model(proto)
    content: bytes = proto.SerializeToString()
    return content


def _runner(onnxruntime: Any, content: bytes, output: str) -> Callable[[np.ndarray], np.ndarray]:
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])

    def run(images: np.ndarray) -> np.ndarray:
        returned: np.ndarray = session.run([output], {"images": images})[0]
        return returned

    return run
