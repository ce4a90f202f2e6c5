"""Weights of CIFAR ResNets trained with PyTorch."""

from __future__ import annotations

import collections
import re
from collections.abc import Sequence
from typing import Union

import keras
import numpy as np

from tfrobust.files import PathLike
from tfrobust.nets.cifar_resnet import cifar_resnet
from tfrobust.nets.parts import checked_weight

#: The usual mean and standard deviation of ImageNet, with which these nets were trained.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)

#: Names of the weights in PyTorch, in the order of Keras' `get_weights`.
NORM = ("weight", "bias", "running_mean", "running_var")
DENSE = ("weight", "bias")


def import_torch_resnet(
    path: PathLike,
    *,
    input_size: Sequence[int] = (32, 32),
    mean: Union[float, Sequence[float]] = MEAN,
    std: Union[float, Sequence[float]] = STD,
    weight_decay: float = 0.0,
    name: str = "",
) -> keras.Model:
    """Builds a CIFAR ResNet from a .npz file of weights under their PyTorch names.

    Names and shapes are those of the usual PyTorch code for the ResNets of He et al. 2016,
    Section 4.2: `conv1`, `bn1`, `layer1.0.conv1` .. `layer3.8.bn2`, `linear`; convolutions
    [out, in, height, width], option-A shortcuts. Depth, channels and classes are inferred. Batch
    counters (`num_batches_tracked`) are ignored; any other difference is an error.

    Args:
        path: The file, as written by `numpy.savez`.
        input_size: (height, width) of the images. Default (32, 32).
        mean: Subtracted from images in [0, 1]. It must be that of the training, which the file does
            not contain. Default (0.485, 0.456, 0.406), as in the usual code.
        std: Divisor after the subtraction, likewise. Default (0.229, 0.224, 0.225).
        weight_decay: As in `cifar_resnet`, for further training. Default 0.
        name: Name of the model. Default "resnet_<depth>".

    Returns:
        A functional model: float32 images [B, H, W, C] in [0, 1] to logits [B, classes].

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: The file is damaged or not a .npz file, or an array is missing, unexpected, of
            another shape or not finite; the message names the first one.

    Example:

    >>> import_torch_resnet("cifar10_resnet20.npz")
    Traceback (most recent call last):
    ...
    FileNotFoundError: [Errno 2] No such file or directory: 'cifar10_resnet20.npz'
    """
    arrays = _read(path)
    depth = 6 * _blocks(arrays) + 2
    layers = _layers(_blocks(arrays))
    known = [f"{there}.{part}" for there, _, parts in layers for part in parts]
    for missing in known:
        if missing not in arrays:
            raise ValueError(
                f"{path} must hold the CIFAR ResNet that its names suggest, of depth {depth}; "
                f"{missing} is missing"
            )
    counters = {f"{there}.num_batches_tracked" for there, _, parts in layers if parts == NORM}
    for extra in arrays:
        if extra not in known and extra not in counters:
            raise ValueError(
                f"{path} must hold a CIFAR ResNet of depth {depth} and nothing else; received "
                f"{extra} of shape {arrays[extra].shape}, which the net does not have"
            )
    filters = [_width(arrays, stage) for stage in (1, 2, 3)]
    net = cifar_resnet(
        depth,
        (*input_size, np.size(mean) if np.ndim(mean) else _length(arrays["conv1.weight"], 1)),
        _length(arrays["linear.weight"], 0)
        if _length(arrays["linear.weight"], 1) == filters[2]
        else _length(arrays["linear.bias"], 0),
        filters=filters,
        mean=mean,
        std=std,
        weight_decay=weight_decay,
        name=name or f"resnet_{depth}",
    )
    for there, here, parts in layers:
        layer = net.get_layer(here)
        layer.set_weights(
            [
                _to_keras_order(weight, arrays[f"{there}.{part}"], f"{there}.{part} of {path}")
                for part, weight in zip(parts, layer.get_weights())
            ]
        )
    return net


def _read(path: PathLike) -> dict[str, np.ndarray]:
    """Reads all arrays of the file."""
    with open(path, "rb") as file:
        try:
            arrays = np.load(file, allow_pickle=False)
            read = {name: np.asarray(arrays[name]) for name in arrays.files}
        except Exception as error:  # a damaged archive can raise almost anything
            raise ValueError(
                "weights must be an undamaged .npz file, as numpy.savez writes it; received "
                f"{path}, which cannot be read as one"
            ) from error
    return read


def _layers(blocks: int) -> list[tuple[str, str, tuple[str, ...]]]:
    """PyTorch's name, our name and the weights of each layer, in order."""
    layers: list[tuple[str, str, tuple[str, ...]]] = [
        ("conv1", "stem_conv", ("weight",)),
        ("bn1", "stem_norm", NORM),
    ]
    for stage in (1, 2, 3):
        for block in range(blocks):
            there, here = f"layer{stage}.{block}", f"stage{stage}_block{block + 1}"
            for i in (1, 2):
                layers.append((f"{there}.conv{i}", f"{here}_conv{i}", ("weight",)))
                layers.append((f"{there}.bn{i}", f"{here}_norm{i}", NORM))
    return [*layers, ("linear", "logits", DENSE)]


def _blocks(arrays: dict[str, np.ndarray]) -> int:
    """Number of blocks per stage, decided by majority, 1 or more."""
    matches = [re.match(r"layer([123])\.(\d+)\.", name) for name in arrays]
    found = {match.groups() for match in matches if match}
    counts = [sum(stage == number for stage, _ in found) for number in "123"]
    return max(1, max(counts, key=lambda count: (counts.count(count), count)))


def _width(arrays: dict[str, np.ndarray], stage: int) -> int:
    """Channels of a stage, decided by a majority of its norms to identify a wrong array."""
    lengths = [
        _length(a, 0) for name, a in arrays.items() if re.match(rf"layer{stage}\..*bn", name)
    ]
    return collections.Counter(lengths).most_common(1)[0][0]


def _length(array: np.ndarray, axis: int) -> int:
    return array.shape[axis] if array.ndim > axis else 1


def _to_keras_order(weight: np.ndarray, array: np.ndarray, what: str) -> np.ndarray:
    """Transposes an array to Keras' order: convolutions OIHW -> HWIO, dense OI -> IO."""
    order = {4: (2, 3, 1, 0), 2: (1, 0), 1: (0,)}[weight.ndim]
    wanted = tuple(weight.shape[order.index(axis)] for axis in range(weight.ndim))
    return checked_weight(array, wanted, what).transpose(order)
