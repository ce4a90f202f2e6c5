"""Pre-activation ResNet-18."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Union

import keras
from keras import layers

from tfrobust.nets.parts import Parts, check_sizes, normalized


def preact_resnet_18(
    input_shape: Sequence[int] = (32, 32, 3),
    classes: int = 10,
    *,
    final_norm: bool = True,
    identity_shortcuts: bool = True,
    filters: Sequence[int] = (64, 128, 256, 512),
    norm: str = "bn",
    mean: Union[float, Sequence[float]] = 0.5,
    std: Union[float, Sequence[float]] = 0.5,
    weight_decay: float = 0.0,
    name: str = "preact_resnet_18",
) -> keras.Model:
    """Pre-activation ResNet-18 for small images: four stages of two blocks of two convolutions.

    He et al. 2016 (arXiv:1603.05027), Figure 1b: y = x + conv(relu(norm(conv(relu(norm(x)))))),
    with a 1×1 convolution of relu(norm(x)) as shortcut if a block changes the shape, a 3×3
    convolution of stride 1 before the stages, and norm, ReLU and average pooling after them.
    NoisyMix trains it on CIFAR. `mixing_point_0` (after the normalization) and `mixing_point_1` ..
    `mixing_point_4` (ends of the stages) are identities where NoisyMix mixes feature maps; it
    uses the first four.

    Args:
        input_shape: (height, width, channels).
        classes: Number of outputs.
        final_norm: Whether a norm and a ReLU follow the last stage. Default True, as in the paper.
            The NoisyMix authors' code has neither: use False for their net.
        identity_shortcuts: Whether a block that keeps the shape adds its input x. Default True, as
            in the paper. The NoisyMix authors' code adds relu(norm(x)): use False for their net.
        filters: Channels of each stage; stages 2 to 4 halve height and width.
        norm: One of `tfrobust.layers.norms.NORMS`; instance norm, if any, is used at the first norm
            of each block in stages 1 to 3 (all but the last stage, as AugMax has it in ResNet-18).
        mean: Subtracted from the images; like `std`, one number or one per channel. Default 0.5,
            as in AugMix and NoisyMix; AugMax uses 0 and 1 on CIFAR.
        std: Divisor after the subtraction, one number or one per channel.
        weight_decay: Adds weight_decay/2·‖w‖² of every trainable weight to the loss, which is
            PyTorch's weight decay under SGD. NoisyMix uses 5e-4. Default 0.
        name: Name of the model.

    Convolutions are initialized as in He et al. 2015 (fan-out), the output layer by Keras' default.

    Returns:
        A functional model: float32 images [B, H, W, C] in [0, 1] to logits [B, classes].

    Raises:
        ValueError: An argument is out of range, or the images are smaller than 8×8 pixels.

    Example:

    >>> preact_resnet_18(classes=100, final_norm=False).output_shape
    (None, 100)
    """
    parts = Parts(norm, weight_decay)
    check_sizes(name, input_shape, classes, 8, filters, stages=4)
    images = keras.Input(tuple(input_shape), name="images")
    x = normalized(images, mean, std)
    x = parts.convolution(x, filters[0], 3, 1, "stem_conv")
    for stage, width in enumerate(filters, start=1):
        for i in (1, 2):
            stride, block = (2 if stage > 1 and i == 1 else 1), f"stage{stage}_block{i}"
            x = preact_block(parts, x, width, stride, stage < 4, block, identity_shortcuts)
        x = layers.Activation("linear", name=f"mixing_point_{stage}")(x)
    if final_norm:
        x = parts.norm_and_relu(x, "final_norm", "final_relu")
    return keras.Model(images, parts.logits(x, classes), name=name)


def preact_block(
    parts: Parts,
    x: Any,
    filters: int,
    stride: int,
    mixed: bool,
    name: str,
    identity_shortcut: bool = True,
) -> Any:
    """Norm, ReLU and 3×3 convolution, twice, added to the input or to its 1×1 convolution."""
    activated = parts.norm_and_relu(x, f"{name}_norm1", f"{name}_relu1", mixed)
    if stride > 1 or x.shape[-1] != filters:
        shortcut = parts.convolution(activated, filters, 1, stride, f"{name}_shortcut_conv")
    else:
        shortcut = x if identity_shortcut else activated
    x = parts.convolution(activated, filters, 3, stride, f"{name}_conv1")
    x = parts.norm_and_relu(x, f"{name}_norm2", f"{name}_relu2")
    x = parts.convolution(x, filters, 3, 1, f"{name}_conv2")
    return layers.Add(name=f"{name}_add")([shortcut, x])
