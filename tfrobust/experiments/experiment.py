"""What a published experiment is: models that are trained, measured and put into tables."""

from __future__ import annotations

import dataclasses
import datetime
import gc
import os
import pathlib
import re
import time
from collections.abc import Callable, Mapping
from typing import Any, Optional

import keras
import tensorflow as tf

from tfrobust import datasets, files, methods, nets, rows, saving, validation
from tfrobust.augment import Flip, PadAndCrop
from tfrobust.callbacks import Checkpoint
from tfrobust.evaluation import Evaluator
from tfrobust.evaluation.condition import Condition
from tfrobust.experiments import intervals
from tfrobust.experiments.tables import PaperTable, fill
from tfrobust.recipes import devices, training
from tfrobust.recipes.base import Recipe, RunFolder
from tfrobust.registries import NETS
from tfrobust.seeding import seed_everything

#: Images a batch in evaluation, the same everywhere: draws of augmentations depend on it.
EVALUATION_BATCH = 250
#: The CIFAR ResNet-20 that small settings start from: weights of the usual PyTorch code, as
#: `nets.import_torch_resnet` reads them. `--weights` says where the file is.
RESNET_20_WEIGHTS = "cifar10_resnet20.npz"
#: Names of the settings of every experiment.
CONFIG_NAMES = ("full", "small", "quick")
#: What trainings can run on: the devices of one machine.
STRATEGIES = ("none", "mirrored", "tpu")
ROWS, HISTORY, TABLES = "rows.jsonl", "history.jsonl", "tables.md"


@dataclasses.dataclass(frozen=True)
class Training:
    """How long and how fast a model is trained.

    Args:
        epochs: Passes over the training images.
        batch_size: Images a step.
        plan: One of `methods.PLANS`, whose optimizer is taken, stretched to `epochs`. None: SGD of
            momentum 0.9, the learning rate falling by a half cosine to 0.
        learning_rate: Without a plan, the learning rate of the first step.
        images: Training images, of each class its share; None for those of the setting.
    """

    epochs: int
    batch_size: int = 128
    plan: Optional[str] = None
    learning_rate: float = 0.1
    images: Optional[int] = None


@dataclasses.dataclass(frozen=True)
class ExperimentConfig(Recipe):
    """The numbers of an experiment: all in which a full run differs from a small one.

    Args:
        seed: Seed of what is random in measuring.
        seeds: Seeds of the trainings: initial weights, order of the images, augmentations.
        dataset: One of `DATASETS`.
        data_dir: Where it is; see `datasets.load`.
        images: Name of a split to the number of its images, of each class its share; others whole.
        flips_and_crops: Whether training images are mirrored at random, and shifted by up to 4
            pixels.
        net: One of `NETS`.
        net_options: Its arguments, such as the stem for large images.
        weights: File of trained weights that trainings start from: the .npz of a CIFAR ResNet, or
            for `vgg_16` Keras' .h5 or "imagenet". None: from random weights.
        training: Trainings from the beginning.
        finetuning: Trainings that start from another model of the table.
        precision: Keras' policy: "float32", or "mixed_bfloat16" for processors that have it.
        strategy: What trainings run on, one of `STRATEGIES`; `devices.STRATEGIES` says what they
            are. The batch is that of all devices together.
        severities: Of the common corruptions.
        lines: Names of the models to train, and what they start from; None for all.
        numbers: What one experiment alone has, by name.
    """

    seeds: tuple[int, ...] = (0,)
    dataset: str = "cifar10"
    data_dir: Optional[str] = None
    images: Mapping[str, int] = dataclasses.field(default_factory=dict)
    flips_and_crops: bool = True
    net: str = "resnet_20"
    net_options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    weights: Optional[str] = None
    training: Training = Training(200)
    finetuning: Training = Training(30)
    precision: str = "float32"
    strategy: str = "none"
    severities: tuple[int, ...] = (1, 2, 3, 4, 5)
    lines: Optional[tuple[str, ...]] = None
    numbers: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class ModelSpec:
    """A model of a table.

    Args:
        name: As it stands there.
        method: One of `METHODS`.
        settings: Its arguments, `augment` and `attack` among them.
        net: Arguments of the net, such as `{"norm": "dubin"}`.
        start: Name of the line whose weights it starts from, which makes it a finetuning; "" for
            the setting's.
        once: Whether it is trained with the setting's `seed` alone, for all of its `seeds`.
        callbacks: Made anew for each training.
        training: Other numbers than the setting's.
        data: Further arguments of `Run.data`, as `datasets.load` takes them.
        measured: Whether it is measured; False for a model that others start from.
    """

    name: str
    method: str = "baseline"
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    net: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    start: str = ""
    once: bool = False
    callbacks: Callable[[datasets.Data], list[Any]] = lambda data: []
    training: Optional[Training] = None
    data: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    measured: bool = True


