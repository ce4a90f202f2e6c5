"""Tables, figures and one HTML page from result rows; needs neither Keras nor TensorFlow.

Names load on first use: the tables work where matplotlib is not installed.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tfrobust.reports.figures import accuracy_over_epochs, augmentation_grid
    from tfrobust.reports.html import write_report
    from tfrobust.reports.tables import robustness_table, standard_error, strengths_table

_MODULES = {
    "accuracy_over_epochs": "figures",
    "augmentation_grid": "figures",
    "robustness_table": "tables",
    "standard_error": "tables",
    "strengths_table": "tables",
    "write_report": "html",
}

__all__ = [
    "accuracy_over_epochs",
    "augmentation_grid",
    "robustness_table",
    "standard_error",
    "strengths_table",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(importlib.import_module(f"tfrobust.reports.{_MODULES[name]}"), name)
    raise AttributeError(f"module 'tfrobust.reports' has no attribute {name!r}; it has {__all__}")


def __dir__() -> list[str]:
    return sorted(__all__)
