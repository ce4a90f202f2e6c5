"""Tables from result rows: models beside each other, one line per corruption."""

from __future__ import annotations

import dataclasses
import html
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any, Callable

from tfrobust.rows import CLEAN, Row

# The order of Table 3 in the FMA paper; anything else follows in order of first appearance.
ORDER = (CLEAN, "B+", "B-", "GB", "GN", "SAP", "S+", "S-", "Combined+", "Combined-")
MISSING = "–"


@dataclasses.dataclass(frozen=True)
class Table:
    """A finished table: names, values in the units shown (accuracies in percent, None where
    missing), the same cells as printed, which `(row, column)` are best, how many rows at the
    end are summaries, and the sentences that belong under it."""

    corner: str
    columns: tuple[str, ...]
    labels: tuple[str, ...]
    values: tuple[tuple[Any, ...], ...]
    texts: tuple[tuple[str, ...], ...]
    best: frozenset[tuple[int, int]] = frozenset()
    summary_rows: int = 0
    notes: tuple[str, ...] = ()

    def to_text(self) -> str:
        """Aligned columns for a terminal; a star stands behind the best value of a row."""
        blank = " " if self.best else ""  # in place of the star, so that the digits line up
        lines = [[self.corner, *(name + blank for name in self.columns)]]
        lines += self._lines(str, "{}*", "{}" + blank)
        widths = [max(map(len, column)) for column in zip(*lines)]
        pads = [str.ljust, *(str.ljust if words else str.rjust for words in self._wordy())]
        padded = ["  ".join(p(c, w) for p, c, w in zip(pads, line, widths)) for line in lines]
        rule = "-" * len(padded[0])
        padded.insert(1, rule)
        if self.summary_rows:
            padded.insert(-self.summary_rows, rule)
        return "\n".join(line.rstrip() for line in [*padded, *self.notes]) + "\n"

    def to_markdown(self) -> str:
        """A table as GitHub renders it; the best value of a row is bold."""
        lines = [[_markdown(name) for name in (self.corner, *self.columns)]]
        lines += [["---", *("---" if words else "---:" for words in self._wordy())]]
        lines += self._lines(_markdown, "**{}**", "{}")
        table = "".join("| " + " | ".join(line) + " |\n" for line in lines)
        return table + "".join(f"\n{_markdown(note)}\n" for note in self.notes)

    def to_html(self, *, caption: str = "") -> str:
        """A `<table>`, escaped, best values bold; the notes are left to the page around it."""
        kinds = ["" if words else ' class="number"' for words in self._wordy()]
        heads = "".join(f'<th scope="col"{k}>{_html(c)}</th>' for k, c in zip(kinds, self.columns))
        lines = [f"<caption>{_html(caption)}</caption>"] if caption else []
        corner = f'<th scope="col">{_html(self.corner)}</th>'
        lines += [f"<thead><tr>{corner}{heads}</tr></thead>", "<tbody>"]
        for i, (label, *cells) in enumerate(self._lines(_html, "<strong>{}</strong>", "{}")):
            if self.summary_rows and i == len(self.labels) - self.summary_rows:
                lines += ["</tbody>", '<tbody class="summary">']
            data = "".join(f"<td{kind}>{cell}</td>" for kind, cell in zip(kinds, cells))
            lines += [f'<tr><th scope="row">{label}</th>{data}</tr>']
        return "\n".join(["<table>", *lines, "</tbody>", "</table>"]) + "\n"

    def _lines(self, escape: Callable[[str], str], best: str, other: str) -> list[list[str]]:
        lines = [[escape(label), *map(escape, t)] for label, t in zip(self.labels, self.texts)]
        for i, line in enumerate(lines):
            for j in range(len(self.columns)):
                line[j + 1] = (best if (i, j) in self.best else other).format(line[j + 1])
        return lines

    def _wordy(self) -> list[bool]:
        """Per column whether it holds words, which stand left, and not numbers."""
        return [any(isinstance(cell, str) for cell in cells) for cells in zip(*self.values)]


def _html(text: str) -> str:
    return html.escape(with_minus_signs(text))


def _markdown(text: str) -> str:
    return " ".join(re.sub(r"([\\|*<`])", r"\\\1", text).split())


def with_minus_signs(text: str) -> str:
    """Turns the hyphen of `"B-"` and `"-1.20"` into U+2212; hyphens inside words stay."""
    return re.sub(r"^-(?=[\d.])|(?<=\w)-(?=\s|$)", "−", text)


def corruption_key(row: Row) -> tuple[str, float | None]:
    """What makes rows comparable; clean is clean, whatever its severity is said to be."""
    return (row.corruption, None if row.corruption == CLEAN else row.severity)


def corruption_labels(rows: Iterable[Row]) -> dict[tuple[str, float | None], str]:
    """Keys in table order with labels; a severity is named where a corruption has several."""
    keys = list(dict.fromkeys(map(corruption_key, rows)))
    names = [name for name, _ in keys]
    order = list(dict.fromkeys([*ORDER, *names]))
    keys.sort(key=lambda key: (order.index(key[0]), -math.inf if key[1] is None else key[1]))
    several = {key for key in keys if key[1] is not None and names.count(key[0]) > 1}
    labels = {key: f"{key[0]} {key[1]:g}" if key in several else key[0] for key in keys}
    return {key: "Clean" if label == CLEAN else label for key, label in labels.items()}