class Run:
    """One run of an experiment: its setting and its folder.

    Args:
        setting: The setting.
        folder: The folder.
        say: Takes the lines that tell how it goes.
    """

    def __init__(
        self, setting: ExperimentConfig, folder: RunFolder, say: Callable[[str], Any] = print
    ):
        self.setting, self.folder = setting, folder
        self._say, self._started = say, time.monotonic()

    def say(self, what: str) -> None:
        """Tells how it goes, with the seconds since the start."""
        self._say(f"[{time.monotonic() - self._started:6.0f} s] {what}")

    def data(
        self, training: Optional[Training] = None, seed: int = 0, **options: Any
    ) -> datasets.Data:
        """The data for a training or, by default, for measuring.

        They are loaded anew, so that the order of the images depends on the seed alone.
        """
        s = self.setting
        images = dict(s.images)
        if training is not None and training.images is not None:
            images["train"] = training.images
        where: Mapping[str, Any] = {} if s.data_dir is None else {"data_dir": s.data_dir}
        return datasets.load(
            s.dataset,
            **where,
            **options,
            batch_size=EVALUATION_BATCH if training is None else training.batch_size,
            seed=seed,
            images=images,
        )

    def model_file(self, line: str, seed: int) -> pathlib.Path:
        """Where a trained model is, or will be."""
        return self.folder / "models" / f"{_file_name(line)}_{seed}.keras"

    def model(self, line: str, seed: int) -> keras.Model:
        """A trained model."""
        return saving.load_model(self.model_file(line, seed))

    def rows_file(self, line: str, seed: int) -> pathlib.Path:
        """Where the rows of a trained model are, or will be."""
        return self.folder / "rows" / f"{_file_name(line)}_{seed}.jsonl"

    def history_file(self, line: str, seed: int) -> pathlib.Path:
        """Where the rows measured during a training are, if there are any."""
        return self.folder / "rows" / f"{_file_name(line)}_{seed}_history.jsonl"


