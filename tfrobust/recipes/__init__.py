"""Recipes behind the commands: frozen settings and the function that runs them."""

from tfrobust.recipes.base import Recipe
from tfrobust.recipes.evaluation import evaluate
from tfrobust.recipes.preview import preview
from tfrobust.recipes.quickstart import Quickstart, quickstart
from tfrobust.recipes.training import Finetune, Train, finetune, train
from tfrobust.recipes.tuning import Tune, finetune_command, tune

__all__ = [
    "Finetune",
    "Quickstart",
    "Recipe",
    "Train",
    "Tune",
    "evaluate",
    "finetune",
    "finetune_command",
    "preview",
    "quickstart",
    "train",
    "tune",
]
