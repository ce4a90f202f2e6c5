"""Recipes that train a baseline and finetune a model with a method."""

from __future__ import annotations

import dataclasses
import inspect
import pathlib
import sys
import tempfile
from collections.abc import Mapping
from typing import Any, Optional, Union

import keras

from tfrobust import datasets, files, rows, saving
from tfrobust.attacks import FGSM
from tfrobust.augment import naming, presets
from tfrobust.augment.base import Augment, StrengthAugment
from tfrobust.augment.combine import alternates
from tfrobust.callbacks import AlternateAugmentations, Checkpoint
from tfrobust.evaluation import Evaluator, RobustnessMonitor, strength
from tfrobust.methods.base import RobustModel
from tfrobust.recipes import devices
from tfrobust.recipes.base import Recipe, RunFolder
from tfrobust.registries import METHODS, NETS
from tfrobust.seeding import seed_everything

#: Folder of a run with the checkpoints that an unfinished training resumes from.
CHECKPOINTS = "checkpoints"
#: File that a run writes last.
FINISHED = "model.keras"


@dataclasses.dataclass(frozen=True)
class Train(Recipe):
    """Trains a net on clean images.

    SGD with momentum 0.9 and cosine decay of the learning rate to 0.

    Args:
        dataset: One of `DATASETS`.
        data_dir: Its folder; see `datasets.load`.
        data_options: Its options; see `datasets.load`.
        net: One of `NETS`.
        epochs: Number of epochs.
        batch_size: Global batch size.
        learning_rate: Initial learning rate, for the global batch size, whatever the number of
            devices.
        strategy: One of `devices.STRATEGIES`.
    """

    dataset: str = "digits"
    data_dir: Optional[str] = None
    data_options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    net: str = "small_cnn"
    epochs: int = 12
    batch_size: int = 64
    learning_rate: float = 0.05
    strategy: str = "none"


@dataclasses.dataclass(frozen=True)
class Finetune(Recipe):
    """Finetunes a trained model with a method.

    SGD with momentum 0.9 and cosine decay of the learning rate to 0.

    Args:
        model: The `.keras` file to start from.
        method: One of `METHODS`.
        augment: "combined" (alternating Combined+ and Combined−), a name from Table 1 such as "B+",
            or one of `AUGMENTS`, optionally with a strength, "jpeg=10"; "fgsm" or "fgsm=0.01" for
            methods that take an attack.
        strengths: File of calibrated strengths; None for those of Table 1.
        settings: Further arguments of the method, such as gamma.
        dataset: One of `DATASETS`.
        data_dir: Its folder; see `datasets.load`.
        data_options: Its options; see `datasets.load`.
        epochs: Number of epochs.
        batch_size: Global batch size.
        learning_rate: Initial learning rate, for the global batch size, whatever the number of
            devices.
        strategy: One of `devices.STRATEGIES`; of "multiworker" see `train`.
    """

    model: str = ""
    method: str = "feature_map_augmentation"
    augment: str = "combined"
    strengths: Optional[str] = None
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    dataset: str = "digits"
    data_dir: Optional[str] = None
    data_options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    epochs: int = 6
    batch_size: int = 64
    learning_rate: float = 0.05
    strategy: str = "none"


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
    build = NETS[recipe.net]
    chosen = devices.strategy(recipe.strategy)  # workers must connect before anything else
    seed_everything(recipe.seed)  # before loading: shuffling depends on TensorFlow's seed too
    data = training_data(recipe)  # missing data must not leave a folder behind
    run = _run_folder(recipe, out, data) if devices.is_chief(chosen) else None
    finished = pathlib.Path(out, FINISHED)
    if finished.exists():
        return saving.load_model(finished)
    with chosen.scope():
        model = METHODS["baseline"](build(data.image_shape, data.classes))
    checkpoint = Checkpoint(pathlib.Path(out, CHECKPOINTS))
    model = _fit_on_strategy(model, data, recipe, checkpoint)
    if run is None:
        return model
    measured = Evaluator({}).rows(
        model,
        data.validation,
        model_name="baseline",
        dataset=f"{data.name}/validation",
        seed=recipe.seed,
    )
    rows.write(measured, run / "rows.jsonl")
    saving.save_model(model, finished)
    checkpoint.clear()
    return model


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
    chosen = devices.strategy(recipe.strategy)
    individual = individual_augmentations(recipe.strengths)
    perturbation(recipe.augment, individual, seed=recipe.seed)  # raises an error if it is invalid
    check_method_settings(recipe.method, recipe.settings)
    seed_everything(recipe.seed)
    source = saving.load_model(recipe.model)
    data = training_data(recipe)
    run = _run_folder(recipe, out, data) if devices.is_chief(chosen) else None
    finished = pathlib.Path(out, FINISHED)
    if finished.exists():
        return saving.load_model(finished)
    with chosen.scope():
        # Created in the scope, which owns the variables. (Keras 2 cannot load a model there.)
        augment = perturbation(recipe.augment, individual, seed=recipe.seed)
        net = getattr(source, "net", source)
        if recipe.strategy != "none":
            net = made_anew(net)
        model = build_method(recipe.method, net, augment, recipe.settings)
    monitor = RobustnessMonitor(
        data.validation,
        {**individual, **presets.combinations(individual)},
        model_name=recipe.method,
        dataset=f"{data.name}/validation",
        seed=recipe.seed,
    )
    checkpoint = Checkpoint(pathlib.Path(out, CHECKPOINTS), remember=[monitor])
    model = _fit_on_strategy(model, data, recipe, checkpoint, callbacks=[monitor])
    if run is None:
        return model
    rows.write(monitor.rows, run / "history.jsonl")
    saving.save_model(model, finished)
    checkpoint.clear()
    return model


