"""The protocol section of a report: all fields of protocol and provenance."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from tfrobust.registries import CORRUPTIONS
from tfrobust.reports import page
from tfrobust.reports.evaluation_tables import DIVIDED, NO_BASELINE
from tfrobust.reports.protocols import NOT_GIVEN, shown
from tfrobust.reports.table import Table
from tfrobust.rows import Row

#: Maximum number of values listed per field.
LISTED = 4


def sections(rows: Sequence[Row]) -> Iterator[str]:
    """The section on the protocol; empty if no row has a protocol or provenance.

    Args:
        rows: The rows of a run.

    Yields:
        Fragments of HTML.
    """
    rows = [row for row in rows if row.epoch is None]
    if not any(row.protocol is not None or row.provenance is not None for row in rows):
        return
    yield page.heading("How it was measured")
    for sentence in sentences(rows):
        yield page.paragraph(sentence)
    yield page.scroll(protocol_table(rows).to_html(caption="Protocol"), kind="protocol")


def protocol_table(rows: Iterable[Row]) -> Table:
    """All fields of `protocol` and `provenance`, with n and seed, models side by side.

    Args:
        rows: Result rows, of one or more data sets.

    Returns:
        A table of texts. A field that differs between the rows of a model lists all its values.

    Example:

    >>> row = Row("net", "cifar10/test", "clean", 0.0, "accuracy", 0.9, n=100, seed=0,
    ...           protocol={"table": "cifar"}, provenance={"keras": "2.15.0"})
    >>> print(protocol_table([row]).to_text(), end="")
    Field             net
    ------------------------------
    data set          cifar10/test
    images (n)        100
    seed              0
    ------------------------------
    protocol: table   cifar
    ------------------------------
    made with: keras  2.15.0
    """
    rows = list(rows)
    models = tuple(dict.fromkeys(row.model for row in rows))
    fields: dict[str, dict[str, dict[str, None]]] = {}
    for row in rows:
        for name, value in _fields(row):
            values = fields.setdefault(name, {}).setdefault(row.model, {})
            values[value] = None
    labels = ("data set", "images (n)", "seed")
    groups = ("protocol", "made with")
    ordered = [name for name in labels if name in fields]
    ordered += [name for group in groups for name in fields if name.startswith(group)]
    lines = tuple(tuple(_join_values(fields[f].get(m, {})) for m in models) for f in ordered)
    firsts = (
        next((i for i, n in enumerate(ordered) if n.startswith(group)), 0) for group in groups
    )
    return Table("Field", models, tuple(ordered), lines, lines, breaks=tuple(firsts))


def sentences(rows: Sequence[Row]) -> Iterator[str]:
    """Caveats for comparing the results with others."""
    for metric, (divided, plain) in DIVIDED.items():
        selected = [row for row in rows if row.metric == metric]
        for name in dict.fromkeys((row.protocol or {}).get("baseline") for row in selected):
            if name is None:
                yield f"The rows do not say by what baseline {divided} was divided."
            elif name == NO_BASELINE:
                yield (
                    f"{plain} is not normalised: nothing is divided by a baseline, and the number "
                    f"cannot stand beside a published {divided}."
                )
            else:
                yield (
                    f"{divided} is normalised: the numbers of each corruption are divided by those "
                    f"of {shown(name)}, and 100 is as bad as {shown(name)}."
                )
    if any(row.metric == "accuracy" for row in rows):
        yield "Accuracies and calibration errors are not normalised: they are plain fractions."
    corrupted = [row for row in rows if row.corruption in CORRUPTIONS and row.metric == "accuracy"]
    frosted = [row for row in corrupted if row.corruption == "frost"]
    for chosen, field, what in (
        (frosted, "frost", "Frost textures"),
        (corrupted, "table", "Table of severities"),
    ):
        values = list(dict.fromkeys(shown((r.protocol or {}).get(field, "")) for r in chosen))
        known = [value for value in values if value]
        if known:
            yield f"{what}: {', '.join(known)}{', some rows do not say' * ('' in values)}."
        elif chosen:
            yield f"{what}: the rows do not say."
    unknown = [row.model for row in rows if row.protocol is None]
    if unknown:
        names = ", ".join(dict.fromkeys(unknown))
        yield f"Some rows or all have no protocol, so that it is unknown how they came: {names}."


def _fields(row: Row) -> Iterator[tuple[str, str]]:
    yield "data set", row.dataset
    yield "images (n)", str(row.n)
    yield "seed", str(row.seed)
    for group, mapping in (("protocol", row.protocol), ("made with", row.provenance)):
        if isinstance(mapping, Mapping):
            for key, value in mapping.items():
                yield f"{group}: {key}", shown(value)


def _join_values(values: Mapping[str, None]) -> str:
    if not values:
        return NOT_GIVEN
    first = list(values)[:LISTED]
    more = len(values) - len(first)
    return "; ".join(first) + (f"; {more} more" if more else "")