class Experiment:
    """A published experiment. A subclass says what it trains, what it measures and what it shows.

    The three settings share every line of code.

    Attributes:
        paper: Which paper.
        shows: Its tables and figures, as they are numbered there.
        full: The paper's setting.
        small: One for two CPU cores.
        quick: One that shows in a minute or two that it runs, on data that need no download.
        runs: Class of its runs; another one where the data are not of `datasets.load`.
    """

    paper: str = ""
    shows: str = ""
    runs: type[Run] = Run
    full: ExperimentConfig
    small: ExperimentConfig
    quick: ExperimentConfig

    def setting(self, name: str) -> ExperimentConfig:
        """One of the settings.

        Args:
            name: "full", "small" or "quick".

        Raises:
            ValueError: There is no such setting.
        """
        found: ExperimentConfig = getattr(
            self, validation.check_choice("setting", name, CONFIG_NAMES)
        )
        return found

    def lines(self, run: Run, seed: int) -> list[ModelSpec]:
        """The models, each after the one that it starts from; made anew for each seed."""
        raise NotImplementedError

    def conditions(self, run: Run) -> list[Condition]:
        """What the models are measured under, besides clean images."""
        raise NotImplementedError

    def metrics(self) -> tuple[str, ...]:
        """What is measured under each condition."""
        return ("accuracy",)

    def more_rows(self, run: Run, line: ModelSpec, seed: int, model: keras.Model) -> list[rows.Row]:
        """What else is measured of a trained model."""
        return []

    def tables(self, setting: ExperimentConfig) -> list[PaperTable]:
        """The paper's tables, with its numbers."""
        raise NotImplementedError

    def pictures(self, run: Run) -> dict[str, Any]:
        """Name of a file to the figure in it; made after all is measured."""
        return {}

    # What follows is the same for all ----------------------------------------------------------

    def run(
        self, setting: ExperimentConfig, out: files.PathLike, *, say: Callable[[str], Any] = print
    ) -> list[rows.Row]:
        """Trains, measures and writes; what an earlier run of the setting finished is kept.

        A run that was killed goes on. More lines and seeds can be added to a folder.

        Args:
            setting: The numbers.
            out: Output folder.
            say: Takes the lines that tell how it goes.

        Returns:
            All rows; the training seed of each stands in its `provenance`.

        Raises:
            FileExistsError: `out` holds something else.
            FileNotFoundError: The data or weights are not there.
            ValueError: `setting.lines` names no model of the table.
        """
        # Which models, and with which seeds, is not in the folder's settings: they can be added to.
        folder = RunFolder(out, setting.replace(seeds=(), lines=None), finished=TABLES)
        run = self.runs(setting, folder, say)
        try:
            self._check(run)
        except BaseException:
            folder.forget()
            raise
        evaluator: Optional[Evaluator] = None
        for each in setting.seeds:
            for line in self._chosen(run, each):
                seed = setting.seed if line.once else each
                if run.rows_file(line.name, seed).exists():
                    continue
                if not run.model_file(line.name, seed).exists():
                    run.say(f"training {line.name}, seed {seed}")
                    self._train(run, line, seed)
                if not line.measured:
                    continue
                run.say(f"measuring {line.name}, seed {seed}")
                evaluator = evaluator or Evaluator(self.conditions(run), metrics=self.metrics())
                rows.write(
                    self._measure(run, line, seed, evaluator), run.rows_file(line.name, seed)
                )
        measured = self.measured(run)
        measured += intervals.differences(measured, folder.path)
        rows.write(measured, run.folder / ROWS)
        for name, figure in self.pictures(run).items():
            with files.replacing(run.folder / name) as temporary:
                figure.savefig(temporary, format="png", dpi=150, bbox_inches="tight")
        with files.replacing(run.folder / TABLES) as temporary:
            temporary.write_text(self.text(measured, setting), encoding="utf-8")
        run.say(f"done: {run.folder / TABLES}")
        return measured

    def measured(self, run: Run) -> list[rows.Row]:
        """The rows of all models measured so far, in the order of the table."""
        paths = [
            run.rows_file(line.name, run.setting.seed if line.once else seed)
            for seed in run.setting.seeds
            for line in self._chosen(run, seed)
        ]
        return [row for path in dict.fromkeys(paths) if path.exists() for row in rows.read(path)]

    def history(self, run: Run, line: str) -> list[rows.Row]:
        """The rows measured while a model was trained, with the first seed."""
        path = run.history_file(line, run.setting.seeds[0])
        return rows.read(path) if path.exists() else []

    def text(self, measured: list[rows.Row], setting: ExperimentConfig) -> str:
        """The tables as Markdown, with the paper's numbers."""
        parts = [
            f"### {table.title}\n\n{fill(table, measured).to_markdown()}"
            for table in self.tables(setting)
        ]
        differences = intervals.table(measured)
        if differences is not None:
            parts.append(f"### Differences\n\n{differences.to_markdown()}")
        return "\n".join(parts)

    def started(self, run: Run, net: keras.Model, data: datasets.Data) -> keras.Model:
        """The net that a finetuning begins with, made of the one that it starts from."""
        return net

    def prepare(self, run: Run) -> None:
        """What is done before the first training of a line that starts from another."""

    def _check(self, run: Run) -> None:
        """Finds out before anything is trained what could not be."""
        setting = run.setting
        validation.check_choice("strategy", setting.strategy, STRATEGIES)
        for seed in setting.seeds:
            self._chosen(run, seed)
        if setting.weights not in (None, "imagenet") and not os.path.isfile(str(setting.weights)):
            raise FileNotFoundError(
                f"weights must be a file of trained weights (--weights FILE); there is none at "
                f"{setting.weights}"
            )
        run.data()

    def _chosen(self, run: Run, seed: int) -> list[ModelSpec]:
        lines = self.lines(run, seed)
        if run.setting.lines is None:
            return lines
        names = tuple(line.name for line in lines)
        for name in run.setting.lines:
            validation.check_choice("line", name, names)
        wanted = set(run.setting.lines)
        wanted |= {line.start for line in lines if line.name in wanted and line.start}
        return [line for line in lines if line.name in wanted]

    def _train(self, run: Run, line: ModelSpec, seed: int) -> None:
        setting = run.setting
        chosen = devices.strategy(setting.strategy)
        if line.start:
            self.prepare(run)
        with chosen.scope():
            # Made now: layers depend on what was prepared, their variables on the strategy.
            line = next(each for each in self.lines(run, seed) if each.name == line.name)
        numbers = line.training or (setting.finetuning if line.start else setting.training)
        seed_everything(seed)
        keras.mixed_precision.set_global_policy(setting.precision)
        try:
            data = run.data(numbers, seed, **line.data)
            if setting.flips_and_crops:
                data = flipped_and_cropped(data, seed)
            net = self._net(run, line, seed, data, numbers)
            with chosen.scope():
                if setting.strategy != "none":
                    net = training.made_anew(net)
                model = _method(line, net)
                optimizer = _optimizer(numbers, data)
            callbacks = line.callbacks(data)
            remembered = [c for c in callbacks if hasattr(c, "get_state")]
            checkpoint = Checkpoint(
                run.folder / "models" / f"{_file_name(line.name)}_{seed}_checkpoints",
                remember=remembered,
            )
            training.fit(
                model,
                data,
                epochs=numbers.epochs,
                learning_rate=numbers.learning_rate,
                optimizer=optimizer,
                callbacks=callbacks,
                checkpoint=checkpoint,
            )
        finally:
            keras.mixed_precision.set_global_policy("float32")
        history = [row for c in callbacks for row in getattr(c, "rows", [])]
        if history:
            rows.write(history, run.history_file(line.name, seed))
        if setting.strategy != "none":
            model = training.on_one_device(model)
        saving.save_model(model, run.model_file(line.name, seed))
        checkpoint.clear()
        del model, net
        gc.collect()

    def _net(
        self, run: Run, line: ModelSpec, seed: int, data: datasets.Data, numbers: Training
    ) -> keras.Model:
        setting = run.setting
        if line.start:
            starts = {each.name: each for each in self.lines(run, seed)}
            seed = setting.seed if starts[line.start].once else seed
            found = run.model(line.start, seed)
            return self.started(run, getattr(found, "net", found), data)
        options = {**setting.net_options, **line.net}
        decay = methods.PLANS[numbers.plan].weight_decay if numbers.plan else None
        if decay is not None:
            options["weight_decay"] = decay
        if setting.weights is None:
            return NETS[setting.net](data.image_shape, data.classes, **options)
        return _trained_net(setting, data, options)

    def _measure(
        self, run: Run, line: ModelSpec, seed: int, evaluator: Evaluator
    ) -> list[rows.Row]:
        setting, data = run.setting, run.data(seed=seed)
        model = run.model(line.name, seed)
        found = evaluator.rows(
            model,
            data.test,
            model_name=line.name,
            dataset=f"{data.name}/test",
            seed=setting.seed,
            out=intervals.folder_of(run.folder.path, seed),
            stop_at_chance=False,
        )
        found += self.more_rows(run, line, seed, model)
        today = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
        return [
            dataclasses.replace(
                row, provenance={**(row.provenance or {}), "training_seed": seed, "date": today}
            )
            for row in found
        ]


