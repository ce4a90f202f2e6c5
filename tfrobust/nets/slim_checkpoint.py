"""Weights from tf-slim's TensorFlow 1 checkpoints, including those for ImageNet."""

from __future__ import annotations

import os
import re
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfrobust import validation
from tfrobust.files import PathLike
from tfrobust.nets.parts import give_weights, weighted_layers

UNIT = r"block\1/unit_\2/bottleneck_v2/"

#: Patterns of our layer names and tf-slim's names for each net, by scope.
SCOPES = {
    "vgg_16": {
        r"stage(\d)_conv(\d)": r"conv\1/conv\1_\2",
        "hidden1": "fc6",
        "hidden2": "fc7",
        "logits": "fc8",
    },
    "resnet_v2_50": {
        "stem_conv": "conv1",
        r"stage(\d)_block(\d+)_norm1": UNIT + "preact",
        r"stage(\d)_block(\d+)_shortcut_conv": UNIT + "shortcut",
        r"stage(\d)_block(\d+)_conv(\d)": UNIT + r"conv\3",
        r"stage(\d)_block(\d+)_norm2": UNIT + "conv1/BatchNorm",
        r"stage(\d)_block(\d+)_norm3": UNIT + "conv2/BatchNorm",
        "final_norm": "postnorm",
        "logits": "logits",
    },
}

#: Names of a layer's variables in tf-slim, in the order of Keras' `get_weights`.
NORM = ("gamma", "beta", "moving_mean", "moving_variance")
KERNEL = ("weights", "biases")
SHADOW = "/ExponentialMovingAverage"


def load(net: keras.Model, path: PathLike, *, moving_average: bool = False) -> list[str]:
    """Loads the weights of a tf-slim checkpoint into `vgg_16` or `resnet_v2_50`.

    FMA starts from tf-slim's VGG-16. The net must use its default normalization, which is that of
    tf-slim. Layers whose shape depends on the data keep their weights, with a warning that names
    them: `logits` if the number of classes differs (published ResNet v2 have 1001, the first for
    background), and in VGG-16 `hidden1` if the images do not have 224 to 255 pixels, or all dense
    layers if the net has the plain head. Optimizer slots, step counters and the like are ignored.
    Any other difference is an error that leaves the net unchanged.

    Args:
        net: A `tfrobust.nets.vgg_16` without norm, or a `tfrobust.nets.resnet_v2_50` with batch
            norm (apply `convert_norms` afterwards).
        path: The checkpoint: its prefix (`model.ckpt-1000`), one of its files, a single file from
            TensorFlow before 0.12, or a folder, whose latest checkpoint is used.
        moving_average: Whether to load the exponential moving averages of variables that have one,
            as for evaluation. Default False.

    Returns:
        The names of the layers that keep their weights; empty if all were loaded.

    Raises:
        TypeError: `net` is not a Keras model.
        FileNotFoundError: The file does not exist, or the folder has no checkpoint.
        ValueError: The net is neither of the two, the file is damaged or not a checkpoint, or a
            variable is missing, unexpected, of another shape or not finite; the message names the
            first one.

    Example:

    >>> from tfrobust.nets.vgg import vgg_16
    >>> load(vgg_16(classes=200, head="plain"), "vgg_16.ckpt")
    Traceback (most recent call last):
    ...
    FileNotFoundError: there is no checkpoint 'vgg_16.ckpt'
    """
    validation.check_net(net)
    ours = weighted_layers(net)
    scope = "vgg_16" if any(layer.name == "stage1_conv1" for layer in ours) else "resnet_v2_50"
    variables = {layer.name: _variables(layer, scope) for layer in ours}
    plain = scope == "vgg_16" and "hidden1" not in variables
    if plain:  # its output layer has other inputs than tf-slim's
        variables.pop("logits", None)
    reader = _reader(path)
    shapes = reader.get_variable_to_shape_map()
    _check_names(list(shapes), variables, scope, plain, path)
    if moving_average and not any(name.endswith(SHADOW) for name in shapes):
        raise ValueError(f"moving_average needs variables named ...{SHADOW}; {path} has none")
    arrays = {}
    for layer in ours:
        read = []
        for name in variables.get(layer.name, ()):
            averaged = moving_average and name + SHADOW in shapes
            array = _read(reader, name + SHADOW if averaged else name, path)
            if isinstance(layer, keras.layers.Dense) and array.ndim == 4:
                array = array.reshape(-1, array.shape[-1])  # from a convolution over the whole map
            read.append((name, array))
        arrays[layer.name] = read
    return give_weights(net, arrays, path, absent="the plain head takes none of fc6, fc7 and fc8")


def _variables(layer: Any, scope: str) -> list[str]:
    """Names of a layer's weights in tf-slim."""
    kinds = {
        keras.layers.BatchNormalization: NORM,
        keras.layers.Conv2D: KERNEL,
        keras.layers.Dense: KERNEL,
    }.get(type(layer), ())
    for pattern, theirs in SCOPES[scope].items():
        match = re.fullmatch(pattern, layer.name)
        if match and kinds:
            return [
                f"{scope}/{match.expand(theirs)}/{kind}" for _, kind in zip(layer.weights, kinds)
            ]
    raise ValueError(
        "net must be a vgg_16 without norm or a resnet_v2_50 with batch norm (of a training method "
        f"give method.net); received one with the layer {layer.name!r} ({type(layer).__name__}), "
        f"which tf-slim's {scope} does not have"
    )


def _check_names(
    names: list[str], variables: dict[str, list[str]], scope: str, plain: bool, path: PathLike
) -> None:
    """Checks that the checkpoint has all variables, and no further layers in the scope."""
    if not any(name.startswith(f"{scope}/") for name in names):
        raise ValueError(
            f"{path} must hold a {scope} like the net; received variables of "
            f"{', '.join(sorted({name.partition('/')[0] for name in names})) or 'nothing'}"
        )
    known = [name for ours in variables.values() for name in ours]
    for name in known:
        if name not in names:
            raise ValueError(f"{path} must hold a {scope} like the net; {name} is missing")
    for name in sorted(set(names).difference(known)):
        # Names of optimizer slots and the like extend that of a variable, so they end differently.
        is_weight = re.fullmatch(rf"{scope}/(.+)/({'|'.join(KERNEL + NORM)})", name)
        if is_weight and not (plain and is_weight[1] in ("fc6", "fc7", "fc8")):
            raise ValueError(
                f"{path} must hold a {scope} like the net and nothing else; received {name}, which "
                "the net does not have"
            )


def _reader(path: PathLike) -> Any:
    """Opens the checkpoint; this does not involve pickle."""
    prefix = os.fspath(path)
    if os.path.isdir(prefix):
        prefix = tf.train.latest_checkpoint(prefix) or ""
    prefix = re.sub(r"\.(index|meta|data-\d{5}-of-\d{5})$", "", prefix)
    if not (os.path.isfile(prefix) or os.path.isfile(f"{prefix}.index")):
        raise FileNotFoundError(f"there is no checkpoint {os.fspath(path)!r}")
    return _or_damaged(tf.train.load_checkpoint, prefix, path)


def _read(reader: Any, name: str, path: PathLike) -> np.ndarray:
    return np.asarray(_or_damaged(reader.get_tensor, name, path))


def _or_damaged(function: Any, argument: str, path: PathLike) -> Any:
    try:
        return function(argument)
    except Exception as error:  # a damaged file can raise almost anything
        raise ValueError(
            "weights must be an undamaged checkpoint, as TensorFlow 1 writes it; received "
            f"{path}, which cannot be read as one ({argument}: {error})"
        ) from error
