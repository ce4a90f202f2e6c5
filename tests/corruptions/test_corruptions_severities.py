"""Severities: every number against a second transcription, and the choice of the table."""

from __future__ import annotations

import numpy as np
import pytest

from tests.reference import corruptions as reference
from tfrobust.corruptions import (
    CORRUPTION_GROUPS,
    HELD_OUT_CORRUPTIONS,
    TEST_CORRUPTIONS,
    severities,
)
from tfrobust.registries import CORRUPTIONS

SIZES = (32, 64, 224)


def test_names():
    assert set(reference.TABLES) == set(CORRUPTIONS)
    assert (len(TEST_CORRUPTIONS), len(HELD_OUT_CORRUPTIONS)) == (15, 4)
    assert set(TEST_CORRUPTIONS) | set(HELD_OUT_CORRUPTIONS) == set(CORRUPTIONS)
    assert set(HELD_OUT_CORRUPTIONS) == {"speckle_noise", "gaussian_blur", "spatter", "saturate"}
    assert sorted(name for group in CORRUPTION_GROUPS.values() for name in group) == sorted(
        TEST_CORRUPTIONS
    )


@pytest.mark.parametrize("size", SIZES)
def test_tables_have_all_corruptions(size):
    assert set(severities.TABLES[size]) == set(CORRUPTIONS)
    assert all(len(rows) == 5 for rows in severities.TABLES[size].values())


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", reference.TABLES)
def test_numbers(name, size):
    unit = {32: 32, 64: 64, 224: 244}[size] if name == "elastic_transform" else 1
    for severity, row in enumerate(reference.TABLES[name][size], start=1):
        row = [unit * number for number in (row if isinstance(row, tuple) else (row,))]
        numbers = severities.parameters(name, severity, size)
        if name == "fog":
            *numbers, map_size = numbers
            assert map_size == {32: 32, 64: 64, 224: 256}[size]
        if name == "frost":
            *numbers, scale = numbers
            assert scale == {32: 0.2, 64: 0.3, 224: 1}[size]
        assert list(numbers) == row


@pytest.mark.parametrize(
    ("size", "counts"),
    [(32, (7, 12, 16, 21, 26)), (64, (7, 12, 16, 21, 26)), (224, (12, 16, 11, 13, 11))],
)
def test_number_of_zooms(size, counts):
    """Floating-point steps reach some of the stops and not others."""
    rows = [severities.parameters("zoom_blur", severity, size) for severity in range(1, 6)]
    assert tuple(len(np.arange(1, *row)) for row in rows) == counts


@pytest.mark.parametrize("size", SIZES)
def test_table_of_the_size(size):
    assert severities.choose_table((size, size)) == size
    assert severities.choose_table((33, 47), size) == size


@pytest.mark.parametrize("size", [(32, 64), (64, 32), (33, 33), (299, 299)])
def test_sizes_without_a_table(size):
    with pytest.raises(ValueError, match=f"{size[0]}x{size[1]} pixels.*table=32, 64 or 224"):
        severities.choose_table(size)


@pytest.mark.parametrize("table", [0, 33, 256, "32", True])
def test_unknown_table(table):
    with pytest.raises(ValueError, match="table must be 32, 64 or 224; received"):
        severities.choose_table((32, 32), table)
    with pytest.raises(ValueError, match="table must be 32, 64 or 224; received"):
        severities.parameters("fog", 1, table)


@pytest.mark.parametrize("severity", [0, 6, -1, 2.5])
def test_unknown_severity(severity):
    with pytest.raises((TypeError, ValueError), match="severity must be"):
        severities.parameters("fog", severity, 32)


def test_unknown_name():
    with pytest.raises(ValueError, match="frosty"):
        severities.parameters("frosty", 1, 32)
