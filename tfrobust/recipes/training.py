"""Training a baseline, and finetuning a model with a method."""

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

#: Folder of a run with what an unfinished training goes on from.
CHECKPOINTS = "checkpoints"
#: What a run writes last.
FINISHED = "model.keras"


@dataclasses.dataclass(frozen=True)
class Train(Recipe):
    """Trains a net on clean images.

    SGD with momentum 0.9, the learning rate falling by a half cosine to 0 over the run.

    Args:
        dataset: One of `DATASETS`.
        data_dir: Where it is; see `datasets.load`.
        data_options: Its options; see `datasets.load`.
        net: One of `NETS`.
        epochs: Number of passes over the training images.
        batch_size: Images a step, of all devices together.
        learning_rate: Learning rate of the first step; it goes with the batch size, not with the
            number of devices.
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

    SGD with momentum 0.9, the learning rate falling by a half cosine to 0 over the run.

    Args:
        model: The `.keras` file to start from.
        method: One of `METHODS`.
        augment: "combined" (Combined+ and Combined− by turns), a name of Table 1 such as "B+", or
            one of `AUGMENTS`, "jpeg=10" for one at another strength; "fgsm" or "fgsm=0.01" for
            methods that take an attack.
        strengths: A file of calibrated strengths; None takes Table 1's.
        settings: Further arguments of the method, such as gamma.
        dataset: One of `DATASETS`.
        data_dir: Where it is; see `datasets.load`.
        data_options: Its options; see `datasets.load`.
        epochs: Number of passes over the training images.
        batch_size: Images a step, of all devices together.
        learning_rate: Learning rate of the first step; it goes with the batch size, not with the
            number of devices.
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

    With strategy "multiworker" each worker runs it, with one `out` that all of them can read; the
    first one writes. Where a worker was killed, all are started again, and go on from the last
    whole epoch.

    Args:
        recipe: The settings.
        out: Output folder; a run that was killed goes on there.

    Returns:
        The trained model.

    Raises:
        ValueError: A name or number of the recipe is wrong.
        FileExistsError: `out` holds something else.
        ConnectionError: Another worker went away.
    """
    build = NETS[recipe.net]
    chosen = devices.strategy(recipe.strategy)  # several workers find one another before all else
    seed_everything(recipe.seed)  # before the data: their order depends on TensorFlow's seed too
    data = training_data(recipe)  # what is missing must not leave a folder behind
    run = _run_folder(recipe, out, data) if devices.is_chief(chosen) else None
    finished = pathlib.Path(out, FINISHED)
    if finished.exists():
        return saving.load_model(finished)
    with chosen.scope():
        model = METHODS["baseline"](build(data.image_shape, data.classes))
    checkpoint = Checkpoint(pathlib.Path(out, CHECKPOINTS))
    model = _fitted(model, data, recipe, checkpoint)
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
        out: Output folder; a run that was killed goes on there.

    Returns:
        The finetuned model.

    Raises:
        ValueError: A name or number of the recipe is wrong.
        FileNotFoundError: There is no model file.
        FileExistsError: `out` holds something else.
        ConnectionError: Another worker went away.
    """
    chosen = devices.strategy(recipe.strategy)
    individual = individual_augmentations(recipe.strengths)
    perturbation(recipe.augment, individual, seed=recipe.seed)  # says what is wrong
    check_method_settings(recipe.method, recipe.settings)
    seed_everything(recipe.seed)
    source = saving.load_model(recipe.model)
    data = training_data(recipe)
    run = _run_folder(recipe, out, data) if devices.is_chief(chosen) else None
    finished = pathlib.Path(out, FINISHED)
    if finished.exists():
        return saving.load_model(finished)
    with chosen.scope():
        # Made here, because variables belong to the devices. (Keras 2 cannot load a model there.)
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
    model = _fitted(model, data, recipe, checkpoint, callbacks=[monitor])
    if run is None:
        return model
    rows.write(monitor.rows, run / "history.jsonl")
    saving.save_model(model, finished)
    checkpoint.clear()
    return model


def _run_folder(
    recipe: Union[Train, Finetune], out: files.PathLike, data: datasets.Data
) -> RunFolder:
    """The folder of a run, with what says which data it is of."""
    run = RunFolder(out, recipe, finished=FINISHED)
    if not run.finished:
        files.write_json(data.describe(), run / "data.json")
    return run


def _fitted(
    model: RobustModel,
    data: datasets.Data,
    recipe: Union[Train, Finetune],
    checkpoint: Checkpoint,
    callbacks: Any = (),
) -> keras.Model:
    """The model, trained as a recipe says, on one device."""
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
    """The same net with variables of its own, which belong to the strategy of the scope."""
    weights = net.get_weights()
    net = type(net).from_config(net.get_config())
    net.set_weights(weights)
    return net


def on_one_device(model: keras.Model) -> keras.Model:
    """A model without its devices. All workers take part: they hold its statistics together."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "model.keras")
        saving.save_model(model, path)
        return saving.load_model(path)


def training_data(recipe: Union[Train, Finetune]) -> datasets.Data:
    """The data of a recipe, which must have images to train on.

    Raises:
        ValueError: It is a test set.
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
    """Compiles and fits a method: SGD, momentum 0.9, a half-cosine learning rate down to 0.

    `seed_everything` comes first, before the net is made or loaded.

    Args:
        model: The method.
        data: Its data.
        epochs: Number of passes over the training images, 1 or more.
        learning_rate: Learning rate of the first step, above 0.
        optimizer: Another optimizer, which then says the learning rate.
        callbacks: Further callbacks; one for alternating augmentations is added where needed.
        checkpoint: Where an earlier process left off, and where this one leaves its epochs.
        verbose: 0, 1 or 2, as in Keras. Default: a moving bar for people, a line an epoch for
            files.

    Returns:
        Keras' history.

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
        shuffle=False,  # the data set shuffles itself; Keras 3 warns where it is not told
        verbose=(1 if sys.stdout.isatty() else 2) if verbose is None else verbose,
    )


def individual_augmentations(strengths: Optional[files.PathLike]) -> dict[str, StrengthAugment]:
    """The seven augmentations at calibrated strengths, or at Table 1's."""
    if strengths is None:
        return presets.table_1("cifar10")
    return strength.augmentations_at(strength.read(strengths))


def perturbation(
    name: str, individual: Mapping[str, StrengthAugment], *, seed: int
) -> Union[Augment, FGSM]:
    """The augmentation that a text stands for, or "fgsm", "fgsm=0.01": the attack with its ε."""
    attack, given, epsilon = name.partition("=")
    if attack != "fgsm":
        return naming.by_name(name, individual, seed=seed)
    try:
        return FGSM(float(epsilon)) if given else FGSM()
    except ValueError as error:
        raise ValueError(f"fgsm takes its ε, such as fgsm=0.01; received {name}: {error}") from None


def check_method_settings(method: str, settings: Mapping[str, Any]) -> None:
    """Raises a ValueError that names a method's settings where one given is not among them."""
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
    """A method on a net; the baseline takes no augmentation, adversarial training an attack."""
    check_method_settings(name, settings)
    method = METHODS[name]
    parameters = inspect.signature(method.__init__).parameters
    if "augment" in parameters:
        settings = {**settings, "augment": augment}
    elif "attack" in parameters and isinstance(augment, FGSM):
        settings = {**settings, "attack": augment}
    model: RobustModel = method(net, **settings)
    return model
