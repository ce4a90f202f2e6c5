"""The FMA paper's pipeline end to end, in five minutes on two CPU cores."""

from __future__ import annotations

import dataclasses
import pathlib
import re
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from tfrobust import datasets, files, methods, nets, reports, rows, saving, serving, trainer
from tfrobust.augment import GaussianBlur, presets
from tfrobust.augment.base import Augment, StrengthAugment
from tfrobust.evaluation import Evaluator, RobustnessMonitor, strength
from tfrobust.ops import sampling
from tfrobust.recipes.base import RunFolder, in_run_folder
from tfrobust.recipes.method_parts import build_method
from tfrobust.seeding import seed_everything
from tfrobust.settings import Recipe

BASELINE = "baseline"


@dataclasses.dataclass(frozen=True)
class Quickstart(Recipe):
    """FMA paper, Table 3, Figure 3 and Figure 4, on digits with a small net.

    Command: `tfrobust quickstart`. Everything is chosen on the validation images; the test images
    are used only once, for the table.

    The augmentations are those of Table 1, recalibrated. One differs: the blur kernel has 13
    pixels, not 3, because an 8-pixel digit enlarged to 32 has no three-pixel detail for a small
    kernel to remove (at 3 pixels no σ costs 10 points). AT also sees the clean images, as its name
    in the table says; the paper's AT/CA very likely does not.

    Args:
        dataset: One of `DATASETS`.
        net: One of `NETS`.
        batch_size: Global batch size.
        baseline_epochs: Epochs of the clean baseline.
        baseline_learning_rate: Its initial learning rate.
        drop: Drop in the baseline's accuracy that each augmentation is calibrated to (paper: 0.10).
        blur_kernel_size: Size of the blur kernel in pixels.
        finetune_epochs: Epochs of each finetuning (paper: 30); even, so that Combined+ and
            Combined− get equally many.
        finetune_learning_rate: Their initial learning rate.
        clean_weight: Weight of the clean images in AT.
        alpha: Weight of the stability loss in ST.
        gamma: Weight of the FMA loss in FMA. 0.1, 0.3 and 1.0 were tried on validation images.
    """

    dataset: str = "digits"
    net: str = "small_cnn"
    batch_size: int = 64
    baseline_epochs: int = 12
    baseline_learning_rate: float = 0.05
    drop: float = 0.10
    blur_kernel_size: int = 13
    finetune_epochs: int = 6
    finetune_learning_rate: float = 0.05
    clean_weight: float = 0.5
    alpha: float = 1.0
    gamma: float = 0.1

    @property
    def finetunings(self) -> dict[str, tuple[str, dict[str, float]]]:
        """Name in the table to a method and its settings."""
        return {
            "AT/CA with clean": ("augmentation_training", {"clean_weight": self.clean_weight}),
            "ST/CA": ("stability_training", {"alpha": self.alpha}),
            "FMA/CA": ("feature_map_augmentation", {"gamma": self.gamma}),
        }


@in_run_folder
def quickstart(
    recipe: Quickstart,
    out: files.PathLike,
    *,
    savedmodels: files.PathLike = "savedmodels",
    say: Callable[[str], Any] = print,
) -> str:
    """Runs the recipe, or resumes it where an earlier run with the same settings stopped.

    Args:
        recipe: The settings.
        out: Output folder.
        savedmodels: Folder for the SavedModel, which is named after `out`.
        say: Receives progress messages.

    Returns:
        The paper's Table 3 for this run, as text.

    Raises:
        FileExistsError: `out` or the SavedModel's folder holds something else.
        PermissionError: One of them is not writable.
        ValueError: The SavedModel does not reproduce its recorded outputs.
        RuntimeError: Served from another process, the SavedModel returns other logits.
    """
    started = time.monotonic()
    exported = pathlib.Path(savedmodels, pathlib.Path(out).name)
    files.check_writable(out)
    serving.check_target(exported, overwrite=pathlib.Path(out, "settings.json").is_file())
    run = RunFolder(out, recipe, finished="report.html")  # written last
    results = run / "rows.jsonl"
    if run.finished:
        say(f"{run.path} holds this run, finished; remove it and {exported} to run it again")
        return reports.robustness_table(rows.read(results)).to_text()
    if run.resumed:
        say(f"{run.path} holds this run, unfinished; resuming it")

    def stage(number: int, what: str) -> None:
        say(f"[{time.monotonic() - started:4.0f} s] {number}/6 {what}")

    stage(1, f"data: {recipe.dataset}")
    data = _data(recipe)
    say(f"  {data.sizes} images of {data.image_shape}, {data.classes} classes")

    stage(2, "clean baseline")
    if not _file(run, BASELINE).exists():
        _train_baseline(recipe, run)

    stage(3, f"strengths that cost {100 * recipe.drop:g} points of validation accuracy")
    if not (run / "strengths.json").exists():
        _calibrate(recipe, run)
    calibrations = strength.read(run / "strengths.json")
    for c in calibrations:
        note = "" if c.reached else f"; not reached: {c.note}"
        cost = f"{100 * c.drop:5.2f} points{note}"
        say(f"  {c.augmentation:4}{c.parameter:12}{c.strength:+7.3f}  {cost}")
    individual = strength.augmentations_at(calibrations)
    augmentations = {**individual, **presets.combinations(individual)}
    evaluator = Evaluator(augmentations)  # shared, so that each augmentation is traced once

    stage(4, "finetuning with combined augmentation: " + ", ".join(recipe.finetunings))
    history = []
    for name in recipe.finetunings:
        if not _file(run, name).exists():
            say(f"  {name}")
            _finetune(recipe, run, name, individual, evaluator)
        history += rows.read(_file(run, name, "_history.jsonl"))
    rows.write(history, run / "history.jsonl")

    stage(5, "evaluation on the test images")
    if not results.exists():
        rows.write(_evaluate(recipe, run, evaluator), results)
    _write_pictures(recipe, run, augmentations)

    best = _best(history)
    stage(6, f"export of {best}, the best on validation, and serving it from another process")
    model = saving.load_model(_file(run, best))
    saving.save_model(model, run / "model.keras")
    serving.export(
        model,
        exported,
        class_names=data.class_names,
        name=f"{recipe.net}, {best}",
        dataset=data.name,
        rows=results,
        overwrite=True,
    )
    verified = serving.verify(exported)
    say(f"  {verified.files} files and {verified.examples} recorded examples are as exported")
    say(f"  logits elsewhere differ by at most {_check_served(model, exported, data):.1e}")
    reports.write_report(run.path)

    say(f"[{time.monotonic() - started:4.0f} s] done")
    say(f"  report  {run / 'report.html'}\n  rows    {results}")
    say(f"  model   {run / 'model.keras'}\n  serving {exported}")
    return reports.robustness_table(rows.read(results)).to_text()


