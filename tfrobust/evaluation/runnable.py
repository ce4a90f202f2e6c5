"""Models in files of any kind, and functions in Python files, each as a function of images."""

from __future__ import annotations

import importlib
import importlib.util
import pathlib
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Optional

import numpy as np
import tensorflow as tf

from tfrobust import files, validation
from tfrobust.serving import card
from tfrobust.serving.export_tflite import interpreter_of

#: What may be given as a model.
KINDS = (
    "a .keras, .tflite or .onnx file, the folder of a SavedModel, or a function of images as "
    "FILE.py:FUNCTION or MODULE:FUNCTION"
)
_CHANNELS = (1, 3, 4)


class Runnable(NamedTuple):
    """Something that returns logits or probabilities of images.

    Args:
        run: Maps images [B, H, W, C], float32 as the model takes them, to [B, classes].
        digest: Returns what tells whether it is the same as before.
        image_shape: (height, width, channels) that it takes; None where any will do.
        input_range: What it says that it takes for pixels, as `nets.INPUT_RANGES`; None if it does
            not say it.
        of_arrays: Whether it needs the numbers in NumPy arrays.
    """

    run: Callable[[Any], Any]
    digest: Callable[[], str]
    image_shape: tuple[Optional[int], ...] = (None, None, None)
    input_range: Any = None
    of_arrays: bool = True


def opened(path: files.PathLike) -> Runnable:
    """Opens a SavedModel, a .tflite or .onnx file, or a function in Python.

    Args:
        path: As `KINDS` says; of a folder of numbered versions the newest is taken. Of a Python
            file the code runs.

    Raises:
        FileNotFoundError: There is nothing at the path.
        ImportError: A package is missing that runs the file.
        ValueError: It is none of these, or no classifier of images.
    """
    text, place = str(path), pathlib.Path(path)
    if place.is_dir():
        return _saved_model(files.latest_version(place))
    if place.suffix in _OPENERS:
        if not place.is_file():
            raise FileNotFoundError(f"no model file at {text!r}")
        return _OPENERS[place.suffix](place)
    home, colon, name = text.rpartition(":")
    if colon and name.isidentifier() and home:
        return _function(home, name)
    if place.exists():
        raise ValueError(f"a model is {KINDS}; received {text!r}")
    raise FileNotFoundError(f"no model file at {text!r}; a model is {KINDS}")


def _saved_model(folder: pathlib.Path) -> Runnable:
    loaded = tf.saved_model.load(str(folder))
    signatures = dict(loaded.signatures)
    if "serving_default" not in signatures:
        raise ValueError(
            f"a SavedModel must have the signature serving_default; {folder} has: "
            f"{', '.join(signatures) or 'none'}"
        )
    serve = signatures["serving_default"]
    inputs = serve.structured_input_signature[1]
    images = [s for s in inputs.values() if s.shape.rank in (4, None) and _is_numeric(s.dtype)]
    if len(inputs) != 1 or not images:
        found = ", ".join(f"{k}: {s.dtype.name} {s.shape}" for k, s in inputs.items())
        raise ValueError(
            "serving_default of a SavedModel must take one batch of images "
            f"[batch, height, width, channels]; {folder} takes {found}"
        )
    (argument,), (spec,) = inputs, images
    output = _output(serve.structured_outputs, str(folder))

    def run(images: Any) -> Any:
        kept = loaded  # which the signature does not keep alive  # noqa: F841
        return serve(**{argument: _cast(images, spec.dtype)})[output]

    shape = tuple(spec.shape[1:]) if spec.shape.rank == 4 else (None, None, None)
    stated = card.input_range(folder)
    if stated is None and spec.dtype.is_integer:
        stated = "0_to_255"
    parts = [folder / "saved_model.pb", *sorted(folder.glob("variables/*"))]
    return Runnable(run, lambda: _digest(*parts), shape, stated, of_arrays=False)


def _tflite(path: pathlib.Path) -> Runnable:
    try:
        interpreter = interpreter_of(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"TensorFlow Lite cannot open {path}: {error}") from error
    inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    given = inputs[0]
    sizes = [int(size) for size in given.get("shape_signature", given["shape"])]
    if len(inputs) != 1 or len(sizes) != 4:
        raise ValueError(
            "a .tflite file must take one batch of images [batch, height, width, channels]; "
            f"{path} takes {[one['shape'].tolist() for one in inputs]}"
        )
    returned = {one["name"]: one for one in outputs if len(one["shape"]) == 2}
    taken = returned[_output(returned, str(path))]
    shape = tuple(None if size < 0 else size for size in sizes[1:])

    def invoke(images: np.ndarray) -> np.ndarray:
        interpreter.resize_tensor_input(given["index"], images.shape)
        interpreter.allocate_tensors()
        interpreter.set_tensor(given["index"], _quantized(images, given))
        interpreter.invoke()
        return _dequantized(interpreter.get_tensor(taken["index"]), taken)

    several = True

    def run(images: np.ndarray) -> np.ndarray:
        nonlocal several
        if several:
            try:
                found = invoke(images)
                if len(found) == len(images):
                    return found
            except (RuntimeError, ValueError):  # made for batches of one
                pass
            several = False
        return _one_by_one(invoke, images)

    is_whole = np.issubdtype(given["dtype"], np.integer)
    stated = "0_to_255" if is_whole and not given["quantization"][0] else None
    return Runnable(run, lambda: _digest(path), shape, stated)


