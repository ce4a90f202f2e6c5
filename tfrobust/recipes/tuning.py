"""Hyper-parameter search for a method: many finetunings of one model."""

from __future__ import annotations

import dataclasses
import functools
import pathlib
import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Optional, Union

import keras

from tfrobust import (
    files,
    options,
    reports,
    rows,
    saving,
    signatures,
    trainer,
    tuning,
    validation,
)
from tfrobust.augment.base import StrengthAugment
from tfrobust.evaluation import Evaluator
from tfrobust.evaluation.answers import answers
from tfrobust.evaluation.results_folder import Results
from tfrobust.nets.input_adapter import adapter_of
from tfrobust.recipes import models
from tfrobust.recipes.base import RunFolder, in_run_folder
from tfrobust.recipes.conditions import augmentations
from tfrobust.recipes.data import for_training
from tfrobust.recipes.method_parts import MethodParts
from tfrobust.registries import METHODS
from tfrobust.settings import Finetune, Tune
from tfrobust.tuning import distributed
from tfrobust.tuning.search import check_objective, load_data, objective_of
from tfrobust.tuning.spaces import STRENGTH
from tfrobust.tuning.trials import Trial

#: Default floor: at most two points below the initial model's clean accuracy.
DEFAULT_DROP = 0.02
START, BEST = "start model", "best trial"


@in_run_folder
def tune(recipe: Tune, out: files.PathLike, *, say: Callable[[str], Any] = print) -> list[Trial]:
    """Runs a `Tune` recipe.

    Writes the files of `tuning.search`, the accuracies of the initial model and of the best trial
    on the validation images (rows.jsonl), and report.html. May be distributed over several
    processes; see `tuning.search`.

    Args:
        recipe: The settings.
        out: Output folder; a killed search in it is resumed.
        say: Receives progress messages.

    Returns:
        The trials, best first; an empty list in a worker.

    Raises:
        ValueError: A name or value of the recipe is invalid, or all trials failed.
        FileNotFoundError: The model file does not exist.
        FileExistsError: `out` holds something else.
    """
    parts = MethodParts(recipe)
    recipe = recipe.replace(ranges=tuple(_checked_ranges(recipe)))
    conditions = functools.partial(_conditions, recipe, parts.individual)
    conditions()

    def load() -> Any:
        return for_training(recipe)

    def fit(model: keras.Model, data: Any, *, epochs: int, **more: Any) -> Any:
        optimizer = parts.optimizer(data, epochs)
        when = recipe.estimate_batch_norm
        return trainer.fit(
            model, data, epochs=epochs, optimizer=optimizer, estimate_batch_norm=when, **more
        )

    stated = models.states_input_range(recipe.model)
    check = functools.partial(_build, recipe, input_range=None if stated else "0_to_1")
    for values in ({r.name: r.values[0] for r in recipe.ranges}, _largest_values(recipe)):
        method = check(values)  # invalid settings fail before anything is loaded or trained
    if recipe.objective is not None:
        check_objective(recipe.objective, ["loss", "accuracy", *method.term_weights])
    source = models.load(
        recipe.model, lambda: load_data(load), input_range=recipe.input_range, say=say
    )
    build = functools.partial(_build, recipe, input_range=_input_range(source))
    data = load_data(load)
    models.check_classes(source, data, recipe.model)
    role = distributed.role()
    if role == "worker":
        distributed.wait_for(pathlib.Path(out, "start.jsonl"))
    run = RunFolder(out, recipe, finished="report.html", inputs=[recipe.model, recipe.strengths])
    if role != "worker":
        run.record_data(data)
    if role != "worker" and not (run / "start.jsonl").exists():
        rows.write(_measure(recipe, source, data, conditions(), START, run), run / "start.jsonl")
    start = rows.read(run / "start.jsonl")
    if role != "worker":
        say(f"trials are compared {rows.on_images(start[0].n)}")
    floor = _floor(recipe, start)
    if floor is not None and role != "worker":
        say(f"floor of clean accuracy: {100 * floor:.2f}%")
    found = tuning.search(
        build,
        load,
        recipe.ranges,
        run.path,
        tuner=recipe.tuner,
        trials=recipe.trials,
        epochs=recipe.epochs,
        objective=recipe.objective,
        clean_floor=floor,
        conditions=conditions(),
        fit=fit,
        seed=recipe.seed,
        say=say,
    )
    if role != "worker" and not run.finished:
        best = saving.load_model(run / "model.keras")
        measured = [*start, *_measure(recipe, best, data, conditions(), BEST, run)]
        rows.write(measured, run / "rows.jsonl")
        files.write_json(_against_start(measured, run), run / "start.json")
        reports.write_report(run.path)
    return found


def finetune_command(recipe: Tune, best: Trial, out: str) -> str:
    """The command that finetunes with the values of a trial.

    Args:
        recipe: The recipe of the search.
        best: The trial.
        out: The output folder of the command.

    Returns:
        The command, on one line.
    """
    values = dict(best.values)
    augment = _at_strength(recipe, values.pop(STRENGTH, None))
    shared = {field.name for field in dataclasses.fields(Finetune)} & set(vars(recipe))
    given = {name: getattr(recipe, name) for name in shared - {"clean_drop"}}
    settings = {**recipe.settings, **values}
    again = Finetune(**{**given, "augment": augment, "settings": settings, "epochs": best.epochs})
    return shlex.join(["tfrobust", "finetune", *options.arguments_of(again), "--out", out])


