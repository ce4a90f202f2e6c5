"""ResNets with projection shortcuts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Optional, Union

import keras
from keras import layers

from tfrobust import validation
from tfrobust.nets.parts import Parts, check_sizes, normalized
from tfrobust.signatures import passes_options_to

#: Total strides of the stems: 3×3 convolution; 3×3 convolution of stride 2; 7×7 convolution of
#: stride 2 and 3×3 max-pooling of stride 2.
STEMS = {"cifar": 1, "tiny_imagenet": 2, "imagenet": 4}


def resnet(
    depths: Sequence[int],
    input_shape: Sequence[int] = (32, 32, 3),
    classes: int = 10,
    *,
    bottleneck: bool = False,
    stem: str = "cifar",
    filters: Sequence[int] = (64, 128, 256, 512),
    norm: str = "bn",
    mean: Union[float, Sequence[float]] = 0.5,
    std: Union[float, Sequence[float]] = 0.5,
    weight_decay: float = 0.0,
    name: str = "resnet",
) -> keras.Model:
    """ResNet of four stages of residual blocks, with ReLU after the addition.

    He et al. 2016 (arXiv:1512.03385), Table 1. If a block changes the shape, its shortcut is a 1×1
    convolution with norm (option B). Bottlenecks have their stride in the 3×3 convolution, not in
    the first 1×1 (variant "v1.5"). `mixing_point_0` (after the normalization) and
    `mixing_point_1` .. `mixing_point_4` (ends of the stages) are identities where NoisyMix mixes
    feature maps.

    Args:
        depths: Number of blocks of each stage.
        input_shape: (height, width, channels).
        classes: Number of outputs.
        bottleneck: Whether blocks are bottlenecks: a 1×1, a 3×3 and a 1×1 convolution, the last
            with four times the channels. Default False: two 3×3 convolutions.
        stem: "cifar" (3×3 convolution, stride 1), "tiny_imagenet" (3×3, stride 2; AugMax) or
            "imagenet" (7×7, stride 2, then 3×3 max-pooling, stride 2).
        filters: Channels of each stage; stages 2 to 4 halve height and width.
        norm: One of `tfrobust.layers.norms.NORMS`; instance norm, if any, is used at the first norm
            of each block in stages 1 to 3, as in the AugMax authors' code.
        mean: Subtracted from the images; like `std`, one number or one per channel. Default 0.5,
            as in AugMix and NoisyMix; AugMax uses 0 and 1 on CIFAR and Tiny-ImageNet; on ImageNet
            (0.485, 0.456, 0.406) and (0.229, 0.224, 0.225) are usual.
        std: Divisor after the subtraction, one number or one per channel.
        weight_decay: Adds weight_decay/2·‖w‖² of every trainable weight to the loss, which is
            PyTorch's weight decay under SGD. AugMax and NoisyMix use 5e-4 on CIFAR and 1e-4 on
            ImageNet. Default 0.
        name: Name of the model.

    Convolutions are initialized as in He et al. 2015 (fan-out), the output layer by Keras' default.

    Returns:
        A functional model: float32 images [B, H, W, C] in [0, 1] to logits [B, classes].

    Raises:
        ValueError: An argument is out of range, or the images are smaller than the total stride
            (8, 16 or 32 by stem).

    Example:

    >>> resnet([1, 1, 1, 1], classes=4, filters=(8, 8, 16, 16)).output_shape
    (None, 4)
    """
    validation.check_choice("stem", stem, tuple(STEMS))
    parts = Parts(norm, weight_decay)
    check_sizes(name, input_shape, classes, 8 * STEMS[stem], filters, stages=4)
    if len(depths) != 4:
        raise ValueError(f"depths must be 4 numbers, one per stage; received {tuple(depths)}")
    for depth in depths:
        validation.check_whole("depths", depth, 1, 10**4)
    images = keras.Input(tuple(input_shape), name="images")
    x = normalized(images, mean, std)
    if stem == "imagenet":
        x = parts.convolution(x, filters[0], 7, 2, "stem_conv")
    else:
        x = parts.convolution(x, filters[0], 3, STEMS[stem], "stem_conv")
    x = parts.norm_and_relu(x, "stem_norm", "stem_relu")
    if stem == "imagenet":
        x = layers.ZeroPadding2D(1, name="stem_pool_pad")(x)  # zero is the minimum after a ReLU
        x = layers.MaxPooling2D(3, 2, name="stem_pool")(x)
    block = bottleneck_block if bottleneck else basic_block
    for stage, (depth, width) in enumerate(zip(depths, filters), start=1):
        for i in range(1, depth + 1):
            stride = 2 if stage > 1 and i == 1 else 1
            x = block(parts, x, width, stride, stage < 4, f"stage{stage}_block{i}")
        x = layers.Activation("linear", name=f"mixing_point_{stage}")(x)
    return keras.Model(images, parts.logits(x, classes), name=name)


@passes_options_to(resnet)
def resnet_18(
    input_shape: Sequence[int] = (32, 32, 3),
    classes: int = 10,
    *,
    stem: str = "cifar",
    name: str = "resnet_18",
    **options: Any,
) -> keras.Model:
    """`resnet` of 2, 2, 2 and 2 blocks of two 3×3 convolutions.

    AugMax uses it with all three stems, stability training with "imagenet".

    Args:
        input_shape: (height, width, channels).
        classes: Number of outputs.
        stem: As in `resnet`.
        name: Name of the model.
        **options: As for `tfrobust.nets.resnet.resnet`.

    Example:

    >>> resnet_18([64, 64, 3], 200, stem="tiny_imagenet", weight_decay=5e-4).output_shape
    (None, 200)
    """
    return resnet((2, 2, 2, 2), input_shape, classes, stem=stem, name=name, **options)


@passes_options_to(resnet)
def resnet_50(
    input_shape: Sequence[int] = (224, 224, 3),
    classes: int = 1000,
    *,
    stem: str = "imagenet",
    name: str = "resnet_50",
    **options: Any,
) -> keras.Model:
    """`resnet` of 3, 4, 6 and 3 bottlenecks, the net of NoisyMix on ImageNet.

    Args:
        input_shape: (height, width, channels).
        classes: Number of outputs.
        stem: As in `resnet`.
        name: Name of the model.
        **options: As for `tfrobust.nets.resnet.resnet`.

    Example:

    >>> resnet_50([64, 64, 3], classes=7, filters=(4, 8, 8, 16)).output_shape
    (None, 7)
    """
    return resnet(
        (3, 4, 6, 3), input_shape, classes, bottleneck=True, stem=stem, name=name, **options
    )


def basic_block(
    parts: Parts,
    x: Any,
    filters: int,
    stride: int,
    mixed: bool,
    name: str,
    shortcut: Optional[Any] = None,
) -> Any:
    """Two 3×3 convolutions with norms and ReLUs, and the shortcut (default: option B)."""
    if shortcut is None:
        shortcut = _projection(parts, x, filters, stride, name)
    x = parts.convolution(x, filters, 3, stride, f"{name}_conv1")
    x = parts.norm_and_relu(x, f"{name}_norm1", f"{name}_relu1", mixed)
    x = parts.convolution(x, filters, 3, 1, f"{name}_conv2")
    x = parts.norm(x, f"{name}_norm2")
    return layers.ReLU(name=f"{name}_relu2")(layers.Add(name=f"{name}_add")([shortcut, x]))


def bottleneck_block(
    parts: Parts, x: Any, filters: int, stride: int, mixed: bool, name: str
) -> Any:
    """1×1, 3×3 and 1×1 convolutions, the last to four times the channels; shortcut of option B."""
    shortcut = _projection(parts, x, 4 * filters, stride, name)
    x = parts.convolution(x, filters, 1, 1, f"{name}_conv1")
    x = parts.norm_and_relu(x, f"{name}_norm1", f"{name}_relu1", mixed)
    x = parts.convolution(x, filters, 3, stride, f"{name}_conv2")
    x = parts.norm_and_relu(x, f"{name}_norm2", f"{name}_relu2")
    x = parts.convolution(x, 4 * filters, 1, 1, f"{name}_conv3")
    x = parts.norm(x, f"{name}_norm3")
    return layers.ReLU(name=f"{name}_relu3")(layers.Add(name=f"{name}_add")([shortcut, x]))


def _projection(parts: Parts, x: Any, filters: int, stride: int, name: str) -> Any:
    if stride == 1 and x.shape[-1] == filters:
        return x
    x = parts.convolution(x, filters, 1, stride, f"{name}_shortcut_conv")
    return parts.norm(x, f"{name}_shortcut_norm")
