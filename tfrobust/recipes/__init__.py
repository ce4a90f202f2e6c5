"""Recipes behind the commands: frozen settings and the function that runs them."""

from tfrobust.recipes import conditions
from tfrobust.recipes.adaptation import adapt, scale_temperature
from tfrobust.recipes.evaluation import evaluate
from tfrobust.recipes.exporting import export_file
from tfrobust.recipes.preview import preview
from tfrobust.recipes.quickstart import Quickstart, quickstart
from tfrobust.recipes.robustify import Robustified, robustify
from tfrobust.recipes.training import finetune, train
from tfrobust.recipes.tuning import finetune_command, tune
from tfrobust.settings import Finetune, Recipe, Train, Tune

__all__ = [
    "Finetune",
    "Quickstart",
    "Recipe",
    "Robustified",
    "Train",
    "Tune",
    "adapt",
    "evaluate",
    "export_file",
    "finetune",
    "finetune_command",
    "preview",
    "quickstart",
    "robustify",
    "scale_temperature",
    "train",
    "tune",
]
