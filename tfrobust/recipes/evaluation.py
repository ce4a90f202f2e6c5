"""Evaluates models side by side and writes a report."""

from __future__ import annotations

import dataclasses
import itertools
import os
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Optional, Union

import numpy as np

from tfrobust import files, reports, rows
from tfrobust.attacks import sensitivity, utility
from tfrobust.datasets import Data
from tfrobust.evaluation import stability, worst_examples
from tfrobust.evaluation.answers import answers
from tfrobust.evaluation.baselines import BASELINE_TABLES
from tfrobust.evaluation.benchmark import Evaluator
from tfrobust.evaluation.condition import Condition
from tfrobust.evaluation.corruption_error import SEVERITIES, check_tables, tables_in
from tfrobust.evaluation.flips import flips
from tfrobust.evaluation.passes import numbered
from tfrobust.evaluation.predictions import METRICS, Predictions
from tfrobust.evaluation.predictor import Model, Predictor
from tfrobust.evaluation.progress import Progress
from tfrobust.evaluation.results_folder import Results
from tfrobust.evaluation.summary import is_summary, summary
from tfrobust.provenance import library_versions
from tfrobust.recipes.adaptation import adapted_predictors
from tfrobust.recipes.models import predictor
from tfrobust.registries import CORRUPTIONS, TEST_CORRUPTIONS
from tfrobust.reports.run_files import read_records
from tfrobust.rows import CLEAN, Row


@files.one_at_a_time(wait=True)
def evaluate(
    models: Mapping[str, Model],
    data: Data,
    conditions: Iterable[Condition],
    out: files.PathLike,
    *,
    split: str = "test",
    classes: Optional[Sequence[int]] = None,
    perturbations: Sequence[str] = (),
    baseline: Union[str, os.PathLike[str], None] = None,
    examples: int = 6,
    maps: int = 0,
    seed: int = 0,
    stop_at_chance: bool = True,
    input_range: Optional[str] = None,
    input_size: Optional[Sequence[int]] = None,
    adapt_batch_norm: int = 0,
    verbose: bool = True,
) -> list[Row]:
    """Measures models under conditions and writes rows, tables, figures and `report.html`.

    Existing results in the folder, of these or other models, are reused. A killed evaluation
    resumes where it stopped.

    Args:
        models: Name in the report to model, or its path; see `evaluation.Predictor`. The others are
            compared with the first.
        data: A data set returned by `tfrobust.datasets.load`.
        conditions: As in `tfrobust.evaluation.benchmark`.
        out: Output folder.
        split: The split. Default "test".
        classes: Indices of the model outputs that are the classes of the data. Default: all.
        perturbations: Names of the perturbation sequences to measure flip probabilities on; see
            `tfrobust.evaluation.flips`. Default: none.
        baseline: Baseline that normalises corruption errors; see `tfrobust.evaluation.summary`.
        examples: Number of misclassified images shown per model. Default 6.
        maps: Number of images for which the utility and sensitivity of each pixel are shown, for
            Keras models (FCL paper; `tfrobust.attacks.utility`, `sensitivity`). Default: 0.
        seed: Random seed.
        stop_at_chance: Whether a clean accuracy near chance is an error.
        input_range: What the models of files take for pixels, a name in `nets.INPUT_RANGES`.
            Default: it is found for each; see `nets.find_input_range`. Models that are not files
            take images in [0, 1].
        input_size: (height, width) that the images are resized to for the models. Default: their
            own.
        adapt_batch_norm: Number of unlabelled images of each condition to which the batch norms of
            Keras models are adapted. Each model is then measured a second time, as "NAME adapted",
            unless `evaluation.find_prior` finds on the validation images that nothing is gained,
            which `adaptation.json` tells. Flips, maps and examples are the models' own. Default: 0,
            not at all.
        verbose: Whether progress is shown on standard error.

    Returns:
        All rows of these models on this data set, measured and summary.

    Raises:
        ValueError: As in `benchmark`.
    """
    folder, dataset = pathlib.Path(out), f"{data.name}/{split}"
    conditions, names = list(conditions), stability.select(perturbations) if perturbations else ()
    _check_baseline(baseline, folder, data.split(split), conditions)
    predictors = {
        name: predictor(name, model, data, classes, input_range, input_size)
        for name, model in models.items()
    }
    adapted = adapted_predictors(
        predictors,
        data,
        adapt_batch_norm,
        folder,
        seed,
        verbose,
        conditions=conditions,
        split=split,
    )
    evaluator = Evaluator(conditions, metrics=METRICS)
    for name, one in {**predictors, **adapted}.items():
        try:
            evaluator.rows(
                one,
                data,
                split=split,
                model_name=name,
                seed=seed,
                out=folder,
                stop_at_chance=stop_at_chance,
                verbose=verbose,
            )
        finally:
            if name in adapted:
                adapted[name].reset()
        if name in predictors:
            _count_flips(one, data, split, names, folder, model=name, seed=seed, verbose=verbose)
    measured = [row for row in rows.read(folder / "rows.jsonl") if not is_summary(row)]
    every = measured + summary(measured, baseline=baseline)
    rows.write(every, folder / "rows.jsonl")
    files.write_json(data.describe(), folder / "data.json")
    results = {name: Results(folder, name, dataset) for name in (*predictors, *adapted)}
    _write_records(_reliability(results, dataset), folder / "reliability.json", dataset)
    answered = answers([row for row in every if row.dataset == dataset], results)
    _write_records(answered, folder / "answers.json", dataset)
    _write_records(_differences(answered), folder / "differences.json", dataset)
    if maps:
        _write_maps(predictors, data.split(split), folder, maps)
    if examples:
        shown = {
            name: worst_examples.worst_examples(
                one,
                data.split(split),
                results[name].answers(CLEAN, 0.0),
                [(c, results[name].answers(c.name, c.severity)) for c in conditions],
                count=examples,
                seed=seed,
            )
            for name, one in predictors.items()
        }
        _write_worst_examples(shown, data.class_names, folder)
    reports.write_tables(folder)
    reports.write_report(folder)
    return [row for row in every if row.model in results and row.dataset == dataset]


