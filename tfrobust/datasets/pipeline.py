"""The one place where `tf.data` is tuned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Callable, Optional

import numpy as np
import tensorflow as tf

from tfrobust import checks


def from_arrays(
    images: np.ndarray,
    labels: np.ndarray,
    *,
    batch_size: int,
    classes: int,
    shuffle_seed: Optional[int] = None,
) -> tf.data.Dataset:
    """Batches of arrays that fit in memory.

    Args:
        images: [N, H, W, C]: float32 in [0, 1], or uint8, which takes a quarter of the memory
            and is converted batch by batch.
        labels: [N] class indices.
        batch_size: Images a batch; the last batch may be smaller.
        classes: Number of classes, for the check of the labels.
        shuffle_seed: Shuffle anew each epoch from this seed; None keeps the order.

    Returns:
        `tf.data.Dataset` of (images, labels).

    Raises:
        ValueError: The arrays are empty, or not images and labels of that kind.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size must be 1 or more; received {batch_size}")
    if images.dtype == np.uint8:
        checks.check_image_spec(images.shape, tf.float32)
    else:
        checks.check_images(images)
    checks.check_labels(labels, classes)
    data = tf.data.Dataset.from_tensor_slices((images, labels))
    if shuffle_seed is not None:
        data = data.shuffle(len(images), seed=shuffle_seed, reshuffle_each_iteration=True)
    data = data.batch(batch_size)
    if images.dtype == np.uint8:
        data = data.map(_to_unit, num_parallel_calls=tf.data.AUTOTUNE)
    return data.prefetch(tf.data.AUTOTUNE)


def from_files(
    paths: Sequence[str],
    labels: np.ndarray,
    read: Callable[[tf.Tensor], tf.Tensor],
    batch_size: int,
) -> tf.data.Dataset:
    """Batches of (images, labels) from files, in their order.

    Args:
        paths: Of the images.
        labels: [N] int32.
        read: Path to image float32 [H, W, 3], always the same size.
        batch_size: Images a batch; the last batch may be smaller.
    """
    checks.check_whole("batch_size", batch_size, 1, 2**31 - 1)
    data = tf.data.Dataset.from_tensor_slices((list(paths), labels))
    data = data.map(lambda path, label: (read(path), label), num_parallel_calls=tf.data.AUTOTUNE)
    return data.batch(batch_size).prefetch(tf.data.AUTOTUNE)


def from_frames(
    paths: Sequence[str],
    labels: np.ndarray,
    read: Callable[[tf.Tensor], tf.Tensor],
    frames: int,
) -> tf.data.Dataset:
    """One sequence of frames after another with its label, from files, in their order.

    Args:
        paths: Of all frames, the frames of a sequence one after another.
        labels: One a sequence, int32.
        read: Path to image float32 [H, W, 3], always the same size.
        frames: Frames of a sequence.
    """
    images = tf.data.Dataset.from_tensor_slices(list(paths))
    images = images.map(read, num_parallel_calls=tf.data.AUTOTUNE)
    images = images.batch(frames, drop_remainder=True)
    data = tf.data.Dataset.zip((images, tf.data.Dataset.from_tensor_slices(labels)))
    return data.prefetch(tf.data.AUTOTUNE)


def _to_unit(images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    return tf.cast(images, tf.float32) / 255, labels
