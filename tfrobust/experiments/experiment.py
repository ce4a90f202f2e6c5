"""Base class of published experiments: models that are trained, measured and tabulated."""

from __future__ import annotations

import dataclasses
import datetime
import functools
import os
import pathlib
import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Optional

import keras

from tfrobust import datasets, devices, files, methods, nets, rows, saving, trainer, validation
from tfrobust.evaluation import Evaluator
from tfrobust.evaluation.condition import Condition
from tfrobust.experiments import intervals
from tfrobust.experiments.images import corruptions, flipped_and_cropped
from tfrobust.experiments.settings import EVALUATION_BATCH
from tfrobust.experiments.tables import Column, PaperTable, fill, paper_table
from tfrobust.recipes.base import RunFolder, in_run_folder
from tfrobust.recipes.method_parts import check_settings
from tfrobust.registries import NETS
from tfrobust.seeding import seed_everything
from tfrobust.settings import Recipe

#: Names of the settings of every experiment.
CONFIG_NAMES = ("full", "small", "quick")
#: Supported distribution strategies: those for one machine.
STRATEGIES = ("none", "mirrored", "tpu")
TABLES = "tables.md"


@dataclasses.dataclass(frozen=True)
class Training:
    """Training schedule of a model.

    Args:
        epochs: Number of epochs.
        batch_size: Global batch size.
        plan: One of `methods.PLANS`, whose optimizer is used, stretched to `epochs`. None: SGD with
            momentum 0.9 and cosine decay of the learning rate to 0.
        learning_rate: Initial learning rate without a plan.
        images: Number of training images, stratified by class; None for that of the setting.
        crops: One of `images.CROPS`, with flips, if the setting has `flips_and_crops`: shifts by
            up to 4 pixels ("padded"), or random resized crops ("resized").
    """

    epochs: int
    batch_size: int = 128
    plan: Optional[str] = None
    learning_rate: float = 0.1
    images: Optional[int] = None
    crops: str = "padded"


