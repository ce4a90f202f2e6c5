"""The published test sets by name."""

import numpy as np
import pytest

from tests.reference.data_folders import write_picture
from tfrobust import datasets

RANDOM = np.random.default_rng(0)


def some_images(*shape):
    return RANDOM.integers(0, 256, shape).astype("uint8")


def read(data):
    images, labels = zip(*data)
    return np.concatenate(images), np.concatenate(labels)


def only_test(data, count):
    assert data.train is None and data.validation is None and data.sizes == {"test": count}
    with pytest.raises(ValueError, match=r"has no train images; it has: test \(train and choose"):
        data.split("train")


def test_cifar10_1(tmp_path):
    for version, count in (("v4", 2021), ("v6", 2000)):
        images, labels = some_images(count, 32, 32, 3), np.arange(count) % 10
        np.save(tmp_path / f"cifar10.1_{version}_data.npy", images)
        np.save(tmp_path / f"cifar10.1_{version}_labels.npy", labels)
        data = datasets.load("cifar10_1", data_dir=tmp_path, version=version)
        only_test(data, count)
        found, found_labels = read(data.test)
        np.testing.assert_array_equal(found, images.astype("float32") / 255)
        np.testing.assert_array_equal(found_labels, labels)
    assert data.class_names[9] == "truck"
    assert data.statistics.images == 2000


@pytest.mark.parametrize("name, classes", [("cifar10_c", 10), ("cifar100_c", 100)])
def test_cifar_c(name, classes, tmp_path):
    images, labels = some_images(20, 32, 32, 3), np.tile([3, 0, 9, 1], 5)
    np.save(tmp_path / "glass_blur.npy", images)
    np.save(tmp_path / "labels.npy", labels)
    options = {"data_dir": tmp_path, "corruption": "frosted_glass_blur", "severity": 2}
    data = datasets.load(name, **options)
    only_test(data, 4)
    assert data.classes == classes
    found, found_labels = read(data.test)
    np.testing.assert_array_equal(found, images[4:8].astype("float32") / 255)
    np.testing.assert_array_equal(found_labels, labels[:4])
    with pytest.raises(ValueError, match="severity must be a whole number from 1 to 5"):
        datasets.load(name, data_dir=tmp_path, severity=6)


@pytest.mark.parametrize("name", ["cifar10_p", "cifar100_p"])
def test_cifar_p(name, tmp_path):
    frames = some_images(7, 16, 32, 32, 3)
    np.save(tmp_path / "translate.npy", frames)
    data = datasets.load(name, data_dir=tmp_path, perturbation="translate", batch_size=3)
    only_test(data, 7)
    found, numbers = read(data.test)
    np.testing.assert_array_equal(found, frames.astype("float32") / 255)
    np.testing.assert_array_equal(numbers, np.arange(7))


@pytest.fixture(scope="module")
def wnids():
    return [f"n{i:08d}" for i in range(200)]


@pytest.mark.parametrize("name, size", [("imagenet_c", 10), ("tiny_imagenet_c", 6)])
def test_imagenet_c(name, size, wnids, tmp_path):
    for wnid in wnids:
        place = tmp_path / "blur" / "zoom_blur" / "4" / wnid
        write_picture(place / "a.png", some_images(size, size, 3))
    data = datasets.load(name, data_dir=tmp_path, corruption="zoom_blur", severity=4)
    only_test(data, 200)
    assert data.class_names == tuple(wnids) and data.image_shape == (size, size, 3)
    images, labels = read(data.test)
    assert images.shape == (200, size, size, 3) and labels.tolist() == list(range(200))


@pytest.mark.parametrize("name", ["imagenet_r", "imagenet_a"])
def test_pictures_of_200_classes(name, wnids, tmp_path):
    for wnid in wnids:
        write_picture(tmp_path / wnid / "a.jpg", some_images(9, 12, 3))
    data = datasets.load(name, data_dir=tmp_path, resize=8, crop=6)
    only_test(data, 200)
    images, labels = read(data.test)
    assert images.shape == (200, 6, 6, 3) and labels.tolist() == list(range(200))


def test_imagenet_p(wnids, tmp_path):
    for number, wnid in enumerate(wnids):
        for frame in range(3):
            place = tmp_path / "tilt" / wnid / "video"
            write_picture(place / f"{frame}.png", np.full([5, 5, 3], number + frame, "uint8"))
    data = datasets.load("imagenet_p", data_dir=tmp_path, perturbation="tilt", batch_size=64)
    only_test(data, 200)
    frames, labels = read(data.test)
    assert frames.shape == (200, 3, 5, 5, 3) and data.image_shape == (5, 5, 3)
    expected = np.arange(200)[:, None] + np.arange(3)
    np.testing.assert_array_equal(np.rint(frames[..., 0, 0, 0] * 255), expected)
    np.testing.assert_array_equal(labels, np.arange(200))
