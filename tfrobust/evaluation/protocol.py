"""Checks before anything is measured: images, labels, classes, and the clean accuracy."""

from __future__ import annotations

import math
from typing import Any, Optional

import numpy as np
import tensorflow as tf

from tfrobust import validation
from tfrobust.evaluation.metrics import class_indices
from tfrobust.evaluation.predictions import Predictions
from tfrobust.evaluation.predictor import Predictor
from tfrobust.files import Digest

#: With fewer images an accuracy cannot be told from chance.
_ENOUGH = 20

#: Other input formats of models: description, conversion, and the layer that does it.
_OTHER_FORMS = (
    ("from 0 to 255", lambda x: x * 255, "keras.layers.Rescaling(255)"),
    ("from -1 to 1", lambda x: x * 2 - 1, "keras.layers.Rescaling(2, offset=-1)"),
    (
        "standardised by ImageNet's mean and deviation",
        lambda x: (x - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225],
        "keras.layers.Normalization(mean=[0.485, 0.456, 0.406], variance=[0.0524, 0.0502, 0.0506])",
    ),
    (
        "in the order blue, green, red from 0 to 255 less ImageNet's mean",
        lambda x: x[..., ::-1] * 255 - [103.939, 116.779, 123.68],
        "keras.applications' preprocess_input(images * 255)",
    ),
)


class DataHash:
    """A hash of images and labels in their order, to tell whether numbers are of the same data."""

    def __init__(self) -> None:
        # Two digests, so that the hash does not depend on the batch size.
        self._images, self._labels = Digest(), Digest()
        self._shape: tuple[int, ...] = ()

    def add(self, images: np.ndarray, labels: np.ndarray) -> None:
        """Adds a batch. Images count as 8 bits, so that rounding errors do not matter."""
        pixels = np.rint(np.clip(images, 0, 1) * np.float32(255)).astype("uint8")
        self._shape = pixels.shape[1:]
        self._images.add(pixels)
        self._labels.add(class_indices(labels))

    @property
    def text(self) -> str:
        """The hash, 16 hexadecimal digits."""
        return Digest().add(f"{self._shape} {self._images.hex()} {self._labels.hex()}").hex(16)


def check_batch(predictor: Predictor, images: Any, labels: Any) -> None:
    """Checks a batch of clean images before the model sees it.

    Raises:
        ValueError: Images have the wrong shape, are not finite or outside [0, 1], there is not one
            label per image, or the model takes another size.
        TypeError: Images are not floating-point numbers.
    """
    validation.check_images(images)
    validation.check_label_count(images, labels)
    validation.check_fits(images.shape[1:], predictor.image_shape, taker=predictor.name)


def check_classes(predictor: Predictor, classes: Optional[int]) -> None:
    """Checks that a model has as many classes as the data.

    Raises:
        ValueError: The numbers differ.
    """
    outputs = predictor.class_count
    if classes is not None and outputs != classes:
        advice = (
            " (classes=[...] says which of the outputs are those of the data)"
            if outputs > classes
            else ""
        )
        raise ValueError(
            f"a model must have one output for each of the {classes} classes of the data; "
            f"{predictor.name} has {outputs}{advice}"
        )


def check_index(index: Any, count: Optional[int] = None) -> np.ndarray:
    """Checks indices of images.

    Raises:
        ValueError: They are not different whole numbers, or not as many as there are images.
    """
    checked = np.asarray(index)
    whole = checked.ndim == 1 and checked.dtype.kind in "iu" and len(checked) > 0
    if not whole or checked.min() < 0 or len(np.unique(checked)) < len(checked):
        raise ValueError(
            f"index must be different whole numbers of 0 or more, one per image; received {index!r}"
        )
    if count is not None and len(checked) != count:
        raise ValueError(
            f"index must be one whole number per image; received {len(checked)} for {count} images"
        )
    return checked


def check_above_chance(
    predictor: Predictor, answers: Predictions, images: Any, labels: Any
) -> None:
    """Raises an error that names the likely cause if the clean accuracy is near chance.

    Near chance is what guessing reaches once in a thousand times: 1/K plus three standard errors.
    A model that always predicts the same class is refused as well.

    Args:
        predictor: The model.
        answers: Its predictions on the clean images.
        images: Some of the images, to try other input formats on.
        labels: Their labels.

    Raises:
        ValueError: The accuracy is near chance.
    """
    n, chance = len(answers), 1 / predictor.class_count
    if n < _ENOUGH:
        return
    near = chance + 3 * math.sqrt(chance * (1 - chance) / n)
    accuracy = answers.metric("accuracy")
    constant = len(set(answers.predicted.tolist())) == 1 < len(set(answers.labels.tolist()))
    if accuracy > near and not constant:
        return
    told = (
        f"the clean accuracy must be above chance before robustness means anything; "
        f"{predictor.name} has {accuracy:.1%} on {n} images of {predictor.class_count} classes "
        f"(chance is {chance:.1%}{', and it always gives the same class' if constant else ''})"
    )
    raise ValueError(
        f"{told}; {_likely_cause(predictor, images, labels, max(near, accuracy + 0.1))}"
    )


def _likely_cause(predictor: Predictor, images: Any, labels: Any, above: float) -> str:
    images, labels = np.asarray(images, "float32"), class_indices(labels)
    for words, form, layer in _OTHER_FORMS if images.shape[-1] == 3 else _OTHER_FORMS[:2]:
        try:
            classes, _ = predictor.answers(np.asarray(form(images), "float32"))
        except (tf.errors.OpError, ValueError):
            continue  # the model does not take such images
        reached = float(np.mean(classes.numpy() == labels))
        if reached > above:
            return (
                f"given images {words} it gets {reached:.1%} of {len(labels)} right, so that it "
                f"seems to expect them: put {layer} in front of it"
            )
    return (
        "is it trained, are the labels in the order of its outputs, and are the images prepared as "
        "in its training? (stop_at_chance=False measures it all the same)"
    )


def check_same_order(labels: np.ndarray, again: np.ndarray, name: str) -> None:
    """Checks that data that is read again comes in the same order as the first time.

    Raises:
        ValueError: The order differs.
    """
    if not np.array_equal(labels, again):
        raise ValueError(
            "the data must give the same images in the same order each time it is read, for they "
            f"are read once for each condition; they came otherwise for {name} (leave out "
            "shuffling, or give shuffle(..., reshuffle_each_iteration=False))"
        )