def _data(recipe: Quickstart) -> datasets.Data:
    # Reloaded in each stage, so that the order of the batches does not depend on whether the
    # previous stages were run or resumed.
    return datasets.load(recipe.dataset, batch_size=recipe.batch_size, seed=recipe.seed)


def _file(run: RunFolder, name: str, end: str = ".keras") -> pathlib.Path:
    return run / f"models/{re.sub('[/ ]', '_', name.lower())}{end}"


def _train_baseline(recipe: Quickstart, run: RunFolder) -> None:
    seed_everything(recipe.seed)
    data = _data(recipe)
    trainer.train_to(
        _file(run, BASELINE),
        lambda: nets.NETS[recipe.net](data.image_shape, data.classes),
        methods.Baseline,
        data,
        epochs=recipe.baseline_epochs,
        learning_rate=recipe.baseline_learning_rate,
    )


def _calibrate(recipe: Quickstart, run: RunFolder) -> None:
    blur = GaussianBlur(kernel_size=recipe.blur_kernel_size)
    found = strength.calibrate(
        saving.load_model(_file(run, BASELINE)),
        _data(recipe).validation,
        {**presets.table_1("cifar10"), "GB": blur},
        drop=recipe.drop,
        seed=recipe.seed,
    )
    strength.write(found, run / "strengths.json")


def _finetune(
    recipe: Quickstart,
    run: RunFolder,
    name: str,
    individual: dict[str, StrengthAugment],
    evaluator: Evaluator,
) -> None:
    seed_everything(recipe.seed)
    data = _data(recipe)
    method, settings = recipe.finetunings[name]
    augment = presets.combined(individual, seed=recipe.seed)
    measured: dict[str, Any] = {"model_name": name, "dataset": f"{data.name}/validation"}
    trainer.train_to(
        _file(run, name),
        lambda: saving.load_model(_file(run, BASELINE)).net,
        lambda net: build_method(method, net, augment, settings),
        data,
        epochs=recipe.finetune_epochs,
        learning_rate=recipe.finetune_learning_rate,
        callbacks=[RobustnessMonitor(data.validation, evaluator, seed=recipe.seed, **measured)],
        history=_file(run, name, "_history.jsonl"),
    )


def _evaluate(recipe: Quickstart, run: RunFolder, evaluator: Evaluator) -> list[rows.Row]:
    data, found = _data(recipe), []
    for name in (BASELINE, *recipe.finetunings):
        model = saving.load_model(_file(run, name))
        measured: dict[str, Any] = {"model_name": name, "dataset": f"{data.name}/test"}
        found += evaluator.rows(model, data.test, seed=recipe.seed, **measured)
    return found


def _write_pictures(
    recipe: Quickstart, run: RunFolder, augmentations: dict[str, Augment], examples: int = 4
) -> None:
    images = next(iter(_data(recipe).validation))[0][:examples]
    seed = sampling.seed_pair(recipe.seed)
    changed = [layer.apply(images, layer.draw(images, seed)) for layer in augmentations.values()]
    columns = np.stack([np.asarray(column) for column in (images, *changed)], axis=1)
    with files.replacing(run / "pictures.npz") as temporary:
        names = np.array([rows.CLEAN, *augmentations])
        np.savez_compressed(temporary, names=names, pictures=columns)


def _best(history: list[rows.Row]) -> str:
    """The model with the highest final validation accuracy, averaged over the augmentations."""
    last = max(row.epoch or 0 for row in history)
    scores: dict[str, list[float]] = {}
    for row in history:
        if row.epoch == last and row.corruption != rows.CLEAN:
            scores.setdefault(row.model, []).append(row.value)
    return max(scores, key=lambda name: float(np.mean(scores[name])))


def _check_served(model: Any, exported: pathlib.Path, data: datasets.Data) -> float:
    images = next(iter(data.validation))[0].numpy()
    here = model(images, training=False).numpy()
    difference = float(np.abs(serving.serve_isolated(exported, images) - here).max())
    if difference > 1e-4:
        raise RuntimeError(
            f"the SavedModel at {exported} must give the model's logits within 1e-4; served from "
            f"another process they differ by {difference:.2e}"
        )
    return difference
