"""Loading a data set by its name."""

from __future__ import annotations

import dataclasses

import numpy as np
import tensorflow as tf

from tfrobust.datasets import pipeline
from tfrobust.registries import DATASETS

Arrays = tuple[np.ndarray, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Data:
    """A data set, ready for `model.fit`.

    Args:
        name: Its name.
        train: Batched (images, labels), shuffled anew each epoch.
        validation: Batched, split from train; what anything is chosen by.
        test: Batched; for the last measurement only.
        class_names: Name of each class.
        image_shape: (height, width, channels).
        sizes: Number of images of "train", "validation" and "test".
    """

    name: str
    train: tf.data.Dataset
    validation: tf.data.Dataset
    test: tf.data.Dataset
    class_names: tuple[str, ...]
    image_shape: tuple[int, int, int]
    sizes: dict[str, int]

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)


def load(name: str, *, batch_size: int = 128, seed: int = 0) -> Data:
    """Loads a data set.

    Args:
        name: One of `DATASETS`.
        batch_size: Images a batch.
        seed: Seed of the order of the training images. The split, and what is random in the
            making of the data, do not change with it: two runs see the same test images.

    Returns:
        A `Data` with train, validation and test.

    Raises:
        ValueError: The name is unknown, or `batch_size` is below 1.
        FileNotFoundError: The data is not on this machine.

    Example:

    >>> load("digits").image_shape
    (32, 32, 3)
    """
    splits, class_names = DATASETS[name]()
    classes = len(class_names)
    return Data(
        name=name,
        **{
            split: pipeline.from_arrays(
                images,
                labels,
                batch_size=batch_size,
                classes=classes,
                shuffle_seed=seed if split == "train" else None,
            )
            for split, (images, labels) in splits.items()
        },
        class_names=class_names,
        image_shape=tuple(splits["train"][0].shape[1:]),
        sizes={split: len(labels) for split, (_, labels) in splits.items()},
    )
