"""Export for serving: a SavedModel that needs TensorFlow alone."""

from __future__ import annotations

import pathlib
import subprocess
import sys
import tempfile
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfrobust import files
from tfrobust.layers.outputs import final_activation

_PROBE = pathlib.Path(__file__).with_name("serving_probe.py")


def export(model: keras.Model, path: files.PathLike, *, overwrite: bool = False) -> None:
    """Writes the plain net as a SavedModel, whole or not at all.

    Signatures: `serving_default` takes `images`, float32 [B, H, W, C] in [0, 1]; `uint8` takes
    `images`, uint8 [B, H, W, C] from 0 to 255. Both return `probabilities` [B, classes] and, where
    the net ends in logits, `logits` [B, classes]. Any batch size will do. The training method, its
    augmentation and its losses are not part of it.

    Args:
        model: A tfrobust method or any Keras model with one image input and one output.
        path: Folder to write.
        overwrite: Replace a SavedModel that stands there. Default False.

    Raises:
        FileExistsError: Something stands at `path`, and `overwrite` is off or it is no SavedModel.
        ValueError: The model has not one image input.
    """
    target = pathlib.Path(path)
    check_target(target, overwrite=overwrite)
    net = getattr(model, "net", model)
    shape = net.input_shape
    if isinstance(shape, list) or len(shape) != 4:
        raise ValueError(
            "a model for serving must have one input [batch, height, width, channels]; "
            f"received input shape {shape}"
        )
    with files.replacing(target) as temporary:
        module = _Server(net)
        tf.saved_model.save(
            module,
            str(temporary),
            signatures={"serving_default": module.serve, "uint8": module.serve_uint8},
        )


def check_target(path: files.PathLike, *, overwrite: bool = False) -> None:
    """Raises where `export` would refuse to write, before any time is spent.

    Raises:
        FileExistsError: Something stands at `path`, and `overwrite` is off or it is no SavedModel.
        PermissionError: The folder above it is read-only.
        NotADirectoryError: A file stands above it.
    """
    target = pathlib.Path(path)
    files.check_writable(target.parent)
    if not target.exists():
        return
    if not overwrite:
        raise FileExistsError(
            f"{target} exists; remove it, or give another place for the SavedModel"
        )
    if not (target / "saved_model.pb").is_file():
        raise FileExistsError(f"{target} exists and is not a SavedModel; give another path")


def serve_elsewhere(path: files.PathLike, images: np.ndarray) -> np.ndarray:
    """Serves a SavedModel once, in a new process that cannot import tfrobust.

    Args:
        path: A SavedModel written by `export`.
        images: [B, H, W, C] float32 in [0, 1].

    Returns:
        The logits that the other process computed, [B, classes].

    Raises:
        RuntimeError: The other process failed; the message ends with its last words.
    """
    with tempfile.TemporaryDirectory() as folder:
        given, returned = pathlib.Path(folder, "images.npy"), pathlib.Path(folder, "logits.npy")
        np.save(given, np.asarray(images, "float32"))
        # -I: neither the current folder nor PYTHONPATH is searched for modules.
        command = [sys.executable, "-I", str(_PROBE), str(path), str(given), str(returned)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"serving {path} in another process failed: {done.stderr[-500:]}")
        logits: np.ndarray = np.load(returned, allow_pickle=False)
    return logits


class _Server(tf.Module):
    """The net's variables and the two functions that are exported."""

    def __init__(self, net: keras.Model):
        super().__init__()
        # The plain TensorFlow variables: Keras' own objects would want Keras at load time.
        self.weights = [v if isinstance(v, tf.Variable) else v.value for v in net.variables]
        is_logits = final_activation(net) != "softmax"

        def outputs(images: tf.Tensor) -> dict[str, Any]:
            values = tf.cast(net(images, training=False), tf.float32)
            if is_logits:
                return {"logits": values, "probabilities": tf.nn.softmax(values)}
            return {"probabilities": values}

        shape = [None, *net.input_shape[1:]]

        @tf.function(input_signature=[tf.TensorSpec(shape, tf.float32, name="images")])
        def serve(images: tf.Tensor) -> dict[str, Any]:
            return outputs(images)

        @tf.function(input_signature=[tf.TensorSpec(shape, tf.uint8, name="images")])
        def serve_uint8(images: tf.Tensor) -> dict[str, Any]:
            return outputs(tf.cast(images, tf.float32) / 255.0)

        self.serve, self.serve_uint8 = serve, serve_uint8
