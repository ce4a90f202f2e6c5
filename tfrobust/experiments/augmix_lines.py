"""AugMix, AugMax, and the small settings that the tables of two papers share."""

from __future__ import annotations

from typing import Any

from tfrobust.attacks import AugMaxAttack
from tfrobust.experiments.experiment import ExperimentConfig, ModelSpec, Run, Training
from tfrobust.experiments.settings import PLAIN, RESNET_20

#: AugMax's full setting for CIFAR.
CIFAR = ExperimentConfig(
    net="wrn_40_2",
    net_options=PLAIN,  # released code: images in [0, 1]
    training=Training(200, 256, plan="augmax_cifar"),
    numbers={"steps": 10, "stop_after": 1, "jsd_weight": 10.0},
)
#: Shared by the small settings of AugMax and NoisyMix: pretrained weights, because two CPU cores
#: cannot train their nets from scratch; five attack steps.
SMALL = CIFAR.replace(
    **RESNET_20,
    images={"train": 10_000, "validation": 500, "test": 1_000},
    training=Training(4, 128, learning_rate=0.02),
    precision="mixed_bfloat16",
    numbers={**CIFAR.numbers, "steps": 5},
)
QUICK = SMALL.replace(
    dataset="digits",
    weights=None,
    images={"train": 256, "validation": 100, "test": 100},
    training=Training(1, 64, learning_rate=0.05),
    precision="float32",
    severities=(3,),
    numbers={**SMALL.numbers, "steps": 2},
)


def augmix(seed: int, *, norm: str = "bn", name: str = "AugMix") -> ModelSpec:
    """AugMix with a given norm; with dual norms its views take the auxiliary route."""
    settings = {"jsd_weight": 12.0, "dual_norms": norm.startswith("du"), "seed": seed}
    return ModelSpec(name, "augmix_training", settings, {"norm": norm})


def augmax(
    run: Run, seed: int, *, norm: str = "dubin", name: str = "AugMax-DuBIN", **other: Any
) -> ModelSpec:
    """AugMax with the numbers of the setting, overridden by `other`."""
    numbers = {**run.setting.numbers, **other}
    attack = AugMaxAttack(steps=numbers["steps"], stop_after=numbers["stop_after"], seed=seed)
    settings = {"attack": attack, "jsd_weight": numbers["jsd_weight"], "seed": seed}
    return ModelSpec(name, "augmax", settings, {"norm": norm})
