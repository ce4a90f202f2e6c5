"""Checks before anything is measured: images, labels, classes, and the clean accuracy."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any, Optional

import numpy as np
import tensorflow as tf

from tfrobust import validation
from tfrobust.evaluation.condition import Batch
from tfrobust.evaluation.metrics import class_indices
from tfrobust.evaluation.predictions import Predictions
from tfrobust.evaluation.predictor import Predictor
from tfrobust.files import Digest
from tfrobust.nets.input_ranges import INPUT_RANGES

#: With fewer images an accuracy cannot be told from chance.
_ENOUGH = 20

#: How many images other input ranges are tried on.
TRIED = 256

#: How many standard errors of the difference make one range clearly better than another.
_CLEARLY = 3


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
    try:
        validation.check_fits(images.shape[1:], predictor.image_shape, taker=predictor.name)
    except ValueError as error:
        raise ValueError(f"{error} (input_size=, --input-size H W, resizes them)") from None


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
    predictor: Predictor, answers: Predictions, batches: Sequence[Batch]
) -> None:
    """Raises an error that names the likely cause if the clean accuracy is near chance.

    Near chance is what guessing reaches once in a thousand times: 1/K plus three standard errors.
    A model that always predicts the same class is refused as well. Above chance, it warns if the
    model has clearly more of the first images right in another usual input range.

    Args:
        predictor: The model.
        answers: Its predictions on the clean images.
        batches: The first of the batches, to try other input ranges on.

    Raises:
        ValueError: The accuracy is near chance.
    """
    n, chance = len(answers), 1 / predictor.class_count
    if n < _ENOUGH:
        return
    near = chance + 3 * math.sqrt(chance * (1 - chance) / n)
    accuracy = answers.metric("accuracy")
    constant = len(set(answers.predicted.tolist())) == 1 < len(set(answers.labels.tolist()))
    right = {"0_to_1": answers.right, **_right_in_other_ranges(predictor, batches)}
    tried = min(map(len, right.values()))
    right = {name: found[:tried] for name, found in right.items()}
    best = max(right, key=lambda name: np.mean(right[name]))
    reached, form = float(np.mean(right[best])), INPUT_RANGES[best]
    way_out = f"put {form.layer} in front of it"
    if predictor.net is None:
        way_out = f"give input_range={best!r} (--input-range {best})"
    if accuracy > near and not constant:
        gained = np.count_nonzero(right[best] & ~right["0_to_1"])
        lost = np.count_nonzero(right["0_to_1"] & ~right[best])
        if gained - lost > _CLEARLY * math.sqrt(gained + lost):
            table = "".join(
                f"\n  {np.mean(found):6.1%}  {INPUT_RANGES[name].words}"
                for name, found in right.items()
            )
            warnings.warn(
                f"{predictor.name} seems to expect images {form.words}: {way_out}, or all its "
                f"numbers are too low. It gets right, of the first {tried} images, if they are "
                f"given{table}",
                RuntimeWarning,
                stacklevel=2,
            )
        return
    told = (
        f"the clean accuracy must be above chance before robustness means anything; "
        f"{predictor.name} has {accuracy:.1%} on {n} images of {predictor.class_count} classes "
        f"(chance is {chance:.1%}{', and it always gives the same class' if constant else ''})"
    )
    if reached > max(near, accuracy + 0.1):
        raise ValueError(
            f"{told}; given images {form.words} it gets {reached:.1%} of {tried} right, so that it "
            f"seems to expect them: {way_out}"
        )
    raise ValueError(
        f"{told}; is it trained, are the labels in the order of its outputs, and are the images "
        "prepared as in its training? (stop_at_chance=False measures it all the same)"
    )


def _right_in_other_ranges(predictor: Predictor, batches: Sequence[Batch]) -> dict[str, np.ndarray]:
    """Whether each of the first images is classified correctly in each other range."""
    found = {}
    for name, form in INPUT_RANGES.items():
        if name == "0_to_1" or form.channels not in (None, batches[0].images.shape[-1]):
            continue
        try:
            predicted = [predictor.answers(form.convert(batch.images))[0] for batch in batches]
        except (tf.errors.OpError, ValueError):
            continue  # the model does not take such images
        labels = [class_indices(batch.labels) for batch in batches]
        found[name] = np.concatenate(predicted) == np.concatenate(labels)
    return found


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
