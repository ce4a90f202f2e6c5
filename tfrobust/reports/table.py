"""A table of results and its output formats."""

from __future__ import annotations

import csv
import dataclasses
import html
import io
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
    "[": "{[}",  # after \\ it would open a length
    "]": "{]}",
    "*": "{*}",  # likewise
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

    def to_text(self) -> str:
        """Plain text with aligned columns; a star marks the best value of a row."""
        blank = " " if self.best else ""  # instead of the star, so that the digits line up
        lines = [[self.corner, *(name + blank for name in self.columns)]]
        lines += self._lines(str, "{}*", "{}" + blank)
        widths = [max(map(len, column)) for column in zip(*lines)]
        pads = [str.ljust, *(str.ljust if words else str.rjust for words in self._is_text_column())]
        padded = ["  ".join(p(c, w) for p, c, w in zip(pads, line, widths)) for line in lines]
        rule = "-" * len(padded[0])
        for i in sorted({*self._rules(), 0}, reverse=True):
            padded.insert(i + 1, rule)
        return "\n".join(line.rstrip() for line in [*padded, *self.notes]) + "\n"

    def to_markdown(self) -> str:
        """A GitHub Markdown table; the best value of a row is bold."""
        lines = [[markdown_text(name) for name in (self.corner, *self.columns)]]
        lines += [["---", *("---" if words else "---:" for words in self._is_text_column())]]
        lines += self._lines(markdown_text, "**{}**", "{}")
        table = "".join("| " + " | ".join(line) + " |\n" for line in lines)
        return table + "".join(f"\n{markdown_text(note)}\n" for note in self.notes)

    def to_html(self, *, caption: str = "") -> str:
        """An HTML table, escaped, best values bold; without the notes."""
        kinds = ["" if words else ' class="number"' for words in self._is_text_column()]
        heads = "".join(f'<th scope="col"{k}>{_html(c)}</th>' for k, c in zip(kinds, self.columns))
        lines = [f"<caption>{_html(caption)}</caption>"] if caption else []
        corner = f'<th scope="col">{_html(self.corner)}</th>'
        lines += [f"<thead><tr>{corner}{heads}</tr></thead>", "<tbody>"]
        for i, (label, *cells) in enumerate(self._lines(_html, "<strong>{}</strong>", "{}")):
            if self.summary_rows and i == len(self.labels) - self.summary_rows:
                lines += ["</tbody>", '<tbody class="summary">']
            elif i in self._rules():
                lines += ["</tbody>", "<tbody>"]
            data = "".join(f"<td{kind}>{cell}</td>" for kind, cell in zip(kinds, cells))
            lines += [f'<tr><th scope="row">{label}</th>{data}</tr>']
        return "\n".join(["<table>", *lines, "</tbody>", "</table>"]) + "\n"

    def to_latex(self) -> str:
        r"""A LaTeX `tabular` (needs booktabs); best values bold, notes below."""
        kinds = "l" + "".join("l" if words else "r" for words in self._is_text_column())
        lines = [rf"\begin{{tabular}}{{{kinds}}}", r"\toprule"]
        lines += [" & ".join(map(latex_text, (self.corner, *self.columns))) + r" \\", r"\midrule"]
        for i, line in enumerate(self._lines(latex_text, r"\textbf{{{}}}", "{}")):
            lines += [r"\midrule"] * (i in self._rules())
            lines += [" & ".join(line) + r" \\"]
        lines += [r"\bottomrule", r"\end{tabular}"]
        lines += [rf"\par\smallskip{{\footnotesize {latex_text(note)}\par}}" for note in self.notes]
        return "\n".join(lines) + "\n"

    def to_csv(self) -> str:
        """CSV with unrounded values, empty if missing; without the notes."""
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow([self.corner, *self.columns])
        writer.writerows([label, *values] for label, values in zip(self.labels, self.values))
        return stream.getvalue()

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

    def _rules(self) -> set[int]:
        """Indices of rows with a rule above them, apart from the one below the header."""
        ends = {len(self.labels) - self.summary_rows} if self.summary_rows else set()
        return {i for i in {*self.breaks, *ends} if i > 0}

    def _lines(self, escape: Callable[[str], str], best: str, other: str) -> list[list[str]]:
        lines = [[escape(label), *map(escape, t)] for label, t in zip(self.labels, self.texts)]
        for i, line in enumerate(lines):
            for j in range(len(self.columns)):
                line[j + 1] = (best if (i, j) in self.best else other).format(line[j + 1])
        return lines

    def _is_text_column(self) -> list[bool]:
        """Whether each column holds text, which is left-aligned, rather than numbers."""
        return [any(isinstance(cell, str) for cell in cells) for cells in zip(*self.values)]


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


def _html(text: str) -> str:
    return html.escape(with_minus_signs(text))


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
