"""ResNets with projection shortcuts, and the parts that they share with the CIFAR ResNets."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, Optional, Union

import keras
import numpy as np
from keras import layers

from tfrobust import checks
from tfrobust.layers import norms

#: Stride of the first layers by name: 3×3 convolution; 3×3 convolution of stride 2; 7×7 convolution
#: of stride 2 and 3×3 max-pooling of stride 2.
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

    He et al. 2016 (arXiv:1512.03385), Table 1. Where a block changes the shape, its shortcut is a
    1×1 convolution with norm (option B). A bottleneck has its stride in the 3×3 convolution, not in
    the first 1×1 (the variant "v1.5"). `mixing_point_0` (after the normalization) and
    `mixing_point_1` .. `mixing_point_4` (ends of the stages) are identities where NoisyMix mixes
    feature maps.

    Args:
        depths: Number of blocks of each stage.
        input_shape: (height, width, channels).
        classes: Number of outputs.
        bottleneck: Whether a block is a 1×1, a 3×3 and a 1×1 convolution, the last with four times
            the channels; else it is two 3×3 convolutions.
        stem: "cifar" (3×3 convolution, stride 1), "tiny_imagenet" (3×3, stride 2; AugMax) or
            "imagenet" (7×7, stride 2, then 3×3 max-pooling, stride 2).
        filters: Channels of each stage; stages 2 to 4 halve height and width.
        norm: One of `tfrobust.layers.norms.NORMS`; instance norm, if any, stands at the first norm
            of each block in stages 1 to 3, as in the AugMax authors' code.
        mean: Subtracted from images; as `std`, one number or one a channel. Default 0.5,
            as in AugMix and NoisyMix; AugMax takes 0 and 1 on CIFAR and Tiny-ImageNet; on ImageNet
            (0.485, 0.456, 0.406) and (0.229, 0.224, 0.225) are usual.
        std: What the images are divided by then.
        weight_decay: Adds weight_decay/2·‖w‖² of every trainable weight to the loss, which is
            PyTorch's weight decay under SGD. AugMax and NoisyMix take 5e-4 on CIFAR and 1e-4 on
            ImageNet. Default 0.
        name: Name of the model.

    Convolutions start as in He et al. 2015 with fan-out, the output layer with Keras' default.

    Returns:
        A functional model: float32 images [B, H, W, C] in [0, 1] to logits [B, classes].

    Raises:
        ValueError: An argument is out of range, or the images are smaller than the total stride
            (8, 16 or 32 by stem).

    Example:

    >>> resnet([1, 1, 1, 1], classes=4, filters=(8, 8, 16, 16)).output_shape
    (None, 4)
    """
    checks.check_choice("stem", stem, tuple(STEMS))
    parts = Parts(norm, weight_decay)
    check_sizes(name, input_shape, classes, 8 * STEMS[stem], filters, stages=4)
    if len(depths) != 4:
        raise ValueError(f"depths must be 4 numbers, one a stage; received {tuple(depths)}")
    for depth in depths:
        checks.check_whole("depths", depth, 1, 10**4)
    images = keras.Input(tuple(input_shape), name="images")
    x = normalized(images, mean, std)
    if stem == "imagenet":
        x = parts.convolution(x, filters[0], 7, 2, "stem_conv")
    else:
        x = parts.convolution(x, filters[0], 3, STEMS[stem], "stem_conv")
    x = parts.norm_and_relu(x, "stem_norm", "stem_relu")
    if stem == "imagenet":
        x = layers.ZeroPadding2D(1, name="stem_pool_pad")(x)  # zero is the least after a ReLU
        x = layers.MaxPooling2D(3, 2, name="stem_pool")(x)
    block = bottleneck_block if bottleneck else basic_block
    for stage, (depth, width) in enumerate(zip(depths, filters), start=1):
        for i in range(1, depth + 1):
            stride = 2 if stage > 1 and i == 1 else 1
            x = block(parts, x, width, stride, stage < 4, f"stage{stage}_block{i}")
        x = layers.Activation("linear", name=f"mixing_point_{stage}")(x)
    return keras.Model(images, parts.logits(x, classes), name=name)


