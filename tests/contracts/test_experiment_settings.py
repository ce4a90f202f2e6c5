"""The full settings beside the papers' printed hyper-parameters."""

import csv
import inspect
import pathlib
import sys
import types

import numpy as np
import pytest

from tests.parameters import slow_unless
from tests.reference.data_folders import write_picture
from tfrobust.datasets.source import Arrays, Files, Source
from tfrobust.experiments.tables import PRINTED
from tfrobust.methods import PLANS
from tfrobust.ops import image_decoding
from tfrobust.recipes.base import RunFolder
from tfrobust.registries import EXPERIMENTS, METHODS, NETS

DEVIATIONS = pathlib.Path(__file__).parents[2] / "docs/DEVIATIONS.md"
#: Steps of an epoch with 1,024 images each; 98% of ImageNet's training images.
STEPS = {"cifar10": 44, "cifar100": 44, "imagenet": 1_227}


def text(value):
    """A value as the file of printed numbers has it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return " ".join(f"{name} {text(one)}" for name, one in value.items())
    if isinstance(value, (tuple, list)):
        return " ".join(map(text, value))
    if isinstance(value, (int, float)):
        return f"{value:g}"
    return "–" if value is None else str(value)


def schedule(training, setting, prefix):
    plan = PLANS.get(training.plan)
    yield f"{prefix}epochs", training.epochs
    yield f"{prefix}batch size", training.batch_size
    crops = f"flips and {training.crops} crops" if setting.flips_and_crops else "as they are"
    yield f"{prefix}training images", crops
    yield f"{prefix}learning rate", plan.learning_rate if plan else training.learning_rate
    if plan is None:
        return
    yield f"{prefix}optimizer", "Adam" if plan.momentum is None else "SGD"
    yield f"{prefix}momentum", plan.momentum
    yield f"{prefix}Nesterov", plan.nesterov
    yield f"{prefix}weight decay", plan.weight_decay
    yield f"{prefix}warm-up", plan.warm_up
    stretch = training.epochs / plan.epochs
    falls = [f"×{factor:g} from {epoch * stretch:g}" for epoch, factor in plan.falls]
    form = {
        "steps": "; ".join(["steps", *falls]),
        "exponential": f"exponential ×{plan.factor:g}",
        "cosine_per_step": f"cosine per step to {plan.final:g}",
        "cosine_per_epoch": f"cosine per epoch to {plan.final:g}",
    }
    yield f"{prefix}schedule", form.get(plan.form, plan.form)


def settings_of(line):
    """The arguments of a line's method, and the strength of its augmentation."""
    given = inspect.signature(METHODS[line.method].__init__).parameters.values()
    found = {p.name: p.default for p in given if p.default is not p.empty}
    for name, value in line.settings.items():
        own = value.get_config() if name in ("augment", "attack") and value is not None else {}
        found.update({k: v for k, v in own.items() if k not in ("name", "seed")}, **{name: value})
    return found


def ours(name, folder):
    """Every number of a full setting by name."""
    experiment = EXPERIMENTS[name]()
    setting = experiment.full
    found = {"net": setting.net, "seeds": len(setting.seeds)}
    if setting.net in NETS:
        given = inspect.signature(NETS[setting.net]).parameters.values()
        found.update({p.name: p.default for p in given if p.default is not p.empty})
        found.update({"mean": 0.5, "std": 0.5, **setting.net_options})
    found.update(setting.numbers)
    found.update(schedule(setting.training, setting, ""))
    found.update(schedule(setting.finetuning, setting, "finetuning "))
    run = experiment.runs(setting, RunFolder(folder, setting, finished="-"))
    for line in experiment.lines(run, 0):
        found.update({f"{line.name}: {k}": v for k, v in settings_of(line).items()})
        if line.training:
            found[f"{line.name}: epochs"] = line.training.epochs
        if line.name == "FCL" and setting.dataset in STEPS:
            steps = STEPS[setting.dataset]
            [late] = line.callbacks(types.SimpleNamespace(steps=steps))
            found["start of the contrastive loss"] = f"epoch {late.start / steps:g}"
            found["ramp of the contrastive loss"] = f"{late.ramp} steps"
    return {key: text(value) for key, value in found.items()}


