"""CIFAR-10, from TensorFlow Datasets."""

from __future__ import annotations

import os
from typing import Optional

import numpy as np
import sklearn.model_selection

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
    train_images, train_labels, names = read("cifar10", "train", data_dir)
    test_images, test_labels, _ = read("cifar10", "test", data_dir)
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


def read(
    name: str, split: str, data_dir: Optional[PathLike] = None
) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """One split of a prepared data set of TensorFlow Datasets, whole, in a fixed order.

    Args:
        name: Its name there.
        split: "train" or "test".
        data_dir: As in `cifar10`.

    Returns:
        uint8 images [N, H, W, C], int32 labels [N], and class names.

    Raises:
        FileNotFoundError: It is not prepared there.
    """
    import tensorflow_datasets as tfds  # slow to import

    # Looked up now; TensorFlow Datasets reads the variable when it is imported.
    builder = tfds.builder(name, data_dir=data_dir or os.environ.get("TFDS_DATA_DIR"))
    if split not in builder.info.splits:
        raise FileNotFoundError(
            f"{name} is not prepared in {builder.data_path}; prepare it with `tfds build {name}`, "
            "which downloads it, or name the folder of TensorFlow Datasets that holds it in the "
            "environment variable TFDS_DATA_DIR"
        )
    images, labels = builder.as_dataset(
        split=split, batch_size=-1, shuffle_files=False, as_supervised=True
    )
    names = tuple(builder.info.features["label"].names)
    return images.numpy(), labels.numpy().astype("int32"), names
