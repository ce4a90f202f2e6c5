"""The papers' experiments, each with a full, a small and a quick setting."""

from tfrobust.experiments.experiment import (
    CONFIG_NAMES,
    Experiment,
    ExperimentConfig,
    ModelSpec,
    Run,
    Training,
)
from tfrobust.experiments.reproduce import description, reproduce, resolved
from tfrobust.registries import EXPERIMENTS

__all__ = [
    "CONFIG_NAMES",
    "EXPERIMENTS",
    "Experiment",
    "ExperimentConfig",
    "ModelSpec",
    "Run",
    "Training",
    "description",
    "reproduce",
    "resolved",
]
