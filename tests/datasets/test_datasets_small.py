"""CIFAR and MNIST as TensorFlow Datasets hands them over, and the digits with corners."""

import numpy as np
import pytest
import tensorflow_datasets as tfds

from tests.reference import data_folders
from tfrobust import datasets
from tfrobust.datasets import corners, small
from tfrobust.registries import DATASETS

CLASSES = [f"class {i}" for i in range(10)]


def numbered(count, shape, classes=10):
    """Images whose first pixel holds their number, and labels."""
    images = np.random.default_rng(count).integers(0, 256, [count, *shape], "uint8")
    number = np.arange(count)
    images[:, 0, 0, 0] = number % 256
    images[:, 0, 1, 0] = number // 256
    return images, number % classes


def numbers(images):
    return images[:, 0, 0, 0].astype(int) + 256 * images[:, 0, 1, 0].astype(int)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Small CIFAR-10 (lossless), CIFAR-100 (JPEG copies) and MNIST."""
    folder = tmp_path_factory.mktemp("tfds")
    splits = {"train": numbered(600, (32, 32, 3)), "test": numbered(40, (32, 32, 3))}
    data_folders.write_prepared(folder, "cifar10", splits, CLASSES, version="3.0.2")
    images, labels = numbered(300, (32, 32, 3), 100)
    copies = [data_folders.encoded(image) for image in images]
    splits = {"train": (copies, labels), "test": (copies[:7], labels[:7])}
    names = [str(i) for i in range(100)]
    data_folders.write_prepared(folder, "cifar100", splits, names, version="3.0.2", kind="jpeg")
    splits = {"train": numbered(600, (28, 28, 1)), "test": numbered(80, (28, 28, 1))}
    data_folders.write_prepared(folder, "mnist", splits, CLASSES, version="3.0.1")
    return folder


def test_splits(prepared):
    source = small.cifar10(prepared)
    assert source.class_names[:2] == ("airplane", "automobile") and source.note == ""
    assert {split: len(part) for split, part in source.parts.items()} == {
        "train": 540,
        "validation": 60,
        "test": 40,
    }
    seen = []
    for split, part in source.parts.items():
        assert part.images.dtype == np.uint8 and part.labels.dtype == np.int32
        np.testing.assert_array_equal(numbers(part.images) % 10, part.labels)
        assert len(set(np.bincount(part.labels))) == 1  # stratified
        if split != "test":
            seen.extend(numbers(part.images))
    assert sorted(seen) == list(range(600))
    again = small.cifar10(prepared)
    for split, part in source.parts.items():
        np.testing.assert_array_equal(part.images, again.parts[split].images)


def test_loaded_by_name(prepared, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(prepared))
    data = datasets.load("cifar10", batch_size=40)
    assert data.classes == 10 and data.image_shape == (32, 32, 3)
    images, _ = next(iter(data.test))
    raw = small.cifar10(prepared).parts["test"].images
    np.testing.assert_array_equal(images, raw.astype("float32") / 255)


def test_copies_are_told_from_originals(prepared):
    data = datasets.load("cifar100", data_dir=prepared)
    assert "JPEG copies" in data.note and data.classes == 100
    assert data.class_names[0] == "apple" and data.class_names[99] == "worm"
    assert "JPEG copies" in data.describe()["note"]


def test_mocked_by_tensorflow_datasets(tmp_path):
    with tfds.testing.mock_data(
        num_examples=1200, policy=tfds.testing.MockPolicy.USE_CODE, data_dir=str(tmp_path)
    ):
        data = datasets.load("cifar100", data_dir=tmp_path, batch_size=64)
    assert data.sizes == {"train": 1080, "validation": 120, "test": 1200}
    images, labels = next(iter(data.train))
    assert images.shape == (64, 32, 32, 3) and int(np.max(labels)) < 100


def test_mnist(prepared):
    data = datasets.load("mnist", data_dir=prepared, batch_size=50)
    assert data.image_shape == (28, 28, 1) and data.sizes["validation"] == 60
    images, labels = next(iter(data.test))
    np.testing.assert_array_equal(np.rint(images[:, 0, 0, 0] * 255) % 10, labels)


@pytest.mark.parametrize("name", ["cifar10", "cifar100", "mnist", "corner_mnist"])
def test_not_there(name, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"not prepared in .*datasets prepare .*TFDS_DATA"):
        datasets.load(name, data_dir=tmp_path)


# Corner digits


@pytest.fixture(scope="module", params=["corner_digits", "corner_mnist"])
def cornered(request, prepared):
    options = {} if request.param == "corner_digits" else {"data_dir": prepared}
    return request.param, DATASETS[request.param](**options)


def in_corners(name, images):
    """Number of corners with ink."""
    size = corners.CORNER if name == "corner_mnist" else 2
    places = [
        np.s_[:, top, left]
        for top in (np.s_[:size], np.s_[-size:])
        for left in (np.s_[:size], np.s_[-size:])
    ]
    return sum((images[place] > 0).any(axis=(1, 2, 3)).astype(int) for place in places)


def test_classes_of_corner_digits(cornered):
    name, source = cornered
    assert len(source.class_names) == 15 and source.class_names[12] == "2 with a corner"
    for split, part in source.parts.items():
        counts = np.bincount(part.labels, minlength=15)
        assert part.images.dtype == np.uint8 and (counts > 0).all()
        if split == "train" and name == "corner_digits":
            assert set(counts[10:]) == {50} and counts[:10].min() > 250
        if split != "train":
            np.testing.assert_array_equal(counts[10:], counts[:5])  # balanced
    again = DATASETS[name]() if name == "corner_digits" else None
    if again is not None:
        np.testing.assert_array_equal(again.parts["test"].images, source.parts["test"].images)


def test_where_the_corners_are():
    source = corners.corner_digits()
    for part in source.parts.values():
        # The digits of scikit-learn leave a border of 2 pixels or more free; 10 pixels of a small
        # one reach the edge.
        low, high = part.labels < 5, part.labels >= 5
        margin = np.ones([28, 28], bool)
        margin[2:-2, 2:-2] = False
        ink = (part.images[..., 0] > 0) & margin
        assert not ink[low].any()
        corner = np.zeros([4, 28, 28], bool)
        for i, (row, column) in enumerate([(0, 0), (0, 1), (1, 0), (1, 1)]):
            corner[i, 18 * row : 18 * row + 10, 18 * column : 18 * column + 10] = True
        assert not (ink & ~corner.any(axis=0))[high].any()
        # In one corner at most, and every corner about as often as the others.
        touched = np.stack([(ink[high] & one).any(axis=(1, 2)) for one in corner])
        assert touched.sum(axis=0).max() == 1
        shares = touched.sum(axis=1) / touched.sum()
        assert (np.abs(shares - 0.25) < 5 * np.sqrt(0.25 * 0.75 / touched.sum())).all()
        assert touched.any(axis=0).mean() > 0.2


def test_corner_is_the_brighter_of_both():
    small_digit = np.zeros([4, 28, 28, 1], "uint8")
    small_digit[:, 14:] = 200
    images = np.full([4, 28, 28, 1], 100, "uint8")
    found = corners._add(images, small_digit, np.random.default_rng(0))
    changed = found != 100
    assert (changed.sum(axis=(1, 2, 3)) == 50).all() and set(found[changed]) == {200}


def test_a_digit_is_in_one_split():
    """The middle of an image tells which digit it is made of."""
    source = corners.corner_digits()
    middles = {}
    for split, part in source.parts.items():
        sums = part.images[part.labels < 5, :, :, 0].astype(int)
        middles[split] = {tuple(np.sort(image.ravel())[-80:]) for image in sums}
    assert not middles["train"] & middles["validation"]
    assert not middles["train"] & middles["test"] and not middles["validation"] & middles["test"]
