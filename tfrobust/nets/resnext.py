"""ResNeXt: bottlenecks with grouped 3×3 convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Union

import keras
from keras import layers

from tfrobust import validation
from tfrobust.nets.parts import Parts, check_sizes, normalized


def resnext_29(
    input_shape: Sequence[int] = (32, 32, 3),
    classes: int = 10,
    *,
    cardinality: int = 4,
    base_width: int = 32,
    filters: Sequence[int] = (64, 128, 256),
    norm: str = "bn",
    mean: Union[float, Sequence[float]] = 0.5,
    std: Union[float, Sequence[float]] = 0.5,
    weight_decay: float = 0.0,
    name: str = "resnext_29",
) -> keras.Model:
    """ResNeXt-29 (4×32d): three stages of three blocks with grouped 3×3 convolutions.

    Xie et al. 2017 (arXiv:1611.05431), Section 5.3 and Figure 3c, with the cardinality and width of
    the AugMix and AugMax authors' code. A block is a 1×1, a grouped 3×3 and a 1×1 convolution; if
    the shape changes, its shortcut is a 1×1 convolution with norm.
    `mixing_point_0` (after the normalization) and `mixing_point_1` .. `mixing_point_3` (ends of
    the stages) are identities where NoisyMix mixes feature maps.

    Args:
        input_shape: (height, width, channels).
        classes: Number of outputs.
        cardinality: Number of groups in a 3×3 convolution. Default 4.
        base_width: Channels per group in the first stage; in other stages they are proportional to
            `filters`. Default 32, so 32, 64 and 128.
        filters: A quarter of the channels at the end of each stage; the first convolution has
            `filters[0]` channels. Stages 2 and 3 halve height and width.
        norm: One of `tfrobust.layers.norms.NORMS`; instance norm, if any, is used at the first norm
            of each block in stages 1 and 2, as in the AugMax authors' code.
        mean: Subtracted from the images; like `std`, one number or one per channel. Default 0.5,
            as in AugMix and NoisyMix; AugMax uses 0 and 1 on CIFAR.
        std: Divisor after the subtraction, one number or one per channel.
        weight_decay: Adds weight_decay/2·‖w‖² of every trainable weight to the loss, which is
            PyTorch's weight decay under SGD. AugMix and AugMax use 5e-4. Default 0.
        name: Name of the model.

    Convolutions are initialized as in He et al. 2015 (fan-out), the output layer by Keras' default.

    Returns:
        A functional model: float32 images [B, H, W, C] in [0, 1] to logits [B, classes].

    Raises:
        ValueError: An argument is out of range, or the images are smaller than 4×4 pixels.

    Example:

    >>> resnext_29(classes=4, filters=(8, 8, 16)).output_shape
    (None, 4)
    """
    validation.check_whole("cardinality", cardinality, 1, 10**4)
    validation.check_whole("base_width", base_width, 1, 10**4)
    parts = Parts(norm, weight_decay)
    check_sizes(name, input_shape, classes, 4, filters, stages=3)
    if min(filters) * base_width < filters[0]:
        raise ValueError(
            "base_width must leave a channel a group in every stage; received "
            f"filters {tuple(filters)} and base_width {base_width}"
        )
    images = keras.Input(tuple(input_shape), name="images")
    x = normalized(images, mean, std)
    x = parts.convolution(x, filters[0], 3, 1, "stem_conv")
    x = parts.norm_and_relu(x, "stem_norm", "stem_relu")
    for stage, width in enumerate(filters, start=1):
        inner = cardinality * (base_width * width // filters[0])
        for i in (1, 2, 3):
            stride, block = (2 if stage > 1 and i == 1 else 1), f"stage{stage}_block{i}"
            x = _block(parts, x, inner, 4 * width, cardinality, stride, stage < 3, block)
        x = layers.Activation("linear", name=f"mixing_point_{stage}")(x)
    return keras.Model(images, parts.logits(x, classes), name=name)


def _block(
    parts: Parts,
    x: Any,
    inner: int,
    outer: int,
    groups: int,
    stride: int,
    mixed: bool,
    name: str,
) -> Any:
    """1×1, grouped 3×3 and 1×1 convolutions with norms, added to the input or its projection."""
    shortcut = x
    if stride > 1 or x.shape[-1] != outer:
        shortcut = parts.convolution(x, outer, 1, stride, f"{name}_shortcut_conv")
        shortcut = parts.norm(shortcut, f"{name}_shortcut_norm")
    x = parts.convolution(x, inner, 1, 1, f"{name}_conv1")
    x = parts.norm_and_relu(x, f"{name}_norm1", f"{name}_relu1", mixed)
    x = parts.convolution(x, inner, 3, stride, f"{name}_conv2", groups=groups)
    x = parts.norm_and_relu(x, f"{name}_norm2", f"{name}_relu2")
    x = parts.convolution(x, outer, 1, 1, f"{name}_conv3")
    x = parts.norm(x, f"{name}_norm3")
    return layers.ReLU(name=f"{name}_relu3")(layers.Add(name=f"{name}_add")([shortcut, x]))
