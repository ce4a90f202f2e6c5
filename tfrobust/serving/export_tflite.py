"""Export to TensorFlow Lite, for phones and small devices."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from typing import Any, Callable

import keras
import numpy as np
import tensorflow as tf

from tfrobust import files, validation
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

QUANTIZATIONS = ("none", "float16", "int8")

#: More images hardly change the ranges, and each of them takes its time.
MOST_CALIBRATION = 1000


def export_tflite(
    model: keras.Model,
    path: files.PathLike,
    *,
    quantization: str = "none",
    calibration: Any = None,
    data: Any = None,
    overwrite: bool = False,
) -> ExportedFile:
    """Writes the plain net as a TensorFlow Lite file, whole or not at all, and measures it.

    The file has the signature `serving_default`: `images`, float32 [B, H, W, C] in [0, 1], to
    `logits` [B, classes], or `probabilities` where the net ends in softmax. The batch is 1 until
    the input is resized, to any size, as `get_signature_runner` does by itself. Of dual
    normalizations the clean route is exported; a net of mixed precision is exported in float32.

    Quantization:

    - "none": weights and arithmetic in float32.
    - "float16": weights in float16, half the size; arithmetic in float32, or in float16 where the
      device has it.
    - "int8": weights in int8 with a scale for each output channel, activations in int8 with the
      range that they had on the `calibration` images (Jacob et al. 2018, Section 2), a quarter of
      the size. Only the images and the logits are float32, so that every format is called in the
      same way; inside, all operations of the nets of tfrobust are of integers. A warning names
      those of other nets that TensorFlow Lite has for floats alone.

    The file is run with TensorFlow's interpreter beside the Keras model: on `data`, else on the
    images of `calibration`, else on 64 seeded random ones. With "none" a difference from the net
    in float32 of more than a thousandth of the largest output is an error, and nothing is written.
    Quantized files may differ by any amount: look at `agreement` and `accuracy` before use.

    Args:
        model: A tfrobust method or any Keras model with one image input and one output.
        path: File to write, ending in `.tflite`.
        quantization: "none", "float16" or "int8". Default "none".
        calibration: Images like those that the file will see, for "int8": float32 [N, H, W, C] in
            [0, 1], or a batched `tf.data.Dataset` of images or of (images, labels). Some hundred
            of the training data do; at most 1,000 are used.
        data: (images, labels) as arrays or as a batched `tf.data.Dataset`, to measure accuracies
            with. Default: accuracies are not measured.
        overwrite: Replace a file that stands there. Default False.

    Returns:
        Size, differences from the Keras model, and accuracies of both where `data` is given.

    Raises:
        FileExistsError: Something stands at `path`, and `overwrite` is off or it is a folder.
        ValueError: "int8" without `calibration`, or something does not fit the model.
        RuntimeError: TensorFlow Lite has no such operation as the net needs, or the file does not
            return what the model does.

    Example:

    >>> layers = [keras.Input([8, 8, 1]), keras.layers.Flatten(), keras.layers.Dense(2)]
    >>> net = keras.Sequential(layers)
    >>> export_tflite(net, "net.tflite", quantization="int8")
    Traceback (most recent call last):
    ...
    ValueError: quantization 'int8' needs calibration images: ...
    """
    validation.check_choice("quantization", quantization, QUANTIZATIONS)
    if quantization == "int8" and calibration is None:
        raise ValueError(
            "quantization 'int8' needs calibration images: some hundred of the training data; "
            "received calibration=None"
        )
    target = check_file(path, ".tflite", overwrite)
    net = PlainNet(model, float32=True)
    content = _convert(net, quantization, calibration)
    run = _runner(content, net.output, quantization)
    if quantization == "none":
        check_same(net, run)
    pairs: Pairs = seeded_images(net)
    if data is not None:
        pairs = batches_of(data, net, "data", labelled=True)
    elif calibration is not None:
        pairs = _calibration_batches(calibration, net)
    compared = compare(PlainNet(model), run, pairs)
    with files.replacing(target) as temporary:
        temporary.write_bytes(content)
    return ExportedFile(target, len(content), **compared)


def _convert(net: PlainNet, quantization: str, calibration: Any) -> bytes:
    # Not from_keras_model: that of TensorFlow 2.15 to 2.21 does not know all models of Keras 3.
    converter = tf.lite.TFLiteConverter.from_concrete_functions([net.concrete], net)
    if quantization != "none":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if quantization == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if quantization == "int8":
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]

        def one_by_one() -> Iterator[list[np.ndarray]]:
            for images, _ in _calibration_batches(calibration, net):
                yield from ([image[np.newaxis]] for image in images)

        converter.representative_dataset = one_by_one
    try:
        content: bytes = converter.convert()
    except (ValueError, TypeError):
        raise  # of the calibration images
    except Exception as error:
        raise RuntimeError(
            f"TensorFlow Lite cannot hold this net with quantization {quantization!r}: "
            f"{_reason(error)}"
        ) from error
    return content


def _calibration_batches(calibration: Any, net: PlainNet) -> Pairs:
    return batches_of(calibration, net, "calibration", labelled=False, most=MOST_CALIBRATION)


def _runner(content: bytes, output: str, quantization: str) -> Callable[[np.ndarray], np.ndarray]:
    interpreter = interpreter_of(content)
    if quantization == "int8" and (left := _float_tensors(interpreter)):
        warnings.warn(
            "TensorFlow Lite has no integer operations for part of this net; the file keeps floats "
            f"in {', '.join(left)} and does not run on devices without them",
            stacklevel=3,
        )
    run = interpreter.get_signature_runner("serving_default")
    return lambda images: run(images=images)[output]


def interpreter_of(content: bytes) -> Any:
    """What runs the contents of a .tflite file.

    Raises:
        ValueError: It is no such file.
    """
    with warnings.catch_warnings():
        # It is to leave TensorFlow some day; as long as it is there no other package is needed.
        warnings.filterwarnings("ignore", message=r"\s*Warning: tf\.lite\.Interpreter")
        return tf.lite.Interpreter(model_content=content)


def _float_tensors(interpreter: Any) -> list[str]:
    """Names of the floats between the first and the last operation."""
    ends = [*interpreter.get_input_details(), *interpreter.get_output_details()]
    known = {tensor["index"] for tensor in ends}
    return [
        tensor["name"].rpartition("/")[2] or tensor["name"]
        for tensor in interpreter.get_tensor_details()
        if tensor["index"] not in known and np.issubdtype(tensor["dtype"], np.floating)
    ]


def _reason(error: Exception) -> str:
    """The operations that are missing, else the first line of what the converter says."""
    names = re.findall(r"(?:Custom|Flex|Select TF) ops: (.*)", str(error))
    if names:
        return f"it has no operation {', '.join(names)}"
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
