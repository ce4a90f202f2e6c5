"""CIFAR-10-C, CIFAR-100-C, ImageNet-C and Tiny-ImageNet-C as published.

Hendrycks and Dietterich 2019 (arXiv:1903.12261). A corruption may be given by any name that
`canonical_name` knows.
"""

from __future__ import annotations

import pathlib
from collections.abc import Iterable, Sequence
from typing import Optional

import numpy as np
import tensorflow as tf

from tfrobust import validation
from tfrobust.dataset_facts import FILE_MD5
from tfrobust.datasets import pipeline, prepared, published
from tfrobust.datasets.published import canonical_name
from tfrobust.datasets.source import Files
from tfrobust.files import Digest, PathLike
from tfrobust.registries import CORRUPTIONS

SEVERITIES = 5

#: The folders that the archives of ImageNet-C unpack into.
_GROUPS = ("noise", "blur", "weather", "digital", "extra")

#: Corruptions whose names differ in TensorFlow Datasets.
_TFDS_NAMES = {"glass_blur": "frosted_glass_blur", "elastic_transform": "elastic"}


def cifar_c(
    folder: PathLike, corruption: str, severity: int, *, verify: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """One corruption and severity of CIFAR-10-C or CIFAR-100-C from its `.npy` files.

    A file holds the test images at five severities, the lowest first. `labels.npy` holds the
    labels five times, or once. The images are read from disk as they are used.

    Args:
        folder: With `labels.npy` and the file of the corruption, such as `fog.npy`.
        corruption: Name of the corruption.
        severity: 1 to 5.
        verify: Compare the MD5 of both files with the published ones, which reads 150 MB. By
            default only shape and type are checked, so that sets generated anew can be read, too
            (`published_as` tells which set it is).

    Returns:
        uint8 [N, 32, 32, 3] memory-mapped and read-only, int32 labels [N]; N is 10,000.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: A file is truncated or has another shape or type; images and labels do not
            match; with `verify`, a file is not the published one.
    """
    corruption = canonical_name(corruption)
    validation.check_whole("severity", severity, 1, SEVERITIES)
    sets = published.CIFAR_C
    path = published.find_file(folder, f"{corruption}.npy", sets)
    labels_path = published.find_file(folder, "labels.npy", sets)
    images = published.open_array(path, np.uint8, "[N, 32, 32, 3]", sets)
    labels = published.open_labels(labels_path, sets)
    count = len(images) // SEVERITIES
    if len(images) % SEVERITIES or len(labels) not in (count, len(images)):
        raise ValueError(
            f"{path} must hold the images of {SEVERITIES} severities and {labels_path} a label for "
            f"each, or for those of one; they hold {len(images)} images and {len(labels)} labels"
        )
    if np.any(labels.reshape(-1, count) != labels[:count]):
        raise ValueError(
            f"{labels_path} must repeat the labels of one severity {SEVERITIES} times; it does not"
        )
    if verify and published_as(folder, [corruption]) is None:
        raise ValueError(
            f"{path.name} and labels.npy in {folder} must have the published MD5; they have others "
            f"(a set made again, or a broken download from {published.sources(sets)})"
        )
    first = (severity - 1) * count
    return images[first : first + count], labels[:count]


def published_as(folder: PathLike, corruptions: Optional[Iterable[str]] = None) -> Optional[str]:
    """Which published set a folder of `.npy` files holds, by the MD5 of its files.

    Sets that were generated anew have other checksums. Nothing is wrong with them, but a result on
    them must not be called a result on CIFAR-10-C. Reads every byte: 150 MB per corruption.

    Args:
        folder: With `labels.npy` and one file per corruption.
        corruptions: Which files to check; by default all that exist.

    Returns:
        `"CIFAR-10-C"`, `"CIFAR-100-C"`, or None if a file is not a published one.

    Raises:
        FileNotFoundError: A file is missing.
    """
    folder = pathlib.Path(folder)
    if corruptions is None:
        names = [name for name in CORRUPTIONS if (folder / f"{name}.npy").exists()]
    else:
        names = [canonical_name(name) for name in corruptions]
    if not names:
        raise FileNotFoundError(f"no file of a corruption, such as fog.npy, in {folder}")
    paths = {
        name: published.find_file(folder, f"{name}.npy", published.CIFAR_C)
        for name in ["labels", *names]
    }
    labels = Digest("md5").add(paths["labels"]).hex()
    for published_name, checksums in FILE_MD5.items():
        if labels == checksums["labels"]:
            same = all(Digest("md5").add(paths[name]).hex() == checksums[name] for name in names)
            return published_name if same else None
    return None


def cifar10_corrupted(
    corruption: str, severity: int, *, data_dir: Optional[PathLike] = None
) -> tuple[np.ndarray, np.ndarray]:
    """One corruption and severity of CIFAR-10-C from TensorFlow Datasets.

    `cifar10_corrupted` must have been prepared there. Some names differ (`frosted_glass_blur`,
    `elastic`), and the order of the images may, too.

    Args:
        corruption: Name of the corruption.
        severity: 1 to 5.
        data_dir: Folder of TensorFlow Datasets; by default `TFDS_DATA_DIR` from the environment, or
            `~/tensorflow_datasets`.

    Returns:
        uint8 [N, 32, 32, 3], int32 labels [N]; N is 10,000.

    Raises:
        FileNotFoundError: The data set has not been prepared there.
    """
    corruption = canonical_name(corruption)
    validation.check_whole("severity", severity, 1, SEVERITIES)
    config = f"{_TFDS_NAMES.get(corruption, corruption)}_{severity}"
    found, _ = prepared.read(f"cifar10_corrupted/{config}", "test", data_dir)
    return found.images, found.labels


def imagenet_c(
    folder: PathLike,
    corruption: str,
    severity: int,
    *,
    batch_size: int = 128,
    wnids: Optional[Sequence[str]] = None,
) -> tf.data.Dataset:
    """One corruption and severity of ImageNet-C or Tiny-ImageNet-C from its folders of images.

    Read from `corruption/severity/wnid/*.JPEG`, also below `noise/`, `blur/`, `weather/`,
    `digital/` or `extra/`. The published images are resized and cropped already. They are decoded
    exactly as by Pillow.

    Args:
        folder: With one subfolder per corruption, or with those groups.
        corruption: Name of the corruption.
        severity: 1 to 5.
        batch_size: Images per batch.
        wnids: WordNet names of the classes in the order of the labels. By default the sorted names
            of the subfolders, which must then be 1,000 or 200.

    Returns:
        Batched (images float32 [B, H, W, 3] in [0, 1], labels int32 [B]).

    Raises:
        FileNotFoundError: A folder is missing or empty.
        ValueError: The number of class folders is neither 1,000 nor 200.
    """
    settings = pipeline.PipelineOptions(batch_size=batch_size, cache=False)
    return imagenet_c_files(folder, corruption, severity, wnids).batches(1000, settings)


def imagenet_c_files(
    folder: PathLike, corruption: str, severity: int, wnids: Optional[Sequence[str]] = None
) -> Files:
    """The image files that `imagenet_c` reads."""
    corruption = canonical_name(corruption)
    validation.check_whole("severity", severity, 1, SEVERITIES)
    names = (corruption, str(int(severity)))
    place = published.find_folder(folder, names, _GROUPS, published.IMAGENET_C)
    return published.class_files(place, wnids, (1000, 200))
