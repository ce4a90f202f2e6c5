"""Any image classifier of Keras as a net from images in [0, 1] to logits."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Optional

import keras
import numpy as np
import tensorflow as tf

from tfrobust import validation
from tfrobust.compat.layers import is_graph
from tfrobust.layers.outputs import final_activation
from tfrobust.nets import input_range_search
from tfrobust.nets.copying import copied
from tfrobust.nets.input_adapter import (
    InputAdapter,
    Range,
    adapter_of,
    check_input_range,
    range_words,
)
from tfrobust.nets.input_range_search import Found
from tfrobust.nets.input_ranges import INPUT_RANGES
from tfrobust.nets.logits import LogProbabilities, to_logits


def adapt(
    model: keras.Model,
    images: Any = None,
    labels: Any = None,
    input_range: Optional[Range] = None,
    *,
    class_names: Optional[Sequence[str]] = None,
    outputs: Optional[Sequence[int]] = None,
) -> keras.Model:
    """Makes a net from images in [0, 1] to logits of any image classifier, on the same weights.

    The model may be functional, Sequential or subclassed, nested, with preprocessing layers inside,
    and end in logits or a softmax. An `InputAdapter` is put in front of it, which holds what the
    model was like, also in a saved file: `restore` gives it back, and `serving.export` serves it.
    A net that says itself that it takes images in [0, 1], and returns logits, is returned as it is.

    Args:
        model: A built Keras model with one input of images and one output of classes. Of a tfrobust
            method its net is returned.
        images: Images in [0, 1], [B, H, W, C], to find the input range with; some hundred of the
            data do.
        labels: Their classes, in the order of the model's outputs.
        input_range: What the model takes for pixels: a name in `INPUT_RANGES`, or (scale, offset)
            for scale · pixel + offset. Default: `find_input_range`.
        class_names: Name of each class, to be kept with the net.
        outputs: Outputs of the model that are the classes of the labels. Default: all.

    Returns:
        The net.

    Raises:
        TypeError: It is not a Keras model.
        ValueError: Its input range is not clear, or it is no classifier of images.

    Example:

    >>> softmax = keras.layers.Dense(3, activation="softmax")
    >>> layers = [keras.Input([8, 8, 3]), keras.layers.Rescaling(1 / 255), keras.layers.Flatten()]
    >>> net = adapt(keras.Sequential([*layers, softmax]))
    >>> adapter_of(net).input_range, adapter_of(net).output_kind
    ('0_to_255', 'softmax')
    """
    if hasattr(model, "net"):
        return model.net
    adapter = adapter_of(model)
    if adapter is not None:
        if input_range in (None, adapter.input_range):
            return model
        raise ValueError(
            f"{model.name} was adapted before, to images {range_words(adapter.input_range)}; adapt "
            "what nets.restore gives back, if that is wrong"
        )
    _check_model(model)
    shape = _image_shape(model, images)
    if input_range is None:
        input_range = find_input_range(model, images, labels, outputs=outputs).name
    input_range = check_input_range(input_range)
    trial = np.zeros([1, *(side or 96 for side in shape)], "float32")
    cut, kind = to_logits(model, trial if images is None else images[:2])
    floats = _takes_floats(model)
    if (
        kind == "logits"
        and floats
        and class_names is None
        and input_range == "0_to_1"
        and is_graph(model)
    ):
        told = input_range_search.range_of_layers(model, shape)
        if told is not None and told.name == input_range:
            return model
    inner = cut if kind == "softmax" else model
    if not floats:  # whole numbers have no gradient
        inner = copied(inner, input_dtype="float32")
    given = keras.Input(shape, name=_input_name(model))
    x = InputAdapter(
        input_range=input_range,
        output=kind,
        class_names=class_names,
        original=None if inner is model else json.dumps(_plain_config(model)),
        name="input_adapter",
    )(given)
    logits = inner(x)
    if kind == "probabilities":
        logits = LogProbabilities(name="logits")(logits)
    return keras.Model(given, logits, name=model.name)


def find_input_range(
    model: keras.Model,
    images: Any = None,
    labels: Any = None,
    *,
    outputs: Optional[Sequence[int]] = None,
) -> Found:
    """Finds what a model takes for pixels.

    From its preprocessor (keras-hub) or its first layers where they say it; else from its accuracy
    on labelled images in each of the usual ranges; else from the statistics that its first batch
    norm has stored. The range must win clearly.

    Args:
        model: As for `adapt`.
        images: As for `adapt`.
        labels: As for `adapt`.
        outputs: As for `adapt`.

    Returns:
        The range, and what told it.

    Raises:
        ValueError: No range wins clearly; the message holds the table of the trials.

    Example:

    >>> layers = [keras.Input([8, 8, 3]), keras.layers.Rescaling(1 / 127.5, -1)]
    >>> net = keras.Sequential([*layers, keras.layers.Flatten(), keras.layers.Dense(3)])
    >>> find_input_range(net)
    Found(name='0_to_255', how='its own preprocessing layers')
    """
    model = getattr(model, "net", model)
    stated = stated_input_range(model, images)
    if stated is not None:
        return stated
    advice = (
        f"name it with input_range= (--input-range), one of {', '.join(INPUT_RANGES)}, or put a "
        "Rescaling layer in front of it"
    )
    if images is None:
        raise ValueError(
            f"{model.name} does not say which pixels it takes, and there are no images to find it "
            f"with; {advice}"
        )
    images = np.asarray(images)[: input_range_search.MOST_IMAGES]
    validation.check_images(images)
    validation.check_fits(images.shape[1:], _image_shape(model, images), taker=model.name)
    if labels is not None:
        labels = _class_indices(labels)[: len(images)]
    trials = input_range_search.try_ranges(model, images, labels, outputs)
    classes = 2 if labels is None else len(np.unique(labels))
    found = input_range_search.clear_winner(trials, max(2, classes))
    if found is None:
        raise ValueError(
            f"{model.name} does not say which pixels it takes, and {len(images)} images do not "
            f"tell; {advice}:\n{input_range_search.table(trials)}"
        )
    return found


def stated_input_range(model: keras.Model, images: Any = None) -> Optional[Found]:
    """What a model itself says that it takes for pixels.

    Args:
        model: As for `adapt`.
        images: Images of the shape that it takes. Default: its own input shape.

    Returns:
        The range, or None if the model does not say it.
    """
    adapter = adapter_of(model)
    if adapter is not None:
        return Found(str(adapter.input_range), "the net itself, which was adapted before")
    converted = _range_of_preprocessor(model)
    if converted is not None:
        return Found(converted, "its preprocessor")
    return input_range_search.range_of_layers(model, _image_shape(model, images))


def _check_model(model: Any) -> None:
    validation.check_net(model)
    if is_graph(model) and (len(model.inputs) != 1 or len(model.outputs) != 1):
        raise ValueError(
            f"a model must have one input of images and one output of classes; {model.name} has "
            f"{len(model.inputs)} inputs and {len(model.outputs)} outputs"
        )
    if final_activation(model) == "sigmoid":
        raise ValueError(
            f"{model.name} ends in sigmoid, so that its outputs are not one class of several; "
            "possible is a new last layer with one output for each class (2 for yes or no), with "
            "nets.new_head or --new-head, trained on the data"
        )


def _image_shape(model: Any, images: Any) -> tuple[Optional[int], ...]:
    """(height, width, channels) of a model's images; unknown sides are None."""
    shape = getattr(model, "input_shape", None) if is_graph(model) else None
    if shape is None:
        shape = (model.get_build_config() or {}).get("input_shape")
    if isinstance(shape, dict) and len(shape) == 1:
        (shape,) = shape.values()
    if shape is None and images is not None:
        shape = np.shape(images)
    if shape is None or len(shape) != 4:
        raise ValueError(
            f"a model must take images [batch, height, width, channels]; {model.name} takes {shape}"
        )
    size = _preprocessor(model, "image_size") or (None, None)
    return tuple(side or known for side, known in zip(shape[1:], (*size, None)))