@dataclasses.dataclass(frozen=True)
class ExperimentConfig(Recipe):
    """Configuration of an experiment: everything in which a full run differs from a small one.

    Args:
        seed: Seed of the evaluation.
        seeds: Training seeds: initial weights, shuffling, augmentations.
        dataset: One of `DATASETS`.
        data_dir: Its folder; see `datasets.load`.
        images: Split to its number of images, stratified by class; other splits are complete.
        flips_and_crops: Whether training images are randomly flipped and cropped; see `Training`.
        net: One of `NETS`.
        net_options: Its arguments, such as the stem for large images.
        weights: File of pretrained weights to start from: the .npz of a CIFAR ResNet, or for
            `vgg_16` Keras' .h5, "imagenet", or else a checkpoint of tf-slim. None: random weights.
        training: Schedule of models that start from scratch or `weights`.
        finetuning: Schedule of models that start from another model of the table.
        estimate_batch_norm: After which trainings the moving statistics of batch norm are
            estimated anew: "alternation", "always" or "never"; see `trainer.fit`.
        precision: Keras dtype policy: "float32", or "mixed_bfloat16" where supported.
        strategy: Distribution strategy, one of `STRATEGIES`, explained in `registries`. The
            batch size is global.
        corrupted_dir: Folder of the published corrupted test images, such as CIFAR-10-C; None for
            corruptions that are made here.
        severities: Severities of the common corruptions.
        lines: Names of the models to train, along with those that they start from; None for all.
        numbers: Experiment-specific values by name.
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
    estimate_batch_norm: str = "alternation"
    precision: str = "float32"
    strategy: str = "none"
    corrupted_dir: Optional[str] = None
    severities: tuple[int, ...] = (1, 2, 3, 4, 5)
    lines: Optional[tuple[str, ...]] = None
    numbers: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class ModelSpec:
    """A model of a table.

    Args:
        name: Name in the table.
        method: One of `METHODS`.
        settings: Its arguments, `augment` and `attack` among them.
        net: Arguments of the net, such as `{"norm": "dubin"}`.
        start: Name of the line whose weights it starts from, which makes it a finetuning; "" for
            the weights of the setting.
        once: Whether it is trained only once, with the setting's `seed`, for all of its `seeds`.
        callbacks: Creates the callbacks of a training.
        training: Schedule that replaces the setting's.
        data: Further arguments of `Run.data`, as `datasets.load` takes them.
        measured: Whether it is evaluated; False for a model that is only a starting point.
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
        say: Receives progress messages.
    """

    def __init__(
        self, setting: ExperimentConfig, folder: RunFolder, say: Callable[[str], Any] = print
    ):
        self.setting, self.folder = setting, folder
        self._say, self._started = say, time.monotonic()

    def say(self, what: str) -> None:
        """Reports progress, with the seconds since the start."""
        self._say(f"[{time.monotonic() - self._started:6.0f} s] {what}")

    def data(
        self, training: Optional[Training] = None, seed: int = 0, **options: Any
    ) -> datasets.Data:
        """Loads the data for a training or, by default, for evaluation.

        They are reloaded in each call, so that the order of the images depends only on the seed.

        Args:
            training: Its schedule; None for evaluation.
            seed: Seed of the order of the training images.
            **options: Arguments of `datasets.load` that replace those of the setting.
        """
        images = dict(self.setting.images)
        if training is not None and training.images is not None:
            images["train"] = training.images
        if training is not None and training.crops == "resized" and self.setting.flips_and_crops:
            options["random_crops"] = True
        return datasets.load(
            options.pop("dataset", self.setting.dataset),
            **{
                "data_dir": self.setting.data_dir,
                "batch_size": training.batch_size if training else EVALUATION_BATCH,
                "seed": seed,
                "images": images,
                **options,
            },
        )

    def training_data(self, training: Training, seed: int, **options: Any) -> datasets.Data:
        """The data of a training, flipped and cropped as the setting says; see `data`."""
        data = self.data(training, seed, **options)
        if not self.setting.flips_and_crops:
            return data
        return flipped_and_cropped(data, seed, training.crops)

    def schedule(self, line: ModelSpec) -> Training:
        """The schedule of a line: its own or the setting's."""
        setting = self.setting
        return line.training or (setting.finetuning if line.start else setting.training)

    def model_file(self, line: str, seed: int) -> pathlib.Path:
        """Path of a trained model."""
        return self.folder / f"models/{_file_name(line)}_{seed}.keras"

    def model(self, line: str, seed: int) -> keras.Model:
        """Loads a trained model."""
        return saving.load_model(self.model_file(line, seed))

    def rows_file(self, line: str, seed: int) -> pathlib.Path:
        """Path of the rows of a trained model."""
        return self.folder / f"rows/{_file_name(line)}_{seed}.jsonl"

    def history_file(self, line: str, seed: int) -> pathlib.Path:
        """Path of the rows measured during training, if there are any."""
        return self.folder / f"rows/{_file_name(line)}_{seed}_history.jsonl"


