"""Pre-activation ResNets with bottlenecks for ImageNet, as in tf-slim."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Union

import keras
from keras import layers

from tfrobust import validation
from tfrobust.nets.parts import Parts, check_sizes, normalized
from tfrobust.signatures import passes_options_to


def resnet_v2(
    depths: Sequence[int],
    input_shape: Sequence[int] = (224, 224, 3),
    classes: int = 1000,
    *,
    filters: Sequence[int] = (64, 128, 256, 512),
    norm: str = "bn",
    mean: Union[float, Sequence[float]] = 0.5,
    std: Union[float, Sequence[float]] = 0.5,
    weight_decay: float = 0.0,
    name: str = "resnet_v2",
) -> keras.Model:
    """ResNet of four stages of bottlenecks with norm and ReLU before each convolution.

    He et al. 2016 (arXiv:1603.05027), Figure 1b and appendix, in tf-slim's variant, whose
    checkpoints can be loaded (`tfrobust.nets.slim_checkpoint.load`): stages 1 to 3 halve height and
    width in their last block, not in the first. The shortcut is a 1×1 convolution of relu(norm(x))
    in the first block of a stage, and every second pixel of x in a block that halves. Convolutions
    without a following norm (the first, the shortcuts, the last of a block) have a bias.
    `mixing_point_0` (after the normalization) and `mixing_point_1` .. `mixing_point_4` (ends of the
    stages) are identities where NoisyMix mixes feature maps.

    Args:
        depths: Number of blocks of each stage.
        input_shape: (height, width, channels).
        classes: Number of outputs.
        filters: A quarter of the channels at the end of each stage; the first convolution has
            `filters[0]` channels.
        norm: One of `tfrobust.layers.norms.NORMS`; instance norm, if any, is used at the first norm
            of each block in stages 1 to 3 (all but the last stage, as AugMax has it in ResNet-18).
        mean: Subtracted from the images; like `std`, one number or one per channel. Default 0.5,
            so that the net sees pixels in [-1, 1], as in tf-slim.
        std: Divisor after the subtraction, one number or one per channel.
        weight_decay: Adds weight_decay/2·‖w‖² of every trainable weight to the loss, which is
            PyTorch's weight decay under SGD. He et al. use 1e-4. Default 0.
        name: Name of the model.

    Convolutions are initialized as in He et al. 2015 (fan-out), the output layer by Keras' default.

    Returns:
        A functional model: float32 images [B, H, W, C] in [0, 1] to logits [B, classes].

    Raises:
        ValueError: An argument is out of range, or the images are smaller than 32×32 pixels.

    Example:

    >>> resnet_v2([1, 1, 1, 1], [64, 64, 3], 4, filters=(4, 8, 8, 8)).output_shape
    (None, 4)
    """
    parts = Parts(norm, weight_decay)
    check_sizes(name, input_shape, classes, 32, filters, stages=4)
    if len(depths) != 4:
        raise ValueError(f"depths must be 4 numbers, one per stage; received {tuple(depths)}")
    for depth in depths:
        validation.check_whole("depths", depth, 1, 10**4)
    images = keras.Input(tuple(input_shape), name="images")
    x = normalized(images, mean, std)
    x = parts.convolution(x, filters[0], 7, 2, "stem_conv", bias=True)
    # Not padded symmetrically: for even sizes, tf-slim's pooling pads only the far side.
    x = layers.MaxPooling2D(3, 2, padding="same", name="stem_pool")(x)
    for stage, (depth, width) in enumerate(zip(depths, filters), start=1):
        for i in range(1, depth + 1):
            stride = 2 if stage < 4 and i == depth else 1
            x = preact_bottleneck(parts, x, width, stride, stage < 4, f"stage{stage}_block{i}")
        x = layers.Activation("linear", name=f"mixing_point_{stage}")(x)
    x = parts.norm_and_relu(x, "final_norm", "final_relu")
    return keras.Model(images, parts.logits(x, classes), name=name)


@passes_options_to(resnet_v2)
def resnet_v2_50(
    input_shape: Sequence[int] = (224, 224, 3),
    classes: int = 1000,
    *,
    name: str = "resnet_v2_50",
    **options: Any,
) -> keras.Model:
    """`resnet_v2` of 3, 4, 6 and 3 bottlenecks, the net of FCL on ImageNet.

    Args:
        input_shape: (height, width, channels).
        classes: Number of outputs.
        name: Name of the model.
        **options: As for `tfrobust.nets.resnet_v2.resnet_v2`.

    Example:

    >>> resnet_v2_50([64, 64, 3], classes=7, filters=(4, 8, 8, 16)).output_shape
    (None, 7)
    """
    return resnet_v2((3, 4, 6, 3), input_shape, classes, name=name, **options)


def preact_bottleneck(
    parts: Parts, x: Any, filters: int, stride: int, mixed: bool, name: str
) -> Any:
    """Norm, ReLU and a 1×1, a 3×3 and a 1×1 convolution, added to the input or its projection."""
    activated = parts.norm_and_relu(x, f"{name}_norm1", f"{name}_relu1", mixed)
    if x.shape[-1] != 4 * filters:
        shortcut = parts.convolution(
            activated, 4 * filters, 1, stride, f"{name}_shortcut_conv", bias=True
        )
    elif stride > 1:
        shortcut = layers.MaxPooling2D(1, stride, name=f"{name}_shortcut_subsample")(x)
    else:
        shortcut = x
    x = parts.convolution(activated, filters, 1, 1, f"{name}_conv1")
    x = parts.norm_and_relu(x, f"{name}_norm2", f"{name}_relu2")
    x = parts.convolution(x, filters, 3, stride, f"{name}_conv2")
    x = parts.norm_and_relu(x, f"{name}_norm3", f"{name}_relu3")
    x = parts.convolution(x, 4 * filters, 1, 1, f"{name}_conv3", bias=True)
    return layers.Add(name=f"{name}_add")([shortcut, x])
