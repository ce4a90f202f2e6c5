"""One function per command; each imports what it needs when called."""

from __future__ import annotations

import argparse
import json
import pathlib
from typing import Any


def quickstart(arguments: argparse.Namespace) -> None:
    from tfrobust import recipes

    recipe = recipes.Quickstart(seed=arguments.seed)
    print(recipes.quickstart(recipe, arguments.out, savedmodels=arguments.savedmodels))


def train(arguments: argparse.Namespace) -> None:
    from tfrobust import recipes

    recipe = recipes.Train(**_settings(arguments, recipes.Train))
    recipes.train(recipe, arguments.out)
    _print_run_note(arguments.out)
    print(f"model: {pathlib.Path(arguments.out, 'model.keras')}")


def finetune(arguments: argparse.Namespace) -> None:
    from tfrobust import recipes

    settings = _settings(arguments, recipes.Finetune)
    settings["settings"] = dict(_number(*_assignment("--set", t)) for t in arguments.settings)
    recipes.finetune(recipes.Finetune(**settings), arguments.out)
    _print_run_note(arguments.out)
    print(f"model: {pathlib.Path(arguments.out, 'model.keras')}")


def tune(arguments: argparse.Namespace) -> None:
    from tfrobust import recipes, reports
    from tfrobust.tuning import Range, space, strength_range

    settings = _settings(arguments, recipes.Tune)
    settings["settings"] = dict(_number(*_assignment("--set", t)) for t in arguments.settings)
    ranges = []
    for text in arguments.ranges:
        if "=" in text:
            ranges.append(Range.parse(text))
        elif text == "strength":
            ranges.append(strength_range(arguments.augment.partition("=")[0]))
        else:
            ranges += space(arguments.method, [text])
    recipe = recipes.Tune(**{**settings, "ranges": tuple(ranges)})
    trials = recipes.tune(recipe, arguments.out)
    if not trials:  # a worker; the chief prints the results
        return
    out = pathlib.Path(arguments.out)
    about = json.loads((out / "tuning.json").read_text(encoding="utf-8"))
    print(reports.trials_table(map(vars, trials), about).to_text())
    best = trials[0]
    print("best: " + ", ".join(f"{name}={value:g}" for name, value in best.values.items()))
    print(f"report: {out / 'report.html'}")
    print(f"model: {out / 'model.keras'} (the best trial, after epoch {best.epoch})")
    command = recipes.finetune_command(recipe, best, f"{arguments.out}-finetuned")
    print(f"finetune with them: {command}")
    _print_run_note(arguments.out)


def reproduce(arguments: argparse.Namespace) -> None:
    from tfrobust import experiments
    from tfrobust.registries import EXPERIMENTS

    name, experiment = arguments.name, EXPERIMENTS[arguments.name]()
    fields = {
        field: getattr(arguments, field) for field in ("data_dir", "dataset", "net", "weights")
    }
    fields.update(seeds=arguments.seeds, lines=arguments.lines, strategy=arguments.strategy)
    overrides = {
        field: tuple(value) if isinstance(value, list) else value
        for field, value in fields.items()
        if value is not None
    }
    numbers = dict(_values(*_assignment("--set", text)) for text in arguments.numbers)
    setting = experiments.resolved(experiment, arguments.setting, numbers, **overrides)
    if arguments.describe:
        print(experiments.description(name, setting))
        return
    out = pathlib.Path(arguments.out or f"runs/{name}-{arguments.setting}")
    experiment.run(setting, out)
    print((out / "tables.md").read_text(encoding="utf-8"))
    print(f"tables: {out / 'tables.md'}")


def calibrate(arguments: argparse.Namespace) -> None:
    from tfrobust import augment, reports, saving
    from tfrobust.evaluation import strength

    _check_new_file(arguments.out)
    augmentations = {
        **augment.table_1(),
        "GB": augment.GaussianBlur(kernel_size=arguments.blur_kernel_size),
    }
    model = saving.load_model(arguments.model)
    data = _load(arguments)
    found = strength.calibrate(
        model, data.split("validation"), augmentations, drop=arguments.drop, seed=arguments.seed
    )
    strength.write(found, arguments.out)
    print(reports.strengths_table([vars(c) for c in found]).to_text())
    _print_note(data)


