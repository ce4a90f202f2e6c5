"""Weights of Keras' VGG-16."""

from __future__ import annotations

import os
import re

import h5py
import keras
import numpy as np

from tfrobust import validation
from tfrobust.files import PathLike
from tfrobust.nets.parts import give_weights, weighted_layers

#: Where keras.applications downloads VGG-16 for ImageNet.
FOLDER = "https://storage.googleapis.com/tensorflow/keras-applications/vgg16"

#: Its files with and without dense layers, and their MD5 sums.
WITH_DENSE = "vgg16_weights_tf_dim_ordering_tf_kernels.h5", "64373286793e3c8b2b4e3219cbf3544b"
NO_DENSE = "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5", "6d6bbae143d832006294945121d1f1fc"

#: Patterns of our layer names, and Keras' names.
NAMES = {
    r"stage(\d)_conv(\d)": r"block\1_conv\2",
    "hidden1": "fc1",
    "hidden2": "fc2",
    "logits": "predictions",
}
DENSE = ("fc1", "fc2", "predictions")


def load_keras_vgg_16(net: keras.Model, weights: PathLike = "imagenet") -> list[str]:
    """Loads the weights of `keras.applications.VGG16` into a `vgg_16`.

    Keras' net takes channels in the order blue, green, red, this one red, green, blue, so the first
    kernels are reversed. The net must use its default normalization, which is that of Keras'
    `preprocess_input`. Layers whose shape depends on the data keep their weights, with a warning
    that names them: `logits` if the number of classes differs, `hidden1` if the images do not have
    224 to 255 pixels, and all dense layers if the net has the plain head or the file has none. Any
    other difference is an error that leaves the net unchanged.

    Args:
        net: A `tfrobust.nets.vgg_16` without norm.
        weights: "imagenet" (default) for the weights that Keras publishes, which the first call
            downloads to Keras' folder (`~/.keras/models`, or below `KERAS_HOME`): 553 MB, or 59 MB
            for the plain head. Or the path of such an .h5 file, or of a `keras.applications.VGG16`
            saved as .h5.

    Returns:
        The names of the layers that keep their weights; empty if all were loaded.

    Raises:
        TypeError: `net` is not a Keras model.
        ConnectionError: The download failed; the message says where to put the file.
        FileNotFoundError: The file does not exist.
        ValueError: The net is not such a VGG-16, the file is damaged or not an .h5 file of a
            VGG-16, or an array is missing, unexpected, of another shape or not finite; the message
            names the first one.

    Example:

    >>> from tfrobust.nets.vgg import vgg_16
    >>> load_keras_vgg_16(vgg_16(classes=200, head="plain"), "vgg16.h5")
    Traceback (most recent call last):
    ...
    FileNotFoundError: [Errno 2] No such file or directory: 'vgg16.h5'
    """
    validation.check_net(net)
    names = _names(net)
    plain = "hidden1" not in names
    path = _fetch(*(NO_DENSE if plain else WITH_DENSE)) if weights == "imagenet" else weights
    read = _read(path)
    without = plain or not any(name in read for name in DENSE)
    if without:
        names = {ours: theirs for ours, theirs in names.items() if theirs not in DENSE}
        read = {name: arrays for name, arrays in read.items() if name not in DENSE}
    for theirs in names.values():
        if len(read.get(theirs, ())) != 2:
            raise ValueError(
                f"{path} must hold Keras' VGG-16; kernel or bias of {theirs} is missing"
            )
    for extra in read:
        if extra not in names.values():
            raise ValueError(
                f"{path} must hold Keras' VGG-16 and nothing else; received {extra}, which the net "
                "does not have"
            )
    arrays = {ours: read[theirs] for ours, theirs in names.items()}
    if "stage1_conv1" in arrays:
        (name, kernel), bias = arrays["stage1_conv1"]
        if kernel.ndim == 4:
            kernel = kernel[:, :, ::-1]
        arrays["stage1_conv1"] = [(name, kernel), bias]
    why = "the plain head takes none of them" if plain else "the file has no dense layers"
    return give_weights(net, arrays, path, absent=why)


def _names(net: keras.Model) -> dict[str, str]:
    """Keras' names of the layers with weights."""
    names = {}
    for layer in weighted_layers(net):
        matches = [
            match.expand(theirs)
            for pattern, theirs in NAMES.items()
            if (match := re.fullmatch(pattern, layer.name))
        ]
        if not matches:
            raise ValueError(
                "net must be a vgg_16 without norm (of a training method give method.net); "
                f"received one with the layer {layer.name!r}, which Keras' VGG-16 does not have"
            )
        names[layer.name] = matches[0]
    return names


def _fetch(name: str, md5: str) -> str:
    """Path of the file in Keras' folder, downloaded if it is missing."""
    home = os.environ.get("KERAS_HOME") or os.path.join(os.path.expanduser("~"), ".keras")
    url = f"{FOLDER}/{name}"
    try:
        return keras.utils.get_file(name, url, cache_dir=home, cache_subdir="models", file_hash=md5)
    except Exception as error:  # Keras raises plain Exceptions
        raise ConnectionError(
            f"could not fetch {url} ({error}); fetch it elsewhere and save it as "
            f"{os.path.join(home, 'models', name)}, or give its path as weights"
        ) from error


def _read(path: PathLike) -> dict[str, list[tuple[str, np.ndarray]]]:
    """Names and arrays of the weights of each layer, in order."""
    with open(path, "rb") as file:
        try:
            with h5py.File(file, "r") as root:
                groups = root.get("model_weights", root)
                layers = {}
                for layer in _words(groups.attrs["layer_names"]):
                    names = _words(groups[layer].attrs["weight_names"])
                    if names:
                        layers[layer] = [(name, np.asarray(groups[layer][name])) for name in names]
        except Exception as error:  # a damaged file can raise almost anything
            raise ValueError(
                "weights must be an undamaged .h5 file of a whole Keras model or of its weights in "
                f"the layout of Keras 2 (not .weights.h5); received {path}, which cannot be read "
                f"as one ({error})"
            ) from error
    return layers


def _words(names: np.ndarray) -> list[str]:
    return [name.decode() if isinstance(name, bytes) else str(name) for name in names]
