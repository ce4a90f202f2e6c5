"""The commands: the settings that each takes, and the function that runs it.

A function imports what it needs when called, so that help and lists come at once.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Optional

from tfrobust import registries
from tfrobust.options import assignment, literal, number, option, positive, whole
from tfrobust.registries import AUGMENTS, CORRUPTIONS, DATASETS, EXPERIMENTS, NETS, STRATEGIES
from tfrobust.settings import (
    ESTIMATE_BATCH_NORM,
    DataFolder,
    DataOptions,
    DataRecipe,
    Finetune,
    ModelInput,
    Recipe,
    Robustify,
    RobustifyCommand,
    Train,
    Tune,
)

#: What `list` lists.
KINDS = ("attacks", "augments", "nets", "methods", "datasets", "corruptions", "experiments")
REGISTRIES = {kind: getattr(registries, kind.upper()) for kind in KINDS}


class Command(NamedTuple):
    """A command: what it does, the dataclasses whose fields are its options, and what runs it.

    The function gets an object of each dataclass.
    """

    text: str
    takes: tuple[Any, ...]
    run: Callable[..., None]


COMMANDS: dict[str, Command] = {}


def command(name: str, text: str, *takes: type) -> Callable[[Any], Any]:
    """Makes a command of a function."""

    def register(run: Callable[..., None]) -> Callable[..., None]:
        COMMANDS[name] = Command(text, takes, run)
        return run

    return register


@dataclasses.dataclass(frozen=True)
class Output:
    """Where a run writes."""

    out: str = option("", "output folder", required=True)
    resume: bool = option(
        False,
        "fail if the output folder holds no run to resume; without this option a run there is "
        "resumed, or else a new one started",
    )


@dataclasses.dataclass(frozen=True)
class QuickstartOutput(Output):
    """Where the quickstart writes."""

    out: str = option("runs/quickstart", "output folder")
    savedmodels: str = option("savedmodels", "folder for the SavedModel")


@command("quickstart", "the FMA paper's Table 3 on digits, end to end", Recipe, QuickstartOutput)
def quickstart(seeded: Recipe, output: QuickstartOutput) -> None:
    from tfrobust import recipes

    recipe = recipes.Quickstart(seed=seeded.seed)
    print(recipes.quickstart(recipe, output.out, savedmodels=output.savedmodels))


@command("train", "train a net from scratch, on clean images or with a method", Train, Output)
def train(recipe: Train, output: Output) -> None:
    from tfrobust import recipes

    recipes.train(recipe, output.out)
    _print_run_note(output.out)


@command("finetune", "finetune a model with a method", Finetune, Output)
def finetune(recipe: Finetune, output: Output) -> None:
    from tfrobust import recipes

    recipes.finetune(recipe, output.out)
    _print_run_note(output.out)


@command("tune", "search for the best hyper-parameters of a method", Tune, Output)
def tune(recipe: Tune, output: Output) -> None:
    from tfrobust import recipes, reports
    from tfrobust.reports.run_files import read_json

    trials = recipes.tune(recipe, output.out)
    if not trials:  # a worker; the chief prints the results
        return
    out = pathlib.Path(output.out)
    about = json.loads((out / "tuning.json").read_text(encoding="utf-8"))
    start = read_json(out / "start.json")
    print(reports.trials_table(map(vars, trials), about, start).to_text())
    best = trials[0]
    print("best: " + ", ".join(f"{name}={value:g}" for name, value in best.values.items()))
    again = recipes.finetune_command(recipe, best, f"{out}-finetuned")
    print(f"report: {out / 'report.html'}\nfinetune with them: {again}")
    _print_run_note(output.out, f" (the best trial, after epoch {best.epoch})")


@dataclasses.dataclass(frozen=True)
class RobustifyOutput(Output):
    """Where `robustify` writes, and whether it stops after the plan."""

    dry_run: bool = option(False, "print the plan and stop")


@command(
    "robustify",
    "find the most robust version of a model within a budget, and measure the gain",
    RobustifyCommand,
    RobustifyOutput,
)
def robustify(asked: RobustifyCommand, output: RobustifyOutput) -> None:
    from tfrobust import recipes

    options = {field.name: getattr(asked, field.name) for field in dataclasses.fields(Robustify)}
    found = recipes.robustify(
        asked.model, lambda: _load(asked), out=output.out, dry_run=output.dry_run, **options
    )
    if found is not None:
        print(f"model: {pathlib.Path(output.out, 'model.keras')}")


@dataclasses.dataclass(frozen=True)
class Reproduce:
    """Settings of `reproduce`; see `experiments.ExperimentConfig`."""

    name: str = option("", "an experiment of `tfrobust list experiments`", "name", metavar="NAME")
    setting: str = option(
        "small",
        "full is the paper's, small suits two CPU cores, quick is a smoke test of a minute or two",
        choices=["full", "small", "quick"],
    )
    quick: bool = option(False, "--setting quick")
    describe: bool = option(False, "describe the experiment without running it")
    out: Optional[str] = option(None, "output folder; default: runs/NAME-SETTING")
    data_dir: Optional[str] = option(None, "folder of the data set")
    dataset: Optional[str] = option(None, "override the data set", choices=list(DATASETS))
    net: Optional[str] = option(None, "override the net", choices=list(NETS))
    net_options: Mapping[str, Any] = option(
        {},
        "give the net an option; separate several values by commas",
        "--net-option",
        type=assignment(literal),
    )
    weights: Optional[str] = option(None, "file of pretrained weights to start from")
    corrupted_dir: Optional[str] = option(
        None, "folder of the published corrupted test images, such as CIFAR-10-C"
    )
    seeds: tuple[int, ...] = option((), "training seeds", metavar="SEED", type=whole(0))
    lines: tuple[str, ...] = option((), "models to train; default: all", metavar="LINE")
    training_epochs: Optional[int] = option(
        None, "epochs of models that start from scratch or pretrained weights", type=whole(1)
    )
    finetuning_epochs: Optional[int] = option(
        None, "epochs of models that start from another one of the table", type=whole(1)
    )
    estimate_batch_norm: Optional[str] = option(
        None,
        "after which trainings the moving statistics of batch norm are estimated anew; default: "
        "those with an alternating augmentation",
        choices=list(ESTIMATE_BATCH_NORM),
    )
    strategy: str = option(
        "none",
        "one device, all GPUs of this machine (mirrored), or a TPU",
        choices=[name for name in STRATEGIES if name != "multiworker"],
    )
    numbers: Mapping[str, Any] = option(
        {},
        "override an experiment-specific value; separate several values by commas",
        "--set",
        type=assignment(literal),
    )


@command("reproduce", "run a published experiment", Reproduce)
def reproduce(asked: Reproduce) -> None:
    from tfrobust import experiments

    name, experiment = asked.name, EXPERIMENTS[asked.name]()
    fields = (
        "data_dir", "dataset", "net", "net_options", "weights", "corrupted_dir", "seeds", "lines",
        "training_epochs", "finetuning_epochs", "estimate_batch_norm", "strategy",
    )  # fmt: skip
    overrides = {field: getattr(asked, field) for field in fields if getattr(asked, field)}
    chosen = "quick" if asked.quick else asked.setting
    setting = experiments.resolved(experiment, chosen, asked.numbers, **overrides)
    if asked.describe:
        print(experiments.description(name, setting))
        return
    out = pathlib.Path(asked.out or f"runs/{name}-{chosen}")
    experiment.run(setting, out)
    print((out / "tables.md").read_text(encoding="utf-8"))
    print(f"tables: {out / 'tables.md'}")


@dataclasses.dataclass(frozen=True)
class Calibrate(ModelInput, DataRecipe):
    """Settings of `calibrate`; see `evaluation.strength.calibrate`."""

    model: str = option("", "a .keras file", "model")
    drop: float = option(0.10, "target drop in accuracy", type=number)
    blur_kernel_size: int = option(3, "odd, in pixels; Table 1 has 3", type=whole(1))
    out: str = option("", "output file: strengths.json", required=True)


@command(
    "calibrate",
    "calibrate the strength of each augmentation to a target drop in accuracy",
    Calibrate,
)
def calibrate(asked: Calibrate) -> None:
    from tfrobust import augment, files, reports
    from tfrobust.evaluation import strength
    from tfrobust.recipes import models
    from tfrobust.rows import on_images

    if pathlib.Path(asked.out).exists():
        raise FileExistsError(f"{asked.out} exists; give another file with --out")
    files.check_writable(pathlib.Path(asked.out).parent)
    blur = augment.GaussianBlur(kernel_size=asked.blur_kernel_size)
    model = models.load(asked.model, lambda: _load(asked), input_range=asked.input_range)
    data = _load(asked)
    models.check_classes(model, data, asked.model)
    found = strength.calibrate(
        model,
        data.split("validation"),
        {**augment.table_1(), "GB": blur},
        drop=asked.drop,
        seed=asked.seed,
    )
    strength.write(found, asked.out)
    print(reports.strengths_table([vars(c) for c in found]).to_text())
    print(f"measured {on_images(found[0].n)}")
    _print_note(data)


@dataclasses.dataclass(frozen=True)
class ScaleTemperature(ModelInput, DataRecipe):
    """Settings of `temperature`; see `recipes.scale_temperature`."""

    model: str = option("", "a .keras file", "model")
    out: str = option("", "output file: a .keras file", required=True)


@command(
    "temperature",
    "scale a model's logits so that its confidences are right on the validation images",
    ScaleTemperature,
)
def temperature(asked: ScaleTemperature) -> None:
    from tfrobust import recipes

    data = _load(asked)
    recipes.scale_temperature(asked.model, data, out=asked.out, input_range=asked.input_range)
    print(f"model: {asked.out}")
    _print_note(data)


@dataclasses.dataclass(frozen=True)
class Adapt(ModelInput, DataRecipe):
    """Settings of `adapt`; see `recipes.adapt`."""

    model: str = option("", "a .keras file", "model")
    photos: str = option("", "folder of unlabelled pictures, as the model will meet them", "photos")
    resize: Optional[int] = option(
        None,
        "shorter side of the pictures before the centre is cut out; default: what just covers the "
        "model's images",
        type=whole(1),
        metavar="PIXELS",
    )
    out: str = option("", "output file: a .keras file", required=True)


@command("adapt", "adapt a model's batch norm to unlabelled pictures, if that is safe", Adapt)
def adapt(asked: Adapt) -> None:
    from tfrobust import recipes

    data = _load(asked)
    given: dict[str, Any] = {"resize": asked.resize, "seed": asked.seed}
    recipes.adapt(
        asked.model, asked.photos, data, out=asked.out, input_range=asked.input_range, **given
    )
    print(f"model: {asked.out}")
    _print_note(data)


def _strengths(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(number) for number in text.split(","))
    except ValueError:
        raise ValueError("takes NUMBER,NUMBER,...") from None


@dataclasses.dataclass(frozen=True)
class CorruptedData(DataRecipe):
    """Settings of what corrupts a data set."""

    split: str = option("test", "which images", choices=["validation", "test"])
    table: Optional[int] = option(
        None, "severity table for images of another size", type=whole(1), choices=[32, 64, 224]
    )
    frost: Optional[str] = option(
        None,
        "folder with the photographs frost1 to frost5; default: those of the package "
        "imagecorruptions if installed, else a procedural texture, which is not comparable",
        metavar="FOLDER",
    )


@dataclasses.dataclass(frozen=True)
class Evaluate(ModelInput, CorruptedData, Output):
    """Settings of `evaluate`; see `recipes.evaluate`."""

    models: tuple[str, ...] = option(
        (),
        ".keras, .tflite or .onnx files, folders of SavedModels, or functions of images as "
        "FILE.py:FUNCTION; the others are compared with the first",
        "models",
        metavar="MODEL",
    )
    corruptions: tuple[str, ...] = option(
        (),
        "test (the 15 of the benchmark), noise, blur, weather, digital, without_noise, held_out, "
        "all, or names; default: test if no other condition is given",
    )
    severities: tuple[int, ...] = option(
        (1, 2, 3, 4, 5), "of the corruptions", type=whole(1), choices=range(1, 6)
    )
    published: Optional[str] = option(
        None,
        "read the corrupted images from the published files instead of generating them",
        choices=["cifar10_c", "cifar100_c", "imagenet_c", "tiny_imagenet_c"],
    )
    published_dir: Optional[str] = option(None, "folder of these files", metavar="FOLDER")
    augment: tuple[str, ...] = option(
        (),
        "table_1, combinations, stability_practical, or names, with a strength (jpeg=10), a range "
        "to draw it from (rotation=0,45) and further arguments (gaussian_blur=2,kernel_size=5)",
    )
    strengths: Optional[str] = option(
        None, "file of calibrated strengths for Table 1 and its combinations"
    )
    sweep: tuple[tuple[str, tuple[float, ...]], ...] = option(
        (),
        "one augmentation at several strengths: gaussian_noise=0.05,0.1,0.2",
        metavar="NAME=S,S,...",
        type=assignment(_strengths),
    )
    attacks: tuple[str, ...] = option(
        (),
        "FGSM, PGD, APGD-CE and APGD-DLR (of 8/255), spatial, or one of `tfrobust list attacks` "
        "with its arguments: pgd=0.01,steps=40; needs .keras files",
    )
    perturbations: tuple[str, ...] = option(
        (),
        "measure flip probabilities on perturbation sequences: all (the 10 of the benchmark), or "
        "names such as gaussian_noise, translate, tilt",
    )
    maps: int = option(
        0,
        "show the per-pixel utility and sensitivity of N images (FCL)",
        type=whole(0),
        metavar="N",
    )
    baseline: Optional[str] = option(
        None,
        "baseline that normalises corruption errors: alexnet, tiny_imagenet_resnet18, or a rows "
        "file; default: none",
    )
    outputs: tuple[Any, ...] = option(
        (),
        "model outputs that are the classes of the data set: imagenet_a, imagenet_r or indices",
        metavar="CLASS",
        type=literal,
    )
    input_size: Optional[tuple[int, int]] = option(
        None,
        "resize the images to this size for the models; default: as they are",
        nargs=2,
        type=whole(1),
        metavar=("H", "W"),
    )
    adapt_batch_norm: int = option(
        0,
        "measure each model a second time, its batch norm adapted to N unlabelled images of each "
        "condition, if that gains something on the validation images",
        type=whole(0),
        metavar="N",
    )
    allow_chance_accuracy: bool = option(
        False, "evaluate models whose clean accuracy is near chance, too"
    )
    out: str = option("runs/evaluation", "output folder; results that it already holds are reused")


@command("evaluate", "evaluate the robustness of models and write a report", Evaluate)
def evaluate(asked: Evaluate) -> None:
    from tfrobust import files, recipes, reports
    from tfrobust.datasets import IMAGENET_A_CLASSES, IMAGENET_R_CLASSES
    from tfrobust.registries import PERTURBATIONS

    named = {("imagenet_a",): IMAGENET_A_CLASSES, ("imagenet_r",): IMAGENET_R_CLASSES}
    files.check_writable(asked.out)
    data = _load(asked)
    rows = recipes.evaluate(
        dict(zip(_model_names(asked.models), asked.models)),
        data,
        _conditions(asked),
        asked.out,
        split=asked.split,
        classes=named.get(asked.outputs, asked.outputs or None),
        perturbations=PERTURBATIONS if asked.perturbations == ("all",) else asked.perturbations,
        baseline=asked.baseline,
        maps=asked.maps,
        seed=asked.seed,
        stop_at_chance=not asked.allow_chance_accuracy,
        input_range=asked.input_range,
        input_size=asked.input_size,
        adapt_batch_norm=asked.adapt_batch_norm,
    )
    print(reports.answer_text(asked.out, data.name + f"/{asked.split}"))
    print(reports.summary_table(rows).to_text())
    augmented = reports.augmentations_table(rows)
    if augmented is not None:
        print(augmented.to_text())
    print(f"report: {pathlib.Path(asked.out, 'report.html')}")
    _print_note(data)


def _conditions(asked: Evaluate) -> list[Any]:
    """The requested conditions; by default the 15 common corruptions."""
    from tfrobust import evaluation, recipes
    from tfrobust.evaluation import strength

    names = asked.corruptions or ("test",)
    options: dict[str, Any] = {"severities": asked.severities, "names": names}
    others = (asked.strengths, asked.augment, asked.sweep, asked.attacks, asked.perturbations)
    conditions: list[Any] = []
    if asked.published:
        conditions += evaluation.published(asked.published, asked.published_dir, **options)
    elif asked.corruptions or not any(others):
        conditions += evaluation.corrupted(table=asked.table, frost_folder=asked.frost, **options)
    if asked.strengths:
        individual = strength.augmentations_at(strength.read(asked.strengths))
        conditions += recipes.conditions.augmentations(["table_1"], individual)
    conditions += recipes.conditions.augmentations(asked.augment, seed=asked.seed)
    for name, strengths in asked.sweep:
        conditions += recipes.conditions.sweep(name, strengths, seed=asked.seed)
    return conditions + recipes.conditions.attacks(asked.attacks)


def _model_names(paths: tuple[str, ...]) -> list[str]:
    """A short unique name for each model: its run, "a" for runs/a/model.keras, or its file."""
    given = [pathlib.Path(path.rpartition(":")[2] if ".py:" in path else path) for path in paths]
    names = [one.resolve().parent.name if one.stem == "model" else one.stem for one in given]
    if len(set(names)) < len(names):
        names = [f"{one.resolve().parent.name}/{one.stem}" for one in given]
    return names if len(set(names)) == len(names) else list(paths)


@dataclasses.dataclass(frozen=True)
class Preview(DataRecipe):
    """Settings of `preview`; see `recipes.preview`."""

    images: tuple[str, ...] = option((), "image files to use instead of a data set", metavar="FILE")
    augment: tuple[str, ...] = option(
        ("table_1", "combinations"),
        "table_1, combinations (Combined+ and Combined-), stability_practical, or one of: "
        f"{', '.join(AUGMENTS)}; optionally with a strength: jpeg=10, or rotation=0,45 to draw it "
        "from a range",
    )
    examples: int = option(4, "number of images", type=whole(1))
    draws: int = option(1, "draws of each", type=whole(1))
    out: str = option("preview.png", "output file")


@command("preview", "preview augmentations on images (PNG)", Preview)
def preview(asked: Preview) -> None:
    from tfrobust import recipes

    options = dict(vars(asked))
    print(f"picture: {recipes.preview(options.pop('augment'), options.pop('out'), **options)}")


@dataclasses.dataclass(frozen=True)
class Corrupt(CorruptedData):
    """Settings of `corrupt`; see `corruptions.write_set`."""

    corruptions: tuple[str, ...] = option(
        (),
        f"default: all of {', '.join(CORRUPTIONS)}",
        choices=list(CORRUPTIONS),
        metavar="NAME",
    )
    out: str = option("", "output folder; an interrupted run is resumed", required=True)


@command("corrupt", "write a corrupted test set in the CIFAR-10-C layout", Corrupt)
def corrupt(asked: Corrupt) -> None:
    import keras
    import numpy as np

    from tfrobust import corruptions, files

    files.check_writable(asked.out)
    data = _load(asked, batch_size=1000)
    batches = data.split(asked.split).as_numpy_iterator()
    images, labels = (np.concatenate(parts) for parts in zip(*batches))
    bar = keras.utils.Progbar(None, unit_name="image")

    def progress(done: int, total: int) -> None:
        bar.target = total
        bar.update(done)

    paths = corruptions.write_set(
        np.rint(images * 255).astype("uint8"),
        labels,
        asked.out,
        names=asked.corruptions or None,
        seed=asked.seed,
        table=asked.table,
        frost_folder=asked.frost,
        about={"dataset": asked.dataset, "split": asked.split, "note": data.note},
        progress=progress,
    )
    print(f"corrupted set: {len(paths)} files in {asked.out}")
    _print_note(data)


@dataclasses.dataclass(frozen=True)
class Datasets(DataFolder):
    """Settings of `datasets`; see `datasets.prepare`."""

    action: str = option("list", "what to do", "action", nargs="?", choices=["list", "prepare"])
    names: tuple[str, ...] = option((), "data sets; default for list: all", "names", nargs="*")


@command("datasets", "list the data sets or download one", Datasets)
def datasets(asked: Datasets) -> None:
    from tfrobust.dataset_facts import CATALOG
    from tfrobust.datasets import catalog, prepare

    if asked.action == "prepare":
        if not asked.names:
            raise ValueError("datasets prepare needs the name of a data set; received none")
        for name in asked.names:
            print(f"{name}: {prepare(name, data_dir=asked.data_dir)}")
        return
    rows = [("name", "here", "images", "download", "licence", "source")]
    for name in asked.names or DATASETS:
        here = "yes" if catalog.is_present(name, asked.data_dir) else "no"
        entry = CATALOG[name]
        rows.append((name, here, entry.images, entry.size, entry.licence, entry.source))
    widths = [max(map(len, column)) for column in zip(*rows)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())


@dataclasses.dataclass(frozen=True)
class Export(ModelInput, DataOptions):
    """Settings of `export`; see `serving.export`, `export_tflite` and `export_onnx`."""

    model: str = option("", "a .keras file", "model")
    out: str = option(
        "", "output folder, such as savedmodels/mine, or a .tflite or .onnx file", "out"
    )
    class_names: tuple[str, ...] = option((), "name of each class")
    class_names_of: Optional[str] = option(
        None,
        "take the class names from this data set, which the model card then names",
        choices=list(DATASETS),
        metavar="DATASET",
    )
    version: Optional[int] = option(
        None, "write to OUT/N, as TensorFlow Serving expects", type=whole(1), metavar="N"
    )
    image_size: Optional[tuple[int, int]] = option(
        None,
        "image size for JPEG and PNG input; default: the net's",
        nargs=2,
        type=whole(1),
        metavar=("H", "W"),
    )
    resize: Optional[int] = option(
        None,
        "shorter side of JPEG and PNG input before the centre crop, such as 256",
        type=whole(1),
        metavar="PIXELS",
    )
    name: Optional[str] = option(None, "name in the model card; default: the folder's name")
    rows: Optional[str] = option(
        None, "rows.jsonl with the model's results, for the model card", metavar="FILE"
    )
    licence: str = option("not stated", "licence of the model, for the model card", metavar="TEXT")
    overwrite: bool = option(False, "overwrite existing files")
    quantization: Optional[str] = option(
        None, "quantization of a .tflite file; default: none", choices=["none", "float16", "int8"]
    )
    accuracy_on: Optional[str] = option(
        None,
        "for .tflite and .onnx files: measure the accuracy on the test images of this data set, of "
        "a quantized file also under corruptions, beside the Keras model; int8 is calibrated on "
        "its training images",
        choices=list(DATASETS),
        metavar="DATASET",
    )


#: Options of `export` that apply to one output format only.
_FILE_OPTIONS = ("quantization", "accuracy_on")
_FOLDER_OPTIONS = (
    "class_names",
    "class_names_of",
    "version",
    "image_size",
    "resize",
    "name",
    "rows",
)


@command("export", "write a SavedModel, .tflite or .onnx file", Export)
def export(asked: Export) -> None:
    suffix = pathlib.Path(asked.out).suffix
    is_file = suffix in (".tflite", ".onnx")
    for field in _FOLDER_OPTIONS if is_file else _FILE_OPTIONS:
        if getattr(asked, field):
            kind = "SavedModels" if is_file else "files that end in .tflite or .onnx"
            raise ValueError(
                f"--{field.replace('_', '-')} is for {kind}; received the path {asked.out}"
            )
    _print_if_going_on(pathlib.Path(asked.model).parent)
    if is_file:
        _export_file(asked, suffix)
    else:
        _export_saved_model(asked)


def _export_file(asked: Export, suffix: str) -> None:
    from tfrobust.recipes import exporting, models

    quantization = asked.quantization or "none"
    if quantization != "none" and suffix == ".onnx":
        raise ValueError(f"--quantization is for .tflite files; received {asked.out}")
    if quantization == "int8" and asked.accuracy_on is None:
        raise ValueError("int8 is calibrated with images; name their data set with --accuracy-on")
    data = None if asked.accuracy_on is None else _load(asked, asked.accuracy_on)
    images = None if data is None else lambda: data
    model = models.load(asked.model, images, input_range=asked.input_range)
    options: dict[str, Any] = {"licence": asked.licence, "overwrite": asked.overwrite}
    try:
        exporting.export_file(model, asked.out, data=data, quantization=quantization, **options)
    except (ImportError, RuntimeError) as error:  # a missing package or a failed conversion
        raise ValueError(str(error)) from error
    print(f"card: {asked.out}.md")


def _export_saved_model(asked: Export) -> None:
    from tfrobust import serving
    from tfrobust.recipes import models

    out, names = asked.out, asked.class_names or None
    serving.check_target(out, version=asked.version, overwrite=asked.overwrite)
    if names and asked.class_names_of:
        raise ValueError("--class-names is not allowed with --class-names-of; give one of them")
    if asked.rows is not None and not pathlib.Path(asked.rows).is_file():
        raise FileNotFoundError(f"--rows takes a rows.jsonl; there is no file {asked.rows}")
    images = None
    if asked.class_names_of is not None:
        data = _load(asked, asked.class_names_of)
        names, images = data.class_names, lambda: data
    elif asked.data_dir is not None:
        raise ValueError("--data-dir says where the data set of --class-names-of is; name that too")
    given = ("version", "image_size", "resize", "name", "rows", "licence", "overwrite")
    serving.export(
        models.load(asked.model, images, input_range=asked.input_range),
        out,
        class_names=names,
        dataset=asked.class_names_of,
        **{name: getattr(asked, name) for name in given},
    )
    folder = pathlib.Path(out, str(asked.version or ""))
    print(f"SavedModel: {folder}")
    print(f"card: {folder / 'assets.extra' / 'card.md'}")


@dataclasses.dataclass(frozen=True)
class Verify:
    """Settings of `verify`; see `serving.verify`."""

    path: str = option("", "exported folder; of several versions the latest", "path")
    tolerance: float = option(1e-4, "largest difference from the recorded outputs", type=positive)


@command("verify", "check a SavedModel against what was exported", Verify)
def verify(asked: Verify) -> None:
    from tfrobust import serving

    found = serving.verify(asked.path, asked.tolerance)
    print(
        f"{found.folder}: {found.files} files as exported, {found.examples} examples differ by at "
        f"most {found.difference:.1e}"
    )


@dataclasses.dataclass(frozen=True)
class Report:
    """Settings of `report`; see `reports.write_report`."""

    run_folder: str = option("", "folder with rows.jsonl", "run_folder")
    out: Optional[str] = option(None, "output file; default: report.html in the run folder")
    mixed_protocols: bool = option(
        False, "show models with different protocols side by side; the report says what differs"
    )


@command("report", "write report.html for a run", Report)
def report(asked: Report) -> None:
    from tfrobust import reports

    mixed = asked.mixed_protocols
    _print_if_going_on(asked.run_folder)
    print(
        f"report: {reports.write_report(asked.run_folder, path=asked.out, mixed_protocols=mixed)}"
    )


@dataclasses.dataclass(frozen=True)
class List:
    """Settings of `list`."""

    kinds: tuple[str, ...] = option((), ", ".join(REGISTRIES), "kinds", nargs="*", metavar="KIND")
    markdown: bool = option(False, "print Markdown tables, as in the guide")


@command("list", "list the registered names", List)
def list_names(asked: List) -> None:
    unknown = [kind for kind in asked.kinds if kind not in REGISTRIES]
    if unknown:
        raise ValueError(f"unknown kind {unknown[0]!r}; choose from: {', '.join(REGISTRIES)}")
    for kind in asked.kinds or REGISTRIES:
        if asked.markdown:
            print(_markdown(REGISTRIES[kind]))
            continue
        print(f"{kind}:")
        for name in REGISTRIES[kind]:
            print(f"  {name:26}{REGISTRIES[kind].describe(name)}")


def _markdown(registry: Any) -> str:
    """A registry as a table; for augmentations with class, default strength and range."""
    if registry is not AUGMENTS:
        lines = ["| name | what it is |", "|---|---|"]
        return "\n".join(lines + [f"| `{name}` | {registry.describe(name)} |" for name in registry])
    lines = ["| name | layer | what it does | strength: default | range |", "|---|---|---|---|---|"]
    for name in registry:
        layer = registry[name]()
        cells = [f"`{name}`", f"`{type(layer).__name__}`", registry.describe(name), "", ""]
        if hasattr(layer, "strength"):
            given = layer.strength if isinstance(layer.strength, tuple) else (layer.strength,)
            cells[3] = f"`{layer.parameter}`: {' to '.join(f'{value:g}' for value in given)}"
            cells[4] = " to ".join(f"{value:g}" for value in layer.limits)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _load(asked: DataOptions, *name: str, **options: Any) -> Any:
    """The data set that the settings name."""
    from tfrobust.recipes import data

    return data.load(asked, *name, **options)


def _print_note(data: Any) -> None:
    if data.note:
        print(f"Note on {data.name}: {data.note}.")


def _print_if_going_on(folder: Any) -> None:
    from tfrobust import files

    if files.in_use(folder):
        print(f"Note: a run is at work in {folder}; this is what it has so far.")


def _print_run_note(folder: str, more: str = "") -> None:
    print(f"model: {pathlib.Path(folder, 'model.keras')}{more}")
    described = json.loads(pathlib.Path(folder, "data.json").read_text(encoding="utf-8"))
    if described["note"]:
        print(f"Note on {described['name']}: {described['note']}.")
