"""Data sets prepared by TensorFlow Datasets; nothing is downloaded here."""

from __future__ import annotations

from typing import Any, Optional

import numpy as np
import tensorflow as tf

from tfrobust.datasets import catalog
from tfrobust.datasets.source import Arrays
from tfrobust.files import PathLike
from tfrobust.ops import image_decoding

#: The note beside numbers from JPEG copies of a data set that was published lossless.
JPEG_COPIES = "JPEG copies of the images: clean accuracy is lower than on the originals"


def read(
    name: str, split: str, data_dir: Optional[PathLike] = None
) -> tuple[Arrays, tuple[str, ...]]:
    """One whole split of a prepared data set of TensorFlow Datasets, in a fixed order.

    Args:
        name: Its name there, with its configuration if it has several.
        split: "train" or "test".
        data_dir: Folder of TensorFlow Datasets; by default `TFDS_DATA_DIR` from the environment, or
            `~/tensorflow_datasets`.

    Returns:
        uint8 images [N, H, W, C] with int32 labels [N], and class names.

    Raises:
        FileNotFoundError: It is not prepared there.
    """
    prepared = builder(name, data_dir)
    height, width, channels = prepared.info.features["image"].shape
    exact = image_decoding.exact_size(height, width)

    def image(contents: tf.Tensor, label: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return exact(image_decoding.decode(contents, channels)), label

    data = elements(prepared, split).map(image, num_parallel_calls=tf.data.AUTOTUNE)
    batches = [(x.numpy(), y.numpy()) for x, y in data.batch(10_000)]
    images, labels = (np.concatenate(parts) for parts in zip(*batches))
    return Arrays(images, labels), tuple(prepared.info.features["label"].names)


def builder(name: str, data_dir: Optional[PathLike] = None) -> Any:
    """The builder of a data set, prepared or not."""
    import tensorflow_datasets as tfds  # slow to import

    return tfds.builder(name, data_dir=catalog.tfds_folder(data_dir))


def elements(prepared: Any, split: str) -> tf.data.Dataset:
    """`with_names` without the names, in a fixed order."""
    return with_names(prepared, split).map(lambda name, contents, label: (contents, label))


def with_names(prepared: Any, split: str, seed: Optional[Any] = None) -> tf.data.Dataset:
    """Examples, unbatched: (name, contents of the image file, int32 label).

    Args:
        prepared: What `builder` returned.
        split: Name of the split.
        seed: Seed of the order of the files, an integer or a tensor; None keeps the order.

    Raises:
        FileNotFoundError: The data set is not prepared.
    """
    import tensorflow_datasets as tfds

    try:
        data = prepared.as_dataset(
            split=split,
            shuffle_files=seed is not None,
            decoders=tfds.decode.PartialDecoding(
                {name: prepared.info.features[name] for name in ("image", "label")},
                decoders={"image": tfds.decode.SkipDecoding()},
            ),
            read_config=tfds.ReadConfig(
                add_tfds_id=True,
                shuffle_seed=seed,
                shuffle_reshuffle_each_iteration=False,
                try_autocache=False,
            ),
        )
    except AssertionError as error:  # TensorFlow Datasets' error for missing data
        name = prepared.info.full_name.rpartition("/")[0]  # without its version
        raise FileNotFoundError(
            f"{name} is not prepared in {prepared.data_path}; {catalog.how_to_get(name)}"
        ) from error
    return data.map(
        lambda example: (example["tfds_id"], example["image"], tf.cast(example["label"], tf.int32))
    )


def is_jpeg(prepared: Any, split: str) -> bool:
    """Whether the first image is stored as JPEG, not as PNG."""
    contents, _ = next(iter(elements(prepared, split).take(1)))
    return bool(tf.io.is_jpeg(contents))
