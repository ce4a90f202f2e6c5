"""Weights of tf-slim: checkpoints of TensorFlow 1, ImageNet's among them."""

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

#: The nets of tf-slim by scope: our names of layers as patterns, and theirs.
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
    """Gives `vgg_16` or `resnet_v2_50` the weights of a checkpoint that tf-slim trained.

    FMA trains on from tf-slim's VGG-16. The net must normalise images as it does by default, since
    that is how tf-slim does. What depends on the data stays as it was: `logits` for another number
    of classes (published ResNet v2 have 1001, the first for background), and in VGG-16 `hidden1`
    for images not of 224 to 255 pixels, or all dense layers if the net has the plain head. A
    warning names these. Optimizer slots, step counters and the like are passed over; any other
    difference is an error that leaves the net unchanged.

    Args:
        net: Of `tfrobust.nets.vgg_16`, without norm, or `tfrobust.nets.resnet_v2_50`, with batch
            norm (`convert_norms` comes after).
        path: The checkpoint: its prefix (`model.ckpt-1000`), one of its files, a single file as
            TensorFlow wrote before 0.12, or a folder, of which the latest is taken.
        moving_average: Whether to take the exponential moving averages of the variables that have
            one, as for evaluation. Default False.

    Returns:
        The names of the layers that keep their weights; empty if every layer got new ones.

    Raises:
        TypeError: `net` is no Keras model.
        FileNotFoundError: There is no such file, or no checkpoint in the folder.
        ValueError: The net is none of the two, the file is damaged or no checkpoint, or a variable
            is missing, left over, of another shape or not of finite numbers; the message names the
            first.

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
    if plain:  # its output layer sees features that tf-slim's does not
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
                array = array.reshape(-1, array.shape[-1])  # of a convolution that sees the whole
            read.append((name, array))
        arrays[layer.name] = read
    return give_weights(net, arrays, path, absent="the plain head takes none of fc6, fc7 and fc8")


def _variables(layer: Any, scope: str) -> list[str]:
    """What tf-slim calls the weights of a layer of ours."""
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
    """Checks that the checkpoint has all variables, and of that scope no more layers."""
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
        # Slots of optimizers and the like stand below a variable, so their last part is another.
        is_weight = re.fullmatch(rf"{scope}/(.+)/({'|'.join(KERNEL + NORM)})", name)
        if is_weight and not (plain and is_weight[1] in ("fc6", "fc7", "fc8")):
            raise ValueError(
                f"{path} must hold a {scope} like the net and nothing else; received {name}, which "
                "the net does not have"
            )


def _reader(path: PathLike) -> Any:
    """What reads the variables of the checkpoint; no pickle is involved."""
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
    except Exception as error:  # a damaged file raises almost anything
        raise ValueError(
            "weights must be an undamaged checkpoint, as TensorFlow 1 writes it; received "
            f"{path}, which cannot be read as one ({argument}: {error})"
        ) from error
