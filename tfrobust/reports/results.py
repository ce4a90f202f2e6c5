"""Result rows of one data set, indexed for tables and figures."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tfrobust.registries import HELD_OUT_CORRUPTIONS, TEST_CORRUPTIONS
from tfrobust.reports.protocols import check_alike, corruption_key
from tfrobust.rows import CLEAN, Row

#: All corruptions: the test corruptions, then the held-out ones.
CORRUPTIONS = (*TEST_CORRUPTIONS, *HELD_OUT_CORRUPTIONS)
ATTACKS = ("FGSM", "PGD", "spatial")
#: The order of Table 3 in the FMA paper; anything else follows in order of first appearance.
ORDER = (CLEAN, "B+", "B-", "GB", "GN", "SAP", "S+", "S-", "Combined+", "Combined-")

#: Metrics that are fractions, and whether higher is better.
FRACTIONS = {
    "accuracy": True,
    "robust_accuracy": True,
    "expected_calibration_error": False,
    "rms_calibration_error": False,
    "aurra": True,
    "flip_probability": False,
    "mean_flip_probability": False,
}
#: Metrics that are 100 for a model as bad as the baseline; lower is better.
RATIOS = ("mean_corruption_error", "relative_mean_corruption_error", "flip_rate", "mean_flip_rate")


@dataclasses.dataclass(frozen=True)
class Results:
    """Results of one data set, with unique cells.

    Args:
        models: Names of the models in order of first appearance.
        cells: (model, corruption, severity, metric) to row.
        notes: Notes on differing protocols.
    """

    models: tuple[str, ...]
    cells: Mapping[tuple[str, str, float | None, str], Row]
    notes: tuple[str, ...] = ()

    @property
    def attacks(self) -> tuple[str, ...]:
        """The names of the attacks, the usual ones first."""
        names = dict.fromkeys(row.corruption for row in self.cells.values() if is_attack(row))
        return tuple(sorted(names, key=lambda name: (*ATTACKS, name).index(name)))

    def value(
        self, model: str, corruption: str, severity: float | None, metric: str = "accuracy"
    ) -> float:
        """The value of a cell; NaN if it is missing."""
        row = self.cells.get((model, corruption, severity, metric))
        return math.nan if row is None else row.value

    def line(
        self, corruption: str, severity: float | None, metric: str = "accuracy"
    ) -> list[float]:
        """One value per model; NaN where it is missing."""
        return [self.value(model, corruption, severity, metric) for model in self.models]

    def severities(self, corruption: str, metric: str = "accuracy") -> list[float]:
        """The severities at which any model was measured."""
        found = {s for _, c, s, m in self.cells if (c, m) == (corruption, metric) and s is not None}
        return sorted(found)

    def mean_line(self, corruptions: Sequence[str], metric: str) -> tuple[list[float], int]:
        """Mean per model over the severities of all models, and their number.

        NaN for a model that lacks one, because means over fewer severities are not comparable.
        """
        lines = [self.line(c, s, metric) for c in corruptions for s in self.severities(c, metric)]
        means = [math.fsum(column) / len(column) for column in zip(*lines)]
        return means or [math.nan] * len(self.models), len(lines)


def is_attack(row: Row) -> bool:
    """Whether a row was measured under an attack."""
    return row.corruption in ATTACKS or "attack" in (row.protocol or {})


def collect(rows: Iterable[Row], *, mixed_protocols: bool = False) -> Results:
    """Indexes the rows of one data set.

    Args:
        rows: Rows of one data set; those with an epoch are ignored.
        mixed_protocols: Allows models measured under different protocols; the notes say what
            differs.

    Returns:
        The results.

    Raises:
        ValueError: There are no rows, several data sets, invalid values, two values for one cell,
            or models with different protocols.
    """
    rows = [row for row in rows if row.epoch is None]
    datasets = list(dict.fromkeys(row.dataset for row in rows))
    if len(datasets) != 1:
        raise ValueError(f"needs rows of one data set; got data sets {datasets}")
    cells: dict[tuple[str, str, float | None, str], Row] = {}
    for row in rows:
        _check_value(row)
        first = cells.setdefault((row.model, *corruption_key(row), row.metric), row)
        if first.value != row.value:
            raise ValueError(
                f"expected one value of {row.metric} for {row.model} on {row.dataset} under "
                f"{row.corruption} (severity {row.severity}); got {first.value:g} and {row.value:g}"
            )
    models = tuple(dict.fromkeys(row.model for row in rows))
    return Results(models, cells, check_alike(rows, mixed_protocols=mixed_protocols))


def _check_value(row: Row) -> None:
    words = (row.model, row.dataset, row.corruption, row.metric)
    known = row.severity is None or _is_number(row.severity)
    if not (known and all(isinstance(word, str) for word in words)):
        raise ValueError(
            "model, dataset, corruption and metric must be texts and severity a number or None; "
            f"received {words} and {row.severity!r}"
        )
    fraction = row.metric in FRACTIONS
    if not _is_number(row.value) or (fraction and not 0 <= row.value <= 1):
        allowed = "a fraction in [0, 1]" if fraction else "a finite number"
        raise ValueError(
            f"{row.metric} of {row.model} on {row.dataset} under {row.corruption} (severity "
            f"{row.severity}) must be {allowed}; received {row.value!r}"
        )


def _is_number(value: Any) -> bool:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and math.isfinite(value)


def corruption_labels(rows: Iterable[Row]) -> dict[tuple[str, float | None], str]:
    """Keys in table order with labels, which name the severity if there are several."""
    keys = list(dict.fromkeys(map(corruption_key, rows)))
    names = [name for name, _ in keys]
    order = list(dict.fromkeys([*ORDER, *names]))
    keys.sort(key=lambda key: (order.index(key[0]), -math.inf if key[1] is None else key[1]))
    several = {key for key in keys if key[1] is not None and names.count(key[0]) > 1}
    labels = {key: f"{key[0]} {key[1]:g}" if key in several else key[0] for key in keys}
    return {key: "Clean" if label == CLEAN else label for key, label in labels.items()}


def shown_name(corruption: str) -> str:
    """Display name of a corruption: `"JPEG compression"`."""
    if corruption == CLEAN:
        return "Clean"
    if "=" in corruption:  # what was typed
        return corruption
    words = corruption.replace("_", " ")
    return words.replace("jpeg", "JPEG", 1) if words.startswith("jpeg") else words


def shown_strength(corruption: str, severity: float | None) -> str:
    """Display text of a severity; sizes of attacks are in 255ths where possible.

    >>> shown_strength("PGD", 8 / 255), shown_strength("PGD", 0.03), shown_strength("B+", 0.25)
    ('8/255', '0.03', '0.25')
    """
    if severity is None:
        return ""
    scaled = 255 * severity
    if corruption in ATTACKS and round(scaled) >= 1 and abs(scaled - round(scaled)) < 1e-3:
        return f"{round(scaled)}/255"
    return f"{severity:g}"
