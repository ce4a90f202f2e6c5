"""How commands open the model files that they are given."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Callable, Sequence
from typing import Any, Optional, Union

import keras
import numpy as np

from tfrobust import datasets, files, nets, saving
from tfrobust.evaluation import Predictor
from tfrobust.nets.input_adapter import Range, adapter_of, range_words
from tfrobust.nets.input_range_search import MOST_IMAGES, Trial, clear_winner

#: Batches that are read at most to find the input range.
_MOST_BATCHES = 64


def load(
    model: Union[keras.Model, files.PathLike],
    data: Optional[Callable[[], datasets.Data]] = None,
    *,
    input_range: Optional[Range] = None,
    outputs: Optional[Sequence[int]] = None,
    classes: Optional[Sequence[str]] = None,
    say: Callable[[str], Any] = print,
) -> keras.Model:
    """Adapts a model by what it says itself or the data show; see `nets.adapt`.

    Args:
        model: A tfrobust method or net, any other image classifier of Keras, or its `.keras` file.
        data: Loads the data, if the input range can be found with them. They are loaded only if the
            model does not say what it takes.
        input_range: The range. Default: it is found.
        outputs: Outputs of the model that are the classes of the data.
        classes: Names of the classes for which the model gets a new last layer. Default: none.
        say: Receives what was found.

    Returns:
        A tfrobust method, or a net from images in [0, 1] to logits.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no classifier of images, or its input range is not clear.
    """
    name = model.name if isinstance(model, keras.Model) else str(model)
    if not isinstance(model, keras.Model):
        model = saving.load_model(model)
    adapter = adapter_of(model)
    if hasattr(model, "net"):
        if classes is None and input_range in (None, adapter and adapter.input_range):
            return model
        model = model.net
    if adapter is None and input_range is None:
        found = nets.stated_input_range(model)
        if found is None:
            sample = (None, None) if data is None else _sample(data())
            found = nets.find_input_range(model, *sample, outputs=outputs)
        input_range = found.name
        if input_range != "0_to_1":
            say(f"{name} takes images {range_words(input_range)}, says {found.how}")
    if classes is None:
        return nets.adapt(model, input_range=input_range)
    if adapter is not None:
        model, input_range = nets.restore(model), str(adapter.input_range)
    changed = nets.new_head(model, len(classes))
    return nets.adapt(changed, input_range=input_range, class_names=classes)


def predictor(
    name: str,
    model: Any,
    data: datasets.Data,
    classes: Optional[Sequence[int]] = None,
    input_range: Optional[Range] = None,
    input_size: Optional[Sequence[int]] = None,
    say: Callable[[str], Any] = print,
) -> Predictor:
    """Whatever can be run, to be measured: its pixels are found where nothing says them.

    Args:
        name: Its name in tables.
        model: As for `evaluation.Predictor`.
        data: The data.
        classes: As for `evaluation.Predictor`.
        input_range: What a model in a file takes for pixels. Default: what it says, else what it
            does best with on some images of the data, if that is clear, else "0_to_1".
        input_size: As for `evaluation.Predictor`.
        say: Receives what was found.
    """
    if isinstance(model, Predictor):
        return model
    options: dict[str, Any] = {"name": name, "classes": classes, "input_size": input_size}
    if not isinstance(model, (str, os.PathLike)):
        return Predictor(model, **options)
    if pathlib.Path(model).suffix == ".keras":
        net = load(model, lambda: data, input_range=input_range, outputs=classes, say=say)
        return Predictor(net, **options)
    made = Predictor(model, input_range=input_range, **options)
    if input_range is not None or made.stated_range is not None:
        return made
    images, labels = _sample(data)
    trials = {}
    for kind, form in nets.INPUT_RANGES.items():
        if form.channels in (None, images.shape[-1]):
            one = Predictor(model, input_range=kind, **options)
            trials[kind] = Trial(np.asarray(one.answers(images)[0]) == labels, None)
    found = clear_winner(trials, data.classes)
    if found is None or found.name == "0_to_1":
        return made
    say(f"{model} takes images {range_words(found.name)}, says {found.how}")
    return Predictor(model, input_range=found.name, **options)


def states_input_range(path: files.PathLike) -> bool:
    """Whether the model in a file says itself what it takes for pixels."""
    model = saving.load_model(path)
    return hasattr(model, "net") or nets.stated_input_range(model) is not None


def check_classes(net: Any, data: datasets.Data, path: files.PathLike) -> None:
    """Checks that a net has an output for each class of the data.

    Raises:
        ValueError: It has more or less.
    """
    outputs = getattr(net, "net", net).output_shape[-1]
    if outputs != data.classes:
        raise ValueError(
            f"{path} has {outputs:,} outputs, and {data.name} has {data.classes} classes; "
            "--new-head gives it a new last layer for them, which is trained first"
        )


def _sample(data: datasets.Data) -> tuple[np.ndarray, np.ndarray]:
    """Some hundred images of the data and their labels, spread over the classes.

    Not of the training images: reading them would change the order that they are trained in.
    """
    batches = data.validation or data.split("test")
    count = min(max(int(batches.cardinality()), 1), _MOST_BATCHES)
    images, labels = [], []
    for some, their in batches.take(count):
        step = max(1, len(some) * count // MOST_IMAGES)
        images.append(np.asarray(some)[::step])
        labels.append(np.asarray(their)[::step])
    return np.concatenate(images), np.concatenate(labels)
