"""Robust image classifiers in Keras and TensorFlow.

`import tfrobust` is cheap: subpackages, and TensorFlow with them, are imported on first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from tfrobust.version import __version__

_SUBPACKAGES = (
    "attacks",
    "augment",
    "callbacks",
    "corruptions",
    "datasets",
    "evaluation",
    "experiments",
    "layers",
    "losses",
    "methods",
    "nets",
    "ops",
    "recipes",
    "reports",
    "rows",
    "saving",
    "serving",
    "tuning",
)

#: Functions at the top, and the module that they are in.
_FUNCTIONS = {"robustify": "recipes.robustify"}

__all__ = [*_SUBPACKAGES, *_FUNCTIONS, "__version__"]

if TYPE_CHECKING:
    from tfrobust import (
        attacks,
        augment,
        callbacks,
        corruptions,
        datasets,
        evaluation,
        experiments,
        layers,
        losses,
        methods,
        nets,
        ops,
        recipes,
        reports,
        rows,
        saving,
        serving,
        tuning,
    )
    from tfrobust.recipes import robustify


def __getattr__(name: str) -> Any:
    if name in _SUBPACKAGES:
        return importlib.import_module(f"tfrobust.{name}")
    if name in _FUNCTIONS:
        return getattr(importlib.import_module(f"tfrobust.{_FUNCTIONS[name]}"), name)
    raise AttributeError(f"module 'tfrobust' has no attribute {name!r}; it has {__all__}")


def __dir__() -> list[str]:
    return sorted(__all__)
