"""The CIFAR ResNets of He et al.: three stages, shortcuts without weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Union

import keras
from keras import layers

from tfrobust import validation
from tfrobust.nets.parts import Parts, check_sizes, normalized
from tfrobust.nets.resnet import basic_block
from tfrobust.signatures import passes_options_to


def cifar_resnet(
    depth: int,
    input_shape: Sequence[int] = (32, 32, 3),
    classes: int = 10,
    *,
    filters: Sequence[int] = (16, 32, 64),
    norm: str = "bn",
    mean: Union[float, Sequence[float]] = 0.5,
    std: Union[float, Sequence[float]] = 0.5,
    weight_decay: float = 0.0,
    name: str = "cifar_resnet",
) -> keras.Model:
    """ResNet of 6n + 2 layers: three stages of n blocks of two 3×3 convolutions.

    He et al. 2016 (arXiv:1512.03385), Section 4.2, with their option A: if a block changes the
    shape, its shortcut takes every second pixel and pads the channels with zeros, half of them
    before and half after, so it has no weights. `mixing_point_0` (after the normalization) and
    `mixing_point_1` .. `mixing_point_3` (ends of the stages) are identities where NoisyMix mixes
    feature maps.

    Args:
        depth: Number of layers with weights, 6n + 2. FCL uses 56.
        input_shape: (height, width, channels).
        classes: Number of outputs.
        filters: Channels of each stage, not decreasing; stages 2 and 3 halve height and width.
        norm: One of `tfrobust.layers.norms.NORMS`; instance norm, if any, is used at the first norm
            of each block in stages 1 and 2 (all but the last stage, as AugMax has it in ResNet-18).
        mean: Subtracted from the images; like `std`, one number or one per channel. Default 0.5,
            as in AugMix and NoisyMix; AugMax uses 0 and 1 on CIFAR.
        std: Divisor after the subtraction, one number or one per channel.
        weight_decay: Adds weight_decay/2·‖w‖² of every trainable weight to the loss, which is
            PyTorch's weight decay under SGD. He et al. use 1e-4. Default 0.
        name: Name of the model.

    Convolutions are initialized as in He et al. 2015 (fan-out), the output layer by Keras' default.

    Returns:
        A functional model: float32 images [B, H, W, C] in [0, 1] to logits [B, classes].

    Raises:
        ValueError: An argument is out of range, or the images are smaller than 4×4 pixels.

    Example:

    >>> cifar_resnet(8, classes=4).output_shape
    (None, 4)
    """
    validation.check_whole("depth", depth, 8, 6 * 10**4 + 2)
    if depth % 6 != 2:
        raise ValueError(f"depth must be 6n + 2, such as 20, 32 or 56; received {depth}")
    parts = Parts(norm, weight_decay)
    check_sizes(name, input_shape, classes, 4, filters, stages=3)
    if list(filters) != sorted(filters):
        raise ValueError(
            f"filters must not decrease, as shortcuts only add channels; received {tuple(filters)}"
        )
    images = keras.Input(tuple(input_shape), name="images")
    x = normalized(images, mean, std)
    x = parts.convolution(x, filters[0], 3, 1, "stem_conv")
    x = parts.norm_and_relu(x, "stem_norm", "stem_relu")
    for stage, width in enumerate(filters, start=1):
        for i in range(1, depth // 6 + 1):
            stride, block = (2 if stage > 1 and i == 1 else 1), f"stage{stage}_block{i}"
            shortcut = x if stride == 1 else _shortcut(x, width, block)
            x = basic_block(parts, x, width, stride, stage < 3, block, shortcut)
        x = layers.Activation("linear", name=f"mixing_point_{stage}")(x)
    return keras.Model(images, parts.logits(x, classes), name=name)


def _shortcut(x: Any, filters: int, name: str) -> Any:
    """Takes every second pixel and pads the channels with zeros on both sides."""
    new = filters - x.shape[-1]
    x = layers.MaxPooling2D(1, 2, name=f"{name}_shortcut_subsample")(x)
    # With channels_first the layer pads the last two axes: the width by 0, then the channels.
    return layers.ZeroPadding2D(
        ((0, 0), (new // 2, new - new // 2)),
        data_format="channels_first",
        name=f"{name}_shortcut_pad",
    )(x)


@passes_options_to(cifar_resnet)
def resnet_20(
    input_shape: Sequence[int] = (32, 32, 3),
    classes: int = 10,
    *,
    name: str = "resnet_20",
    **options: Any,
) -> keras.Model:
    """`cifar_resnet` of depth 20, 0.27 million weights.

    Args:
        input_shape: (height, width, channels).
        classes: Number of outputs.
        name: Name of the model.
        **options: As for `cifar_resnet`.

    Example:

    >>> resnet_20(classes=4, weight_decay=1e-4).output_shape
    (None, 4)
    """
    return cifar_resnet(20, input_shape, classes, name=name, **options)


@passes_options_to(cifar_resnet)
def resnet_32(
    input_shape: Sequence[int] = (32, 32, 3),
    classes: int = 10,
    *,
    name: str = "resnet_32",
    **options: Any,
) -> keras.Model:
    """`cifar_resnet` of depth 32, 0.46 million weights.

    Args:
        input_shape: (height, width, channels).
        classes: Number of outputs.
        name: Name of the model.
        **options: As for `cifar_resnet`.
    """
    return cifar_resnet(32, input_shape, classes, name=name, **options)


@passes_options_to(cifar_resnet)
def resnet_44(
    input_shape: Sequence[int] = (32, 32, 3),
    classes: int = 10,
    *,
    name: str = "resnet_44",
    **options: Any,
) -> keras.Model:
    """`cifar_resnet` of depth 44, 0.66 million weights.

    Args:
        input_shape: (height, width, channels).
        classes: Number of outputs.
        name: Name of the model.
        **options: As for `cifar_resnet`.
    """
    return cifar_resnet(44, input_shape, classes, name=name, **options)


@passes_options_to(cifar_resnet)
def resnet_56(
    input_shape: Sequence[int] = (32, 32, 3),
    classes: int = 10,
    *,
    name: str = "resnet_56",
    **options: Any,
) -> keras.Model:
    """`cifar_resnet` of depth 56, 0.85 million weights, the net of FCL.

    Args:
        input_shape: (height, width, channels).
        classes: Number of outputs.
        name: Name of the model.
        **options: As for `cifar_resnet`.
    """
    return cifar_resnet(56, input_shape, classes, name=name, **options)
