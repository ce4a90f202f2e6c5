"""Recipes: experiments as frozen settings and a function that runs them."""

from tfrobust.recipes.base import Recipe
from tfrobust.recipes.evaluation import evaluate
from tfrobust.recipes.preview import preview
from tfrobust.recipes.quickstart import Quickstart, quickstart
from tfrobust.recipes.training import Finetune, Train, finetune, train

__all__ = [
    "Finetune",
    "Quickstart",
    "Recipe",
    "Train",
    "evaluate",
    "finetune",
    "preview",
    "quickstart",
    "train",
]
