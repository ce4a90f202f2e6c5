"""The golden vectors: what the package makes of their draws, and what the page says of them."""

from __future__ import annotations

import pathlib
import sys

import numpy as np
import pytest
import scipy.special

from tests.parameters import slow_unless
from tests.reference import corruptions as reference
from tfrobust.corruptions import CORRUPTIONS

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "tools"))
import golden_vectors

pytestmark = pytest.mark.usefixtures("eagerly")

STORED = np.load(golden_vectors.PATH)
TABLES = tuple(golden_vectors.SIZES)
QUICK = [("gaussian_noise", 32), ("fog", 64), ("frost", 224), ("saturate", 32)]
EVERY = [(name, table) for name in CORRUPTIONS for table in TABLES]
#: All of one table, and what goes another way in the others.
TRIED = [each for each in EVERY if each[1] == 32 or each in [*QUICK, ("glass_blur", 224)]]


def fields_of(name, table):
    """The words of each field."""
    prefix = f"draws/{name}/{table}/"
    return [STORED[f"{prefix}{k}"] for k in range(sum(key.startswith(prefix) for key in STORED))]


def uniform(words):
    return words / 2.0**16 if words.dtype == np.uint16 else (words >> 9) / 2.0**23


def normal(words):
    return scipy.special.ndtri(uniform(words) + 2.0**-24)


@pytest.mark.parametrize("name, table", slow_unless(QUICK, TRIED, several=True))
def test_the_package_makes_them(name, table):
    for severity in golden_vectors.LEVELS:
        draws = golden_vectors.Draws(name, fields_of(name, table))
        result, _ = golden_vectors.result(name, table, severity, draws)
        expected = STORED[golden_vectors.key(name, table, severity)]
        off = np.abs(result.astype(int) - expected)
        # On another processor a value may be cut to the other side of a whole number.
        assert off.max() <= 1 and np.mean(off > 0) < 0.01
        assert [len(field) for field in draws.fields] == [len(f) for f in fields_of(name, table)]


def by_hand(name, table, severity, image):
    """Corruptions in float64 from the stored draws, as the page describes them."""
    height, width, _ = image.shape
    drawn = [field.copy() for field in fields_of(name, table)]
    numbers = reference.TABLES[name][table][severity - 1]
    if name == "gaussian_noise":
        return image + 255 * numbers * normal(drawn[0]).reshape(image.shape)
    if name == "speckle_noise":
        return image + image * numbers * normal(drawn[0]).reshape(image.shape)
    if name == "impulse_noise":
        u = uniform(drawn[0]).reshape(image.shape)
        return np.where(u < numbers / 2, 0, np.where(u < numbers, 255, image))
    if name == "shot_noise":
        return STORED[f"counts/{table}/{severity}"] / numbers * 255
    if name == "frost":
        which, row, column = uniform(drawn[0])
        texture = STORED[f"frost_texture/{table}/{int(5 * which)}"]
        row, column = int(row * (len(texture) - height)), int(column * (texture.shape[1] - width))
        part = texture[row : row + height, column : column + width].astype(float)
        return numbers[0] * image + numbers[1] * part
    middle = image.mean(axis=(0, 1))
    return (image - middle) * numbers + middle  # contrast


@pytest.mark.parametrize(
    "name",
    ["gaussian_noise", "speckle_noise", "impulse_noise", "shot_noise", "frost", "contrast"],
)
def test_the_page_is_enough_to_make_them_again(name):
    for table in TABLES:
        image = STORED[f"input/{table}"].astype("float64")
        for severity in golden_vectors.LEVELS:
            expected = np.clip(by_hand(name, table, severity, image) + 1e-3, 0, 255).astype("uint8")
            found = STORED[golden_vectors.key(name, table, severity)]
            off = np.abs(found.astype(int) - expected)
            assert off.max() <= 1 and np.mean(off > 0) < 0.01, (table, severity)


def test_all_are_there_and_small():
    results = {golden_vectors.key(*each, s) for each in EVERY for s in golden_vectors.LEVELS}
    assert results <= set(STORED) and len(results) == 19 * 3 * 5
    assert golden_vectors.PATH.stat().st_size < 400_000
    page = (golden_vectors.PATH.parents[1] / "GOLDEN.md").read_text(encoding="utf-8")
    drawing = {key.split("/")[1] for key in STORED if key.startswith("draws/")}
    assert all(name in page for name in drawing)
