"""Data sets that TensorFlow Datasets has prepared; nothing is downloaded."""

from __future__ import annotations

import os
from typing import Optional

import numpy as np

from tfrobust.files import PathLike


def read(
    name: str, split: str, data_dir: Optional[PathLike] = None
) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """One split of a prepared data set of TensorFlow Datasets, whole, in a fixed order.

    Args:
        name: Its name there, with its configuration if it has several.
        split: "train" or "test".
        data_dir: Folder of TensorFlow Datasets; by default the environment's `TFDS_DATA_DIR`, or
            `~/tensorflow_datasets`.

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
