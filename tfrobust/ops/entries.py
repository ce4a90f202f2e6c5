"""Choosing entries of each image by a value, and changing those alone."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tfrobust.ops import sampling


def lowest_and_highest_entries(values: tf.Tensor, count: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Where the `count` smallest and the `count` largest entries of each image are (FCL, TOP_k).

    An entry is one value: one channel of one pixel. Of equal values the first in memory order go
    first, so that there are always exactly `count`. Two partial selections: sorting all entries of
    an image, or searching the threshold by bisection, takes longer.

    Args:
        values: [B, ...], finite.
        count: k, from 1 to the number of entries of an image.

    Returns:
        Two int32 tensors [B, k]: flat indices into each image, from the smallest value upwards and
        from the largest downwards. The two overlap where 2·k is more than an image has.

    Raises:
        ValueError: `count` is out of range for the images.

    Example:

    >>> low, high = lowest_and_highest_entries(tf.constant([[0.3, 0.0, 0.9, 0.1]]), 2)
    >>> low.numpy(), high.numpy()
    (array([[1, 3]], dtype=int32), array([[2, 0]], dtype=int32))
    """
    values = tf.convert_to_tensor(values)
    entries = values.shape[1:].num_elements()
    if count < 1 or (entries is not None and count > entries):
        raise ValueError(
            f"k must be a whole number from 1 to the {entries} entries of an image; received "
            f"{count}"
        )
    size = tf.reduce_prod(tf.shape(values)[1:]) if entries is None else entries
    flat = tf.reshape(values, [tf.shape(values)[0], size])  # [B, n]; -1 would refuse a batch of 0
    # Sorted costs a tenth more, and gives the same order everywhere, also under XLA.
    return tf.math.top_k(-flat, count).indices, tf.math.top_k(flat, count).indices


def gaussian_noise_at(
    images: tf.Tensor, entries: tf.Tensor, sigma: Any, seed: tf.Tensor
) -> tf.Tensor:
    """Adds N(0, σ²) to some entries of each image, and clips (FCL paper [3]).

    Only as many random numbers are drawn as there are entries to change.

    Args:
        images: [B, H, W, C] in [0, 1].
        entries: int32 [B, k], flat indices into each image, none twice.
        sigma: Standard deviation σ ≥ 0, scalar or [B].
        seed: int32[2]; the same seed gives the same noise.

    Returns:
        [B, H, W, C], clipped to [0, 1]. The other entries are exactly as they were.

    Example:

    >>> image = tf.fill([1, 2, 2, 1], 0.5)
    >>> noisy = gaussian_noise_at(image, tf.constant([[3]]), 0.1, tf.constant([0, 1]))
    >>> (noisy.numpy() != 0.5).ravel()
    array([False, False, False,  True])
    """
    images, entries = tf.convert_to_tensor(images), tf.cast(entries, tf.int32)
    shape, per_image = tf.shape(images), tf.shape(entries)
    sigma = tf.cast(sigma, tf.float32)
    if sigma.shape.rank == 1:
        sigma = sigma[:, tf.newaxis]  # [B] -> [B, 1]
    noise = tf.cast(sigma * sampling.normal(seed, per_image), images.dtype)
    # One flat axis: index pairs would be twice as large, and their kernels are slower.
    starts = tf.range(shape[0])[:, tf.newaxis] * tf.reduce_prod(shape[1:])
    places = tf.reshape(entries + starts, [-1, 1])
    flat = tf.tensor_scatter_nd_add(tf.reshape(images, [-1]), places, tf.reshape(noise, [-1]))
    return tf.clip_by_value(tf.reshape(flat, shape), 0.0, 1.0)
