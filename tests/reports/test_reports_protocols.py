"""Models that were not measured alike do not stand beside each other."""

from __future__ import annotations

import pytest

from tfrobust.reports import corruptions_table, robustness_table, strength_curves, summary_table
from tfrobust.reports.protocols import check_alike
from tfrobust.rows import Row


def row(model, *, n=100, seed=0, corruption="fog", severity=3, metric="accuracy", **more):
    return Row(model, "cifar10/test", corruption, severity, metric, 0.5, n=n, seed=seed, **more)


def test_equal_protocols_pass_and_made_with_may_differ():
    first = row("a", protocol={"table": "cifar", "classes": 10}, provenance={"keras": "2"})
    second = row("b", protocol={"classes": 10, "table": "cifar"}, provenance={"keras": "3"})
    assert check_alike([first, second]) == ()
    assert check_alike([row("a"), row("b")]) == ()  # unknown beside unknown


@pytest.mark.parametrize(
    "first, second, difference",
    [
        ({"n": 10}, {"n": 20}, "n is 10 for a, 20 for b"),
        ({"seed": 1}, {"seed": 2}, "seed is 1 for a, 2 for b"),
        ({"protocol": {"x": 1}}, {}, "protocol is known for a, unknown for b"),
        ({"protocol": {"t": "u"}}, {"protocol": {"t": "v"}}, "t is u for a, v for b"),
        ({"protocol": {"t": [1]}}, {"protocol": {}}, r"t is \[1\] for a, not given for b"),
        ({"protocol": {"t": None}}, {"protocol": {}}, "t is null for a, not given for b"),
        ({"protocol": {"t": "1"}}, {"protocol": {"t": 2}}, "t is 1 for a, 2 for b"),
    ],
)
def test_the_message_names_field_models_and_values(first, second, difference):
    message = f"for accuracy on cifar10/test, fog at severity 3, {difference} .*mixed_protocols"
    with pytest.raises(ValueError, match=message):
        check_alike([row("a", **first), row("b", **second)])


def test_only_cells_that_both_have_are_compared():
    rows = [row("a", protocol={"t": 1}), row("b", protocol={"t": 2}, severity=4)]
    rows += [row("b", protocol={"t": 3}, metric="aurra")]
    assert check_alike(rows) == ()


def test_clean_is_clean_whatever_its_severity():
    rows = [row("a", corruption="clean", severity=0.0, n=5)]
    rows += [row("b", corruption="clean", severity=None, n=6)]
    with pytest.raises(ValueError, match="accuracy on cifar10/test, clean, n is 5 for a, 6 for b"):
        check_alike(rows)


def test_a_protocol_is_a_mapping():
    with pytest.raises(
        ValueError, match=r"protocol of a must be a mapping or None; received \[1\]"
    ):
        summary_table([row("a", corruption="clean", severity=0.0, protocol=[1])])


def test_notes_gather_cells_and_models():
    rows = [
        row(model, severity=severity, protocol={"table": "x" if model == "c" else "y"})
        for severity in (1, 2, 3)
        for model in "abc"
    ]
    assert check_alike(rows, mixed_protocols=True) == (
        "Not measured alike: table is y for a and b, x for c "
        "(accuracy on cifar10/test, fog at severity 1, and 2 more).",
    )


@pytest.mark.parametrize(
    "show",
    [
        summary_table,
        corruptions_table,
        robustness_table,
        lambda rows, **options: strength_curves(rows, "GN", **options),
    ],
)
def test_tables_and_curves_refuse_unless_asked(show):
    rows = []
    for model, n in (("a", 10), ("b", 20)):
        rows += [row(model, corruption="clean", severity=0.0), row(model, severity=1)]
        rows += [row(model, corruption=c, severity=1, n=n) for c in ("snow", "GN", "PGD")]
    with pytest.raises(ValueError, match="n is 10 for a, 20 for b"):
        show(rows)
    shown = show(rows, mixed_protocols=True)
    if hasattr(shown, "notes"):
        said = " ".join(shown.notes)
    else:
        said = shown.legends[0].get_title().get_text().replace("\n", " ")
    assert "Not measured alike: n is 10 for a, 20 for b" in said
