"""Folders of images: a user's own, Tiny ImageNet, ImageNet as folders and as records."""

import numpy as np
import pytest
import tensorflow_datasets as tfds

from tests.reference import data_folders
from tests.reference.data_folders import flat, write_picture
from tfrobust import datasets
from tfrobust.dataset_facts import TINY_IMAGENET_CLASSES
from tfrobust.datasets import folders, imagenet
from tfrobust.registries import DATASETS

SMALL = {"resize": 8, "crop": 8}


def write_classes(place, names, count, deeper="", ending="jpg"):
    """`count` pictures per class; a picture's grey value is 10 x class + number."""
    for label, name in enumerate(names):
        for number in range(count):
            path = place / name / deeper / f"{name}_{number}.{ending}"
            write_picture(path, flat(10 * label + number))


def values(data):
    """The grey value and the label of each picture, sorted."""
    found = []
    for images, labels in data:
        grey = np.rint(images.numpy() * 255).astype(int)
        assert (grey == grey[:, :1, :1, :1]).all()
        found.extend(zip(grey[:, 0, 0, 0].tolist(), labels.numpy().tolist()))
    return sorted(found)


def test_one_folder_a_class(tmp_path):
    write_classes(tmp_path, ["bird", "cat", "dog"], 10, ending="png")
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "cat" / "notes.txt").write_text("no picture")
    (tmp_path / "cat" / "._cat_1.jpg").write_bytes(b"of a Mac")
    data = datasets.load("folder", data_dir=tmp_path, batch_size=4, **SMALL)
    assert data.class_names == ("bird", "cat", "dog") and data.image_shape == (8, 8, 3)
    assert data.sizes == {"train": 24, "validation": 3, "test": 3}
    parts = [values(data.split(split)) for split in data.sizes]
    assert sorted(parts[0] + parts[1] + parts[2]) == [
        (10 * c + n, c) for c in range(3) for n in range(10)
    ]
    assert sorted(label for _, label in parts[1]) == [0, 1, 2]  # stratified


