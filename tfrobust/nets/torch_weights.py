"""ResNets trained with PyTorch."""

from __future__ import annotations

import collections
import re
from collections.abc import Sequence
from typing import Any, Optional, Union

import keras
import numpy as np

from tfrobust.files import PathLike
from tfrobust.nets.cifar_resnet import cifar_resnet
from tfrobust.nets.resnet import resnet
from tfrobust.nets.torch_layers import DENSE, NORM, read_arrays, set_weights, to_keras_order

#: The usual mean and standard deviation of ImageNet, with which these nets were trained.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)

_BLOCK = re.compile(r"layer([1234])\.(\d+)\.")


def import_torch_resnet(
    path: PathLike,
    *,
    input_size: Optional[Sequence[int]] = None,
    mean: Union[float, Sequence[float]] = MEAN,
    std: Union[float, Sequence[float]] = STD,
    weight_decay: float = 0.0,
    name: str = "",
) -> keras.Model:
    """Builds a ResNet from a .npz file of weights under their PyTorch names.

    Names and shapes are those of the usual PyTorch code for the ResNets of He et al. 2016,
    Section 4.2: `conv1`, `bn1`, `layer1.0.conv1` .. `layer3.8.bn2`, `linear`; convolutions
    [out, in, height, width], option-A shortcuts. With a `layer4`, they are those of torchvision
    (`resnet18` to `resnet152`, `fc`) or of AugMax' released ResNets. Depth, channels, classes, stem
    (7×7 or 3×3 of stride 1) and dual norms are inferred. Batch counters (`num_batches_tracked`) are
    ignored; any other difference is an error.

    Args:
        path: The file, as written by `numpy.savez`.
        input_size: (height, width) of the images. Default (224, 224) with a 7×7 stem, (32, 32) with
            a 3×3 one.
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
    arrays = read_arrays(path)
    if any(name.startswith("layer4.0.bn1.") for name in arrays):
        options = {"mean": mean, "std": std, "weight_decay": weight_decay}
        return _four_stages(arrays, path, input_size, name or "resnet", **options)
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
        (
            *(input_size or (32, 32)),
            np.size(mean) if np.ndim(mean) else _length(arrays["conv1.weight"], 1),
        ),
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
                to_keras_order(weight, arrays[f"{there}.{part}"], f"{there}.{part} of {path}")
                for part, weight in zip(parts, layer.get_weights())
            ]
        )
    return net


def _four_stages(
    arrays: dict[str, np.ndarray],
    path: PathLike,
    input_size: Optional[Sequence[int]],
    name: str,
    **options: Any,
) -> keras.Model:
    """A ResNet of four stages with these weights."""
    blocks = {match.groups() for match in map(_BLOCK.match, arrays) if match}
    depths = [sum(stage == number for stage, _ in blocks) for number in "1234"]
    head = "fc.bias" if "fc.bias" in arrays else "linear.bias"
    needed = [head, *("conv1.weight", *(f"layer{stage}.0.conv1.weight" for stage in "1234"))]
    for missing in needed:
        if missing not in arrays:
            raise ValueError(
                f"{path} must hold a ResNet of four stages, as its names suggest; {missing} is "
                "missing"
            )
    large = _length(arrays["conv1.weight"], 2) == 7
    norm = "bn"
    if "bn1.bn.0.weight" in arrays:
        norm = "dubin" if "layer1.0.bn1.IN.weight" in arrays else "dubn"
    net = resnet(
        depths,
        (*(input_size or ((224, 224) if large else (32, 32))), _length(arrays["conv1.weight"], 1)),
        _length(arrays[head], 0),
        bottleneck="layer1.0.conv3.weight" in arrays,
        stem="imagenet" if large else "cifar",
        filters=[_length(arrays[needed[2 + i]], 0) for i in range(4)],
        norm=norm,
        name=name,
        **options,
    )
    set_weights(net, arrays, path)
    return net


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
