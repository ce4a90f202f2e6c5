"""Recipes that train a net from scratch and finetune a model."""

from __future__ import annotations

import math
import pathlib
from collections.abc import Callable
from typing import Any, Union

import keras

from tfrobust import datasets, devices, files, nets, rows, trainer
from tfrobust.augment import presets
from tfrobust.callbacks import RestoreBest
from tfrobust.evaluation import Evaluator, RobustnessMonitor
from tfrobust.layers.inner_layers import every_layer
from tfrobust.methods.base import RobustModel
from tfrobust.nets.freezing import trained
from tfrobust.nets.new_head import head_of
from tfrobust.recipes import models, step_memory
from tfrobust.recipes.base import RunFolder, in_run_folder
from tfrobust.recipes.data import for_training
from tfrobust.recipes.method_parts import MethodParts
from tfrobust.registries import METHODS
from tfrobust.seeding import seed_everything
from tfrobust.settings import Finetune, Train
from tfrobust.tuning.score import SCORE, FlooredScore, floored_score

#: The trained model, in the folder of a run.
MODEL = "model.keras"


@in_run_folder
def train(recipe: Train, out: files.PathLike) -> keras.Model:
    """Runs a `Train` recipe; writes model.keras, rows.jsonl (validation) and settings.json.

    With strategy "multiworker" each worker runs it, with a shared folder `out`; the chief writes.
    If a worker is killed, restart all of them; they resume after the last completed epoch.

    Args:
        recipe: The settings.
        out: Output folder; a killed run in it is resumed.

    Returns:
        The trained model.

    Raises:
        ValueError: A name or value of the recipe is invalid.
        FileExistsError: `out` holds something else.
        ConnectionError: Another worker was lost.
    """
    chosen = devices.strategy(recipe.strategy)  # workers must connect before anything is made
    parts = MethodParts(recipe)  # raises an error if one is invalid
    precision = devices.precision(recipe.mixed_precision)
    seed_everything(recipe.seed)  # before loading: shuffling depends on TensorFlow's seed too
    data = for_training(recipe)  # missing data must not leave a folder behind
    with devices.computing_in(precision):
        net = parts.net(data.image_shape, data.classes)
        method = parts.method(net)
    run = _run_folder(recipe, out, data, method) if devices.is_chief(chosen) else None
    print(f"{parts.described} from scratch; {parts.optimizer_words(data)}")
    model = trainer.train_to(
        pathlib.Path(out, MODEL),
        lambda: net,
        parts.method,
        data,
        epochs=recipe.epochs,
        optimizer=lambda: parts.optimizer(data),
        estimate_batch_norm=recipe.estimate_batch_norm,
        precision=precision,
        ema=recipe.ema,
        strategy=chosen,
    )
    if run is not None and not (run / "rows.jsonl").exists():
        measured = Evaluator({}).rows(
            model,
            data.validation,
            model_name=recipe.method,
            dataset=f"{data.name}/validation",
            seed=recipe.seed,
        )
        rows.write(measured, run / "rows.jsonl")
    return model


