"""CIFAR-10, from TensorFlow Datasets."""

from __future__ import annotations

from typing import Optional

import numpy as np
import sklearn.model_selection

from tfrobust.datasets import prepared
from tfrobust.files import PathLike

_SPLIT_SEED = 0
_VALIDATION = 5_000


def cifar10(
    data_dir: Optional[PathLike] = None,
) -> tuple[dict[str, tuple[np.ndarray, np.ndarray]], tuple[str, ...]]:
    """60,000 colour photographs of ten classes, 32×32 (Krizhevsky 2009).

    Read with TensorFlow Datasets, never downloaded: `tfds build cifar10` prepares it once. 5,000 of
    the 50,000 training images, stratified and from a fixed seed, are for validation; the 10,000
    test images are in the order in which TensorFlow Datasets reads them.

    Args:
        data_dir: Folder of TensorFlow Datasets; by default the environment's `TFDS_DATA_DIR`, or
            `~/tensorflow_datasets`.

    Returns:
        Split name to (uint8 images [N, 32, 32, 3], int32 labels [N]), and class names.

    Raises:
        FileNotFoundError: It is not prepared there.
    """
    train_images, train_labels, names = prepared.read("cifar10", "train", data_dir)
    test_images, test_labels, _ = prepared.read("cifar10", "test", data_dir)
    order = np.arange(len(train_labels))
    train, validation = sklearn.model_selection.train_test_split(
        order, test_size=_VALIDATION, random_state=_SPLIT_SEED, stratify=train_labels
    )
    splits = {
        "train": (train_images[train], train_labels[train]),
        "validation": (train_images[validation], train_labels[validation]),
        "test": (test_images, test_labels),
    }
    return splits, names