def evaluate(arguments: argparse.Namespace) -> None:
    from tfrobust import files, recipes, reports
    from tfrobust.datasets import IMAGENET_R_CLASSES
    from tfrobust.registries import PERTURBATIONS

    files.check_writable(arguments.out)
    outputs, flips, data = arguments.outputs, arguments.perturbations, _load(arguments)
    rows = recipes.evaluate(
        dict(zip(_model_names(arguments.models), arguments.models)),
        data,
        _conditions(arguments),
        arguments.out,
        split=arguments.split,
        classes=IMAGENET_R_CLASSES if outputs == ["imagenet_r"] else _class_indices(outputs),
        perturbations=PERTURBATIONS if flips == ["all"] else flips,
        baseline=arguments.baseline,
        maps=arguments.maps,
        seed=arguments.seed,
        stop_at_chance=not arguments.allow_chance_accuracy,
    )
    print(reports.summary_table(rows).to_text())
    print(f"report: {pathlib.Path(arguments.out, 'report.html')}")
    _print_note(data)


def _conditions(arguments: argparse.Namespace) -> list[Any]:
    """The requested conditions; by default the 15 common corruptions."""
    from tfrobust import augment, evaluation
    from tfrobust.augment import naming
    from tfrobust.evaluation import strength

    options = {"severities": arguments.severities, "names": _selection(arguments.corruptions)}
    conditions = []
    if arguments.published:
        conditions += evaluation.published(arguments.published, arguments.published_dir, **options)
    elif arguments.corruptions or not _has_other_conditions(arguments):
        conditions += evaluation.corrupted(
            table=arguments.table, frost_folder=arguments.frost, **options
        )
    if arguments.strengths:
        individual = strength.augmentations_at(strength.read(arguments.strengths))
        conditions += evaluation.augmented({**individual, **augment.combinations(individual)})
    layers = {}
    for text in arguments.augment:
        for name, layer in naming.expand(text, seed=arguments.seed).items():
            layers[_display_name(name, layer)] = layer
    conditions += evaluation.augmented(layers)
    for text in arguments.sweep:
        name, strengths = _assignment("--sweep", text)
        layer = naming.by_name(name, seed=arguments.seed)
        numbers = [_float("--sweep", number) for number in strengths.split(",")]
        conditions += evaluation.swept(_display_name(name, layer), layer, numbers)
    known = {condition.name: condition for condition in evaluation.attacked()}
    return conditions + [known[name] for name in arguments.attacks]


def _display_name(name: str, layer: Any) -> str:
    """Name of an augmentation in tables: its class name if a corruption has the same name."""
    from tfrobust.registries import CORRUPTIONS

    return type(layer).__name__ if name.partition("=")[0] in CORRUPTIONS else name


def _has_other_conditions(arguments: argparse.Namespace) -> bool:
    asked = (arguments.strengths, arguments.augment, arguments.sweep, arguments.attacks)
    return any(asked) or bool(arguments.perturbations)


def _selection(names: list[str]) -> Any:
    """A selection such as "all", names, or by default the 15 test corruptions."""
    from tfrobust.evaluation.corruption_error import SELECTIONS

    if len(names) == 1 and names[0] in SELECTIONS:
        return names[0]
    return names or "test"


def _class_indices(texts: list[str]) -> Any:
    if not texts:
        return None
    try:
        return [int(text) for text in texts]
    except ValueError:
        raise ValueError(
            f"--outputs takes imagenet_r or whole numbers; received {' '.join(texts)}"
        ) from None


