"""Building blocks of the nets: layers, checks of arguments, and loading of external weights."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Optional, Union

import keras
import numpy as np
from keras import layers

from tfrobust import validation
from tfrobust.files import PathLike
from tfrobust.layers import norms


@dataclasses.dataclass(frozen=True)
class Parts:
    """Builder of ResNet layers with one kind of norm and one weight decay.

    Raises:
        ValueError: The norm is unknown, or the weight decay is not in [0, 1].
    """

    norm_name: str
    weight_decay: float

    def __post_init__(self) -> None:
        validation.check_choice("norm", self.norm_name, norms.NORMS)
        validation.check_in_range("weight_decay", self.weight_decay, 0, 1)

    def convolution(
        self,
        x: Any,
        filters: int,
        size: int,
        stride: int,
        name: str,
        *,
        groups: int = 1,
        bias: bool = False,
    ) -> Any:
        """Convolution with equal padding on both sides, so that sizes become ⌈n/stride⌉."""
        if stride > 1 and size > 1:  # padding="same" would pad the far side more
            x = layers.ZeroPadding2D(size // 2, name=f"{name}_pad")(x)
        return layers.Conv2D(
            filters,
            size,
            stride,
            padding="same" if stride == 1 else "valid",
            groups=groups,
            use_bias=bias,
            # A new initializer each time, because a reused one repeats its numbers.
            kernel_initializer=keras.initializers.VarianceScaling(
                2.0, "fan_out", "untruncated_normal"
            ),
            kernel_regularizer=penalty(self.weight_decay),
            bias_regularizer=penalty(self.weight_decay) if bias else None,
            name=name,
        )(x)

    def norm(self, x: Any, name: str, mixed: bool = False) -> Any:
        """The norm; `mixed` marks positions where "ibn" and "dubin" use instance norm."""
        regularizer = penalty(self.weight_decay)
        return norms.norm_layer(self.norm_name, mixed=mixed, regularizer=regularizer, name=name)(x)

    def norm_and_relu(self, x: Any, norm: str, relu: str, mixed: bool = False) -> Any:
        """A norm and a ReLU with the given layer names."""
        return layers.ReLU(name=relu)(self.norm(x, norm, mixed))

    def logits(self, x: Any, classes: int) -> Any:
        """Global average pooling and the dense output layer."""
        x = layers.GlobalAveragePooling2D(name="features")(x)
        return dense(x, classes, self.weight_decay, "logits")


def dense(x: Any, units: int, weight_decay: float, name: str) -> Any:
    """Dense layer with weight decay."""
    return layers.Dense(
        units,
        kernel_regularizer=penalty(weight_decay),
        bias_regularizer=penalty(weight_decay),
        name=name,
    )(x)


def penalty(weight_decay: float) -> Optional[Any]:
    """Regularizer weight_decay/2·‖w‖²; None if the weight decay is 0."""
    return keras.regularizers.L2(weight_decay / 2) if weight_decay else None


def normalized(
    images: Any, mean: Union[float, Sequence[float]], std: Union[float, Sequence[float]]
) -> Any:
    """Adds the layer `normalization`, (images − mean) / std, and `mixing_point_0`.

    Raises:
        ValueError: `mean` or `std` is not one finite number or one per channel, or `std` is not
            above 0.
    """
    numbers = []
    for what, value in (("mean", mean), ("std", std)):
        number = np.asarray(value, "float64")
        if number.shape not in ((), (images.shape[-1],)) or not np.isfinite(number).all():
            raise ValueError(
                f"{what} must be one finite number, or one for each of {images.shape[-1]} "
                f"channels; received {value!r}"
            )
        numbers.append(number)
    if numbers[1].min() <= 0:
        raise ValueError(f"std must be above 0; received {std!r}")
    scale, offset = 1 / numbers[1], -numbers[0] / numbers[1]
    x = layers.Rescaling(scale.tolist(), offset.tolist(), name="normalization")(images)
    return layers.Activation("linear", name="mixing_point_0")(x)


def check_sizes(
    name: str,
    input_shape: Sequence[int],
    classes: int,
    smallest: int,
    filters: Sequence[int],
    stages: int,
) -> None:
    """Checks the size arguments of a net; sides of images must have `smallest` pixels or more.

    Raises:
        ValueError: A size is out of range.
    """
    if len(input_shape) != 3:
        raise ValueError(
            f"input_shape must be (height, width, channels); received {tuple(input_shape)}"
        )
    # The height and width may be unknown, because the nets average over both.
    if any(side is not None and side < smallest for side in input_shape[:2]):
        raise ValueError(
            f"{name} needs images of {smallest}×{smallest} pixels or more; received input_shape "
            f"{tuple(input_shape)}"
        )
    validation.check_whole("channels in input_shape", input_shape[2], 1, 10**6)
    validation.check_whole("classes", classes, 1, 10**6)
    if len(filters) != stages:
        raise ValueError(
            f"filters must be {stages} numbers, one per stage; received {tuple(filters)}"
        )
    for width in filters:
        validation.check_whole("filters", width, 1, 10**6)


def give_weights(
    net: keras.Model,
    arrays: Mapping[str, Sequence[tuple[str, np.ndarray]]],
    path: PathLike,
    absent: str,
) -> list[str]:
    """Sets weights that were trained elsewhere; on an error, the net does not change.

    If the number of classes or the image size differs, `logits` or `hidden1` (the first dense layer
    after the feature map) keeps its weights, as do layers without arrays. One warning names all of
    them.

    Args:
        net: The net.
        arrays: For each layer name, the name in the file and the array of each weight, in the order
            of `get_weights`.
        path: The file, for messages.
        absent: Why layers may have no arrays, for messages.

    Returns:
        The names of the layers that keep their weights.

    Raises:
        ValueError: The shape of another layer differs, or an array is not finite; the message names
            the first one.
    """
    taken, left = [], {}
    for layer in weighted_layers(net):
        given = arrays.get(layer.name, ())
        other = _other_size(layer, given[0][1]) if given else absent
        if other:
            left[layer.name] = other
            continue
        new = [
            checked_weight(array, weight.shape, f"{name} of {path}")
            for (name, array), weight in zip(given, layer.weights)
        ]
        taken.append((layer, new))
    for layer, new in taken:
        layer.set_weights(new)
    if left:
        named = "; ".join(f"{name} ({why})" for name, why in left.items())
        warnings.warn(
            f"layers that keep their weights beside those of {path}: {named}", stacklevel=3
        )
    return list(left)


def weighted_layers(net: keras.Model) -> list[Any]:
    """The layers that have weights, in order."""
    return [layer for layer in net.layers if layer.weights]


def checked_weight(array: np.ndarray, shape: Sequence[int], what: str) -> np.ndarray:
    """Returns the array after checking that a weight of this shape can take it.

    Raises:
        ValueError: The array has another shape, is not floating point, or is not finite.
    """
    if array.shape != tuple(shape):
        raise ValueError(
            f"{what} must have shape {tuple(shape)}, as the net has; received {array.shape}"
        )
    if array.dtype.kind != "f":
        raise ValueError(f"{what} must hold floating-point numbers; received dtype {array.dtype}")
    bad = array.size - np.count_nonzero(np.isfinite(array))
    if bad:
        raise ValueError(f"{what} must be finite; received {bad} NaN or infinite values")
    return array


def _other_size(layer: Any, kernel: np.ndarray) -> str:
    """Explains a dense kernel whose shape differs because of the data; "" for all others."""
    if kernel.ndim != 2 or layer.name not in ("logits", "hidden1"):
        return ""
    rows, columns = layer.weights[0].shape
    if layer.name == "logits" and kernel.shape[0] == rows:
        what, here, there = "classes", columns, kernel.shape[1]
    elif layer.name == "hidden1" and kernel.shape[1] == columns:
        what, here, there = "inputs by the images' size", rows, kernel.shape[0]
    else:
        return ""
    return f"{here} {what}, {there} in the file" if here != there else ""
