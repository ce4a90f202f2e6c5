"""Passes of a model over the data: one over the clean images, and one for each condition."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple, Optional, TypeVar

import keras
import numpy as np
import tensorflow as tf

from tfrobust import validation
from tfrobust.evaluation import protocol
from tfrobust.evaluation.condition import Batch, Clean, Condition
from tfrobust.evaluation.metrics import class_indices
from tfrobust.evaluation.predictions import Predictions
from tfrobust.evaluation.predictor import Predictor

T = TypeVar("T")


class CleanPass(NamedTuple):
    """Results of the pass over the clean images."""

    condition: Condition
    answers: Predictions
    first: Sequence[Batch]  # those of the images on which other input ranges are tried
    protocol: dict[str, Any]


def evaluate_clean(
    predictor: Predictor, batches: Any, classes: Optional[int], index: Optional[np.ndarray] = None
) -> CleanPass:
    """Measures the clean images, and checks the data and the model on the way."""
    condition, parts, hashed = Clean(), [], protocol.DataHash()
    first: list[Batch] = []
    predictor.begin(condition, batches, 0, index)
    for batch in numbered(batches, index):
        protocol.check_batch(predictor, batch.images, batch.labels)
        answered = answer(predictor, batch.images, condition.label)
        if not first:
            protocol.check_classes(predictor, classes)
        if sum(len(tried.labels) for tried in first) < protocol.TRIED:
            first.append(batch)
        validation.check_labels(batch.labels, predictor.class_count)
        hashed.add(batch.images, batch.labels)
        parts.append((class_indices(batch.labels), *answered))
    if not first:
        raise ValueError("the evaluation data are empty: the data set gives no batch")
    told = {"data": hashed.text, "classes": predictor.class_count}
    if predictor.classes is not None:
        told["outputs"] = predictor.classes.tolist()
    return CleanPass(condition, _joined(parts), first, told)


def measure(
    conditions: Iterable[Condition],
    batches: Any,
    predictor: Predictor,
    seed: int,
    labels: np.ndarray,
    index: Optional[np.ndarray] = None,
) -> Iterator[tuple[Condition, Predictions]]:
    """Yields the predictions under each condition, and prepares batches one ahead of the model."""

    def changed() -> Iterator[tuple[Condition, Optional[Batch], Any]]:
        for condition in conditions:
            data = condition.data(batches)
            for batch in numbered(data, index if data is batches else None):
                yield condition, batch, condition.change(batch, predictor, seed)
            yield condition, None, None  # marks the end of the condition

    parts: list[tuple[np.ndarray, ...]] = []
    for condition, batch, images in _ahead(changed()):
        if batch is not None:
            if not parts:
                predictor.begin(condition, batches, seed, index)
            answered = answer(predictor, images, condition.label)
            parts.append((class_indices(batch.labels), *answered))
            continue
        answers, parts = _joined(parts), []
        if condition.data(batches) is batches:
            protocol.check_same_order(labels, answers.labels, condition.label)
        yield condition, answers


def answer(predictor: Predictor, images: Any, shown: str) -> tuple[np.ndarray, np.ndarray]:
    """The answers of a model as arrays; `shown` says in the message what the images are.

    Raises:
        ValueError: An output is not finite.
    """
    classes, uncertainties = (tensor.numpy() for tensor in predictor.answers(images))
    if np.isnan(uncertainties).any():
        raise ValueError(
            f"the outputs of {predictor.name} must be finite; received NaN or infinite ones for "
            f"{np.isnan(uncertainties).sum()} of {len(uncertainties)} images ({shown})"
        )
    return classes, uncertainties


def _joined(parts: Sequence[tuple[np.ndarray, ...]]) -> Predictions:
    labels, classes, uncertainties = (np.concatenate(part) for part in zip(*parts))
    return Predictions(
        labels.astype("int32"), classes.astype("int32"), uncertainties.astype("float32")
    )


def batches_of(data: Any) -> Any:
    """Data in any form that evaluation takes, as batches that can be read again and again.

    Args:
        data: A batched `tf.data.Dataset`, `keras.utils.Sequence` (`PyDataset` in Keras 3) or list
            of (images, labels), or a pair of arrays. Sample weights beside them are ignored.

    Raises:
        TypeError: It is something else.
        ValueError: It never ends.
    """
    if isinstance(data, (Arrays, Indexed)):
        return data
    if isinstance(data, tf.data.Dataset):
        _check_end(data.cardinality() == tf.data.INFINITE_CARDINALITY)
        return data
    if isinstance(data, keras.utils.Sequence):
        return Indexed(data)
    if isinstance(data, list) and data and all(isinstance(batch, tuple) for batch in data):
        return data
    if isinstance(data, (tuple, list)) and len(data) in (2, 3):
        return Arrays(data[0], data[1])
    raise TypeError(
        "the evaluation data must be a batched tf.data.Dataset, keras.utils.Sequence or PyDataset "
        f"of (images, labels), or a pair of arrays; received {type(data).__name__}"
    )


def as_float32(images: Any) -> Any:
    """Floating-point images of any type as float32; others as they are, to be refused later."""
    images = images if tf.is_tensor(images) else np.asarray(images)
    if not tf.as_dtype(images.dtype).is_floating:
        return images
    is_array = isinstance(images, np.ndarray)  # which stays on the host
    return images.astype("float32", copy=False) if is_array else tf.cast(images, tf.float32)


def numbered(data: Any, index: Optional[np.ndarray] = None) -> Iterator[Batch]:
    """Numbers the images of a data set: by their place in it, or as `index` says.

    They become float32.
    """
    seen, full = 0, 0
    for element in data:
        images, labels, _ = keras.utils.unpack_x_y_sample_weight(element)
        if labels is None:
            one = f"a dict of {', '.join(images)}" if isinstance(images, dict) else "one part"
            raise ValueError(f"the evaluation data must give (images, labels); it gives {one}")
        images = as_float32(images)
        full = full or len(images)
        places = np.arange(seen, seen + len(images))
        numbers = places if index is None else index[places % len(index)]
        yield Batch(images, np.asarray(labels), numbers, full)
        seen += len(images)


def _ahead(items: Iterator[T]) -> Iterator[T]:
    """Yields the same items, and computes the next one in a thread while one is in use."""
    end = object()
    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        coming = thread.submit(next, items, end)
        while True:
            item: Any = coming.result()
            if item is end:
                return
            coming = thread.submit(next, items, end)
            yield item


class Arrays:
    """Batches of a pair of arrays, without copies."""

    def __init__(self, images: Any, labels: Any, batch_size: int = 256):
        self._images, self._labels, self._size = np.asarray(images), np.asarray(labels), batch_size
        validation.check_images(self._images)
        validation.check_label_count(self._images, self._labels)

    def about(self, images: int) -> Arrays:
        """About so many of the images, spread over them all."""
        step = max(len(self._images) // images, 1)
        return Arrays(self._images[::step], self._labels[::step])

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for start in range(0, len(self._images), self._size):
            part = slice(start, start + self._size)
            yield self._images[part], self._labels[part]


class Indexed:
    """Every `step`-th of the batches that are read by their number, as those of `PyDataset`."""

    def __init__(self, data: Any, step: int = 1):
        # Keras 3 also has data sets without a length, and such without an end.
        count = data.num_batches if hasattr(data, "num_batches") else len(data)
        _check_end(count is None)
        self._data, self._places = data, range(0, count, step)

    def about(self, images: int) -> Indexed:
        """Batches of about so many images, spread over them all."""
        wanted = max(images // len(self._data[0][0]), 1)
        return Indexed(self._data, max(len(self._places) // wanted, 1))

    def __iter__(self) -> Iterator[Any]:
        return (self._data[place] for place in self._places)


def _check_end(endless: bool) -> None:
    if endless:
        raise ValueError(
            "the evaluation data must end; received a data set that never does (leave out "
            "repeat(), or say how many batches count, with take(...))"
        )