def _check_baseline(
    baseline: Any, folder: pathlib.Path, batches: Any, conditions: Sequence[Condition]
) -> None:
    """Raises before anything is measured where the baseline is missing, or of another table."""
    path = folder / "rows.jsonl"
    summary(rows.read(path) if path.exists() else [], baseline=baseline)
    if baseline in BASELINE_TABLES:
        for first in itertools.islice(numbered(batches), 1):
            protocols = [c.protocol(first) for c in conditions if c.name in CORRUPTIONS]
            check_tables(tables_in(protocols), baseline)


def _count_flips(
    predictor: Predictor,
    data: Data,
    split: str,
    names: Sequence[str],
    folder: pathlib.Path,
    *,
    model: str,
    seed: int,
    verbose: bool,
) -> None:
    """Measures the flip probabilities that are still missing, one perturbation at a time."""
    with Progress(len(names), f"{model}, flips", verbose=verbose and len(names) > 0) as progress:
        for name in names:
            every = rows.read(folder / "rows.jsonl")
            place = (model, f"{data.name}/{split}", name, "flip_probability")
            there = [r for r in every if (r.model, r.dataset, r.corruption, r.metric) == place]
            provenance = {**predictor.provenance, **library_versions()}
            if [(row.provenance, row.seed) for row in there] != [(provenance, seed)]:
                new = flips(
                    predictor,
                    data.split(split),
                    perturbations=[name],
                    seed=seed,
                    model_name=model,
                    dataset=place[1],
                )
                rows.write([row for row in every if row not in there] + new, folder / "rows.jsonl")
            progress.step(name)


