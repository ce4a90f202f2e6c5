"""Writes docs/golden/corruptions.npz: exact results of every corruption, with its random numbers.

Run: python tools/golden_vectors.py. The file is committed; docs/GOLDEN.md says what is in it, and
tests/corruptions/test_corruptions_golden.py compares it with the package.
"""

from __future__ import annotations

import contextlib
import math
import pathlib
from collections.abc import Iterator
from typing import Any
from unittest import mock

import numpy as np
import tensorflow as tf

from tfrobust import files
from tfrobust.corruptions import severities, weather
from tfrobust.corruptions.batch import cut
from tfrobust.corruptions.frost_textures import Textures
from tfrobust.ops import fields
from tfrobust.registries import CORRUPTIONS

PATH = pathlib.Path(__file__).parents[1] / "docs" / "golden" / "corruptions.npz"
#: Table of severities to height and width.
SIZES = {32: (8, 10), 64: (9, 9), 224: (11, 12)}
LEVELS = range(1, 6)
#: Corruptions that take several numbers from one word.
ALL_BITS = ("glass_blur", "elastic_transform")


def picture(table: int) -> np.ndarray:
    """Smooth colours, a grey square, black, white and a saturated pixel: uint8 [1, H, W, 3]."""
    height, width = SIZES[table]
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j][..., np.newaxis]
    image = 128 + 60 * np.sin(5 * y + [0, 1, 2]) + 50 * np.cos(4 * x + [2, 0, 1])
    image[:3, :4] = 100
    image[-1, 0], image[-1, 1], image[0, -1] = 0, 255, (255, 0, 0)
    return np.clip(np.rint(image), 0, 255).astype("uint8")[np.newaxis]


def frosts(table: int) -> list[np.ndarray]:
    """Five textures, a little larger than the image, as they are after shrinking."""
    height, width = SIZES[table]
    rows, columns = np.mgrid[: height + 4, : width + 5][..., np.newaxis]
    return [
        ((rows * (7 + i) + columns * (11 + 3 * i) + [0, 40, 80]) % 256).astype("uint8")
        for i in range(5)
    ]


def key(name: str, table: int, severity: int) -> str:
    """Name of a result in the file."""
    return f"{name}/{table}/{severity}"


class Draws:
    """Random words of one corruption and size: the same fields at every severity.

    A field is 32-bit words, or the upper 16 bits of them where the others would hardly matter.
    """

    def __init__(self, name: str, given: Any = None):
        self.fields: list[np.ndarray] = list(given or ())
        self._bits = 32 if name in ALL_BITS else 16
        self._random = np.random.default_rng(0)
        self._calls = 0

    def words(self, keys: tf.Tensor, shape: Any) -> tf.Tensor:
        """In the place of `ops.fields.words`."""
        count = math.prod(int(side) for side in shape)
        if self._calls == len(self.fields):
            self.fields.append(np.zeros(0, f"uint{self._bits}"))
        there = self.fields[self._calls]
        if len(there) < count:
            more = self._random.integers(0, 2**self._bits, count - len(there))
            there = np.concatenate([there, more.astype(there.dtype)])
            self.fields[self._calls] = there
        self._calls += 1
        words = there[:count].astype("uint32") << (32 - self._bits)
        return tf.constant(words.reshape(1, *(int(side) for side in shape)))

    @contextlib.contextmanager
    def in_use(self, textures: list[np.ndarray]) -> Iterator[None]:
        """The corruptions draw these numbers, and frost takes these textures."""
        self._calls = 0
        sizes = np.array([texture.shape[:2] for texture in textures])
        starts = np.cumsum([0, *sizes.prod(axis=1)[:-1]])
        pixels = np.concatenate([texture.reshape(-1, 3) for texture in textures])
        made = Textures(pixels, starts.astype("int32"), *sizes.T.astype("int32"))
        with (
            mock.patch.object(fields, "words", self.words),
            mock.patch.object(weather, "textures", lambda source, scale: made),
        ):
            yield


def result(name: str, table: int, severity: int, draws: Draws) -> tuple[np.ndarray, np.ndarray]:
    """A corrupted picture, uint8 [H, W, 3], and what it is before it is cut to 8 bits."""
    images = tf.constant(picture(table), tf.float32)
    arguments = severities.parameters(name, severity, table)
    with draws.in_use(frosts(table)):
        changed = CORRUPTIONS[name](images, tf.zeros([1, 2], tf.uint32), *arguments)
    return cut(changed)[0].numpy(), np.asarray(changed[0])


def vectors() -> dict[str, np.ndarray]:
    """Everything that is in the file."""
    made: dict[str, np.ndarray] = {}
    for table in SIZES:
        made[f"input/{table}"] = picture(table)[0]
        for i, texture in enumerate(frosts(table)):
            made[f"frost_texture/{table}/{i}"] = texture
        for name in CORRUPTIONS:
            draws = Draws(name)
            for severity in LEVELS:
                made[key(name, table, severity)], exact = result(name, table, severity, draws)
                if name == "shot_noise":
                    (rate,) = severities.parameters(name, severity, table)
                    counts = np.rint(exact * rate / 255).astype("uint16")
                    made[f"counts/{table}/{severity}"] = counts
            for number, field in enumerate(draws.fields):
                made[f"draws/{name}/{table}/{number}"] = field
    return made


if __name__ == "__main__":
    everything = vectors()
    with files.replacing(PATH) as temporary:
        np.savez_compressed(temporary, **everything)
    print(f"{PATH}: {len(everything)} arrays, {PATH.stat().st_size:,} bytes")
