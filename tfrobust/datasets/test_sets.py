"""The published test sets for `load`; they have test images only."""

from __future__ import annotations

import functools
import pathlib
from typing import Any, Optional

import numpy as np
import tensorflow as tf

from tfrobust.dataset_facts import CIFAR_10_CLASSES, CIFAR_100_CLASSES
from tfrobust.datasets import catalog, corrupted, natural, perturbed, pipeline
from tfrobust.datasets.source import Arrays, Files, Given, Source
from tfrobust.files import PathLike


def cifar10_1(data_dir: Optional[PathLike] = None, *, version: str = "v6") -> Source:
    """CIFAR-10.1 (see `tfrobust.datasets.cifar10_1`).

    Args:
        data_dir: Folder with the `.npy` files; by default `CIFAR-10.1` below `TFROBUST_DATA_DIR`.
        version: "v6" (2,000 images) or "v4" (2,021).

    Raises:
        FileNotFoundError: It does not exist.
        ValueError: An unknown version, or truncated files.
    """
    place = catalog.find_own_folder("cifar10_1", data_dir)
    return _cifar(natural.cifar10_1(place, version), CIFAR_10_CLASSES)


def cifar10_c(
    data_dir: Optional[PathLike] = None, *, corruption: str = "gaussian_noise", severity: int = 3
) -> Source:
    """One corruption and severity of CIFAR-10-C (see `tfrobust.datasets.cifar_c`).

    Args:
        data_dir: Folder with the `.npy` files; by default `CIFAR-10-C` below `TFROBUST_DATA_DIR`.
        corruption: Name of the corruption.
        severity: 1 to 5.

    Raises:
        FileNotFoundError: It does not exist.
        ValueError: An unknown corruption or severity, or truncated files.
    """
    place = catalog.find_own_folder("cifar10_c", data_dir)
    return _cifar(corrupted.cifar_c(place, corruption, severity), CIFAR_10_CLASSES)


def cifar100_c(
    data_dir: Optional[PathLike] = None, *, corruption: str = "gaussian_noise", severity: int = 3
) -> Source:
    """One corruption and severity of CIFAR-100-C (see `tfrobust.datasets.cifar_c`).

    Args:
        data_dir: Folder with the `.npy` files; by default `CIFAR-100-C` below `TFROBUST_DATA_DIR`.
        corruption: Name of the corruption.
        severity: 1 to 5.

    Raises:
        FileNotFoundError: It does not exist.
        ValueError: An unknown corruption or severity, or truncated files.
    """
    place = catalog.find_own_folder("cifar100_c", data_dir)
    return _cifar(corrupted.cifar_c(place, corruption, severity), CIFAR_100_CLASSES)


def imagenet_c(
    data_dir: Optional[PathLike] = None, *, corruption: str = "gaussian_noise", severity: int = 3
) -> Source:
    """One corruption and severity of ImageNet-C (see `tfrobust.datasets.imagenet_c`).

    Args:
        data_dir: Its folder; by default `ImageNet-C` below `TFROBUST_DATA_DIR`.
        corruption: Name of the corruption.
        severity: 1 to 5.

    Raises:
        FileNotFoundError: It does not exist.
        ValueError: An unknown corruption or severity.
    """
    return _corrupted_files("imagenet_c", data_dir, corruption, severity)


def tiny_imagenet_c(
    data_dir: Optional[PathLike] = None, *, corruption: str = "gaussian_noise", severity: int = 3
) -> Source:
    """One corruption and severity of Tiny-ImageNet-C (see `tfrobust.datasets.imagenet_c`).

    Args:
        data_dir: Its folder; by default `Tiny-ImageNet-C` below `TFROBUST_DATA_DIR`.
        corruption: Name of the corruption.
        severity: 1 to 5.

    Raises:
        FileNotFoundError: It does not exist.
        ValueError: An unknown corruption or severity.
    """
    return _corrupted_files("tiny_imagenet_c", data_dir, corruption, severity)


def cifar10_p(
    data_dir: Optional[PathLike] = None,
    *,
    perturbation: str = "gaussian_noise",
    difficulty: int = 1,
) -> Source:
    """One perturbation of CIFAR-10-P: sequences of frames (see `tfrobust.datasets.cifar_p`).

    The test split gives (frames [B, F, 32, 32, 3], index of the sequence [B]): there are no labels,
    because what is measured is how often the prediction changes.

    Args:
        data_dir: Folder with the `.npy` files; by default `CIFAR-10-P` below `TFROBUST_DATA_DIR`.
        perturbation: Name of the perturbation.
        difficulty: 1 to 3 for the noises, 1 for the others.

    Raises:
        FileNotFoundError: It does not exist.
        ValueError: An unknown perturbation or difficulty, or a truncated file.
    """
    return _cifar_sequences("cifar10_p", data_dir, perturbation, difficulty, CIFAR_10_CLASSES)