def _checked_ranges(recipe: Tune) -> list[tuning.Range]:
    """The search ranges; raises the errors that need neither model nor data."""
    ranges = [one for given in recipe.ranges for one in _ranges(recipe, given)]
    ranges = ranges or list(tuning.space(recipe.method))
    if not ranges:
        raise ValueError(f"{recipe.method} has no hyper-parameter to tune; choose another method")
    names = [one.name for one in ranges]
    own = [name for name in names if name != STRENGTH and "." not in name]
    known = signatures.options_of(METHODS[recipe.method])
    validation.check_known(recipe.method, "setting", own, known)
    duplicates = sorted(set(names) & set(recipe.settings)) or sorted(
        {name for name in names if names.count(name) > 1}
    )
    if duplicates:
        raise ValueError(f"{duplicates[0]} is given twice: as a setting or range, and as a range")
    for name in ("clean_floor", "clean_drop"):
        if getattr(recipe, name) is not None:
            validation.check_in_range(name, getattr(recipe, name), 0, 1)
    given = [
        n for n in ("clean_floor", "clean_drop", "objective") if getattr(recipe, n) is not None
    ]
    if len(given) > 1:
        raise ValueError(f"{given[0]} and {given[1]} exclude each other; give one of them")
    objective_of(recipe.objective, recipe.clean_floor)
    return ranges


def _ranges(recipe: Tune, given: Union[tuning.Range, str]) -> Sequence[tuning.Range]:
    """A range, of which a name alone stands for the papers' ranges."""
    if isinstance(given, tuning.Range):
        return [given]
    if given == STRENGTH:
        return [tuning.strength_range(options.named(" ".join(recipe.augment))[0])]
    return [tuning.Range.parse(given)] if "=" in given else tuning.space(recipe.method, [given])


def _largest_values(recipe: Tune) -> dict[str, Any]:
    return {one.name: one.rounded(one.end) for one in recipe.ranges}


def _input_range(source: keras.Model) -> Any:
    adapter = adapter_of(source)
    return None if adapter is None else adapter.input_range


def _at_strength(recipe: Tune, strength: Optional[float]) -> tuple[str, ...]:
    """What the method trains with, at another strength."""
    if strength is None:
        return recipe.augment
    if len(recipe.augment) != 1:
        raise ValueError(
            "strength is that of one augmentation; received "
            f"{' '.join(recipe.augment) or 'none'} (give one with --augment)"
        )
    called, _, arguments = options.named(recipe.augment[0])
    more = [f",{name}={options.spelled(value)}" for name, value in arguments.items()]
    return (f"{called}={options.spelled(strength)}{''.join(more)}",)


def _build(recipe: Tune, values: Mapping[str, Any], input_range: Any = None) -> keras.Model:
    """Builds the method with the values of a trial on a fresh copy of the initial model."""
    values = dict(values)
    augment = _at_strength(recipe, values.pop(STRENGTH, None))
    parts = MethodParts(
        recipe.replace(augment=augment, settings={**recipe.settings, **values}, ranges=())
    )
    given = recipe.input_range or input_range
    source = models.load(recipe.model, input_range=given, say=lambda text: None)
    return parts.method(getattr(source, "net", source))


def _conditions(recipe: Tune, individual: Mapping[str, StrengthAugment]) -> list[Any]:
    return augmentations(recipe.conditions, individual, seed=recipe.seed, table=recipe.table)


def _measure(
    recipe: Tune, model: Any, data: Any, conditions: Any, name: str, run: RunFolder
) -> list[rows.Row]:
    return Evaluator(conditions).rows(
        model,
        data.validation,
        model_name=name,
        dataset=f"{data.name}/validation",
        seed=recipe.seed,
        out=run.path,
    )


def _against_start(measured: list[rows.Row], run: RunFolder) -> dict[str, Any]:
    """Accuracies of the start model, and what the best trial gains under the same conditions."""
    results = {name: Results(run.path, name, measured[0].dataset) for name in (START, BEST)}

    def kind_of(row: rows.Row) -> str:
        return rows.CLEAN if row.corruption == rows.CLEAN else "robust"

    found = {
        (one["model"], one["kind"]): one for one in answers(measured, results, kind_of=kind_of)
    }
    gained = found[BEST, "robust"]
    return {
        "clean_accuracy": found[START, rows.CLEAN]["accuracy"],
        "robust_accuracy": found[START, "robust"]["accuracy"],
        **{name: gained[name] for name in ("difference", "difference_low", "difference_high")},
    }


def _floor(recipe: Tune, start: list[rows.Row]) -> Optional[float]:
    if recipe.objective is not None:
        return None
    if recipe.clean_floor is not None:
        return recipe.clean_floor
    drop = DEFAULT_DROP if recipe.clean_drop is None else recipe.clean_drop
    clean = next(r.value for r in start if r.corruption == rows.CLEAN and r.metric == "accuracy")
    return round(max(clean - drop, 0.0), 6)
