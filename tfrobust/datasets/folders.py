"""Folders of images with one subfolder per class."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Optional

import numpy as np

from tfrobust import validation
from tfrobust.datasets import published
from tfrobust.datasets.source import Files, Source
from tfrobust.files import PathLike
from tfrobust.ops import image_decoding

#: Names that the subfolder of a split may have.
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
    classes: str = "",
    test_images: Optional[int] = None,
) -> Source:
    """A folder of your own images: JPEG, PNG, GIF or BMP.

    Either `train/<class>/*.jpg` beside `test/<class>/…`, `validation/<class>/…` or both, or just
    `<class>/*.jpg`. A folder with `test/` alone, or `validation/` beside it, can only be measured
    on. Missing splits are split off from the training images, stratified and from a
    fixed seed: validation, and without folders of splits also test. Classes are the subfolders of
    the training images in alphabetical order. The shorter side of each image is resized
    (antialiased bilinear), then the centre is cropped.

    Args:
        data_dir: The folder.
        resize: Length of the shorter side in pixels. Default 256, as for ImageNet.
        crop: Height and width of the crop in pixels. Default 224.
        validation_fraction: Fraction of the training images held out for validation, unless they
            have a folder.
        test_fraction: Fraction of all images held out for test, if there are no folders of splits.
        extra: Further folders of training images with the same subfolders, such as those made by
            DeepAugment. Images with the class and name of a validation or test image are left out.
        classes: Names of all classes in the order of a model's outputs, separated by commas, if the
            folder has some of them only, or in another order. Default: the subfolders.
        test_images: Number of test images to take, a stratified sample. Default: all.

    Raises:
        FileNotFoundError: The folder, or a class in one of the splits, is missing or empty.
        ValueError: There is only one class, or an argument is out of range.
    """
    if data_dir is None:
        raise FileNotFoundError(
            "the data set 'folder' needs the folder of your images: data_dir (--data-dir)"
        )
    check_crop(resize, crop)
    place = pathlib.Path(data_dir).expanduser()
    if not place.is_dir():
        raise FileNotFoundError(f"data_dir must be a folder of images; there is none at {place}")
    places = {split: subfolder(place, names) for split, names in SPLITS.items()}
    whole = places["train"] or (None if any(places.values()) else place)
    first = whole or places["test"] or places["validation"] or place
    names = _names(classes) or class_names(first)
    read = image_decoding.decode_resize_and_crop(resize, crop)

    def files_in(own: pathlib.Path) -> Files:
        if classes:
            return _of_some_classes(own, names, read)
        unknown = sorted(set(_subfolders(own)) - set(names))
        if unknown:
            raise ValueError(
                f"{own} has classes that the training images have not: {', '.join(unknown)}; the "
                f"classes are {', '.join(names)} (name all of a model with classes=)"
            )
        return published.class_files(own, names, read=read)

    parts = {
        split: files_in(own)
        for split, own in places.items()
        if split != "train" and own is not None
    }
    if whole is not None:
        train = files_in(whole)
        if places["train"] is None:
            train, parts["test"] = train.split(test_fraction)
        if "validation" not in parts:
            train, parts["validation"] = train.split(validation_fraction)
        parts["train"] = train
    if test_images is not None:
        if "test" not in parts:
            raise ValueError("test_images needs test images; there are none in the folder")
        validation.check_whole("test_images", test_images, 1, len(parts["test"]))
        parts["test"] = parts["test"].take(test_images)
    return source(parts, names, crop, extra)


def _names(classes: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in classes.split(",")) if classes else ()


def _subfolders(place: pathlib.Path) -> tuple[str, ...]:
    """Names of the subfolders of a folder that are not hidden."""
    found = (one.name for one in place.iterdir() if one.is_dir() and one.name[0] not in "._")
    return tuple(sorted(found))


def _of_some_classes(place: pathlib.Path, names: Sequence[str], read: published.Read) -> Files:
    """The images of those classes that have a subfolder; another subfolder is an error."""
    found = _subfolders(place)
    unknown = sorted(set(found) - set(names))
    if unknown:
        raise ValueError(
            f"classes must name all subfolders of {place}; {', '.join(unknown)} is not among "
            f"{', '.join(names)}"
        )
    there = [name for name in names if name in found]
    files = published.class_files(place, there, read=read)
    labels = np.array([names.index(name) for name in there], "int32")[files.labels]
    return Files(files.paths, labels, files.read)


def source(
    parts: Mapping[str, Files], names: Sequence[str], crop: int, extra: Sequence[PathLike] = ()
) -> Source:
    """A data set of image files.

    Args:
        parts: Split to images.
        names: Subfolders of the classes.
        crop: Height and width of the images in pixels.
        extra: Further folders of training images; see `folder`.
    """
    parts = with_extra(parts, names, extra)
    if "train" in parts:
        random_crop = image_decoding.decode_random_resized_crop(crop)
        parts["train"] = dataclasses.replace(parts["train"], crop=random_crop)
    return Source(parts, tuple(names), (crop, crop, 3))


def with_extra(
    parts: Mapping[str, Files], names: Sequence[str], extra: Sequence[PathLike]
) -> dict[str, Files]:
    """The images, those of further folders among the training images; see `folder`.

    Args:
        parts: Split to images.
        names: Subfolders of the classes.
        extra: The further folders.
    """
    kept_back = {
        _identity(path) for split in parts if split != "train" for path in parts[split].paths
    }
    if extra and "train" not in parts:
        raise ValueError("extra adds training images; the folder has none to add them to")
    for more in extra:
        train = parts["train"]
        added = published.class_files(pathlib.Path(more).expanduser(), names, read=train.read)
        kept = [i for i, path in enumerate(added.paths) if _identity(path) not in kept_back]
        added = added.at(np.array(kept, int))
        labels = np.concatenate([train.labels, added.labels])
        train = dataclasses.replace(train, paths=[*train.paths, *added.paths], labels=labels)
        parts = {**parts, "train": train}
    return dict(parts)


def class_names(place: pathlib.Path) -> tuple[str, ...]:
    """The subfolders of a folder, which are its classes, in alphabetical order.

    Raises:
        ValueError: There are fewer than two.
    """
    names = _subfolders(place)
    if len(names) < 2:
        raise ValueError(
            f"{place} must hold a subfolder of images for each of 2 classes or more; it holds "
            f"{', '.join(names) or 'none'}"
        )
    return names


def check_crop(resize: int, crop: int) -> None:
    """Raises a ValueError if the crop is larger than the resized image."""
    validation.check_whole("resize", resize, 1, 2**15)
    validation.check_whole("crop", crop, 1, resize)


def subfolder(place: pathlib.Path, names: Sequence[str]) -> Optional[pathlib.Path]:
    """The first of the named subfolders that exists, or None."""
    return next((place / name for name in names if (place / name).is_dir()), None)


def _identity(path: str) -> tuple[str, str]:
    """Class and name of an image, which an original shares with images made from it."""
    parts = pathlib.PurePath(path)
    of_class = parts.parent.parent if parts.parent.name == "images" else parts.parent
    return of_class.name, parts.stem
