"""Whether images are those of an earlier run: every change is seen, and a moved folder is none."""

import shutil

import keras
import numpy as np
import pytest

from tfrobust import datasets
from tfrobust.datasets.source import Arrays

RANDOM = np.random.default_rng(0)


def draw(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    keras.utils.save_img(path, RANDOM.integers(0, 255, [12, 12, 3]), scale=False)


@pytest.fixture
def place(tmp_path):
    for split, count in (("train", 6), ("test", 3)):
        for name in ("cat", "dog"):
            for number in range(count):
                draw(tmp_path / "pictures" / split / name / f"{number}.png")
    return tmp_path / "pictures"


def digests(place):
    return datasets.load("folder", data_dir=place, resize=12, crop=12).digests()


def test_nothing_changed(place, tmp_path):
    before = digests(place)
    assert set(before) == {"train", "validation", "test"} and len(set(before.values())) == 3
    assert digests(place) == before
    shutil.copytree(place, tmp_path / "elsewhere")
    assert digests(tmp_path / "elsewhere") == before


CHANGES = {
    "added": lambda test: draw(test / "cat" / "new.png"),
    "removed": lambda test: (test / "cat" / "0.png").unlink(),
    "replaced": lambda test: draw(test / "cat" / "1.png"),
    "renamed": lambda test: (test / "cat" / "1.png").rename(test / "cat" / "other.png"),
    "relabelled": lambda test: (test / "cat" / "2.png").rename(test / "dog" / "2b.png"),
    "swapped": lambda test: [
        (test / a).rename(test / b) for a, b in (("cat", "x"), ("dog", "cat"), ("x", "dog"))
    ],
}


def test_every_change_is_seen(place):
    """One after the other; what is read of the training images stays what it was."""
    before = digests(place)
    for name, change in CHANGES.items():
        change(place / "test")
        after = digests(place)
        assert after["test"] != before["test"], name
        assert [after[one] == before[one] for one in ("train", "validation")] == [True, True]
        before = after


def test_arrays():
    images = RANDOM.integers(0, 255, [8, 4, 4, 3]).astype("uint8")
    labels = np.arange(8, dtype="int32")
    before = Arrays(images, labels).digest()
    assert Arrays(images.copy(), labels.astype("int64")).digest() == before
    changed = images.copy()
    changed[5, 0, 0, 0] += 1
    for other in (
        Arrays(changed, labels),
        Arrays(images, labels[::-1]),
        Arrays(images[:7], labels),
    ):
        assert other.digest() != before
