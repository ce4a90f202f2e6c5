"""A table of results and its output formats."""

from __future__ import annotations

import csv
import dataclasses
import io
import math
import re
from collections.abc import Iterable, Sequence
from typing import Any, Callable

MISSING = "–"

_LATEX = {
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "[": "{[}",  # after \\ it would start an optional length
    "]": "{]}",
    "*": "{*}",  # as would a star
    "−": "$-$",
    "±": r"$\pm$",
    "×": r"$\times$",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
}


@dataclasses.dataclass(frozen=True)
class Table:
    """A table of results.

    Args:
        corner: Heading of the column of labels.
        columns: Names of the columns.
        labels: Names of the rows.
        values: Rows of values in the displayed units (accuracies in percent); None if missing.
        texts: The same cells as displayed.
        best: `(row, column)` of the best values.
        summary_rows: Number of summary rows at the end.
        notes: Sentences below the table.
        breaks: Indices of rows with a rule above them.
    """

    corner: str
    columns: tuple[str, ...]
    labels: tuple[str, ...]
    values: tuple[tuple[Any, ...], ...]
    texts: tuple[tuple[str, ...], ...]
    best: frozenset[tuple[int, int]] = frozenset()
    summary_rows: int = 0
    notes: tuple[str, ...] = ()
    breaks: tuple[int, ...] = ()

    @classmethod
    def from_records(
        cls,
        corner: str,
        columns: Sequence[tuple[str, str]],
        records: Iterable[tuple[str, Sequence[Any]]],
        **options: Any,
    ) -> Table:
        """A table with one format per column.

        Args:
            corner: Heading of the column of labels.
            columns: Names of the columns and the format of their numbers, such as `".2f"`.
            records: The label and the values of each row; texts are displayed as they are.
            options: Other arguments of the table.
        """
        found = [(label, tuple(values)) for label, values in records]
        names, forms = zip(*columns)
        texts = tuple(_displayed(values, forms) for _, values in found)
        labels, values = zip(*found) if found else ((), ())
        return cls(corner, names, labels, values, texts, **options)

    @classmethod
    def from_lines(
        cls, corner: str, columns: Sequence[str], lines: Sequence[Line], **options: Any
    ) -> Table:
        """A table with one format per row, in which the best value of each row is marked."""
        values = tuple(tuple(None if math.isnan(v) else v for v in line.values) for line in lines)
        texts = tuple(_displayed(v, [o.form] * len(columns)) for v, o in zip(values, lines))
        best = best_cells(texts, [line.higher for line in lines])
        labels = tuple(line.label for line in lines)
        return cls(corner, tuple(columns), labels, values, texts, best, **options)

    def to_text(self) -> str:
        """Plain text with aligned columns; a star marks the best value of a row."""
        blank = " " if self.best else ""  # instead of the star, so that the digits line up
        lines = [[self.corner, *(name + blank for name in self.columns)]]
        lines += self._lines(str, "{}*", "{}" + blank)
        widths = [max(map(len, column)) for column in zip(*lines)]
        pads = [str.ljust, *(str.rjust if number else str.ljust for number in self.numeric())]
        padded = ["  ".join(p(c, w) for p, c, w in zip(pads, line, widths)) for line in lines]
        rule = "-" * len(padded[0])
        for i in sorted({*self.rules(), 0}, reverse=True):
            padded.insert(i + 1, rule)
        return "\n".join(line.rstrip() for line in [*padded, *self.notes]) + "\n"

    def to_markdown(self) -> str:
        """A GitHub Markdown table; the best value of a row is bold."""
        lines = [[markdown_text(name) for name in (self.corner, *self.columns)]]
        lines += [["---", *("---:" if number else "---" for number in self.numeric())]]
        lines += self._lines(markdown_text, "**{}**", "{}")
        table = "".join("| " + " | ".join(line) + " |\n" for line in lines)
        return table + "".join(f"\n{markdown_text(note)}\n" for note in self.notes)

    def to_html(self, *, caption: str = "") -> str:
        """An HTML table, escaped, best values bold; without the notes."""
        from tfrobust.reports import templates  # here, so that a table needs no Jinja2

        macro: Any = templates.environment().get_template("table.html.jinja").module
        return str(macro.render(self, caption))

    def to_latex(self) -> str:
        r"""A LaTeX `tabular` (needs booktabs); best values bold, notes below."""
        kinds = "l" + "".join("r" if number else "l" for number in self.numeric())
        lines = [rf"\begin{{tabular}}{{{kinds}}}", r"\toprule"]
        lines += [" & ".join(map(latex_text, (self.corner, *self.columns))) + r" \\", r"\midrule"]
        for i, line in enumerate(self._lines(latex_text, r"\textbf{{{}}}", "{}")):
            lines += [r"\midrule"] * (i in self.rules())
            lines += [" & ".join(line) + r" \\"]
        lines += [r"\bottomrule", r"\end{tabular}"]
        lines += [rf"\par\smallskip{{\footnotesize {latex_text(note)}\par}}" for note in self.notes]
        return "\n".join(lines) + "\n"

    def to_csv(self) -> str:
        """CSV with unrounded values, empty if missing; without the notes."""
        rows = ([label, *values] for label, values in zip(self.labels, self.values))
        return csv_text([[self.corner, *self.columns], *rows])

    def to_records(self) -> list[dict[str, Any]]:
        """Records for JSON: label, values and best columns of each row."""
        return [
            {
                "label": label,
                "values": dict(zip(self.columns, values)),
                "best": [name for j, name in enumerate(self.columns) if (i, j) in self.best],
            }
            for i, (label, values) in enumerate(zip(self.labels, self.values))
        ]

    def rules(self) -> set[int]:
        """Indices of rows with a rule above them, apart from the one below the header."""
        ends = {len(self.labels) - self.summary_rows} if self.summary_rows else set()
        return {i for i in {*self.breaks, *ends} if i > 0}

    def numeric(self) -> list[bool]:
        """Whether each column holds numbers, which are right-aligned, rather than text."""
        return [not any(isinstance(cell, str) for cell in cells) for cells in zip(*self.values)]

    def _lines(self, escape: Callable[[str], str], best: str, other: str) -> list[list[str]]:
        return [
            [escape(label)]
            + [
                (best if (i, j) in self.best else other).format(escape(text))
                for j, text in enumerate(texts)
            ]
            for i, (label, texts) in enumerate(zip(self.labels, self.texts))
        ]


