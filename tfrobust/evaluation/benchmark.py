"""Measures any model under any conditions; every number is a result row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Optional, Union

from tfrobust import files, validation
from tfrobust.augment.base import Augment
from tfrobust.datasets.load import Data
from tfrobust.evaluation import passes, protocol
from tfrobust.evaluation.condition import Clean, Condition
from tfrobust.evaluation.conditions import augmented, corrupted
from tfrobust.evaluation.predictions import METRICS, Predictions
from tfrobust.evaluation.predictor import Model, Predictor
from tfrobust.evaluation.progress import Progress
from tfrobust.evaluation.results_folder import Results
from tfrobust.provenance import library_versions
from tfrobust.rows import CLEAN, Row

Conditions = Union[Iterable[Condition], Mapping[str, Augment]]


def benchmark(
    model: Union[Model, Predictor],
    data: Any,
    conditions: Optional[Conditions] = None,
    *,
    split: str = "test",
    classes: Optional[Sequence[int]] = None,
    index: Optional[Sequence[int]] = None,
    model_name: Optional[str] = None,
    dataset: Optional[str] = None,
    seed: int = 0,
    out: Optional[files.PathLike] = None,
    stop_at_chance: bool = True,
    verbose: bool = True,
) -> list[Row]:
    """Accuracy and calibration of a model on clean images and under each condition.

    All models see the same images for the same data and seed: how an image is changed depends on
    the seed and the image's index, not on the batches. `summary` computes the means over the
    corruptions from the rows.

    Args:
        model: A Keras model from images in [0, 1] to logits or probabilities, a `.keras` file, the
            folder of a SavedModel, or a function: see `Predictor`.
        data: The result of `tfrobust.datasets.load`, a batched `tf.data.Dataset` or
            `keras.utils.PyDataset` (`Sequence`) of (images, labels) that yields them in the same
            order each time, or a pair of arrays. Images are floating-point numbers in [0, 1].
            Sample weights are ignored.
        conditions: What is done to the images, in addition to leaving them clean: a list from
            `corrupted`, `augmented`, `swept`, `attacked` or `published`, or augmentation layers by
            name.
            Default: the 15 common corruptions at severity 1 to 5.
        split: The split, if `data` is the result of `load`. Default "test".
        classes: Which outputs of the model are the classes of the data. Default: all.
        index: Index of each image in the full data, if `data` is a part of it, so that the images
            are changed as they are there. Default: their positions in `data`.
        model_name: Name of the model in the rows. Default: the model's own.
        dataset: Name of the data in the rows. Default: such as "digits/test", or "data".
        seed: Seed of all draws.
        out: Folder for `rows.jsonl` and the predictions for each image, written after each
            condition; an interrupted measurement resumes where it stopped.
        stop_at_chance: Whether a clean accuracy near chance is an error. Default True.
        verbose: Whether to report progress on standard error.

    Returns:
        Rows of the metrics "accuracy", "expected_calibration_error", "rms_calibration_error" and
        "aurra", for clean images and each condition.

    Raises:
        ValueError: Images outside [0, 1] or not finite, labels that are not classes of the model,
            no data, infinite data, data in a different order, a clean accuracy near chance, outputs
            that are not finite, or `out` holds rows of another model or other data of this name.
        TypeError: Integer images, or data of another kind.

    Example:

    >>> import numpy as np
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
        index=index,
        model_name=model_name,
        dataset=dataset,
        seed=seed,
        out=out,
        stop_at_chance=stop_at_chance,
        verbose=verbose,
    )


class Evaluator:
    """Measures several models under the same conditions; each graph is traced once.

    It keeps references to the models that it has measured.

    Args:
        conditions: As in `benchmark`; clean images are always measured first.
        metrics: Which metrics. Default: "accuracy" alone.

    Raises:
        TypeError: `conditions` are not conditions.
        ValueError: Two conditions have the same name and severity, or an unknown metric.
    """

    def __init__(self, conditions: Conditions, *, metrics: Sequence[str] = ("accuracy",)):
        if isinstance(conditions, Mapping):
            conditions = augmented(conditions)
        self.conditions = list(conditions)
        for condition in self.conditions:
            makers = "corrupted(), augmented(), swept(), attacked() or published()"
            validation.check_type("conditions", condition, Condition, f"what {makers} make")
        keys = [(c.name, c.severity) for c in (Clean(), *self.conditions)]
        twice = [c.label for c in self.conditions if keys.count((c.name, c.severity)) > 1]
        if twice:
            raise ValueError(
                "conditions must differ from clean and from one another in name or severity; "
                f"received {twice[0]} twice"
            )
        self.metrics = tuple(validation.check_choice("metric", name, METRICS) for name in metrics)
        self._predictors: dict[Any, tuple[Predictor, Any]] = {}

    def rows(
        self,
        model: Union[Model, Predictor],
        data: Any,
        *,
        split: str = "test",
        classes: Optional[Sequence[int]] = None,
        index: Optional[Sequence[int]] = None,
        model_name: Optional[str] = None,
        dataset: Optional[str] = None,
        seed: int = 0,
        out: Optional[files.PathLike] = None,
        stop_at_chance: bool = False,
        verbose: bool = False,
    ) -> list[Row]:
        """One row for each metric and condition, clean first; see `benchmark`."""
        validation.check_whole("seed", seed, 0, 2**31 - 1)
        known_classes = None
        if isinstance(data, Data):
            known_classes, dataset = data.classes, dataset or f"{data.name}/{split}"
            data = data.split(split)
        batches = passes.batches_of(data)
        predictor = self._predictor(model, classes)
        name, dataset = model_name or predictor.name, dataset or "data"
        results = Results(out, name, dataset) if out is not None else None
        with Progress(1 + len(self.conditions), name, verbose=verbose) as progress:
            places = None if index is None else protocol.check_index(index)
            clean = passes.evaluate_clean(predictor, batches, known_classes, places)
            if places is not None:
                protocol.check_index(places, len(clean.answers))
            if stop_at_chance:
                protocol.check_above_chance(predictor, clean.answers, clean.first)
            for condition in self.conditions:
                condition.check(predictor, clean.first[0].images.shape[1:])

            def rows_of(condition: Condition, answers: Optional[Predictions] = None) -> list[Row]:
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
                        protocol={**clean.protocol, **condition.protocol(clean.first[0])},
                        provenance=provenance,
                    )
                    for metric in self.metrics
                ]

            provenance = {**predictor.provenance, **library_versions()}
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
            progress.total = 1 + len(todo)
            progress.step(CLEAN)
            labels = clean.answers.labels
            measured = passes.measure(todo, batches, predictor, seed, labels, places)
            for condition, answers in measured:
                rows[condition] = rows_of(condition, answers)
                if results:
                    results.add(rows[condition], answers)
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