def printed():
    """(experiment, setting) to what the paper has."""
    lines = (PRINTED / "hyperparameters.csv").read_text(encoding="utf-8").splitlines()
    rows = csv.DictReader(line for line in lines if not line.startswith("#"))
    pairs = [
        ((name, row["setting"]), row["paper"])
        for row in rows
        for name in row["experiments"].split()
    ]
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


def deviations():
    """(experiment, setting) to what the paper has and what we have, from the documents."""
    section = DEVIATIONS.read_text(encoding="utf-8").split("## Settings of the experiments")[1]
    rows = [line.strip("|").split("|") for line in section.split("\n## ")[0].splitlines()]
    rows = [[cell.strip(" `") for cell in row] for row in rows if len(row) == 5]
    found = {}
    for names, setting, paper, here, why in rows[2:]:
        assert why, setting
        for name in names.replace("`", "").split():
            found[name, setting] = (paper, here)
    return found


@pytest.mark.parametrize("name", list(EXPERIMENTS))
def test_full_settings_are_the_papers_or_a_known_deviation(name, tmp_path):
    have, said = ours(name, tmp_path), deviations()
    papers = {setting: value for (one, setting), value in printed().items() if one == name}
    assert {"epochs", "learning rate", "batch size"} <= set(papers)
    wrong = []
    for setting, paper in papers.items():
        here = have.get(setting, "not there")
        print(f"{name} | {setting} | paper: {paper} | here: {here}")
        if paper != here and said.get((name, setting)) != (paper, here):
            wrong.append((setting, paper, here))
    assert not wrong


def test_the_deviations_are_true(tmp_path):
    known = printed()
    for (name, setting), (paper, here) in deviations().items():
        assert known[name, setting] == paper != here, (name, setting)


def few_images(dataset, folder):
    """A data set of few random images, of the size and kind of a large one."""
    count, random = 6, np.random.default_rng(0)
    labels = np.arange(count, dtype="int32") % 2
    if dataset in ("imagenet", "imagenet200", "tifs"):
        shape = (224, 224, 3)
        paths = [
            write_picture(folder / f"{i}.jpg", random.integers(0, 256, [240, 260, 3], "uint8"))
            for i in range(count)
        ]
        crop = image_decoding.decode_random_resized_crop(224)
        part = Files(paths, labels, image_decoding.decode_resize_and_crop(256, 224), crop)
    else:
        shape = {"tiny_imagenet": (64, 64, 3), "corner_mnist": (28, 28, 1)}.get(
            dataset, (32, 32, 3)
        )
        part = Arrays(random.integers(0, 256, [count, *shape], "uint8"), labels)
    parts = dict.fromkeys(("train", "validation", "test"), part)
    return lambda data_dir=None, crop=224: Source(parts, ("a", "b"), shape)


def pipelines():
    """An experiment for each way in which training images are read."""
    found = {}
    for name in EXPERIMENTS:
        setting = EXPERIMENTS[name]().full
        dataset = setting.numbers.get("source", setting.dataset)
        found.setdefault((dataset, setting.flips_and_crops, setting.training.crops), name)
    return [name for name in found.values() if name != "noisymix_toy"]


#: Arrays as they are, and with flips and crops.
PIPELINES = ["fma_table2", "fcl_cifar10"]


@pytest.mark.parametrize("name", slow_unless(PIPELINES, pipelines()))
def test_training_images_are_new_in_each_epoch_where_the_papers_are(name, tmp_path, monkeypatch):
    experiment = EXPERIMENTS[name]()
    setting = experiment.full
    run = experiment.runs(setting, RunFolder(tmp_path, setting, finished="-"))
    augmented = printed().get((name, "training images"), "as they are") != "as they are"
    # The transfer trains on ImageNet first.
    dataset = setting.numbers.get("source", setting.dataset)
    made = few_images(dataset, tmp_path)
    monkeypatch.setattr(sys.modules["tfrobust.datasets.load"], "DATASETS", {dataset: made})
    data = run.training_data(setting.training, 0, dataset=dataset)
    first, second = (
        {image.tobytes() for images, _ in data.train for image in images.numpy()} for _ in range(2)
    )
    # Of 6 images one may meet the same of 162 crops and flips twice.
    assert len(first) == 6 and (len(first & second) <= 1 if augmented else first == second)
