"""VGG-16: thirteen 3×3 convolutions and, optionally, two wide dense layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Optional, Union

import keras
from keras import layers

from tfrobust import validation
from tfrobust.layers import norms
from tfrobust.nets.parts import check_sizes, dense, normalized, penalty

#: Mean of ImageNet's training pixels (R, G, B) on the 0-255 scale, as tf-slim subtracts it.
IMAGENET_MEAN = (123.68, 116.779, 103.939)

#: Number of convolutions of each stage.
DEPTHS = (2, 2, 3, 3, 3)


def vgg_16(
    input_shape: Sequence[int] = (32, 32, 3),
    classes: int = 10,
    *,
    head: str = "wide",
    hidden: int = 4096,
    dropout: float = 0.5,
    filters: Sequence[int] = (64, 128, 256, 512, 512),
    norm: Optional[str] = None,
    mean: Union[float, Sequence[float], None] = None,
    std: Union[float, Sequence[float]] = 1 / 255,
    weight_decay: float = 0.0,
    name: str = "vgg_16",
) -> keras.Model:
    """VGG-16: stages of 2, 2, 3, 3 and 3 convolutions with ReLU, each followed by max-pooling.

    Simonyan and Zisserman 2015 (arXiv:1409.1556), Table 1, column D. FMA trains it from tf-slim's
    ImageNet checkpoint, with input and output adapted to the data: with `input_shape`
    (224, 224, 3) and 1000 classes it is the net of the paper; with 32×32 pixels the first dense
    layer has 512 inputs. FMA's loss uses its 15 ReLUs (13 with the plain head).
    `mixing_point_0` (after the normalization) and `mixing_point_1` .. `mixing_point_5` (ends of the
    stages) are identities where NoisyMix mixes feature maps.

    Args:
        input_shape: (height, width, channels).
        classes: Number of outputs.
        head: What precedes the output layer: "wide" (default) for two dense layers with ReLU on the
            flattened feature map, as in the paper, or "plain" for global average pooling, as is
            usual on CIFAR.
        hidden: Units of each dense layer of the wide head. Default 4096.
        dropout: Dropout rate after each of these dense layers, in [0, 0.99]. Default 0.5, as in VGG
            and tf-slim.
        filters: Channels of each stage; every stage halves height and width.
        norm: None (default) for convolutions with bias and no norm, as in VGG and the FMA paper. Or
            one of `tfrobust.layers.norms.NORMS`, between each convolution (then without bias) and
            its ReLU;
            instance norm, if any, is used at the first norm of stages 1 to 4 (our choice: no paper
            places it in VGG).
        mean: Subtracted from the images; like `std`, one number or one per channel. Default as in
            tf-slim's checkpoints: ImageNet's mean (123.68, 116.779, 103.939)/255, for other than 3
            channels the average of the three, and 1/255, so that the net sees pixels from about
            -120 to 150.
        std: Divisor after the subtraction, one number or one per channel.
        weight_decay: Adds weight_decay/2·‖w‖² of every trainable weight to the loss, which is
            PyTorch's weight decay under SGD. VGG uses 5e-4. Default 0.
        name: Name of the model.

    Convolutions are initialized as in He et al. 2015 (fan-out), dense layers by Keras' default.

    Returns:
        A functional model: float32 images [B, H, W, C] in [0, 1] to logits [B, classes]. The layer
        `features` returns the input of the output layer, before dropout.

    Raises:
        ValueError: An argument is out of range, or the images are smaller than 32×32 pixels.

    Example:

    >>> vgg_16(classes=4, head="plain", norm="bn", filters=(4, 4, 4, 4, 4)).output_shape
    (None, 4)
    """
    validation.check_choice("head", head, ("wide", "plain"))
    validation.check_whole("hidden", hidden, 1, 10**6)
    validation.check_in_range("dropout", dropout, 0, 0.99)
    if norm is not None:
        validation.check_choice("norm", norm, norms.NORMS)
    validation.check_in_range("weight_decay", weight_decay, 0, 1)
    check_sizes(name, input_shape, classes, 32, filters, stages=len(DEPTHS))
    if head == "wide":
        check_known_size(input_shape)
    if mean is None:
        means = [value / 255 for value in IMAGENET_MEAN]
        mean = means if input_shape[2] == 3 else sum(means) / 3
    images = keras.Input(tuple(input_shape), name="images")
    x = normalized(images, mean, std)
    for stage, (depth, width) in enumerate(zip(DEPTHS, filters), start=1):
        for i in range(1, depth + 1):
            mixed = stage < len(DEPTHS) and i == 1
            x = convolution(x, width, 3, f"stage{stage}", i, norm, mixed, weight_decay)
        x = layers.MaxPooling2D(2, name=f"stage{stage}_pool")(x)
        x = layers.Activation("linear", name=f"mixing_point_{stage}")(x)
    if head == "wide":
        x = layers.Flatten(name="flatten")(x)
        x = dense(x, hidden, weight_decay, "hidden1")
        x = layers.ReLU(name="hidden1_relu")(x)
        x = layers.Dropout(dropout, name="hidden1_dropout")(x)
        x = dense(x, hidden, weight_decay, "hidden2")
        x = layers.ReLU(name="features")(x)
        x = layers.Dropout(dropout, name="features_dropout")(x)
    else:
        x = layers.GlobalAveragePooling2D(name="features")(x)
    return keras.Model(images, dense(x, classes, weight_decay, "logits"), name=name)


def convolution(
    x: Any,
    filters: int,
    size: int,
    stage: str,
    number: int,
    norm: Optional[str],
    mixed: bool,
    weight_decay: float,
    padding: str = "same",
) -> Any:
    """Convolution, optional norm and ReLU; the convolution has a bias only without norm."""
    x = layers.Conv2D(
        filters,
        size,
        padding=padding,
        use_bias=norm is None,
        kernel_initializer=keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal"),
        kernel_regularizer=penalty(weight_decay),
        bias_regularizer=penalty(weight_decay) if norm is None else None,
        name=f"{stage}_conv{number}",
    )(x)
    if norm is not None:
        x = norms.norm_layer(
            norm, mixed=mixed, regularizer=penalty(weight_decay), name=f"{stage}_norm{number}"
        )(x)
    return layers.ReLU(name=f"{stage}_relu{number}")(x)


def check_known_size(input_shape: Sequence[int]) -> None:
    """Checks that height and width are known, which a dense layer on the feature map needs.

    Raises:
        ValueError: The height or width is None.
    """
    for what, side in zip(("height", "width"), input_shape):
        validation.check_whole(f"{what} in input_shape", side, 1, 10**6)