def test_a_folder_to_measure_on_alone(tmp_path):
    write_classes(tmp_path / "test", ["cat", "dog"], 6)
    data = datasets.load("folder", data_dir=tmp_path, **SMALL)
    assert data.sizes == {"test": 12} and data.train is None
    # Of the classes of a model it has some, in another order; four of its images are taken.
    options = {"classes": "dog, bird, cat", "test_images": 4}
    data = datasets.load("folder", data_dir=tmp_path, **SMALL, **options)
    assert data.class_names == ("dog", "bird", "cat") and data.sizes == {"test": 4}
    assert [(value // 10, label) for value, label in values(data.test)] == [(0, 2)] * 2 + [
        (1, 0)
    ] * 2
    with pytest.raises(ValueError, match=r"classes must name all subfolders of .*; cat is not"):
        datasets.load("folder", data_dir=tmp_path, **SMALL, classes="dog,bird")


def test_folders_of_splits(tmp_path):
    names = ["cat", "dog"]
    write_classes(tmp_path / "train", names, 6)
    write_classes(tmp_path / "val", names, 2)
    data = datasets.load("folder", data_dir=tmp_path, **SMALL)
    assert data.sizes == {"train": 12, "validation": 4} and data.test is None
    with pytest.raises(ValueError, match="folder has no test images; it has: train, validation"):
        data.split("test")
    write_classes(tmp_path / "test", names, 3)
    data = datasets.load("folder", data_dir=tmp_path, **SMALL)
    assert data.sizes == {"train": 12, "validation": 4, "test": 6}
    for path in (tmp_path / "val").glob("*/*"):
        path.unlink()
    with pytest.raises(FileNotFoundError, match="must hold images"):
        datasets.load("folder", data_dir=tmp_path, **SMALL)


def test_extra_folders_hold_nothing_made_of_validation_images(tmp_path):
    names = ["cat", "dog"]
    write_classes(tmp_path / "train", names, 10)
    write_classes(tmp_path / "CAE", names, 10, ending="png")
    write_classes(tmp_path / "EDSR", names, 10)
    plain = DATASETS["folder"](tmp_path, **SMALL)
    source = DATASETS["folder"](tmp_path, **SMALL, extra=[tmp_path / "CAE", tmp_path / "EDSR"])
    kept_back = {folders._identity(path) for path in plain.parts["validation"].paths}
    assert source.parts["validation"].paths == plain.parts["validation"].paths
    assert len(source.parts["train"]) == 3 * len(plain.parts["train"])
    assert not kept_back & {folders._identity(path) for path in source.parts["train"].paths}


@pytest.mark.parametrize(
    "options, said",
    [
        ({}, "'folder' needs the folder of your images"),
        ({"data_dir": "missing"}, "there is none at"),
        ({"data_dir": "one"}, "for each of 2 classes or more; it holds cat"),
        ({"data_dir": "two", "crop": 300}, "crop must be a whole number from 1 to 256"),
        ({"data_dir": "two", "validation_fraction": 2}, r"fraction must be a number in \[0, 1\]"),
        (
            {"data_dir": "two", "size": 3},
            "no option size; it has: resize, crop, validation_fraction",
        ),
    ],
)
def test_folder_refuses(options, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_classes(tmp_path / "one", ["cat"], 3)
    write_classes(tmp_path / "two", ["cat", "dog"], 3)
    with pytest.raises((ValueError, FileNotFoundError), match=said):
        datasets.load("folder", **options)


# Tiny ImageNet


@pytest.mark.parametrize("layout", ["published", "sorted"])
def test_tiny_imagenet(layout, tmp_path):
    names = ["n01443537", "n01629819", "n01641577"]
    for label, name in enumerate(names):
        for number in range(10):
            path = tmp_path / "train" / name / "images" / f"{name}_{number}.JPEG"
            image = flat(10 * label + number, (64, 64))
            write_picture(path, image[..., 0] if number == 3 else image)  # some are grey
    lines = []
    for number, name in enumerate([names[2], names[0], names[1], names[2]]):
        folder = "images" if layout == "published" else name
        file = f"val_{number}.JPEG"
        write_picture(tmp_path / "val" / folder / file, flat(100 + number, (64, 64)))
        lines.append(f"{file}\t{name}\t0\t0\t62\t62\n")
    if layout == "published":
        (tmp_path / "val" / "val_annotations.txt").write_text("".join(lines))
    data = datasets.load("tiny_imagenet", data_dir=tmp_path)
    assert data.sizes == {"train": 27, "validation": 3, "test": 4}
    assert data.image_shape == (64, 64, 3) and data.class_names == tuple(names)
    assert values(data.test) == [(100, 2), (101, 0), (102, 1), (103, 2)]
    found = values(data.train) + values(data.validation)
    assert sorted(found) == [(10 * c + n, c) for c in range(3) for n in range(10)]


def test_tiny_imagenet_refuses(tmp_path):
    names = ["a", "b"]
    for name in names:
        for number in range(2):
            write_picture(
                tmp_path / "train" / name / "images" / f"{number}.JPEG", flat(0, (64, 64))
            )
    (tmp_path / "val").mkdir()
    with pytest.raises(FileNotFoundError, match=r"val_annotations.txt must list the images"):
        datasets.load("tiny_imagenet", data_dir=tmp_path)
    listed = tmp_path / "val" / "val_annotations.txt"
    listed.write_text("val_0.JPEG\tz\n")
    with pytest.raises(ValueError, match="line 1 is"):
        datasets.load("tiny_imagenet", data_dir=tmp_path)
    listed.write_text("val_0.JPEG\ta\n")
    with pytest.raises(FileNotFoundError, match=r"lists val_0.JPEG, which is not at"):
        datasets.load("tiny_imagenet", data_dir=tmp_path)


def test_tiny_imagenet_classes():
    assert len(set(TINY_IMAGENET_CLASSES)) == 200
    assert list(TINY_IMAGENET_CLASSES) == sorted(TINY_IMAGENET_CLASSES)
    assert all(name[0] == "n" and len(name) == 9 for name in TINY_IMAGENET_CLASSES)


# ImageNet


@pytest.fixture(scope="module")
def names():
    """The WordNet names of ImageNet's classes."""
    return tuple(tfds.builder("imagenet2012").info.features["label"].names)


@pytest.fixture(scope="module")
def as_records(tmp_path_factory, names):
    """Three training images of each class and one for test; their grey says which class."""
    pictures = [data_folders.encoded(flat(label % 250)) for label in range(1000)]
    splits = {
        "train": (3 * pictures, np.tile(np.arange(1000), 3)),
        "validation": (pictures, np.arange(1000)),
    }
    place = tmp_path_factory.mktemp("tfds")
    return data_folders.write_prepared(
        place, "imagenet2012", splits, names, version="5.1.0", kind="jpeg"
    )


@pytest.fixture(scope="module")
def as_folders(tmp_path_factory, names):
    """The same as folders."""
    place = tmp_path_factory.mktemp("imagenet")
    for label, name in enumerate(names):
        picture = data_folders.encoded(flat(label % 250))
        for split, count in (("train", 3), ("val", 1)):
            (place / split / name).mkdir(parents=True)
            for number in range(count):
                (place / split / name / f"{name}_{number}.JPEG").write_bytes(picture)
    return place


FORMS = ["as_folders", "as_records"]


@pytest.fixture
def place(request, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))  # where the labels are kept
    return request.getfixturevalue(request.param)


@pytest.mark.slow
@pytest.mark.parametrize("place", FORMS, indirect=True)
def test_imagenet(place, names):
    load = {"data_dir": place, "validation_fraction": 1 / 3, **SMALL}
    data = datasets.load("imagenet", **load)
    assert data.class_names == names and not data.chosen
    assert data.sizes == {"train": 2000, "validation": 1000, "test": 1000}
    one_each = [(label % 250, label) for label in range(1000)]
    assert values(data.validation) == values(data.test) == sorted(one_each)
    assert values(data.train) == sorted(2 * one_each)
    loads = [datasets.load("imagenet", **load, cache=False).train for _ in range(2)]
    orders = [
        np.concatenate([labels.numpy() for _, labels in epoch])
        for epoch in (loads[0], loads[0], loads[1])
    ]
    assert not np.array_equal(orders[0], orders[1])  # shuffled anew each epoch, also the records
    np.testing.assert_array_equal(orders[0], orders[2])
    np.testing.assert_array_equal(np.sort(orders[1]), np.repeat(np.arange(1000), 2))


@pytest.mark.slow
@pytest.mark.parametrize("place", FORMS, indirect=True)
def test_imagenet_200(place, names):
    options = {"data_dir": place, "classes": 4, "validation_fraction": 1 / 3, **SMALL}
    data = datasets.load("imagenet200", **options)
    assert data.classes == 4 and list(data.class_names) == sorted(data.class_names)
    assert data.chosen == {"classes": list(data.class_names)}
    number = [names.index(name) for name in data.class_names]
    assert values(data.test) == sorted((n % 250, label) for label, n in enumerate(number))
    assert data.sizes == {"train": 8, "validation": 4, "test": 4}
    assert len(values(data.train)) == 8
    assert datasets.load("imagenet200", **options).class_names == data.class_names
    other = datasets.load("imagenet200", **options, choice_seed=1)
    assert other.class_names != data.class_names


@pytest.mark.slow
def test_labels_of_records_are_read_once(as_records, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    datasets.load("imagenet", data_dir=as_records, **SMALL)
    assert "reading the labels of 3000 images once" in capsys.readouterr().err
    datasets.load("imagenet", data_dir=as_records, **SMALL)
    assert not capsys.readouterr().err


def test_where_records_are():
    names = ["imagenet2012-train.tfrecord-00003-of-01024__17", "a-b.tfrecord-00000-of-00001__0"]
    found = [[int(value) for value in imagenet._place(name)] for name in names]
    assert found == [[3, 17], [0, 0]]


def test_tifs(tmp_path):
    names = [*TINY_IMAGENET_CLASSES, "n00000000"]
    picture = data_folders.encoded(flat(7))
    for split, count in (("train", 5), ("val", 1)):
        for name in names:
            (tmp_path / split / name).mkdir(parents=True)
            for number in range(count):
                (tmp_path / split / name / f"{number}.JPEG").write_bytes(picture)
    options = {"data_dir": tmp_path, "train_images": 3, "validation_images": 1, **SMALL}
    source = DATASETS["tifs"](**options)
    assert source.class_names == TINY_IMAGENET_CLASSES
    for split, count in (("train", 3), ("validation", 1), ("test", 1)):
        assert set(np.bincount(source.parts[split].labels)) == {count}
    paths = [*source.parts["train"].paths, *source.parts["validation"].paths]
    assert len(set(paths)) == 800
    with pytest.raises(ValueError, match=r"class 0 has 5 of 500"):
        DATASETS["tifs"](tmp_path)
    (tmp_path / "train" / names[0]).rename(tmp_path / "elsewhere")
    with pytest.raises(FileNotFoundError, match="200 classes of Tiny ImageNet; 1 are missing"):
        DATASETS["tifs"](**options)


@pytest.mark.parametrize("name", ["imagenet", "imagenet200", "tifs"])
def test_imagenet_not_there(name, tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"neither in .*imagenet2012 nor as train/ and val/"
    ):
        datasets.load(name, data_dir=tmp_path)


def test_extra_folders_need_folders(as_records, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="extra folders need ImageNet as folders"):
        datasets.load("imagenet", data_dir=as_records, extra=[tmp_path])


@pytest.mark.slow
def test_random_crops_are_new_in_each_epoch(tmp_path):
    random = np.random.default_rng(0)
    for name in ("cat", "dog"):
        for number in range(6):
            picture = random.integers(0, 256, [30, 40, 3], "uint8")
            write_picture(tmp_path / name / f"{name}_{number}.jpg", picture)
    named = {"data_dir": tmp_path, "batch_size": 4, "resize": 20, "crop": 16}
    data, same, other, plain = (
        datasets.load("folder", seed=seed, random_crops=crops, **named)
        for seed, crops in ((0, True), (0, True), (1, True), (0, False))
    )
    assert int(data.train.cardinality()) == int(plain.train.cardinality())

    def epochs(data):
        return [sorted(x.tobytes() for b, _ in data.train for x in b.numpy()) for _ in range(2)]

    first, second = epochs(data)
    assert not set(first) & set(second) and [first, second] == epochs(same)
    assert not set(first) & set(epochs(other)[0])
    for found, central in zip(data.validation, plain.validation):
        np.testing.assert_array_equal(found[0], central[0])
    with pytest.raises(ValueError, match="random crops differ in each epoch"):
        datasets.load("folder", random_crops=True, cache=True, **named)
    with pytest.raises(ValueError, match=r"those of digits are not \(use augment.RandomResized"):
        datasets.load("digits", random_crops=True)


def test_tiny_imagenet_with_further_images(tmp_path):
    names = ["n01", "n02"]
    write_classes(tmp_path / "tiny/train", names, 10, deeper="images")
    for number, name in enumerate(names):
        write_picture(tmp_path / "tiny/val" / name / f"val_{number}.jpg", flat(1))
    write_classes(tmp_path / "made", names, 10)
    alone, more = (
        datasets.load("tiny_imagenet", data_dir=tmp_path / "tiny", **options)
        for options in ({}, {"extra": [tmp_path / "made"]})
    )
    assert alone.sizes == {"train": 18, "validation": 2, "test": 2}
    # The copies of validation images are left out, although they are in another kind of folder.
    assert more.sizes == {**alone.sizes, "train": 36}
