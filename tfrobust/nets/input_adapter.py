"""The first layer of an adapted net."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Optional, Union

import keras
import numpy as np
import tensorflow as tf

from tfrobust.compat.layers import every_layer
from tfrobust.layers.outputs import final_activation
from tfrobust.nets.input_ranges import INPUT_RANGES

#: A name in `INPUT_RANGES`, or (scale, offset) of a model that takes scale · pixel + offset.
Range = Union[str, Sequence[Any]]


@keras.saving.register_keras_serializable(package="tfrobust")
class InputAdapter(keras.layers.Layer):
    """Turns images in [0, 1] into what a model takes, and remembers what the model was like.

    `nets.adapt` puts it in front of a model; `nets.restore` and `serving.export` read it.

    Args:
        input_range: A name in `INPUT_RANGES`, or (scale, offset) of a model that takes
            scale · pixel + offset. Default "0_to_1".
        output: What the model returns: "logits", "softmax" or "probabilities"; see
            `nets.logits.to_logits`. Default "logits".
        class_names: Name of each class, if known.
        original: Configuration of the model as it was, as JSON, if the net behind the adapter
            differs from it: it had a softmax, or took whole numbers.
        **kwargs: Keras layer arguments such as `name`.

    Returns:
        The shape of the images, [B, H, W, C].

    Raises:
        ValueError: The range is unknown.

    Example:

    >>> InputAdapter(input_range="minus_1_to_1")(tf.constant([[[[0.0, 0.5, 1.0]]]])).numpy()
    array([[[[-1.,  0.,  1.]]]], dtype=float32)
    """

    def __init__(
        self,
        *,
        input_range: Range = "0_to_1",
        output: str = "logits",
        class_names: Optional[Sequence[str]] = None,
        original: Optional[str] = None,
        **kwargs: Any,
    ):
        # In half precision, pixels from 0 to 255 would be rounded.
        super().__init__(**{"dtype": "float32", "autocast": False, **kwargs})
        self.input_range = check_input_range(input_range)
        self.output_kind = output
        self.class_names = None if class_names is None else tuple(class_names)
        self.original = original

    def call(self, images: tf.Tensor) -> tf.Tensor:
        return tf.cast(convert(tf.cast(images, tf.float32), self.input_range), tf.float32)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "input_range": self.input_range,
            "output": self.output_kind,
            "class_names": None if self.class_names is None else list(self.class_names),
            "original": self.original,
        }


def adapter_of(net: Any) -> Optional[InputAdapter]:
    """The adapter of a net, or None if it has none."""
    return next((one for one in every_layer(net) if isinstance(one, InputAdapter)), None)


def original_of(net: keras.Model) -> keras.Model:
    """The model behind the adapter of a net, without its softmax; a net without one itself."""
    adapter = adapter_of(net)
    return net if adapter is None else net.layers[net.layers.index(adapter) + 1]


def taken_by(net: keras.Model, images: Any) -> Any:
    """Images in [0, 1] as the original of a net takes them."""
    adapter = adapter_of(net)
    return images if adapter is None else convert(images, adapter.input_range)


def returned_by(net: keras.Model, values: tf.Tensor) -> dict[str, tf.Tensor]:
    """What the original of a net returns, under its name, from what `original_of` returns."""
    adapter = adapter_of(net)
    if adapter is not None and adapter.output_kind == "softmax":
        return {"probabilities": tf.nn.softmax(values)}
    if adapter is None:
        is_logits = final_activation(net) != "softmax"
    else:
        is_logits = adapter.output_kind == "logits"
    return {"logits" if is_logits else "probabilities": values}


def convert(images: Any, input_range: Range) -> Any:
    """Images in [0, 1] as a model takes them."""
    if isinstance(input_range, str):
        return INPUT_RANGES[input_range].convert(images)
    scale, offset = (np.asarray(number, "float32") for number in input_range)
    return images * scale + offset


def check_input_range(input_range: Any) -> Range:
    """Raises a ValueError unless an input range is a name, or (scale, offset)."""
    if isinstance(input_range, str) and input_range in INPUT_RANGES:
        return input_range
    if isinstance(input_range, (tuple, list)) and len(input_range) == 2:
        scale, offset = (np.asarray(number, "float64") for number in input_range)
        if np.isfinite(scale).all() and np.isfinite(offset).all() and np.all(scale != 0):
            return [scale.tolist(), offset.tolist()]
    raise ValueError(
        f"input_range must be one of {', '.join(INPUT_RANGES)}, or (scale, offset); received "
        f"{input_range!r}"
    )


def range_words(input_range: Range) -> str:
    """A range in words, such as "from 0 to 255"."""
    if isinstance(input_range, str):
        return INPUT_RANGES[input_range].words
    low, high = limits(input_range)
    return f"from {low:g} to {high:g}"


def limits(input_range: Range) -> tuple[float, float]:
    """The least and the greatest value that a pixel in [0, 1] becomes."""
    ends = convert(np.repeat([[[[0.0]]], [[[1.0]]]], 3, axis=-1), input_range)
    return round(float(np.min(ends)), 4), round(float(np.max(ends)), 4)