class Experiment:
    """A published experiment; subclasses define its models, conditions and tables.

    The three settings differ only in their `ExperimentConfig`.

    Attributes:
        paper: Name of the paper.
        shows: The tables and figures that it reproduces.
        full: The paper's setting.
        small: A setting for two CPU cores.
        quick: A smoke test of a minute or two, on data that need no download.
        runs: Class of its runs; a subclass if the data are not from `datasets.load`.
        table: First arguments of `paper_table`, if one table is all that it has.
    """

    paper: str = ""
    shows: str = ""
    runs: type[Run] = Run
    full: ExperimentConfig
    small: ExperimentConfig
    quick: ExperimentConfig
    table: tuple[str, Sequence[Column], str]

    def setting(self, name: str) -> ExperimentConfig:
        """Returns a setting by name.

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
        """The models for a seed, each after the one that it starts from."""
        raise NotImplementedError

    def conditions(self, run: Run) -> list[Condition]:
        """What models are evaluated under, besides clean images: by default the 15 corruptions."""
        return corruptions(run.setting)

    def more_rows(self, run: Run, line: ModelSpec, seed: int, model: keras.Model) -> list[rows.Row]:
        """Further measurements of a trained model."""
        return []

    def tables(self, setting: ExperimentConfig) -> list[PaperTable]:
        """The paper's tables with the printed numbers: by default `table` alone."""
        return [paper_table(*self.table)]

    def pictures(self, run: Run) -> dict[str, Any]:
        """File name to figure, created after all models are measured."""
        return {}

    def prepare(self, run: Run) -> None:
        """Hook that runs before a line that starts from another is trained."""

    def net(
        self, run: Run, line: ModelSpec, seed: int, data: datasets.Data, schedule: Training
    ) -> keras.Model:
        """The net that a training starts with."""
        setting = run.setting
        if line.start:
            start = next(each for each in self.lines(run, seed) if each.name == line.start)
            found = run.model(line.start, setting.seed if start.once else seed)
            return self.started(run, getattr(found, "net", found), data)
        options = {**setting.net_options, **line.net, **weight_decay(schedule)}
        if setting.weights is None:
            return NETS[setting.net](data.image_shape, data.classes, **options)
        return _pretrained_net(setting, data, options)

    def started(self, run: Run, net: keras.Model, data: datasets.Data) -> keras.Model:
        """Derives the net to finetune from the one that it starts from."""
        return net

    # Shared by all experiments ----------------------------------------------------------------

    @in_run_folder
    def run(
        self, setting: ExperimentConfig, out: files.PathLike, *, say: Callable[[str], Any] = print
    ) -> list[rows.Row]:
        """Trains and evaluates the models, and writes rows, tables and figures.

        A killed run is resumed. Lines and seeds can be added to a folder later.

        Args:
            setting: The configuration.
            out: Output folder.
            say: Receives progress messages.

        Returns:
            All rows, with the training seed in their `provenance`.

        Raises:
            FileExistsError: `out` holds something else.
            FileNotFoundError: The data or weights are missing.
            ValueError: `setting.lines` has a name that is not in the table.
        """
        # Lines and seeds are not part of the folder's settings, so that more can be added.
        own = setting.replace(seeds=(), lines=None)
        weights = setting.weights if os.path.isfile(str(setting.weights)) else None
        folder = RunFolder(out, own, finished=TABLES, inputs=[weights])
        run = self.runs(setting, folder, say)
        self._check(run)
        folder.record_data(run.data())
        evaluator: Optional[Evaluator] = None
        for line, seed in self._trainings(run):
            if run.rows_file(line.name, seed).exists():
                continue
            if not run.model_file(line.name, seed).exists():
                run.say(f"training {line.name}, seed {seed}")
                self._train(run, line, seed)
            if line.measured:
                run.say(f"measuring {line.name}, seed {seed}")
                evaluator = evaluator or Evaluator(self.conditions(run))
                measured = self._measure(run, line, seed, evaluator)
                rows.write(measured, run.rows_file(line.name, seed))
        measured = self.measured(run)
        measured += intervals.differences(measured, folder.path)
        rows.write(measured, folder / "rows.jsonl")
        for name, figure in self.pictures(run).items():
            with files.replacing(folder / name) as temporary:
                figure.savefig(temporary, format="png", dpi=150, bbox_inches="tight")
        with files.replacing(folder / TABLES) as temporary:
            temporary.write_text(self.text(measured, setting), encoding="utf-8")
        run.say(f"done: {folder / TABLES}")
        return measured

    def measured(self, run: Run) -> list[rows.Row]:
        """The rows of all models measured so far, in the order of the table."""
        paths = [run.rows_file(line.name, seed) for line, seed in self._trainings(run)]
        return [row for path in paths if path.exists() for row in rows.read(path)]

    def text(self, measured: list[rows.Row], setting: ExperimentConfig) -> str:
        """The tables as Markdown, with the paper's numbers."""
        found = [(table.title, fill(table, measured)) for table in self.tables(setting)]
        differences = intervals.table(measured)
        if differences is not None:
            found.append(("Differences", differences))
        return "\n".join(f"### {title}\n\n{table.to_markdown()}" for title, table in found)

    def _check(self, run: Run) -> None:
        """Checks the setting before anything is trained."""
        setting = run.setting
        validation.check_choice("strategy", setting.strategy, STRATEGIES)
        trainings = self._trainings(run)
        weights = setting.weights
        paths = [str(weights), f"{weights}.index"]  # a checkpoint's name lacks the end
        if weights not in (None, "imagenet") and not any(map(os.path.isfile, paths)):
            raise FileNotFoundError(
                "weights must be a file of trained weights (--weights FILE); there is none at "
                f"{weights}"
            )
        data = run.data()
        if setting.net_options:
            NETS[setting.net](data.image_shape, data.classes, **setting.net_options)
        loaded: list[Any] = []
        for line, seed in trainings:
            settings = {k: v for k, v in line.settings.items() if k != "augment"}
            check_settings(line.method, settings)
            own = (line.data, run.schedule(line).crops)
            if own not in loaded and not run.model_file(line.name, seed).exists():
                run.data(run.schedule(line), seed, **line.data)
                loaded.append(own)
        if setting.corrupted_dir is not None:
            corruptions(setting)

    def _trainings(self, run: Run) -> list[tuple[ModelSpec, int]]:
        """The models to train and their seeds, in the order of the table."""
        found: dict[tuple[str, int], ModelSpec] = {}
        for seed in run.setting.seeds:
            lines = {line.name: line for line in self.lines(run, seed)}
            wanted = set(lines if run.setting.lines is None else run.setting.lines)
            for name in run.setting.lines or ():
                validation.check_choice("line", name, tuple(lines))
            wanted |= {lines[name].start for name in wanted}
            for name, line in lines.items():
                if name in wanted:
                    found[name, run.setting.seed if line.once else seed] = line
        return [(line, seed) for (_, seed), line in found.items()]

    def _train(self, run: Run, line: ModelSpec, seed: int) -> None:
        setting = run.setting
        chosen = devices.strategy(setting.strategy)
        if line.start:
            self.prepare(run)
        with chosen.scope():
            # Built here: layers depend on `prepare`, their variables on the strategy.
            line = next(each for each in self.lines(run, seed) if each.name == line.name)
        schedule = run.schedule(line)
        seed_everything(seed)
        data = run.training_data(schedule, seed, **line.data)
        trainer.train_to(
            run.model_file(line.name, seed),
            lambda: self.net(run, line, seed, data, schedule),
            lambda net: _method(line, net),
            data,
            epochs=schedule.epochs,
            learning_rate=schedule.learning_rate,
            optimizer=_optimizer(schedule, data),
            callbacks=line.callbacks(data),
            history=run.history_file(line.name, seed),
            estimate_batch_norm=setting.estimate_batch_norm,
            precision=setting.precision,
            strategy=chosen,
        )

    def _measure(
        self, run: Run, line: ModelSpec, seed: int, evaluator: Evaluator
    ) -> list[rows.Row]:
        data, model = run.data(seed=seed), run.model(line.name, seed)
        found = evaluator.rows(
            model,
            data.test,
            model_name=line.name,
            dataset=f"{data.name}/test",
            seed=run.setting.seed,
            out=intervals.folder_of(run.folder.path, seed),
            stop_at_chance=False,
        )
        found += self.more_rows(run, line, seed, model)
        today = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
        made = {"training_seed": seed, "date": today}
        return [
            dataclasses.replace(row, provenance={**(row.provenance or {}), **made}) for row in found
        ]