def flipped_and_cropped(data: datasets.Data, seed: int) -> datasets.Data:
    """The data with training images mirrored at random and shifted by up to 4 pixels.

    This is the usual augmentation of CIFAR, which every view of an image shares. Its draws are new
    in each epoch, and follow from the seed and the number of the epoch, as the order does.

    Args:
        data: The data.
        seed: Whole number.

    Returns:
        The same with other training images.
    """
    layers = [PadAndCrop(4), Flip()]
    seeds = tf.data.Dataset.random(seed=seed, rerandomize_each_iteration=True).batch(2)

    def change(batch: Any, pair: tf.Tensor) -> Any:
        images, labels = batch
        pair = tf.cast(pair % (2**31 - 1), tf.int32)
        for number, layer in enumerate(layers):
            images = layer.apply(images, layer.draw(images, pair + number))
        return images, labels

    train = tf.data.Dataset.zip((data.train, seeds)).map(change).prefetch(2)
    return dataclasses.replace(data, train=train)


def _method(line: ModelSpec, net: keras.Model) -> methods.RobustModel:
    training.check_method_settings(
        line.method, {k: v for k, v in line.settings.items() if k != "augment"}
    )
    made: methods.RobustModel = methods.METHODS[line.method](net, **line.settings)
    return made


def _optimizer(numbers: Training, data: datasets.Data) -> Optional[keras.optimizers.Optimizer]:
    if numbers.plan is None:
        return None
    return methods.plan_optimizer(
        numbers.plan,
        steps_per_epoch=int(data.train.cardinality()),
        epochs=numbers.epochs,
        batch_size=numbers.batch_size,
    )


def _trained_net(
    setting: ExperimentConfig, data: datasets.Data, options: Mapping[str, Any]
) -> keras.Model:
    """The net of a setting with trained weights, and another norm where a line wants it."""
    options = dict(options)
    norm = options.pop("norm", "bn")
    weights = str(setting.weights)
    if setting.net == "vgg_16":
        net = NETS[setting.net](data.image_shape, data.classes, **options)
        nets.load_keras_vgg_16(net, weights)
        return net
    net = nets.import_torch_resnet(weights, **options)
    if norm == "bn":
        return net
    return nets.convert_norms(net, norm, mixed=_first_of_early_blocks)


def _first_of_early_blocks(layer: Any) -> bool:
    """The places of instance norm in a CIFAR ResNet: first norms, all stages but the last."""
    return re.fullmatch(r"stage[12]_block\d+_norm1", layer.name) is not None


def _file_name(name: str) -> str:
    return re.sub(r"[^a-z0-9.=+-]+", "_", name.lower()).strip("_")
