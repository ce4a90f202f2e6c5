"""Measures any model under any conditions: one row a number."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Optional, TypeVar, Union

import keras
import numpy as np
import tensorflow as tf

from tfrobust import checks, files
from tfrobust.augment.base import Augment
from tfrobust.datasets.load import Data
from tfrobust.evaluation import protocol
from tfrobust.evaluation.answers import METRICS, Answers
from tfrobust.evaluation.condition import Batch, Clean, Condition
from tfrobust.evaluation.conditions import augmented, corrupted
from tfrobust.evaluation.metrics import class_indices
from tfrobust.evaluation.predictor import Model, Predictor
from tfrobust.evaluation.progress import Progress
from tfrobust.evaluation.results import Results
from tfrobust.rows import CLEAN, Row
from tfrobust.versions import versions

Conditions = Union[Iterable[Condition], Mapping[str, Augment]]
T = TypeVar("T")


def benchmark(
    model: Union[Model, Predictor],
    data: Any,
    conditions: Optional[Conditions] = None,
    *,
    split: str = "test",
    classes: Optional[Sequence[int]] = None,
    model_name: Optional[str] = None,
    dataset: Optional[str] = None,
    seed: int = 0,
    out: Optional[files.PathLike] = None,
    stop_at_chance: bool = True,
    verbose: bool = True,
) -> list[Row]:
    """Accuracy and calibration of a model on clean images and under each condition.

    Every model that is given the same data and seed sees the same images. `summary` makes the
    means over the corruptions of the rows.

    Args:
        model: A Keras model from images in [0, 1] to logits or probabilities, a `.keras` file, the
            folder of a SavedModel, or a function: see `Predictor`.
        data: What `tfrobust.datasets.load` gives, a batched `tf.data.Dataset` of (images, labels)
            that gives them in the same order each time, or a pair of arrays. Images are float32
            in [0, 1].
        conditions: What is done to the images besides nothing: a list that `corrupted`,
            `augmented`, `swept`, `attacked`, `published` make, or augmentation layers by name.
            Default: the 15 common corruptions at severity 1 to 5.
        split: Which split, where `data` is of `load`. Default "test".
        classes: Which outputs of the model are the classes of the data. Default: all.
        model_name: Name of the model in the rows. Default: the model's own.
        dataset: Name of the data in the rows. Default: such as "digits/test", or "data".
        seed: Seed of all draws.
        out: Folder for `rows.jsonl` and the answers to each image. Written after each condition; a
            measurement that was interrupted goes on where it stopped.
        stop_at_chance: Whether a clean accuracy near chance is an error. Default True.
        verbose: Whether progress is told, on standard error.

    Returns:
        Rows of the metrics "accuracy", "expected_calibration_error", "rms_calibration_error" and
        "aurra", for clean images and each condition.

    Raises:
        ValueError: Images outside [0, 1] or not finite, labels that are no classes of the model,
            no data, another order of the data, a clean accuracy near chance, outputs that are not
            finite, or `out` holds rows of another model or other data of this name.
        TypeError: Integer images.

    Example:

    >>> from tfrobust import nets
    >>> data = np.full([4, 32, 32, 3], 0.5, "float32"), [0, 1, 2, 3]
    >>> rows = benchmark(nets.small_cnn(), data, corrupted(["fog"]), verbose=False)
    >>> [(row.corruption, row.severity) for row in rows if row.metric == "accuracy"][:3]
    [('clean', 0.0), ('fog', 1), ('fog', 2)]
    """
    evaluator = Evaluator(corrupted() if conditions is None else conditions, metrics=METRICS)
    return evaluator.rows(
        model,
        data,
        split=split,
        classes=classes,
        model_name=model_name,
        dataset=dataset,
        seed=seed,
        out=out,
        stop_at_chance=stop_at_chance,
        verbose=verbose,
    )


class Evaluator:
    """Measures models under conditions; for measuring often, as each graph is traced once.

    It keeps the models that it has measured until it is dropped itself.

    Args:
        conditions: As in `benchmark`; clean images are always measured first.
        metrics: Which metrics. Default: "accuracy" alone.

    Raises:
        TypeError: Something else than conditions.
        ValueError: Two conditions of one name and severity, or an unknown metric.
    """

    def __init__(self, conditions: Conditions, *, metrics: Sequence[str] = ("accuracy",)):
        if isinstance(conditions, Mapping):
            conditions = augmented(conditions)
        self.conditions = list(conditions)
        for condition in self.conditions:
            if not isinstance(condition, Condition):
                raise TypeError(
                    "conditions must be what corrupted(), augmented(), swept(), attacked() or "
                    f"published() make; received {type(condition).__name__}"
                )
        keys = [(c.name, c.severity) for c in (Clean(), *self.conditions)]
        twice = [c.label for c in self.conditions if keys.count((c.name, c.severity)) > 1]
        if twice:
            raise ValueError(
                "conditions must differ from clean and from one another in name or severity; "
                f"received {twice[0]} twice"
            )
        self.metrics = tuple(checks.check_choice("metric", name, METRICS) for name in metrics)
        self._predictors: dict[Any, tuple[Predictor, Any]] = {}

    def rows(
        self,
        model: Union[Model, Predictor],
        data: Any,
        *,
        split: str = "test",
        classes: Optional[Sequence[int]] = None,
        model_name: Optional[str] = None,
        dataset: Optional[str] = None,
        seed: int = 0,
        out: Optional[files.PathLike] = None,
        stop_at_chance: bool = False,
        verbose: bool = False,
    ) -> list[Row]:
        """One row for each metric and condition, clean first; see `benchmark`."""
        checks.check_whole("seed", seed, 0, 2**31 - 1)
        known_classes = None
        if isinstance(data, Data):
            known_classes, dataset = data.classes, dataset or f"{data.name}/{split}"
            data = data.split(split)
        batches = data if isinstance(data, tf.data.Dataset) else _Arrays(*data)
        predictor = self._predictor(model, classes)
        name, dataset = model_name or predictor.name, dataset or "data"
        results = Results(out, name, dataset) if out is not None else None
        progress = Progress(1 + len(self.conditions), name) if verbose else None

        clean = _look_at_clean(predictor, batches, known_classes)
        if stop_at_chance:
            protocol.check_above_chance(
                predictor, clean.answers, clean.first.images, clean.first.labels
            )
        for condition in self.conditions:
            condition.check(predictor, clean.first.images.shape[1:])

        def rows_of(condition: Condition, answers: Optional[Answers] = None) -> list[Row]:
            return [
                Row(
                    model=name,
                    dataset=dataset,
                    corruption=condition.name,
                    severity=condition.severity,
                    metric=metric,
                    value=answers.metric(metric) if answers else 0.0,
                    n=len(answers) if answers else 0,
                    seed=seed,
                    protocol={**clean.protocol, **condition.protocol(clean.first)},
                    made_with=made_with,
                )
                for metric in self.metrics
            ]

        made_with = {**predictor.made_with, **versions()}
        rows = {clean.condition: rows_of(clean.condition, clean.answers)}
        todo = []
        for condition in self.conditions:
            found = results.find(rows_of(condition)) if results else None
            if found:
                rows[condition] = found
            else:
                todo.append(condition)
        if results and not results.find(rows[clean.condition]):
            results.add(rows[clean.condition], clean.answers)
        if progress:
            progress.skip(len(self.conditions) - len(todo))
            progress.step(CLEAN)
        for condition, answers in _measure(todo, batches, predictor, seed, clean.answers.labels):
            rows[condition] = rows_of(condition, answers)
            if results:
                results.add(rows[condition], answers)
            if progress:
                progress.step(condition.label)
        return [row for c in (clean.condition, *self.conditions) for row in rows[c]]

    def _predictor(self, model: Any, classes: Optional[Sequence[int]]) -> Predictor:
        if isinstance(model, Predictor):
            return model
        key = (model if isinstance(model, str) else id(model), str(classes))
        if key not in self._predictors:
            # The model is kept beside it: were it freed, another one could get its id.
            self._predictors[key] = Predictor(model, classes=classes), model
        return self._predictors[key][0]


class _Clean(NamedTuple):
    """What the clean images tell before anything is done to them."""

    condition: Condition
    answers: Answers
    first: Batch
    protocol: dict[str, Any]


def _look_at_clean(predictor: Predictor, batches: Any, classes: Optional[int]) -> _Clean:
    """Measures the clean images, and checks on the way what must be true of any number."""
    condition, parts, hashed, first = Clean(), [], protocol.DataHash(), None
    for batch in numbered(batches):
        protocol.check_batch(predictor, batch.images, batch.labels)
        answered = _answer(predictor, batch.images, condition)
        if first is None:
            first = batch
            protocol.check_classes(predictor, classes)
        checks.check_labels(batch.labels, predictor.class_count)
        hashed.add(batch.images, batch.labels)
        parts.append((class_indices(batch.labels), *answered))
    if first is None:
        raise ValueError("the evaluation data are empty: the data set gives no batch")
    told = {"data": hashed.text, "classes": predictor.class_count}
    if predictor.classes is not None:
        told["outputs"] = predictor.classes.tolist()
    return _Clean(condition, _joined(parts), first, told)


def _measure(
    conditions: Iterable[Condition],
    batches: Any,
    predictor: Predictor,
    seed: int,
    labels: np.ndarray,
) -> Iterator[tuple[Condition, Answers]]:
    """The answers under each condition; while the model looks at a batch the next one is made."""

    def changed() -> Iterator[tuple[Condition, Optional[Batch], Any]]:
        for condition in conditions:
            for batch in numbered(condition.data(batches)):
                yield condition, batch, condition.change(batch, predictor, seed)
            yield condition, None, None  # so that its end is seen before the next one begins

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
    classes, doubts = (tensor.numpy() for tensor in predictor.answers(images))
    if np.isnan(doubts).any():
        raise ValueError(
            f"the outputs of {predictor.name} must be finite; received NaN or infinite ones for "
            f"{np.isnan(doubts).sum()} of {len(doubts)} images ({condition.label})"
        )
    return classes, doubts


def _joined(parts: Sequence[tuple[np.ndarray, ...]]) -> Answers:
    labels, classes, doubts = (np.concatenate(part) for part in zip(*parts))
    return Answers(labels.astype("int32"), classes.astype("int32"), doubts.astype("float32"))


def numbered(data: Any) -> Iterator[Batch]:
    """The batches of a data set with their numbers and those of their images."""
    seen, full = 0, 0
    for number, element in enumerate(data):
        images, labels, _ = keras.utils.unpack_x_y_sample_weight(element)
        if labels is None:
            raise ValueError("the evaluation data must give (images, labels); it gives one part")
        full = full or len(images)
        index = np.arange(seen, seen + len(images))
        yield Batch(images, np.asarray(labels), index, number, full)
        seen += len(images)


def _ahead(items: Iterator[T]) -> Iterator[T]:
    """The same items; each is made, in a thread of its own, while the one before it is used."""
    end = object()
    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        coming = thread.submit(next, items, end)
        while True:
            item: Any = coming.result()
            if item is end:
                return
            coming = thread.submit(next, items, end)
            yield item


class _Arrays:
    """A pair of arrays as batches; nothing is copied."""

    def __init__(self, images: Any, labels: Any, batch_size: int = 256):
        self._images, self._labels, self._size = np.asarray(images), np.asarray(labels), batch_size
        checks.check_images(self._images)
        if len(self._images) != len(self._labels):
            raise ValueError(
                f"images and labels must be as many; received {len(self._images)} and "
                f"{len(self._labels)}"
            )

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for start in range(0, len(self._images), self._size):
            part = slice(start, start + self._size)
            yield self._images[part], self._labels[part]
