"""CIFAR-10, CIFAR-100 and MNIST from TensorFlow Datasets, in memory."""

from __future__ import annotations

from typing import Optional

from tfrobust.dataset_facts import CIFAR_10_CLASSES, CIFAR_100_CLASSES
from tfrobust.datasets import prepared
from tfrobust.datasets.source import Source
from tfrobust.files import PathLike

_VALIDATION = 0.1


def cifar10(data_dir: Optional[PathLike] = None) -> Source:
    """60,000 colour photographs of 10 classes, 32×32 (Krizhevsky 2009).

    5,000 of the 50,000 training images are held out for validation, stratified and from a fixed
    seed. The 10,000 test images are in the order of TensorFlow Datasets, not in the original one.

    Args:
        data_dir: Folder of TensorFlow Datasets; by default `TFDS_DATA_DIR` from the environment, or
            `~/tensorflow_datasets`. `tfrobust datasets prepare cifar10` prepares it there.

    Raises:
        FileNotFoundError: It is not prepared there.
    """
    return _in_memory("cifar10", data_dir, CIFAR_10_CLASSES)


def cifar100(data_dir: Optional[PathLike] = None) -> Source:
    """60,000 colour photographs of 100 classes, 32×32 (Krizhevsky 2009).

    Split like CIFAR-10: 45,000 for training, 5,000 for validation, 10,000 for test.

    Args:
        data_dir: Folder of TensorFlow Datasets, as for `cifar10`.

    Raises:
        FileNotFoundError: It is not prepared there.
    """
    return _in_memory("cifar100", data_dir, CIFAR_100_CLASSES)


def mnist(data_dir: Optional[PathLike] = None) -> Source:
    """70,000 handwritten digits in grey, 28×28 (LeCun et al. 1998).

    54,000 for training, 6,000 for validation, 10,000 for test.

    Args:
        data_dir: Folder of TensorFlow Datasets, as for `cifar10`.

    Raises:
        FileNotFoundError: It is not prepared there.
    """
    return _in_memory("mnist", data_dir)


def _in_memory(
    name: str, data_dir: Optional[PathLike], names: Optional[tuple[str, ...]] = None
) -> Source:
    train, own_names = prepared.read(name, "train", data_dir)
    test, _ = prepared.read(name, "test", data_dir)
    train, validation = train.split(_VALIDATION)
    height, width, channels = test.images.shape[1:]
    copies = prepared.is_jpeg(prepared.builder(name, data_dir), "test")
    return Source(
        {"train": train, "validation": validation, "test": test},
        class_names=names or own_names,
        image_shape=(height, width, channels),
        note=prepared.JPEG_COPIES if copies else "",
    )