def _takes_floats(model: Any) -> bool:
    return not is_graph(model) or tf.as_dtype(model.inputs[0].dtype).is_floating


def _input_name(model: Any) -> str:
    return str(model.inputs[0].name) if is_graph(model) else "images"


def _plain_config(model: Any) -> dict[str, Any]:
    """The configuration of a model, without what it was compiled with."""
    config = keras.saving.serialize_keras_object(model)
    return {key: value for key, value in config.items() if key != "compile_config"}


def _preprocessor(model: Any, name: str) -> Any:
    """An attribute of the image converter of a keras-hub classifier, or None."""
    converter = getattr(getattr(model, "preprocessor", None), "image_converter", None)
    return getattr(converter, name, None)


def _range_of_preprocessor(model: Any) -> Optional[Any]:
    scale, offset = (_preprocessor(model, name) for name in ("scale", "offset"))
    if scale is None and offset is None:
        return None
    scale = np.asarray(1.0 if scale is None else scale, "float64") * 255
    return check_input_range((scale, 0.0 if offset is None else offset))


def _class_indices(labels: Any) -> np.ndarray:
    labels = np.asarray(labels)
    soft = labels.ndim == 2 and labels.shape[1] > 1
    return labels.argmax(axis=1) if soft else labels.reshape(-1)