def standard_error(value: float, n: int) -> float:
    """Standard error of an accuracy `value` measured on `n` images: `sqrt(p (1 - p) / n)`.

    Args:
        value: Accuracy p, a fraction in [0, 1].
        n: Number of images, 1 or more.

    Returns:
        The standard error, a fraction.

    Raises:
        ValueError: `value` is outside [0, 1] or `n` is below 1.

    >>> standard_error(0.5, 100)
    0.05
    """
    if not (0 <= value <= 1 and n >= 1):
        raise ValueError(f"needs an accuracy in [0, 1] and n of at least 1; got {value} and {n}")
    return math.sqrt(value * (1 - value) / n)


def robustness_table(
    rows: Iterable[Row], *, metric: str = "accuracy", baseline: str | None = None
) -> Table:
    """Table 3 of the FMA paper: accuracy of every model on clean and on corrupted images.

    Two averages of model minus baseline end the table. The first leaves clean images out. The
    second includes them, as the averages printed in the paper do. Both leave out a cell that
    the model or the baseline lacks. Rows with an epoch belong to a training curve, not here.

    Args:
        rows: Result rows of one data set.
        metric: Which metric to show: a fraction in [0, 1] of which more is better.
        baseline: Model to compare with; default: the one named `"baseline"`, else the first.

    Returns:
        The table, with the models in order of first appearance.

    Raises:
        ValueError: No row has the metric, there are several data sets, the baseline is not
            there, a value is not a fraction, or two rows give different values for one cell.

    Example:

    >>> rows = [Row("baseline", "digits/test", "GN", 0.1, "accuracy", 0.50, n=100, seed=0),
    ...         Row("FMA/CA", "digits/test", "GN", 0.1, "accuracy", 0.75, n=100, seed=0)]
    >>> robustness_table(rows).values
    ((50.0, 75.0), (None, 25.0))
    """
    rows = [row for row in rows if row.metric == metric and row.epoch is None]
    datasets = list(dict.fromkeys(row.dataset for row in rows))
    if len(datasets) != 1:
        raise ValueError(f"needs rows with {metric!r} of one data set; got data sets {datasets}")
    models = list(dict.fromkeys(row.model for row in rows))
    baseline = baseline or ("baseline" if "baseline" in models else models[0])
    if baseline not in models:
        raise ValueError(f"baseline must be one of the models {models}; got {baseline!r}")
    points: dict[Any, float] = {}
    for row in rows:
        value = points.setdefault((row.model, corruption_key(row)), 100 * row.value)
        if value != 100 * row.value:
            raise ValueError(
                f"expected one value of {row.metric} for {row.model} on {row.dataset} under "
                f"{row.corruption} (severity {row.severity}); got {value / 100:g} and {row.value:g}"
            )
    labels = corruption_labels(rows)
    names, lines = list(labels.values()), [[points.get((m, k)) for m in models] for k in labels]
    augmented = [key for key in labels if key[0] != CLEAN]
    averages = {}
    if augmented and len(models) > 1:
        averages[f"Average improvement, {len(augmented)} augmented"] = augmented
    if averages and len(labels) > len(augmented):
        averages[f"Average improvement, {len(labels)} rows with clean"] = list(labels)
    for name, keys in averages.items():
        shared = {m: [k for k in keys if {(m, k), (baseline, k)} <= set(points)] for m in models}
        gains = {m: [points[m, k] - points[baseline, k] for k in shared[m]] for m in models}
        means = {m: math.fsum(g) / len(g) for m, g in gains.items() if g and m != baseline}
        names, lines = [*names, name], [*lines, [means.get(m) for m in models]]
    forms = [".2f"] * len(labels) + ["+.2f"] * len(averages)
    texts = tuple(
        tuple(MISSING if value is None else format(value, form) for value in line)
        for form, line in zip(forms, lines)
    )
    error = 100 * max(standard_error(row.value, row.n) for row in rows)
    sizes = " or ".join(map(str, sorted({row.n for row in rows})))
    notes = [f"One standard error is at most ±{error:.2f} points, n = {sizes} images."]
    if averages and len(points) < len(models) * len(labels):
        notes.append("Averages use only the corruptions that both models have.")
    cells = (tuple(names), tuple(map(tuple, lines)), texts, _best(texts))
    return Table("Images", tuple(models), *cells, len(averages), tuple(notes))


def _best(texts: Iterable[Iterable[str]]) -> frozenset[tuple[int, int]]:
    """Judged as printed, so that equal cells are marked alike; a row of equals has no best."""
    best = []
    for i, line in enumerate(texts):
        shown = {j: float(text) for j, text in enumerate(line) if text != MISSING}
        if len(set(shown.values())) > 1:
            best += [(i, j) for j in shown if shown[j] == max(shown.values())]
    return frozenset(best)


def strengths_table(records: Iterable[Mapping[str, Any]]) -> Table:
    """The calibrated strength of every augmentation and what it does to the baseline.

    Args:
        records: One mapping for each augmentation with `augmentation`, `parameter`, `strength`,
            `reached`, `accuracy` and `drop`; `note` where there is one.

    Returns:
        The table, accuracies in percent and drops in points.
    """
    labels, values, texts = [], [], []
    for record in records:
        note = record.get("note") or ("" if record["reached"] else "wanted drop not reached")
        numbers = record["strength"], 100 * record["accuracy"], 100 * record["drop"]
        labels.append(record["augmentation"])
        values.append((record["parameter"], *numbers, note))
        texts.append((record["parameter"], *map(format, numbers, (".4g", ".2f", ".2f")), note))
    columns = ("Parameter", "Strength", "Accuracy (%)", "Drop (points)", "Note")
    return Table("Augmentation", columns, tuple(labels), tuple(values), tuple(texts))