def _run_folder(
    recipe: Union[Train, Finetune], out: files.PathLike, data: datasets.Data
) -> RunFolder:
    """Creates the folder of a run, with a description of the data."""
    run = RunFolder(out, recipe, finished=FINISHED)
    if not run.finished:
        files.write_json(data.describe(), run / "data.json")
    return run


def _fit_on_strategy(
    model: RobustModel,
    data: datasets.Data,
    recipe: Union[Train, Finetune],
    checkpoint: Checkpoint,
    callbacks: Any = (),
) -> keras.Model:
    """Trains a model as a recipe says and returns it on one device."""
    with devices.others_alive():
        fit(
            model,
            data,
            epochs=recipe.epochs,
            learning_rate=recipe.learning_rate,
            callbacks=callbacks,
            checkpoint=checkpoint,
        )
        return model if recipe.strategy == "none" else on_one_device(model)


def made_anew(net: keras.Model) -> keras.Model:
    """A copy of a net whose variables belong to the strategy of the current scope."""
    weights = net.get_weights()
    net = type(net).from_config(net.get_config())
    net.set_weights(weights)
    return net


def on_one_device(model: keras.Model) -> keras.Model:
    """A copy of a model on one device. All workers must call it, to aggregate the statistics."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "model.keras")
        saving.save_model(model, path)
        return saving.load_model(path)


def training_data(recipe: Union[Train, Finetune]) -> datasets.Data:
    """Loads the data of a recipe, which must include training images.

    Raises:
        ValueError: The data set is a test set.
    """
    data = datasets.load(
        recipe.dataset,
        data_dir=recipe.data_dir,
        batch_size=recipe.batch_size,
        seed=recipe.seed,
        **recipe.data_options,
    )
    data.split("train")
    return data


def fit(
    model: RobustModel,
    data: datasets.Data,
    *,
    epochs: int,
    learning_rate: float = 0.05,
    optimizer: Optional[keras.optimizers.Optimizer] = None,
    callbacks: Any = (),
    checkpoint: Optional[Checkpoint] = None,
    verbose: Optional[int] = None,
) -> Any:
    """Compiles and fits a method with SGD, momentum 0.9 and cosine decay of the learning rate.

    Call `seed_everything` first, before the net is created or loaded.

    Args:
        model: The method.
        data: The data set.
        epochs: Number of passes over the training images, 1 or more.
        learning_rate: Initial learning rate, above 0.
        optimizer: Optimizer to use instead; `learning_rate` is then ignored.
        callbacks: Further callbacks; one for alternating augmentations is added where needed.
        checkpoint: Checkpoint to resume from, and to save each epoch to.
        verbose: 0, 1 or 2, as in Keras. Default: a progress bar on a terminal, else one line per
            epoch.

    Returns:
        The Keras history.

    Raises:
        ValueError: `epochs` or `learning_rate` is out of range.
    """
    if epochs < 1:
        raise ValueError(f"epochs must be 1 or more; received {epochs}")
    if not 0 < learning_rate < 100:
        raise ValueError(f"learning_rate must be above 0 and below 100; received {learning_rate}")
    with model.distribute_strategy.scope():
        if optimizer is None:
            steps = epochs * int(data.train.cardinality())
            schedule = keras.optimizers.schedules.CosineDecay(learning_rate, steps)
            optimizer = keras.optimizers.SGD(schedule, momentum=0.9)
        model.compile(optimizer, metrics=["accuracy"])
    callbacks = list(callbacks)
    if alternates(model.augment):
        callbacks.insert(0, AlternateAugmentations())
    done = 0
    if checkpoint is not None:
        done = checkpoint.restore(model, data.train)
        callbacks.append(checkpoint)
    return model.fit(
        data.train,
        validation_data=data.validation,
        epochs=epochs,
        initial_epoch=done,
        callbacks=callbacks,
        shuffle=False,  # the data set shuffles itself; Keras 3 warns without this
        verbose=(1 if sys.stdout.isatty() else 2) if verbose is None else verbose,
    )


def individual_augmentations(strengths: Optional[files.PathLike]) -> dict[str, StrengthAugment]:
    """The seven augmentations at calibrated strengths, or at those of Table 1."""
    if strengths is None:
        return presets.table_1("cifar10")
    return strength.augmentations_at(strength.read(strengths))


def perturbation(
    name: str, individual: Mapping[str, StrengthAugment], *, seed: int
) -> Union[Augment, FGSM]:
    """Parses an augmentation by name, or the attack "fgsm", with an ε as in "fgsm=0.01"."""
    attack, given, epsilon = name.partition("=")
    if attack != "fgsm":
        return naming.by_name(name, individual, seed=seed)
    try:
        return FGSM(float(epsilon)) if given else FGSM()
    except ValueError as error:
        raise ValueError(f"fgsm takes its ε, such as fgsm=0.01; received {name}: {error}") from None


def check_method_settings(method: str, settings: Mapping[str, Any]) -> None:
    """Raises a ValueError listing a method's settings if one given is unknown."""
    taken = ("self", "net", "augment", "kwargs")
    valid = [p for p in inspect.signature(METHODS[method].__init__).parameters if p not in taken]
    unknown = sorted(set(settings) - set(valid))
    if unknown:
        raise ValueError(
            f"{method} has no setting {', '.join(unknown)}; it has: {', '.join(valid) or 'none'}"
        )


def build_method(
    name: str,
    net: keras.Model,
    augment: Union[Augment, FGSM, None],
    settings: Mapping[str, Any],
) -> RobustModel:
    """Builds a method on a net; the baseline ignores `augment`, adversarial training takes FGSM."""
    check_method_settings(name, settings)
    method = METHODS[name]
    parameters = inspect.signature(method.__init__).parameters
    if "augment" in parameters:
        settings = {**settings, "augment": augment}
    elif "attack" in parameters and isinstance(augment, FGSM):
        settings = {**settings, "attack": augment}
    model: RobustModel = method(net, **settings)
    return model