def _onnx(path: pathlib.Path) -> Runnable:
    try:
        runtime = importlib.import_module("onnxruntime")
    except ImportError as error:
        raise ImportError(".onnx files need onnxruntime: pip install tfrobust[onnx]") from error
    try:
        session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except Exception as error:  # of the runtime's own kinds
        raise ValueError(f"onnxruntime cannot open {path}: {error}") from error
    inputs = session.get_inputs()
    sizes = [size if isinstance(size, int) else None for size in inputs[0].shape]
    if len(inputs) != 1 or len(sizes) != 4:
        raise ValueError(
            "an .onnx file must take one batch of images with four dimensions; "
            f"{path} takes {', '.join(f'{one.name} {one.shape}' for one in inputs)}"
        )
    first = sizes[1] in _CHANNELS and sizes[3] not in _CHANNELS  # as PyTorch has them
    batch, *shape = [sizes[0], sizes[2], sizes[3], sizes[1]] if first else sizes
    outputs = {one.name: one for one in session.get_outputs() if len(one.shape) == 2}
    output, kind = _output(outputs, str(path)), _ONNX_TYPES.get(inputs[0].type, "float32")

    def invoke(images: np.ndarray) -> np.ndarray:
        images = images.transpose(0, 3, 1, 2) if first else images
        images = np.rint(images) if kind == "uint8" else images
        returned: np.ndarray = session.run([output], {inputs[0].name: images.astype(kind)})[0]
        return returned

    run = invoke if batch != 1 else lambda images: _one_by_one(invoke, images)
    stated = "0_to_255" if kind == "uint8" else None
    return Runnable(run, lambda: _digest(path), tuple(shape), stated)


def _function(home: str, name: str) -> Runnable:
    path = pathlib.Path(home)
    if path.suffix == ".py":
        if not path.is_file():
            raise FileNotFoundError(f"no Python file at {home!r}")
        spec: Any = importlib.util.spec_from_file_location(path.stem, path)
        module = importlib.util.module_from_spec(spec)
        sys.modules.setdefault(path.stem, module)
        spec.loader.exec_module(module)
    else:
        module = importlib.import_module(home)
    function = getattr(module, name, None)
    if not callable(function):
        there = [n for n, v in vars(module).items() if callable(v) and not n.startswith("_")]
        near = validation.nearest(name, there)
        raise ValueError(f"{home} has no function {name!r}{near}")
    source = getattr(module, "__file__", None)

    def run(images: Any) -> Any:
        try:
            return function(images)
        except Exception as error:  # whatever the user's code raises
            told = f"{home}:{name} raised {type(error).__name__}: {error}"
            raise ValueError(told) from error

    return Runnable(
        run, lambda: _digest(pathlib.Path(source)) if source else "unknown", of_arrays=False
    )


_OPENERS = {".tflite": _tflite, ".onnx": _onnx}
_ONNX_TYPES = {
    "tensor(float16)": "float16",
    "tensor(double)": "float64",
    "tensor(uint8)": "uint8",
}


def _output(outputs: Mapping[str, Any], what: str) -> str:
    """The output that says what class an image has."""
    given = list(outputs)
    for name in ("logits", "probabilities"):
        if name in given:
            return name
    if len(given) != 1:
        raise ValueError(
            "a model must return logits, probabilities, or one output [batch, classes]; "
            f"{what} returns {', '.join(given) or 'none'}"
        )
    return given[0]


def _is_numeric(dtype: tf.DType) -> bool:
    return dtype.is_floating or dtype.is_integer


def _cast(images: Any, dtype: tf.DType) -> Any:
    return tf.cast(tf.round(images) if dtype.is_integer else images, dtype)


def _quantized(images: np.ndarray, detail: Mapping[str, Any]) -> np.ndarray:
    kind = np.dtype(detail["dtype"])
    if kind.kind not in "iu":
        return images.astype(kind)
    scale, zero = detail["quantization"]
    values = np.rint(images / scale + zero if scale else images)
    limits = np.iinfo(kind)
    return np.clip(values, limits.min, limits.max).astype(kind)


def _dequantized(values: np.ndarray, detail: Mapping[str, Any]) -> np.ndarray:
    scale, zero = detail["quantization"]
    if values.dtype.kind in "iu" and scale:
        return ((values.astype("float32") - zero) * scale).astype("float32")
    return values.astype("float32")


def _one_by_one(run: Callable[[np.ndarray], np.ndarray], images: np.ndarray) -> np.ndarray:
    found: Sequence[np.ndarray] = [run(images[i : i + 1]) for i in range(len(images))]
    return np.concatenate(found)


def _digest(*paths: pathlib.Path) -> str:
    digest = files.Digest()
    for path in paths:
        digest.add(path.name, path)
    return digest.hex(16)