@in_run_folder
def finetune(recipe: Finetune, out: files.PathLike) -> keras.Model:
    """Runs a `Finetune` recipe; writes model.keras, history.jsonl (validation) and settings.json.

    Args:
        recipe: The settings.
        out: Output folder; a killed run in it is resumed.

    Returns:
        The finetuned model.

    Raises:
        ValueError: A name or value of the recipe is invalid.
        FileNotFoundError: The model file does not exist.
        FileExistsError: `out` holds something else.
        ConnectionError: Another worker was lost.
    """
    chosen = devices.strategy(recipe.strategy)  # workers must connect before anything is made
    parts = MethodParts(recipe)
    frozen = frozen_part(recipe)
    seed_everything(recipe.seed)
    source = models.load(
        recipe.model,
        lambda: for_training(recipe),
        input_range=recipe.input_range,
        classes=for_training(recipe).class_names if recipe.new_head else None,
    )
    data = for_training(recipe)
    net = getattr(source, "net", source)
    models.check_classes(net, data, recipe.model)
    if frozen and not recipe.new_head:
        nets.freeze(net, **frozen)
    said = trained(net)
    if devices.is_chief(chosen):
        _run_folder(recipe, out, data, parts.method(net))
    if recipe.new_head:
        net = _with_trained_head(recipe, net, data, pathlib.Path(out), chosen)
        if frozen:
            nets.freeze(net, **frozen)
        said = trained(net)
    print(f"{parts.described}, {parts.optimizer_words(data)}; {said}")
    individual = parts.individual
    monitor = RobustnessMonitor(
        data.validation,
        {**individual, **presets.combinations(individual)},
        model_name=recipe.method,
        dataset=f"{data.name}/validation",
        seed=recipe.seed,
    )

    def measured(epoch: int) -> tuple[float, float]:
        """Clean and robust accuracy after an epoch."""
        found = {row.corruption: row.value for row in monitor.rows if row.epoch == epoch}
        clean = found.pop(rows.CLEAN)
        return clean, math.fsum(found.values()) / len(found)

    def floor() -> float:
        return max(measured(0)[0] - recipe.clean_drop, 0.0)

    best = RestoreBest(SCORE, "max", start=lambda: floored_score(*measured(0), floor()))
    model = trainer.train_to(
        pathlib.Path(out, MODEL),
        lambda: net,
        parts.method,
        data,
        epochs=recipe.epochs,
        optimizer=lambda: parts.optimizer(data),
        estimate_batch_norm=recipe.estimate_batch_norm,
        ema=recipe.ema,
        callbacks=[monitor, FlooredScore(floor), best],
        history=pathlib.Path(out, "history.jsonl"),
        strategy=chosen,
    )
    if best.best_epoch is not None:  # None if it was trained before
        _print_outcome(best.best_epoch, measured, monitor.rows[0].n)
    return model


def _print_outcome(best: int, measured: Callable[[int], tuple[float, float]], images: int) -> None:
    """Says which epoch was kept, and what it is better in than the start model."""
    (clean, robust), start = measured(best), measured(0)
    where = rows.on_images(images)
    if best == 0:
        print(f"no epoch is better than the start model {where}: it is kept")
        return
    print(
        f"epoch {best} is kept: {100 * clean:.1f}% clean ({100 * (clean - start[0]):+.1f} points), "
        f"{100 * robust:.1f}% under the augmentations ({100 * (robust - start[1]):+.1f}) {where}"
    )
    if robust - start[1] < rows.most_error(images):
        print("the gain is less than one standard error: it can be chance; use more images")


def frozen_part(recipe: Finetune) -> dict[str, Any]:
    """The arguments of `nets.freeze` that a recipe stands for; empty if nothing is to be frozen.

    Raises:
        ValueError: They are not one fraction, or "until" and a layer.
    """
    if recipe.freeze is None:
        return {} if recipe.tune_first is None else {"all_but_first": recipe.tune_first}
    if recipe.tune_first is not None:
        raise ValueError("freeze and tune_first exclude each other; give one of them")
    given = recipe.freeze if isinstance(recipe.freeze, (tuple, list)) else (recipe.freeze,)
    if given[0] == "until" and len(given) == 2:
        return {"until": given[1]}
    try:
        (share,) = map(float, given)
    except ValueError:
        raise ValueError(
            "freeze takes a fraction of the layers, such as 0.8, or until and the name of a layer; "
            f"received {' '.join(map(str, given))}"
        ) from None
    return {"first": share}


def _with_trained_head(
    recipe: Finetune,
    net: keras.Model,
    data: datasets.Data,
    out: pathlib.Path,
    strategy: Any,
) -> keras.Model:
    """The net with its last layer trained on the features of all others, in head.keras.

    Trained first, for its random weights would send large gradients through the other layers.
    """
    flags = [layer.trainable for layer in every_layer(net)]

    def head_alone() -> keras.Model:
        nets.freeze(net, until=head_of(net).name)
        return net

    model = trainer.train_to(
        out / "head.keras",
        head_alone,
        METHODS["baseline"],
        data,
        epochs=recipe.head_epochs,
        optimizer=lambda: keras.optimizers.Adam(0.01),
        strategy=strategy,
    )
    for layer, flag in zip(every_layer(model.net), flags):
        layer.trainable = flag
    return model.net


def _run_folder(
    recipe: Union[Train, Finetune], out: files.PathLike, data: datasets.Data, method: RobustModel
) -> RunFolder:
    """Creates the folder of a run, with a description of the data, if its batches fit."""
    given = [getattr(recipe, name, None) for name in ("model", "strengths")]
    run = RunFolder(out, recipe, finished=MODEL, inputs=given)
    run.record_data(data)
    if not run.resumed:
        step_memory.check_step_fits(method, recipe.batch_size)
    return run
