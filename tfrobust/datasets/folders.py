"""Folders of images: one subfolder per class."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from typing import Optional

import numpy as np

from tfrobust import validation
from tfrobust.datasets import published, splitting
from tfrobust.datasets.source import Files, Source
from tfrobust.files import PathLike
from tfrobust.ops import image_decoding

#: What the subfolder of a split may be called.
SPLITS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val"),
    "test": ("test",),
}


def folder(
    data_dir: Optional[PathLike] = None,
    *,
    resize: int = 256,
    crop: int = 224,
    validation_fraction: float = 0.1,
    test_fraction: float = 0.1,
    extra: Sequence[PathLike] = (),
) -> Source:
    """A folder of your own images: JPEG, PNG, GIF or BMP.

    Either `train/<class>/*.jpg` with `test/<class>/…`, `validation/<class>/…` or both beside it,
    or `<class>/*.jpg` alone. What is missing is split off: validation from train, and where there
    is only one folder per class, test too; both stratified, from a fixed seed. Classes are the
    subfolders of the training images in alphabetical order. The shorter side of each image is
    resized (antialiased bilinear), then the centre is cut out.

    Args:
        data_dir: The folder.
        resize: Pixels of the shorter side. Default 256, as for ImageNet.
        crop: Pixels of both sides of the result. Default 224.
        validation_fraction: Share of the training images that is for validation, unless there is a
            folder of it.
        test_fraction: Share of all images that is for test, if there is no folder of splits.
        extra: Further folders of training images with the same subfolders, such as those that
            DeepAugment makes. Of an image that is for validation (or test), images of the same
            class and name in these folders are left out.

    Raises:
        FileNotFoundError: The folder, or a class in one of the splits, is missing or empty.
        ValueError: There is one class only, or an argument is out of range.
    """
    if data_dir is None:
        raise FileNotFoundError(
            "the data set 'folder' needs the folder of your images: data_dir (--data-dir)"
        )
    place = pathlib.Path(data_dir).expanduser()
    if not place.is_dir():
        raise FileNotFoundError(f"data_dir must be a folder of images; there is none at {place}")
    places = {split: _subfolder(place, names) for split, names in SPLITS.items()}
    train = places["train"] or place
    names = class_names(train)
    paths, labels = class_images(train, names)
    images = {"train": (paths, labels)}
    if places["train"] is None:
        images["train"], images["test"] = _split(images["train"], test_fraction)
    for split in ("validation", "test"):
        own = places[split]
        if own is not None and places["train"] is not None:
            images[split] = class_images(own, names)
    if "validation" not in images:
        images["train"], images["validation"] = _split(images["train"], validation_fraction)
    return source(images, names, resize=resize, crop=crop, extra=extra)


Images = tuple[list[str], np.ndarray]


def source(
    images: dict[str, Images],
    names: Sequence[str],
    *,
    resize: int,
    crop: int,
    extra: Sequence[PathLike] = (),
) -> Source:
    """A data set of image files.

    Args:
        images: Split to paths and labels.
        names: The classes' subfolders.
        resize: Pixels of the shorter side.
        crop: Pixels of both sides of the result.
        extra: Further folders of training images; see `folder`.
    """
    check_crop(resize, crop)
    kept_back = {
        _identity(path) for split in images if split != "train" for path in images[split][0]
    }
    train, labels = images["train"]
    for more in extra:
        paths, classes = class_images(pathlib.Path(more).expanduser(), names)
        kept = [i for i, path in enumerate(paths) if _identity(path) not in kept_back]
        train = train + [paths[i] for i in kept]
        labels = np.concatenate([labels, classes[kept]])
    read = image_decoding.decode_resize_and_crop(resize, crop)
    return Source(
        {
            split: Files(paths, classes, read)
            for split, (paths, classes) in {**images, "train": (train, labels)}.items()
        },
        class_names=tuple(names),
        image_shape=(crop, crop, 3),
    )


def class_names(place: pathlib.Path) -> tuple[str, ...]:
    """The subfolders of a folder, which are its classes, in alphabetical order.

    Raises:
        ValueError: There are less than two.
    """
    found = (one.name for one in place.iterdir() if one.is_dir() and one.name[0] not in "._")
    names = tuple(sorted(found))
    if len(names) < 2:
        raise ValueError(
            f"{place} must hold a subfolder of images for each of 2 classes or more; it holds "
            f"{', '.join(names) or 'none'}"
        )
    return names


def class_images(place: pathlib.Path, names: Sequence[str]) -> Images:
    """Paths and labels of the images in the subfolders of some classes.

    Raises:
        FileNotFoundError: A subfolder is missing or empty.
    """
    missing = [name for name in names if not (place / name).is_dir()]
    if missing:
        raise FileNotFoundError(
            f"{place} must hold a subfolder for each class; {len(missing)} are missing, such as "
            f"{missing[0]}"
        )
    return published.image_files([place / name for name in names])


def check_crop(resize: int, crop: int) -> None:
    """Raises a ValueError where a crop is larger than the image that it is cut from."""
    validation.check_whole("resize", resize, 1, 2**15)
    validation.check_whole("crop", crop, 1, resize)


def _subfolder(place: pathlib.Path, names: Sequence[str]) -> Optional[pathlib.Path]:
    return next((place / name for name in names if (place / name).is_dir()), None)


def _split(images: Images, fraction: float) -> tuple[Images, Images]:
    paths, labels = images
    first, second = (
        ([paths[i] for i in part], labels[part]) for part in splitting.split_off(labels, fraction)
    )
    return first, second


def _identity(path: str) -> tuple[str, str]:
    """Class and name of an image: the same for an original and what was made of it."""
    parts = pathlib.PurePath(path)
    return parts.parent.name, parts.stem
