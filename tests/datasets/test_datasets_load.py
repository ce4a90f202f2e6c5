"""Loading by name, and batches of arrays."""

from __future__ import annotations

import importlib
import json

import numpy as np
import pytest

from tfrobust.datasets import load, pipeline, source

IMAGES = np.linspace(0, 1, 10, dtype="float32").reshape(10, 1, 1, 1) * np.ones(
    [1, 2, 2, 3], "float32"
)
LABELS = np.arange(10) % 4


def from_arrays(images=IMAGES, labels=LABELS, **options):
    settings = pipeline.PipelineOptions(**{"batch_size": 4, **options})
    return pipeline.from_arrays(images, labels, classes=4, settings=settings)


def epoch(data):
    images, labels = zip(*data.as_numpy_iterator())
    return np.concatenate(images), np.concatenate(labels)


def first_order(data):
    return tuple(epoch(data)[0][:, 0, 0, 0])


def test_batches():
    data = from_arrays()
    assert [len(labels) for _, labels in data] == [4, 4, 2]
    images, labels = epoch(data)
    np.testing.assert_array_equal(images, IMAGES)
    np.testing.assert_array_equal(labels, LABELS)


def test_shuffled_anew_each_epoch_from_the_seed():
    data, twin = from_arrays(shuffle_seed=1), from_arrays(shuffle_seed=1)
    orders = [first_order(data) for _ in range(3)]
    assert len(set(orders)) == 3 and orders == [first_order(twin) for _ in range(3)]
    assert first_order(from_arrays(shuffle_seed=2)) != orders[0]
    images, labels = epoch(data)  # an image keeps its label
    np.testing.assert_array_equal(LABELS[np.round(images[:, 0, 0, 0] * 9).astype(int)], labels)
    assert sorted(images[:, 0, 0, 0]) == sorted(IMAGES[:, 0, 0, 0])


@pytest.mark.parametrize(
    "options, said",
    [
        ({"batch_size": 0}, "batch_size must be 1 or more; received 0"),
        ({"images": IMAGES[:0], "labels": LABELS[:0]}, "at least one image"),
        ({"images": IMAGES * 255}, r"must lie in \[0, 1\]"),
        ({"labels": LABELS + 1}, "class indices from 0 to 3"),
    ],
)
def test_refused(options, said):
    with pytest.raises(ValueError, match=said):
        from_arrays(**options)


def test_load():
    data = load("digits", batch_size=500)
    assert (data.name, data.classes, data.image_shape) == ("digits", 10, (32, 32, 3))
    assert data.class_names == tuple("0123456789")
    assert data.sizes == {"train": 3231, "validation": 1080, "test": 1080}
    for split, size in data.sizes.items():
        batches = [len(labels) for _, labels in getattr(data, split)]
        assert sum(batches) == size and max(batches) == 500


def test_seed_orders_the_training_images_only():
    data, other, same = load("digits", seed=0), load("digits", seed=1), load("digits", seed=0)
    for split in ("validation", "test"):
        for mine, theirs in zip(epoch(getattr(data, split)), epoch(getattr(other, split))):
            np.testing.assert_array_equal(mine, theirs)
    mine, theirs, again = (epoch(d.train)[1] for d in (data, other, same))
    np.testing.assert_array_equal(mine, again)
    assert np.any(mine != theirs)
    np.testing.assert_array_equal(np.sort(mine), np.sort(theirs))


def test_load_refuses():
    with pytest.raises(ValueError, match=r"unknown data set 'cifar11'; choose from: .*digits"):
        load("cifar11")
    with pytest.raises(ValueError, match=r"batch_size must be .* received 0"):
        load("digits", batch_size=0)
    with pytest.raises(ValueError, match=r"seed must be a whole number .* received -1"):
        load("digits", seed=-1)
    with pytest.raises(ValueError, match="digits has no option severity; it has: none"):
        load("digits", severity=3)
    with pytest.raises(ValueError, match="cifar10_c has no option level; it has: corruption, sev"):
        load("cifar10_c", level=3)
    with pytest.raises(ValueError, match=r"split must be .*train, validation, test.* received 'x'"):
        load("digits").split("x")


def test_statistics():
    data = load("digits")
    images = epoch(data.train)[0].astype("float64")
    assert data.statistics.images == 3231
    np.testing.assert_allclose(data.statistics.mean, images.mean((0, 1, 2)), atol=1e-5)
    np.testing.assert_allclose(data.statistics.std, images.std((0, 1, 2)), atol=1e-5)


def test_description_is_plain():
    described = json.loads(json.dumps(load("corner_digits").describe()))
    assert described["sizes"]["train"] > 3000 and described["class_names"][10] == "0 with a corner"


class TestFewerImages:
    def test_of_each_class_its_share_and_always_the_same_ones(self):
        whole = load("digits", batch_size=500)
        few = [load("digits", batch_size=500, images={"train": 100}, seed=s) for s in (0, 1)]
        assert few[0].sizes == {**whole.sizes, "train": 100}
        chosen = []
        for data in few:
            images, labels = (np.concatenate(part) for part in zip(*data.train))
            assert len(labels) == 100
            every = np.concatenate([labels for _, labels in whole.train])
            wanted = 100 * np.bincount(every) / len(every)
            assert (np.abs(np.bincount(labels) - wanted) < 1).all()
            chosen.append(sorted(image.tobytes() for image in images))
        assert chosen[0] == chosen[1]  # the seed is that of their order
        of_whole = {image.tobytes() for images, _ in whole.train for image in images.numpy()}
        assert set(chosen[0]) <= of_whole

    def test_all_of_them(self):
        sizes = load("digits").sizes
        assert load("digits", images=sizes).sizes == sizes
        most = load("digits", images=1080).sizes
        assert most == {name: min(size, 1080) for name, size in sizes.items()} != sizes

    @pytest.mark.parametrize(
        ("images", "message"),
        [
            ({"train": 0}, "must be a whole number from 1 to"),
            ({"test": 10**6}, "must be a whole number from 1 to"),
            ({"training": 5}, "split must be one of train, validation, test; received 'training'"),
        ],
    )
    def test_wrong_numbers(self, images, message):
        with pytest.raises(ValueError, match=message):
            load("digits", images=images)


def test_fewer_images_of_files_and_records():
    files = source.Files(["a", "b", "c", "d"], np.array([0, 0, 1, 1]), lambda contents: contents)
    taken = files.take(2)
    assert sorted(taken.labels) == [0, 1] and len(taken.paths) == 2
    records = source.Source({"test": source.Given(lambda size: None, 4)}, ("x",), (1, 1, 3))
    with pytest.raises(ValueError, match="in memory or in image files; received test=2 for data"):
        importlib.import_module("tfrobust.datasets.load")._smaller(records, {"test": 2})