def resnet_18(
    input_shape: Sequence[int] = (32, 32, 3),
    classes: int = 10,
    *,
    stem: str = "cifar",
    name: str = "resnet_18",
    **options: Any,
) -> keras.Model:
    """`resnet` of 2, 2, 2 and 2 blocks of two 3×3 convolutions.

    AugMax takes it with all three stems, stability training with "imagenet".

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


@dataclasses.dataclass(frozen=True)
class Parts:
    """The layers of a ResNet, all with one kind of norm and one weight decay.

    Raises:
        ValueError: The norm is unknown, or the weight decay outside [0, 1].
    """

    norm_name: str
    weight_decay: float

    def __post_init__(self) -> None:
        checks.check_choice("norm", self.norm_name, norms.NORMS)
        checks.check_in_range("weight_decay", self.weight_decay, 0, 1)

    def convolution(self, x: Any, filters: int, size: int, stride: int, name: str) -> Any:
        """Convolution without bias that pads both sides alike, so that sizes become ⌈n/stride⌉."""
        if stride > 1 and size > 1:  # padding="same" would pad the far side more
            x = layers.ZeroPadding2D(size // 2, name=f"{name}_pad")(x)
        return layers.Conv2D(
            filters,
            size,
            stride,
            padding="same" if stride == 1 else "valid",
            use_bias=False,
            # A new initializer each time: one that is used twice repeats its numbers.
            kernel_initializer=keras.initializers.VarianceScaling(
                2.0, "fan_out", "untruncated_normal"
            ),
            kernel_regularizer=self._decay(),
            name=name,
        )(x)

    def norm(self, x: Any, name: str, mixed: bool = False) -> Any:
        """The norm; `mixed` where "ibn" and "dubin" put instance norm."""
        return norms.norm_layer(self.norm_name, mixed=mixed, regularizer=self._decay(), name=name)(
            x
        )

    def norm_and_relu(self, x: Any, norm: str, relu: str, mixed: bool = False) -> Any:
        """The norm of that name, then the ReLU of that name."""
        return layers.ReLU(name=relu)(self.norm(x, norm, mixed))

    def logits(self, x: Any, classes: int) -> Any:
        """Average over height and width, then the dense output layer."""
        return layers.Dense(
            classes,
            kernel_regularizer=self._decay(),
            bias_regularizer=self._decay(),
            name="logits",
        )(layers.GlobalAveragePooling2D(name="features")(x))

    def _decay(self) -> Optional[Any]:
        return keras.regularizers.L2(self.weight_decay / 2) if self.weight_decay else None


def normalized(
    images: Any, mean: Union[float, Sequence[float]], std: Union[float, Sequence[float]]
) -> Any:
    """(images − mean) / std as the layer `normalization`, then `mixing_point_0`.

    Raises:
        ValueError: Not one number or one a channel, not finite, or a std of 0 or less.
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
    """Checks the sizes of a net with its total stride `smallest`.

    Raises:
        ValueError: One is out of range; the message says which.
    """
    if len(input_shape) != 3:
        raise ValueError(
            f"input_shape must be (height, width, channels); received {tuple(input_shape)}"
        )
    # An unknown height or width is allowed: the nets average over both.
    if any(side is not None and side < smallest for side in input_shape[:2]):
        raise ValueError(
            f"{name} needs images of {smallest}×{smallest} pixels or more; received input_shape "
            f"{tuple(input_shape)}"
        )
    checks.check_whole("channels in input_shape", input_shape[2], 1, 10**6)
    checks.check_whole("classes", classes, 1, 10**6)
    if len(filters) != stages:
        raise ValueError(
            f"filters must be {stages} numbers, one a stage; received {tuple(filters)}"
        )
    for width in filters:
        checks.check_whole("filters", width, 1, 10**6)
