"""The usual formats of images that models are trained on, made of images in [0, 1]."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Optional

#: Mean and standard deviation of ImageNet's channels in [0, 1], and their mean from 0 to 255 in the
#: order blue, green, red, as Caffe's models and `keras.applications` have them.
IMAGENET_MEAN, IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CAFFE_MEAN = (103.939, 116.779, 123.68)


class InputRange(NamedTuple):
    """A format of images.

    Args:
        words: What the images are, as in "given images …".
        convert: From images in [0, 1], an array or tensor [B, H, W, C], to this format.
        layer: What to put in front of a model that expects it, in words.
        channels: The number of channels that it is defined for; None for any.
    """

    words: str
    convert: Callable[[Any], Any]
    layer: str
    channels: Optional[int] = None


#: By name; "0_to_1" is what this package uses.
INPUT_RANGES = {
    "0_to_1": InputRange("from 0 to 1", lambda x: x, "nothing"),
    "0_to_255": InputRange("from 0 to 255", lambda x: x * 255, "keras.layers.Rescaling(255)"),
    "minus_1_to_1": InputRange(
        "from -1 to 1", lambda x: x * 2 - 1, "keras.layers.Rescaling(2, offset=-1)"
    ),
    "imagenet": InputRange(
        "standardised by ImageNet's mean and deviation",
        lambda x: (x - IMAGENET_MEAN) / IMAGENET_DEVIATION,
        "keras.layers.Normalization(mean=[0.485, 0.456, 0.406], variance=[0.0524, 0.0502, 0.0506])",
        channels=3,
    ),
    "caffe": InputRange(
        "in the order blue, green, red from 0 to 255 less ImageNet's mean",
        lambda x: x[..., ::-1] * 255 - CAFFE_MEAN,
        "keras.applications' preprocess_input(images * 255)",
        channels=3,
    ),
}
