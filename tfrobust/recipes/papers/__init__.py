"""The papers' experiments: each with its full setting, a small one and a quick one."""

from tfrobust.recipes.papers.experiment import SETTINGS, Experiment, Line, Run, Setting, Training
from tfrobust.recipes.papers.reproduce import description, reproduce, resolved
from tfrobust.registries import EXPERIMENTS

__all__ = [
    "EXPERIMENTS",
    "SETTINGS",
    "Experiment",
    "Line",
    "Run",
    "Setting",
    "Training",
    "description",
    "reproduce",
    "resolved",
]
