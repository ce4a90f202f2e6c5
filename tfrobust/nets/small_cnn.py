"""A small convolutional net."""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import layers


def small_cnn(
    input_shape: Sequence[int] = (32, 32, 3),
    classes: int = 10,
    *,
    filters: Sequence[int] = (16, 32, 64),
    name: str = "small_cnn",
) -> keras.Model:
    """A small VGG: each stage has two 3×3 convolutions with BatchNorm and ReLU, and max-pooling.

    Unlike the FMA paper's VGG-16 it has BatchNorm. Without it, training does not take off within a
    few epochs on images of varying contrast, and the FMA loss can be lowered by raising the mean of
    a feature map instead of making it robust.

    Args:
        input_shape: (height, width, channels).
        classes: Number of outputs.
        filters: Channels of each stage; every stage halves height and width.
        name: Name of the model.

    Returns:
        A functional model: float32 images [B, H, W, C] in [0, 1] to logits [B, classes].

    Raises:
        ValueError: The input is too small for that many stages.

    Example:

    >>> small_cnn(classes=4).output_shape
    (None, 4)
    """
    if min(input_shape[:2]) < 2 ** len(filters):
        raise ValueError(
            f"small_cnn with {len(filters)} stages needs images of {2 ** len(filters)} pixels or "
            f"more; received input_shape {tuple(input_shape)}"
        )
    images = keras.Input(tuple(input_shape), name="images")
    x = layers.Rescaling(2.0, offset=-1.0, name="normalization")(images)  # [0, 1] -> [-1, 1]
    for stage, width in enumerate(filters, start=1):
        for part in "ab":
            x = layers.Conv2D(
                width,
                3,
                padding="same",
                use_bias=False,
                kernel_initializer="he_normal",
                name=f"conv{stage}{part}",
            )(x)
            x = layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"norm{stage}{part}")(x)
            x = layers.ReLU(name=f"relu{stage}{part}")(x)
        x = layers.MaxPooling2D(2, name=f"pool{stage}")(x)
    x = layers.GlobalAveragePooling2D(name="features")(x)
    return keras.Model(images, layers.Dense(classes, name="logits")(x), name=name)
