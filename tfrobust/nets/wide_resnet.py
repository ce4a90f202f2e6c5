"""Wide ResNets: few stages, more channels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Union

import keras
from keras import layers

from tfrobust import validation
from tfrobust.nets.parts import Parts, check_sizes, normalized
from tfrobust.nets.preact_resnet import preact_block
from tfrobust.signatures import passes_options_to


def wide_resnet(
    depth: int,
    widening: int,
    input_shape: Sequence[int] = (32, 32, 3),
    classes: int = 10,
    *,
    filters: Sequence[int] = (16, 32, 64),
    norm: str = "bn",
    mean: Union[float, Sequence[float]] = 0.5,
    std: Union[float, Sequence[float]] = 0.5,
    weight_decay: float = 0.0,
    name: str = "wide_resnet",
) -> keras.Model:
    """Wide ResNet of 6n + 4 layers: three stages of n pre-activation blocks.

    Zagoruyko and Komodakis 2016 (arXiv:1605.07146), Table 1, blocks B(3, 3), without dropout; the
    shortcut is a 1×1 convolution of relu(norm(x)) if a block changes the shape, as in their code
    and in that of AugMix and AugMax. The NoisyMix authors' code differs: its convolutions have
    biases, the stride is in a block's second convolution, the shortcut starts from x itself, and
    there is dropout of 0.1. `mixing_point_0` (after the normalization) and `mixing_point_1` ..
    `mixing_point_3` (ends of the stages) are identities where NoisyMix mixes feature maps.

    Args:
        depth: Number of layers with weights, 6n + 4.
        widening: Factor of the channels of the stages.
        input_shape: (height, width, channels).
        classes: Number of outputs.
        filters: Channels of each stage before widening; the first convolution has `filters[0]`
            channels. Stages 2 and 3 halve height and width.
        norm: One of `tfrobust.layers.norms.NORMS`; instance norm, if any, is used at the first norm
            of each block in stages 1 and 2, as in the AugMax authors' code.
        mean: Subtracted from the images; like `std`, one number or one per channel. Default 0.5,
            as in AugMix and NoisyMix; AugMax uses 0 and 1 on CIFAR.
        std: Divisor after the subtraction, one number or one per channel.
        weight_decay: Adds weight_decay/2·‖w‖² of every trainable weight to the loss, which is
            PyTorch's weight decay under SGD. AugMix, AugMax and NoisyMix use 5e-4. Default 0.
        name: Name of the model.

    Convolutions are initialized as in He et al. 2015 (fan-out), the output layer by Keras' default.

    Returns:
        A functional model: float32 images [B, H, W, C] in [0, 1] to logits [B, classes].

    Raises:
        ValueError: An argument is out of range, or the images are smaller than 4×4 pixels.

    Example:

    >>> wide_resnet(10, 1, classes=4).output_shape
    (None, 4)
    """
    validation.check_whole("depth", depth, 10, 6 * 10**4 + 4)
    if depth % 6 != 4:
        raise ValueError(f"depth must be 6n + 4, such as 16, 28 or 40; received {depth}")
    validation.check_whole("widening", widening, 1, 10**3)
    parts = Parts(norm, weight_decay)
    check_sizes(name, input_shape, classes, 4, filters, stages=3)
    images = keras.Input(tuple(input_shape), name="images")
    x = normalized(images, mean, std)
    x = parts.convolution(x, filters[0], 3, 1, "stem_conv")
    for stage, width in enumerate(filters, start=1):
        for i in range(1, depth // 6 + 1):
            stride, block = (2 if stage > 1 and i == 1 else 1), f"stage{stage}_block{i}"
            x = preact_block(parts, x, widening * width, stride, stage < 3, block)
        x = layers.Activation("linear", name=f"mixing_point_{stage}")(x)
    x = parts.norm_and_relu(x, "final_norm", "final_relu")
    return keras.Model(images, parts.logits(x, classes), name=name)


@passes_options_to(wide_resnet)
def wrn_28_2(
    input_shape: Sequence[int] = (32, 32, 3),
    classes: int = 10,
    *,
    name: str = "wrn_28_2",
    **options: Any,
) -> keras.Model:
    """`wide_resnet` of depth 28, widened by 2: the net of the NoisyMix paper.

    Args:
        input_shape: (height, width, channels).
        classes: Number of outputs.
        name: Name of the model.
        **options: As for `wide_resnet`.

    Example:

    >>> wrn_28_2(classes=4, weight_decay=5e-4).output_shape
    (None, 4)
    """
    return wide_resnet(28, 2, input_shape, classes, name=name, **options)


@passes_options_to(wide_resnet)
def wrn_28_4(
    input_shape: Sequence[int] = (32, 32, 3),
    classes: int = 10,
    *,
    name: str = "wrn_28_4",
    **options: Any,
) -> keras.Model:
    """`wide_resnet` of depth 28, widened by 4 as in NoisyMix' released code.

    Args:
        input_shape: (height, width, channels).
        classes: Number of outputs.
        name: Name of the model.
        **options: As for `wide_resnet`.
    """
    return wide_resnet(28, 4, input_shape, classes, name=name, **options)


@passes_options_to(wide_resnet)
def wrn_40_2(
    input_shape: Sequence[int] = (32, 32, 3),
    classes: int = 10,
    *,
    name: str = "wrn_40_2",
    **options: Any,
) -> keras.Model:
    """`wide_resnet` of depth 40, widened by 2: a net of AugMix and AugMax.

    Args:
        input_shape: (height, width, channels).
        classes: Number of outputs.
        name: Name of the model.
        **options: As for `wide_resnet`.
    """
    return wide_resnet(40, 2, input_shape, classes, name=name, **options)