def _float(option: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{option} takes NAME=NUMBER,NUMBER,...; received {text!r}") from None


def preview(arguments: argparse.Namespace) -> None:
    from tfrobust import recipes

    path = recipes.preview(
        arguments.augment,
        arguments.out,
        dataset=arguments.dataset,
        data_dir=arguments.data_dir,
        data_options=_data_options(arguments),
        images=arguments.images,
        examples=arguments.examples,
        draws=arguments.draws,
        seed=arguments.seed,
    )
    print(f"picture: {path}")


def corrupt(arguments: argparse.Namespace) -> None:
    import keras
    import numpy as np

    from tfrobust import corruptions, files

    files.check_writable(arguments.out)
    data = _load(arguments, batch_size=1000)
    batches = data.split(arguments.split).as_numpy_iterator()
    images, labels = (np.concatenate(parts) for parts in zip(*batches))
    bar = keras.utils.Progbar(None, unit_name="image")

    def progress(done: int, total: int) -> None:
        bar.target = total
        bar.update(done)

    paths = corruptions.write_set(
        np.rint(images * 255).astype("uint8"),
        labels,
        arguments.out,
        names=arguments.corruptions,
        seed=arguments.seed,
        table=arguments.table,
        frost_folder=arguments.frost,
        about={"dataset": arguments.dataset, "split": arguments.split, "note": data.note},
        progress=progress,
    )
    print(f"corrupted set: {len(paths)} files in {arguments.out}")
    _print_note(data)


def datasets(arguments: argparse.Namespace) -> None:
    from tfrobust.dataset_facts import CATALOG
    from tfrobust.datasets import catalog, prepare
    from tfrobust.registries import DATASETS

    if arguments.action == "prepare":
        if not arguments.names:
            raise ValueError("datasets prepare needs the name of a data set; received none")
        for name in arguments.names:
            print(f"{name}: {prepare(name, data_dir=arguments.data_dir)}")
        return
    rows = [("name", "here", "images", "download", "licence", "source")]
    for name in arguments.names or DATASETS:
        here = "yes" if catalog.is_present(name, arguments.data_dir) else "no"
        entry = CATALOG[name]
        rows.append((name, here, entry.images, entry.size, entry.licence, entry.source))
    widths = [max(map(len, column)) for column in zip(*rows)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())


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


def export(arguments: argparse.Namespace) -> None:
    suffix = pathlib.Path(arguments.out).suffix
    is_file = suffix in (".tflite", ".onnx")
    for option in _FOLDER_OPTIONS if is_file else _FILE_OPTIONS:
        if getattr(arguments, option) is not None:
            kind = "SavedModels" if is_file else "files that end in .tflite or .onnx"
            raise ValueError(
                f"--{option.replace('_', '-')} is for {kind}; received the path {arguments.out}"
            )
    if is_file:
        _export_file(arguments, suffix)
    else:
        _export_saved_model(arguments)


def _export_file(arguments: argparse.Namespace, suffix: str) -> None:
    from tfrobust import datasets, saving, serving

    quantization, dataset = arguments.quantization or "none", arguments.accuracy_on
    if quantization != "none" and suffix == ".onnx":
        raise ValueError(f"--quantization is for .tflite files; received {arguments.out}")
    if quantization == "int8" and dataset is None:
        raise ValueError("int8 is calibrated with images; name their data set with --accuracy-on")
    options: dict[str, Any] = {"overwrite": arguments.overwrite}
    if dataset is not None:
        data = datasets.load(dataset, data_dir=arguments.data_dir)
        options["data"] = data.split("test")
        if quantization == "int8":
            options["calibration"] = data.split("train")
    model = saving.load_model(arguments.model)
    try:
        if suffix == ".onnx":
            exported = serving.export_onnx(model, arguments.out, **options)
        else:
            exported = serving.export_tflite(
                model, arguments.out, quantization=quantization, **options
            )
    except (ImportError, RuntimeError) as error:  # a missing package or a failed conversion
        raise ValueError(str(error)) from error
    print(f"file: {exported.path}, {exported.bytes:,} bytes")
    if exported.images:
        print(
            f"compared with the Keras model on {exported.images:,} images: outputs differ by at "
            f"most {exported.largest_difference:.2g}, {exported.agreement:.1%} get the same class"
        )
    if exported.accuracy is not None:
        print(
            f"accuracy: {exported.accuracy:.2%}; of the Keras model: {exported.keras_accuracy:.2%}"
        )


def _export_saved_model(arguments: argparse.Namespace) -> None:
    from tfrobust import datasets, rows, saving, serving

    version, overwrite = arguments.version, arguments.overwrite
    serving.check_target(arguments.out, version=version, overwrite=overwrite)
    names, measured = arguments.class_names, None
    if arguments.rows is not None:
        if not pathlib.Path(arguments.rows).is_file():
            raise FileNotFoundError(f"--rows takes a rows.jsonl; there is no file {arguments.rows}")
        measured = rows.read(arguments.rows)
    if arguments.class_names_of is not None:
        names = datasets.load(arguments.class_names_of, data_dir=arguments.data_dir).class_names
    elif arguments.data_dir is not None:
        raise ValueError("--data-dir says where the data set of --class-names-of is; name that too")
    serving.export(
        saving.load_model(arguments.model),
        arguments.out,
        class_names=names,
        version=version,
        image_size=arguments.image_size and tuple(arguments.image_size),
        resize=arguments.resize,
        name=arguments.name,
        dataset=arguments.class_names_of,
        rows=measured,
        licence=arguments.licence,
        overwrite=overwrite,
    )
    folder = arguments.out if version is None else pathlib.Path(arguments.out, str(version))
    print(f"SavedModel: {folder}")
    print(f"card: {pathlib.Path(folder, 'assets.extra', 'card.md')}")


def verify(arguments: argparse.Namespace) -> None:
    from tfrobust import serving

    found = serving.verify(arguments.path, arguments.tolerance)
    print(
        f"{found.folder}: {found.files} files as exported, {found.examples} examples differ by at "
        f"most {found.difference:.1e}"
    )


def report(arguments: argparse.Namespace) -> None:
    from tfrobust import reports

    mixed = arguments.mixed_protocols
    path = reports.write_report(arguments.run_folder, path=arguments.out, mixed_protocols=mixed)
    print(f"report: {path}")


def list_names(arguments: argparse.Namespace) -> None:
    from tfrobust.cli import REGISTRIES

    unknown = [kind for kind in arguments.kinds if kind not in REGISTRIES]
    if unknown:
        raise ValueError(f"unknown kind {unknown[0]!r}; choose from: {', '.join(REGISTRIES)}")
    for kind in arguments.kinds or REGISTRIES:
        if arguments.markdown:
            print(_markdown(REGISTRIES[kind]))
            continue
        print(f"{kind}:")
        for name in REGISTRIES[kind]:
            print(f"  {name:26}{REGISTRIES[kind].describe(name)}")


def _markdown(registry: Any) -> str:
    """A registry as a table; for augmentations with class, default strength and range."""
    from tfrobust.registries import AUGMENTS

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


def _settings(arguments: argparse.Namespace, recipe: Any) -> dict[str, Any]:
    """The arguments that are fields of a recipe."""
    given = {**vars(arguments), "data_options": _data_options(arguments)}
    return {k: v for k, v in given.items() if k in recipe.__dataclass_fields__}


def _load(arguments: argparse.Namespace, **options: Any) -> Any:
    """The data set selected by the arguments."""
    from tfrobust import datasets

    options.update(_data_options(arguments))
    return datasets.load(arguments.dataset, data_dir=arguments.data_dir, **options)


def _data_options(arguments: argparse.Namespace) -> dict[str, Any]:
    return dict(_value(*_assignment("--data-option", text)) for text in arguments.data_options)


def _print_note(data: Any) -> None:
    if data.note:
        print(f"Note on {data.name}: {data.note}.")


def _print_run_note(folder: str) -> None:
    described = json.loads(pathlib.Path(folder, "data.json").read_text(encoding="utf-8"))
    if described["note"]:
        print(f"Note on {described['name']}: {described['note']}.")


def _assignment(option: str, text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise ValueError(f"{option} takes NAME=VALUE; received {text!r}")
    return name, value


def _value(name: str, value: str) -> tuple[str, Any]:
    """Parses a value as int, float or text."""
    for kind in (int, float):
        try:
            return name, kind(value)
        except ValueError:
            pass
    return name, value


def _values(name: str, text: str) -> tuple[str, Any]:
    """Parses a value, or comma-separated values as a tuple."""
    if "," not in text:
        return _value(name, text)
    return name, tuple(_value(name, part)[1] for part in text.split(",") if part)


def _number(name: str, value: str) -> tuple[str, Any]:
    if value.lower() in ("true", "false"):
        return name, value.lower() == "true"
    try:
        return name, float(value)
    except ValueError:
        raise ValueError(
            f"--set {name} takes a number, true or false; received {value!r}"
        ) from None


def _model_names(paths: list[str]) -> list[str]:
    """A short unique name for each file: "a" for runs/a/model.keras, for example."""
    stems = [pathlib.Path(path).stem for path in paths]
    if len(set(stems)) == len(stems):
        return stems
    parents = [pathlib.Path(path).resolve().parent.name for path in paths]
    return parents if len(set(parents)) == len(parents) else list(paths)


def _check_new_file(path: str) -> None:
    from tfrobust import files

    if pathlib.Path(path).exists():
        raise FileExistsError(f"{path} exists; give another file with --out")
    files.check_writable(pathlib.Path(path).parent)
