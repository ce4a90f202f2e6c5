"""Counts what the papers' experiments ask for at their full settings, for tools/scale.py.

    python tools/scale_counts.py          writes benchmarks/scale.json
    python tools/scale_counts.py --check  fails where the nets and experiments say something else

Of each net: multiply-adds of a forward pass of an image, parameters, layers with weights. Of each
experiment: its trainings, alike ones together, and the conditions of its evaluation.
"""

from __future__ import annotations

import collections
import json
import math
import pathlib
import sys
import types
from typing import Any

import numpy as np
import tensorflow as tf

from tfrobust.evaluation.conditions import Corrupted
from tfrobust.experiments.experiment import Experiment, Line, Setting
from tfrobust.registries import EXPERIMENTS, METHODS, NETS

FILE = pathlib.Path(__file__).resolve().parents[1] / "benchmarks/scale.json"
#: Data set to image shape, classes, training and test images after our splits. ImageNet-200: 200
#: classes of ImageNet's mean size, because which ones they are is chosen by chance.
DATA = {
    "cifar10": ((32, 32, 3), 10, 45_000, 10_000),
    "cifar100": ((32, 32, 3), 100, 45_000, 10_000),
    "corner_mnist": ((28, 28, 1), 15, 50_250, 15_000),
    "tiny_imagenet": ((64, 64, 3), 200, 90_000, 10_000),
    "tifs": ((224, 224, 3), 200, 90_000, 10_000),
    "imagenet200": ((224, 224, 3), 200, round(0.95 * 200 / 1000 * 1_281_167), 10_000),
    "imagenet": ((224, 224, 3), 1000, round(0.98 * 1_281_167), 50_000),
}
#: Experiments that are seconds of work anywhere.
LEFT_OUT = ("noisymix_toy",)


def multiply_adds(net: Any) -> int:
    """Of a forward pass of one image through the convolutions and dense layers."""
    total = 0
    for layer in net._flatten_layers():
        kernel = getattr(layer, "kernel", None)
        kernel = getattr(layer, "depthwise_kernel", None) if kernel is None else kernel
        if kernel is not None:
            places = layer.output.shape[1:-1]
            total += math.prod(kernel.shape) * math.prod(places)
    return total


def counted(net: Any) -> dict[str, int]:
    """What the arithmetic needs of a net."""
    weighted = sum(hasattr(layer, "kernel") for layer in net._flatten_layers())
    parameters = sum(math.prod(w.shape) for w in net.trainable_weights)
    return {
        "multiply_adds": multiply_adds(net),
        "parameters": parameters,
        "layers": weighted,
    }


def parts(line: Line) -> dict[str, int]:
    """The passes of a step, as the parts of tools/scale.py; "views" of AugMix an image."""
    settings, attack = line.settings, line.settings.get("attack")
    if attack is None and hasattr(METHODS[line.method], "default_attack"):
        attack = METHODS[line.method].default_attack(0)
    steps, draws = getattr(attack, "steps", 1), getattr(attack, "level_draws", 1)
    if line.method == "baseline":
        return {"1B": 1}
    if line.method == "augmentation_training":
        return {"2B": 1} if settings.get("probability") is None else {"1B": 1}
    if line.method == "adversarial_training":
        if settings["mu"] == 0:
            return {"1B": 1, "forward": 1, "gradient": steps}
        return {"2B": 1, "gradient": steps}
    if line.method == "feature_contrastive":
        return {"2B": 1} if "positive" in settings else {"3B": 1, "gradient": 1}
    if line.method in ("augmix_training", "noisymix"):
        views = 0 if settings.get("augment", "augmix") is None else 1 + settings.get("jsd", True)
        return {"JSD 3B" if views == 2 else "1B": 1, "views": views}
    if line.method == "augmix_pgdat":
        return {"routed": 1, "gradient": steps, "views": 1}
    if line.method in ("augmax", "advmix", "advmax"):
        found = {"routed": 1, "gradient": steps, "views": 1 + draws}
        return {**found, "forward": draws} if draws > 1 else found
    return {"2B": 1}  # stability training and FMA


def net_name(setting: Setting, nets: dict[str, Any]) -> str:
    """The net of an experiment, which is counted when it is first asked for."""
    shape, classes, *_ = DATA[trained_on(setting)]
    name = f"{setting.net}, {shape[0]} pixels"
    if name not in nets:
        nets[name] = counted(NETS[setting.net](shape, classes, **setting.net_options))
    return name


def trained_on(setting: Setting) -> str:
    """The data set of the long trainings: that of the source models, where there are any."""
    return str(setting.numbers.get("source", setting.dataset))


def trainings(experiment: Experiment, run: Any, nets: dict[str, Any]) -> list[dict[str, Any]]:
    """The trainings of all seeds, alike ones together."""
    setting, found = experiment.full, collections.Counter()
    for line in experiment.lines(run, 0):
        numbers = line.training or (setting.finetuning if line.start else setting.training)
        late = 0.0
        if line.method == "feature_contrastive":
            start = setting.numbers["start"]  # a share of the epochs, or an epoch
            late = start if start < 1 else start / numbers.epochs
        # Epochs on another data set are told in those of the long trainings.
        other = trained_on(setting) != setting.dataset and not line.data
        scale = DATA[setting.dataset][2] / DATA[trained_on(setting)][2] if other else 1
        one = {
            "method": line.method,
            "net": net_name(setting, nets),
            "epochs": numbers.epochs * scale,
            "batch": numbers.batch_size,
            "parts": parts(line),
            "late": late,
        }
        found[json.dumps(one)] += 1 if line.once else len(setting.seeds)
    return [{**json.loads(one), "models": models} for one, models in found.items()]


def counts() -> dict[str, Any]:
    """All of it."""
    nets: dict[str, Any] = {}
    experiments = {}
    for name in (name for name in EXPERIMENTS if name not in LEFT_OUT):
        experiment = EXPERIMENTS[name]()
        experiment.prepare = lambda run: None
        setting = experiment.full
        shape, _, train, _ = DATA[trained_on(setting)]
        test = DATA[setting.dataset][3]
        one = tf.data.Dataset.from_tensors((np.zeros([2, *shape], "float32"), np.zeros(2, "int32")))
        data = types.SimpleNamespace(split=lambda part, one=one: one)
        run: Any = types.SimpleNamespace(
            setting=setting, folder=pathlib.Path("/nowhere"), data=lambda data=data: data
        )
        conditions = experiment.conditions(run)
        experiments[name] = {
            "size": shape[0],
            "train": train,
            "test": test,
            "conditions": len(conditions) + 1,  # and clean
            "corruptions": sum(isinstance(c, Corrupted) for c in conditions),
            "trainings": trainings(experiment, run, nets),
        }
    return {"nets": nets, "experiments": experiments}


def main() -> int:
    """Writes the file, or compares it; the exit code is 1 where it differs."""
    text = json.dumps(counts(), indent=1, ensure_ascii=False) + "\n"
    if "--check" in sys.argv:
        same = FILE.read_text(encoding="utf-8") == text
        if not same:
            print(f"{FILE} is not what is counted now: run python tools/scale_counts.py")
        return int(not same)
    FILE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