def _test_answers(results: Results) -> tuple[list[int], list[Predictions]]:
    """The severities at which all 15 corruptions were measured, and the predictions under them."""
    severities = [
        severity
        for severity in range(1, SEVERITIES + 1)
        if all(results.has((name, severity)) for name in TEST_CORRUPTIONS)
    ]
    pairs = [(name, severity) for name in TEST_CORRUPTIONS for severity in severities]
    return severities, [results.answers(*pair) for pair in pairs]


def _reliability(results: Mapping[str, Results], dataset: str) -> list[dict[str, Any]]:
    """Reliability curves on clean images, and on all corrupted ones if all 15 were measured."""
    curves = []
    for name, found in results.items():
        shown: list[tuple[str, Optional[float], Predictions]] = []
        shown.append((CLEAN, 0.0, found.answers(CLEAN, 0.0)))
        _, corrupted = _test_answers(found)
        if corrupted:
            shown.append(("test", None, Predictions.joined(corrupted)))
        for corruption, severity, given in shown:
            curve = dataclasses.asdict(given.curve)
            numbers = {
                key: [None if np.isnan(value) else value for value in values.tolist()]
                for key, values in curve.items()
            }
            condition = {"dataset": dataset, "corruption": corruption, "severity": severity}
            curves.append({"model": name, **condition, **numbers})
    return curves


def _differences(answered: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The differences from the first model, as the tables of differences show them."""
    made = []
    for record in answered:
        if record["difference"] is None:
            continue
        kind, conditions = record["kind"], record["conditions"]
        severities = sorted({one["severity"] for one in conditions}) if "corr" in kind else []
        names = {one["corruption"] for one in conditions}
        whole = set(TEST_CORRUPTIONS) == names and len(conditions) == len(severities) * len(names)
        made.append(
            {
                "model": record["model"],
                "baseline": record["baseline"],
                "dataset": record["dataset"],
                "corruption": "test" if whole else kind,
                "severity": 0.0 if kind == CLEAN else None,
                "severities": severities,
                "difference": record["difference"],
                "low": record["difference_low"],
                "high": record["difference_high"],
                "level": record["level"],
                "n": record["n"],
            }
        )
    return made


def _write_records(made: list[dict[str, Any]], path: pathlib.Path, dataset: str) -> None:
    """Writes records, keeping existing ones of other models and data sets."""
    own = {record["model"] for record in made}
    kept = read_records(path, ("dataset", "model"))
    kept = [one for one in kept if one["dataset"] != dataset or one["model"] not in own]
    files.write_json(kept + made, path)


def _write_worst_examples(
    shown: Mapping[str, Sequence[worst_examples.Example]],
    class_names: Sequence[str],
    folder: pathlib.Path,
) -> None:
    examples = [(name, example) for name, found in shown.items() for example in found]
    if not examples:
        return
    with files.replacing(folder / "worst.npz") as temporary:
        np.savez_compressed(
            temporary, **worst_examples.pictures([example for _, example in examples])
        )
    records = [
        {
            "model": name,
            "corruption": example.condition.name,
            "severity": example.condition.severity,
            "label": class_names[example.label],
            "predicted": class_names[example.predicted],
            "confidence": example.confidence,
        }
        for name, example in examples
    ]
    files.write_json(records, folder / "worst.json")


def _write_maps(
    predictors: Mapping[str, Predictor], batches: Any, folder: pathlib.Path, count: int
) -> None:
    """Writes per-pixel utility and sensitivity of the first images, maximum over the channels."""
    images, labels = (np.asarray(part)[:count] for part in next(iter(batches)))
    nets = {name: one.logits for name, one in predictors.items() if one.net is not None}
    if not nets:
        return
    made = [
        [utility(net, images, labels), sensitivity(net, images)]  # each [K, H, W, C]
        for net in nets.values()
    ]
    with files.replacing(folder / "maps.npz") as temporary:
        np.savez_compressed(
            temporary,
            images=np.rint(images * 255).astype("uint8"),
            maps=np.max(made, axis=-1).swapaxes(1, 2),  # [models, K, 2, H, W]
        )
    files.write_json(
        {"models": list(nets), "maps": ["utility", "sensitivity"]}, folder / "maps.json"
    )