def weight_decay(schedule: Training) -> dict[str, float]:
    """The weight decay of a schedule as an option of a net; {} if it has none."""
    decay = methods.PLANS[schedule.plan].weight_decay if schedule.plan else None
    return {} if decay is None else {"weight_decay": decay}


def _method(line: ModelSpec, net: keras.Model) -> methods.RobustModel:
    model: methods.RobustModel = methods.METHODS[line.method](net, **line.settings)
    return model


def _optimizer(schedule: Training, data: datasets.Data) -> Optional[Callable[[], Any]]:
    if schedule.plan is None:
        return None
    return functools.partial(
        methods.plan_optimizer,
        schedule.plan,
        steps_per_epoch=data.steps,
        epochs=schedule.epochs,
        batch_size=schedule.batch_size,
    )


def _pretrained_net(
    setting: ExperimentConfig, data: datasets.Data, options: Mapping[str, Any]
) -> keras.Model:
    """The net of a setting with pretrained weights, and its norms converted if requested."""
    weights = str(setting.weights)
    norm = options.get("norm", "bn")
    options = {name: value for name, value in options.items() if name != "norm"}
    if setting.net == "vgg_16":
        net = NETS[setting.net](data.image_shape, data.classes, **options)
        keras_file = weights == "imagenet" or weights.endswith(".h5")
        (nets.load_keras_vgg_16 if keras_file else nets.slim_checkpoint.load)(net, weights)
        return net
    options.pop("stem", None)  # the file says which
    net = nets.import_torch_resnet(weights, **options)
    if norm == "bn":
        return net
    # Instance norm is part of the first norm of each block in all stages but the last.
    last = max(layer.name[:6] for layer in net.layers if layer.name.startswith("stage"))

    def mixed(layer: Any) -> bool:
        return re.fullmatch(rf"(?!{last})stage\d_block\d+_norm1", layer.name) is not None

    return nets.convert_norms(net, norm, mixed=mixed)


def _file_name(name: str) -> str:
    return re.sub(r"[^a-z0-9.=+-]+", "_", name.lower()).strip("_")
