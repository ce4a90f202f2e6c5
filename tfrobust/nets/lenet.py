"""LeNet-5 with ReLU and max-pooling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Optional, Union

import keras
from keras import layers

from tfrobust import validation
from tfrobust.layers import norms
from tfrobust.nets.parts import check_sizes, dense, normalized
from tfrobust.nets.vgg import check_known_size, convolution


def lenet(
    input_shape: Sequence[int] = (28, 28, 1),
    classes: int = 15,
    *,
    filters: Sequence[int] = (6, 16),
    hidden: Sequence[int] = (120, 84),
    norm: Optional[str] = None,
    mean: Union[float, Sequence[float]] = 0.5,
    std: Union[float, Sequence[float]] = 0.5,
    weight_decay: float = 0.0,
    name: str = "lenet",
) -> keras.Model:
    """LeNet-like net: two 5×5 convolutions with max-pooling, then dense layers, all with ReLU.

    FCL trains "a LeNet-like CNN" on its synthetic MNIST (classes 0-9 and 10-14) and gives no sizes.
    These are LeNet-5's (LeCun et al. 1998, Figure 2), with today's usual changes: the first
    convolution pads 28×28 images instead of taking 32×32, ReLU replaces tanh, pooling is
    max-pooling, the second convolution is fully connected across maps, and the output layer is
    dense. `mixing_point_0` (after the normalization)
    and `mixing_point_1`, `mixing_point_2` (after the poolings) are identities where NoisyMix mixes
    feature maps.

    Args:
        input_shape: (height, width, channels).
        classes: Number of outputs. Default 15, as in FCL's synthetic MNIST.
        filters: Channels of the two convolutions.
        hidden: Units of each dense layer before the output; the last is FCL's embedding, the layer
            `features`.
        norm: None (default) for no norm, or one of `tfrobust.layers.norms.NORMS` between each
            convolution and its ReLU; instance norm, if any, is used at the first (our choice).
        mean: Subtracted from the images; like `std`, one number or one per channel. Default 0.5,
            as in AugMix and NoisyMix; FCL, which only says that images are in [0, 1], is 0 and 1.
        std: Divisor after the subtraction, one number or one per channel.
        weight_decay: Adds weight_decay/2·‖w‖² of every trainable weight to the loss, which is
            PyTorch's weight decay under SGD. FCL names none. Default 0.
        name: Name of the model.

    Convolutions are initialized as in He et al. 2015 (fan-out), dense layers by Keras' default.

    Returns:
        A functional model: float32 images [B, H, W, C] in [0, 1] to logits [B, classes].

    Raises:
        ValueError: An argument is out of range, or the images are smaller than 12×12 pixels.

    Example:

    >>> lenet(classes=10).count_params()
    61706
    """
    if norm is not None:
        validation.check_choice("norm", norm, norms.NORMS)
    validation.check_in_range("weight_decay", weight_decay, 0, 1)
    check_sizes(name, input_shape, classes, 12, filters, stages=2)
    check_known_size(input_shape)
    if not hidden:
        raise ValueError("hidden must be one number or more, one a dense layer; received none")
    for units in hidden:
        validation.check_whole("hidden", units, 1, 10**6)
    images = keras.Input(tuple(input_shape), name="images")
    x = normalized(images, mean, std)
    for stage, (width, padding) in enumerate(zip(filters, ("same", "valid")), start=1):
        x = convolution(x, width, 5, f"stage{stage}", 1, norm, stage == 1, weight_decay, padding)
        x = layers.MaxPooling2D(2, name=f"stage{stage}_pool")(x)
        x = layers.Activation("linear", name=f"mixing_point_{stage}")(x)
    x = layers.Flatten(name="flatten")(x)
    for i, units in enumerate(hidden, start=1):
        x = dense(x, units, weight_decay, f"hidden{i}")
        x = layers.ReLU(name="features" if i == len(hidden) else f"hidden{i}_relu")(x)
    return keras.Model(images, dense(x, classes, weight_decay, "logits"), name=name)
