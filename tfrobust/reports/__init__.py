"""Tables, figures and HTML reports from result rows, without Keras and TensorFlow.

Only `ImageLogger` needs them, to run a model.

Names are imported on first use, so that the tables work without matplotlib.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tfrobust.reports.answer import answer_text
    from tfrobust.reports.curves import strength_curves
    from tfrobust.reports.figures import accuracy_over_epochs, augmentation_grid
    from tfrobust.reports.flips import flip_bars
    from tfrobust.reports.heat_maps import accuracy_heat_map
    from tfrobust.reports.image_logger import ImageLogger
    from tfrobust.reports.picture_pairs import maps_figure, worst_examples
    from tfrobust.reports.reliability import reliability_diagram
    from tfrobust.reports.report import write_report
    from tfrobust.reports.table_files import write_tables
    from tfrobust.reports.tables import (
        attacks_table,
        augmentations_table,
        corruptions_table,
        differences_table,
        robustness_table,
        standard_error,
        strengths_table,
        summary_table,
        sweep_table,
    )
    from tfrobust.reports.trials import trials_figure, trials_table

#: Module to its public names.
_NAMES = {
    "answer": ("answer_text",),
    "curves": ("strength_curves",),
    "figures": ("accuracy_over_epochs", "augmentation_grid"),
    "flips": ("flip_bars",),
    "heat_maps": ("accuracy_heat_map",),
    "image_logger": ("ImageLogger",),
    "picture_pairs": ("maps_figure", "worst_examples"),
    "reliability": ("reliability_diagram",),
    "report": ("write_report",),
    "table_files": ("write_tables",),
    "tables": (
        *("attacks_table", "augmentations_table", "corruptions_table", "differences_table"),
        *("robustness_table", "standard_error", "strengths_table", "summary_table", "sweep_table"),
    ),
    "trials": ("trials_figure", "trials_table"),
}
_MODULES = {name: module for module, names in _NAMES.items() for name in names}

__all__ = sorted(_MODULES)


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(importlib.import_module(f"tfrobust.reports.{_MODULES[name]}"), name)
    raise AttributeError(f"module 'tfrobust.reports' has no attribute {name!r}; it has {__all__}")


def __dir__() -> list[str]:
    return sorted(__all__)
