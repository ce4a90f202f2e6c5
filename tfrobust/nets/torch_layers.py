"""Weights of ResNets, wide ResNets and ResNeXts under the names of the usual PyTorch codes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np

from tfrobust.files import PathLike
from tfrobust.layers.dual_batch_normalization import DualBatchNormalization
from tfrobust.layers.dubin import DuBIN
from tfrobust.nets.parts import checked_weight, weighted_layers

#: Names of the weights in PyTorch, in the order of Keras' `get_weights`.
NORM = ("weight", "bias", "running_mean", "running_var")
DENSE = ("weight", "bias")
#: Our layers outside the blocks to their names in the codes of torchvision, of CIFAR ResNets, of
#: wide ResNets and of ResNeXt.
_OUTSIDE = {
    "stem_conv": ("conv1", "conv_1_3x3"),
    "stem_norm": ("bn1", "bn_1"),
    "final_norm": ("bn1",),
    "logits": ("fc", "linear", "classifier"),
}
#: Where these codes have block b of stage s.
_BLOCKS = ("layer{s}.{b}.", "block{s}.layer.{b}.", "stage_{s}.{b}.")
#: Our layers of a block to their names there.
_INSIDE = {
    "conv1": ("conv1", "conv_reduce"),
    "conv2": ("conv2", "conv_conv"),
    "conv3": ("conv3", "conv_expand"),
    "norm1": ("bn1", "bn_reduce"),
    "norm2": ("bn2", "bn"),
    "norm3": ("bn3", "bn_expand"),
    "shortcut_conv": ("downsample.0", "shortcut.0", "conv_shortcut"),
    "shortcut_norm": ("downsample.1", "shortcut.1"),
}


def load_torch_weights(net: keras.Model, path: PathLike) -> None:
    """Sets the weights of a net from a .npz file of arrays under their PyTorch names.

    The net is one of `nets.resnet_18`, `resnet_50`, `wrn_40_2`, `wrn_28_2`, `resnext_29` or the
    CIFAR ResNets. The names are those of torchvision, of the usual CIFAR code and of AugMax'
    released code, whose dual norms hold clean statistics first; "module." in front of all names is
    ignored, as are batch counters. On an error, the net does not change.

    Args:
        net: The net; `mean` and `std` must be those of the training, which the file does not hold.
        path: The file, as written by `numpy.savez`.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: The file is damaged, or an array is missing, unexpected, of another shape or not
            finite; the message names the first one.

    Example:

    >>> from tfrobust import nets
    >>> load_torch_weights(nets.wrn_40_2(norm="dubin", mean=0, std=1), "WRN40_DuBIN.npz")
    Traceback (most recent call last):
    ...
    FileNotFoundError: [Errno 2] No such file or directory: 'WRN40_DuBIN.npz'
    """
    set_weights(net, read_arrays(path), path)


def read_arrays(path: PathLike) -> dict[str, np.ndarray]:
    """Reads all arrays of a .npz file, without "module." if all names begin so."""
    with open(path, "rb") as file:
        try:
            arrays = np.load(file, allow_pickle=False)
            read = {name: np.asarray(arrays[name]) for name in arrays.files}
        except Exception as error:  # a damaged archive can raise almost anything
            raise ValueError(
                "weights must be an undamaged .npz file, as numpy.savez writes it; received "
                f"{path}, which cannot be read as one"
            ) from error
    parallel = all(name.startswith("module.") for name in read)
    return {name[len("module.") :]: array for name, array in read.items()} if parallel else read


def set_weights(net: keras.Model, arrays: Mapping[str, np.ndarray], path: PathLike) -> None:
    """Sets the weights of a net; see `load_torch_weights`."""
    left, ready = {n for n in arrays if not n.endswith("num_batches_tracked")}, []
    for layer in weighted_layers(net):
        there = _name_there(layer.name, left)
        for part, suffix, names in _parts(layer):
            new = []
            for name, weight in zip(names, part.weights):
                full = f"{there}{suffix}.{name}"
                if full not in left:
                    raise ValueError(
                        f"{path} must hold the weights of {net.name}; {full} is missing, for "
                        f"layer {layer.name}"
                    )
                new.append(to_keras_order(weight, arrays[full], f"{full} of {path}"))
                left.remove(full)
            ready.append((part, new))
    for extra in sorted(left):
        raise ValueError(
            f"{path} must hold the weights of {net.name} and nothing else; received {extra} of "
            f"shape {arrays[extra].shape}, which the net does not have"
        )
    for part, new in ready:
        part.set_weights(new)


def to_keras_order(weight: Any, array: np.ndarray, what: str) -> np.ndarray:
    """Transposes an array to Keras' order: convolutions OIHW -> HWIO, dense OI -> IO."""
    order = {4: (2, 3, 1, 0), 2: (1, 0), 1: (0,)}[len(weight.shape)]
    wanted = tuple(weight.shape[order.index(axis)] for axis in range(len(order)))
    return checked_weight(array, wanted, what).transpose(order)


def _name_there(name: str, known: set[str]) -> str:
    """The name in the file of one of our layers: the first that the file has."""
    block = re.fullmatch(r"stage(\d+)_block(\d+)_(.+)", name)
    if block is None:
        found = list(_OUTSIDE.get(name, (name,)))
    else:
        stage, number, inside = block.groups()
        places = [place.format(s=stage, b=int(number) - 1) for place in _BLOCKS]
        found = [place + one for place in places for one in _INSIDE.get(inside, (inside,))]
    there = (one for one in found if any(other.startswith(f"{one}.") for other in known))
    return next(there, found[0])


def _parts(layer: Any) -> Iterator[tuple[Any, str, tuple[str, ...]]]:
    """The parts of a layer that hold weights, the suffix of their name there and their weights."""
    if isinstance(layer, DuBIN):
        yield layer.instance_norm, ".IN", DENSE
        yield from ((part, f".BN{end}", names) for part, end, names in _parts(layer.batch_norm))
    elif isinstance(layer, DualBatchNormalization):
        yield layer.clean, ".bn.0", NORM
        yield layer.auxiliary, ".bn.1", NORM
    else:
        yield layer, "", NORM if len(layer.weights) == 4 else DENSE
