"""Tiny ImageNet: 200 classes of ImageNet, 64×64."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from typing import Optional

import numpy as np

from tfrobust.datasets import catalog, folders, published
from tfrobust.datasets.source import Files, Source
from tfrobust.files import PathLike
from tfrobust.ops import image_decoding

_SIZE = 64


def tiny_imagenet(data_dir: Optional[PathLike] = None, *, extra: Sequence[PathLike] = ()) -> Source:
    """Tiny ImageNet (Stanford's course CS231n, 2015): 500 training images of each of 200 classes.

    450 of each class are for training and 50 for validation, split from a fixed seed. The published
    validation images, 50 per class, serve as test images, because the labels of the published test
    images are not public. Labels are the indices of the sorted WordNet names.

    Args:
        data_dir: The unpacked folder `tiny-imagenet-200`; by default the one below
            `TFROBUST_DATA_DIR` or `~/tfrobust_datasets`.
        extra: Further folders of training images, one subfolder per class, such as DeepAugment's;
            see `folder`.

    Raises:
        FileNotFoundError: It does not exist, or a file or class is missing.
        ValueError: The list of validation images is malformed or names another class.
    """
    place = catalog.find_own_folder("tiny_imagenet", data_dir)
    names = folders.class_names(place / "train")
    exact = image_decoding.exact_size(_SIZE, _SIZE)

    def part(paths: list[str], labels: np.ndarray) -> Files:
        return Files(paths, labels, lambda contents: exact(image_decoding.decode(contents)))

    # As published, the images are one folder deeper, beside the bounding boxes.
    train = part(*published.image_files([_images(place / "train" / name) for name in names]))
    train, validation = train.split(0.1)
    test = part(*_published_validation(place / "val", names))
    parts = {"train": train, "validation": validation, "test": test}
    return Source(
        folders.with_extra(parts, names, extra),
        class_names=names,
        image_shape=(_SIZE, _SIZE, 3),
    )


def _images(folder: pathlib.Path) -> pathlib.Path:
    deeper = folder / "images"
    return deeper if deeper.is_dir() else folder


def _published_validation(
    place: pathlib.Path, names: tuple[str, ...]
) -> tuple[list[str], np.ndarray]:
    """As published, in one folder with a list; or, as often found, in one folder per class."""
    annotations = place / "val_annotations.txt"
    if not annotations.is_file():
        if not place.is_dir():
            raise FileNotFoundError(f"{place} must be a folder; there is none")
        if missing := [name for name in names if not (place / name).is_dir()]:
            raise FileNotFoundError(
                f"{annotations} must list the images of validation, or {place} must hold a folder "
                f"for each class; neither is so (there is no {missing[0]})"
            )
        return published.image_files([_images(place / name) for name in names])
    label = {name: number for number, name in enumerate(names)}
    paths, labels = [], []
    for number, line in enumerate(annotations.read_text(encoding="utf-8").splitlines(), start=1):
        fields = line.split("\t")
        if len(fields) < 2 or fields[1] not in label:
            raise ValueError(
                f"each line of {annotations} must be a file, a tab and one of the classes; line "
                f"{number} is {line[:80]!r}"
            )
        path = place / "images" / fields[0]
        if not path.is_file():
            raise FileNotFoundError(f"{annotations} lists {fields[0]}, which is not at {path}")
        paths.append(str(path))
        labels.append(label[fields[1]])
    return paths, np.array(labels, "int32")