@dataclasses.dataclass(frozen=True)
class Line:
    """A row of numbers that are compared with each other.

    Args:
        label: Name of the row.
        values: One number per column; NaN if missing.
        higher: Whether higher is better; None if neither is.
        form: Format of the numbers.
    """

    label: str
    values: Sequence[float]
    higher: bool | None = True
    form: str = ".2f"


def best_cells(
    texts: Iterable[Iterable[str]], higher: Sequence[bool | None] | None = None
) -> frozenset[tuple[int, int]]:
    """The best cells of each row, compared as displayed, so that ties are marked alike.

    Args:
        texts: Rows of printed numbers.
        higher: Whether higher is better, per row; None if neither is. Default: higher is better.

    Returns:
        `(row, column)` of the best cells; none for a row of equal cells.

    >>> sorted(best_cells([["1.0", "2.0"], ["1.0", "2.0"], ["3.0", "3.0"]], [True, False, True]))
    [(0, 1), (1, 0)]
    """
    best = []
    for i, line in enumerate(texts):
        more = True if higher is None else higher[i]
        shown = {j: float(text) for j, text in enumerate(line) if text != MISSING}
        if more is not None and len(set(shown.values())) > 1:
            wanted = (max if more else min)(shown.values())
            best += [(i, j) for j in shown if shown[j] == wanted]
    return frozenset(best)


def csv_text(rows: Iterable[Iterable[Any]]) -> str:
    """Rows as CSV, with empty cells for None.

    Text that a spreadsheet would run as a formula gets an apostrophe in front, which it hides.
    """

    def cell(value: Any) -> Any:
        runs = isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r"))
        return f"'{value}" if runs else value

    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows(map(cell, row) for row in rows)
    return stream.getvalue()


def markdown_text(text: str) -> str:
    """Escapes text for Markdown, on one line."""
    return " ".join(re.sub(r"([\\|*<`])", r"\\\1", text).split())


def latex_text(text: str) -> str:
    """Escapes text for LaTeX."""
    text = with_minus_signs(" ".join(text.split()))
    text = "".join(_LATEX.get(sign, sign) for sign in text)
    # Two adjacent ones would form a ligature.
    return re.sub(r"(?<=[-'`])(?=[-'`])", "{}", text)


def with_minus_signs(text: str) -> str:
    """Turns the hyphen of `"B-"` and `"-1.20"` into U+2212; hyphens inside words stay."""
    return re.sub(r"^-(?=[\d.])|(?<=\w)-(?=\s|$)", "−", text)


def _displayed(values: Sequence[Any], forms: Sequence[str]) -> tuple[str, ...]:
    return tuple(
        value if isinstance(value, str) else MISSING if value is None else format(value, form)
        for value, form in zip(values, forms)
    )
