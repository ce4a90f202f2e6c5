"""The data sets that recipes name."""

from __future__ import annotations

import dataclasses
from typing import Any

from tfrobust import datasets
from tfrobust.settings import DataOptions


def load(recipe: DataOptions, name: str = "", **more: Any) -> datasets.Data:
    """Loads the data set of a recipe.

    Args:
        recipe: The settings.
        name: Name of the data set. Default: that of the recipe.
        **more: Further arguments of `datasets.load`.
    """
    given = {field.name for field in dataclasses.fields(recipe)}
    if "batch_size" in given:  # of a training, whose seed is that of the order
        more = {"batch_size": recipe.batch_size, "seed": recipe.seed, **more}  # type: ignore
    return datasets.load(
        name or recipe.dataset,  # type: ignore[attr-defined]
        data_dir=recipe.data_dir,
        images=recipe.limit,
        **more,
        **recipe.data_options,
    )


def for_training(recipe: DataOptions) -> datasets.Data:
    """Loads the data of a recipe, which must include training images.

    Raises:
        ValueError: The data set is a test set.
    """
    data = load(recipe)
    data.split("train")
    return data
