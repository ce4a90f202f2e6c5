"""Passes of a model over the data: one over the clean images, and one for each condition."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple, Optional, TypeVar

import keras
import numpy as np

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
    first: Batch
    protocol: dict[str, Any]


def evaluate_clean(
    predictor: Predictor, batches: Any, classes: Optional[int], index: Optional[np.ndarray] = None
) -> CleanPass:
    """Measures the clean images, and checks the data and the model on the way."""
    condition, parts, hashed, first = Clean(), [], protocol.DataHash(), None
    for batch in numbered(batches, index):
        protocol.check_batch(predictor, batch.images, batch.labels)
        answered = _answer(predictor, batch.images, condition)
        if first is None:
            first = batch
            protocol.check_classes(predictor, classes)
        validation.check_labels(batch.labels, predictor.class_count)
        hashed.add(batch.images, batch.labels)
        parts.append((class_indices(batch.labels), *answered))
    if first is None:
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
            answered = _answer(predictor, images, condition)
            parts.append((class_indices(batch.labels), *answered))
            continue
        answers, parts = _joined(parts), []
        if condition.data(batches) is batches:
            protocol.check_same_order(labels, answers.labels, condition.label)
        yield condition, answers


def _answer(
    predictor: Predictor, images: Any, condition: Condition
) -> tuple[np.ndarray, np.ndarray]:
    classes, uncertainties = (tensor.numpy() for tensor in predictor.answers(images))
    if np.isnan(uncertainties).any():
        raise ValueError(
            f"the outputs of {predictor.name} must be finite; received NaN or infinite ones for "
            f"{np.isnan(uncertainties).sum()} of {len(uncertainties)} images ({condition.label})"
        )
    return classes, uncertainties


def _joined(parts: Sequence[tuple[np.ndarray, ...]]) -> Predictions:
    labels, classes, uncertainties = (np.concatenate(part) for part in zip(*parts))
    return Predictions(
        labels.astype("int32"), classes.astype("int32"), uncertainties.astype("float32")
    )


def numbered(data: Any, index: Optional[np.ndarray] = None) -> Iterator[Batch]:
    """Numbers the images of a data set: by their place in it, or as `index` says."""
    seen, full = 0, 0
    for element in data:
        images, labels, _ = keras.utils.unpack_x_y_sample_weight(element)
        if labels is None:
            raise ValueError("the evaluation data must give (images, labels); it gives one part")
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

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for start in range(0, len(self._images), self._size):
            part = slice(start, start + self._size)
            yield self._images[part], self._labels[part]