def cifar100_p(
    data_dir: Optional[PathLike] = None,
    *,
    perturbation: str = "gaussian_noise",
    difficulty: int = 1,
) -> Source:
    """One perturbation of CIFAR-100-P; see `cifar10_p`.

    Args:
        data_dir: Folder with the `.npy` files; by default `CIFAR-100-P` below `TFROBUST_DATA_DIR`.
        perturbation: Name of the perturbation.
        difficulty: 1 to 3 for the noises, 1 for the others.

    Raises:
        FileNotFoundError: It does not exist.
        ValueError: An unknown perturbation or difficulty, or a truncated file.
    """
    return _cifar_sequences("cifar100_p", data_dir, perturbation, difficulty, CIFAR_100_CLASSES)


def imagenet_p(
    data_dir: Optional[PathLike] = None,
    *,
    perturbation: str = "gaussian_noise",
    difficulty: int = 1,
) -> Source:
    """One perturbation of ImageNet-P: sequences of frames (see `tfrobust.datasets.imagenet_p`).

    The test split gives (frames [B, F, 224, 224, 3], labels [B]).

    Args:
        data_dir: Its folder; by default `ImageNet-P` below `TFROBUST_DATA_DIR`.
        perturbation: Name of the perturbation.
        difficulty: 1 to 3 for the noises, 1 for the others.

    Raises:
        FileNotFoundError: It does not exist.
        ValueError: An unknown perturbation or difficulty, or videos that are not unpacked.
    """
    place = catalog.find_own_folder("imagenet_p", data_dir)
    sequences = perturbed.imagenet_p(place, perturbation, difficulty=difficulty)
    classes = perturbed.imagenet_p_classes(place, perturbation, difficulty)
    part = Given(sequences.batch, int(sequences.cardinality()))
    shape = tuple(sequences.element_spec[0].shape[1:])
    return Source({"test": part}, tuple(one.name for one in classes), shape)


def imagenet_r(
    data_dir: Optional[PathLike] = None, *, resize: int = 256, crop: int = 224
) -> Source:
    """ImageNet-R (see `tfrobust.datasets.imagenet_r`, also for the meaning of its labels).

    Args:
        data_dir: Its folder; by default `imagenet-r` below `TFROBUST_DATA_DIR`.
        resize: Length of the shorter side in pixels.
        crop: Height and width of the crop in pixels.

    Raises:
        FileNotFoundError: It does not exist.
        ValueError: There are not 200 classes; `crop` exceeds `resize`.
    """
    place = catalog.find_own_folder("imagenet_r", data_dir)
    return _files(natural.pictures(place, "ImageNet-R", resize, crop), (crop, crop, 3))


def imagenet_a(
    data_dir: Optional[PathLike] = None, *, resize: int = 256, crop: int = 224
) -> Source:
    """ImageNet-A (see `tfrobust.datasets.imagenet_a`, also for the meaning of its labels).

    Args:
        data_dir: Its folder; by default `imagenet-a` below `TFROBUST_DATA_DIR`.
        resize: Length of the shorter side in pixels.
        crop: Height and width of the crop in pixels.

    Raises:
        FileNotFoundError: It does not exist.
        ValueError: There are not 200 classes; `crop` exceeds `resize`.
    """
    place = catalog.find_own_folder("imagenet_a", data_dir)
    return _files(natural.pictures(place, "ImageNet-A", resize, crop), (crop, crop, 3))


def _cifar(arrays: tuple[np.ndarray, np.ndarray], names: tuple[str, ...]) -> Source:
    images, labels = arrays
    return Source({"test": Arrays(images, labels)}, names, (32, 32, 3))


def _corrupted_files(
    name: str, data_dir: Optional[PathLike], corruption: str, severity: int
) -> Source:
    place = catalog.find_own_folder(name, data_dir)
    files = corrupted.imagenet_c_files(place, corruption, severity)
    image = files.read(tf.io.read_file(files.paths[0]))
    return _files(files, tuple(image.shape))


def _files(files: Files, image_shape: tuple[int, int, int]) -> Source:
    # Paths are sorted by class, so the names are in the order of the labels.
    names = tuple(dict.fromkeys(pathlib.PurePath(path).parent.name for path in files.paths))
    return Source({"test": files}, names, image_shape)


def _cifar_sequences(
    name: str, data_dir: Optional[PathLike], perturbation: str, difficulty: int, names: Any
) -> Source:
    place = catalog.find_own_folder(name, data_dir)
    frames = perturbed.cifar_p(place, perturbation, difficulty=difficulty)
    part = Given(functools.partial(pipeline.from_sequences, frames), len(frames))
    return Source({"test": part}, names, (32, 32, 3))
