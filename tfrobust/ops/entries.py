"""Selection of entries of each image by a value, and noise on those entries."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tfrobust.ops import sampling


def lowest_and_highest_entries(values: tf.Tensor, count: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Finds the `count` smallest and the `count` largest entries of each image (FCL, TOP_k).

    An entry is one channel of one pixel. Ties are broken by memory order, so exactly `count` are
    returned. Two partial selections are faster than sorting all entries of an image or searching
    the threshold by bisection.

    Args:
        values: [B, ...], finite.
        count: k, from 1 to the number of entries of an image.

    Returns:
        Two int32 tensors [B, k] of flat indices into each image, in ascending order from the
        smallest value and in descending order from the largest. They overlap if an image has fewer
        than 2·k entries.

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
    flat = tf.reshape(values, [tf.shape(values)[0], size])  # [B, n]; -1 fails for an empty batch
    # sorted=True costs a tenth more and gives the same order everywhere, also under XLA.
    return tf.math.top_k(-flat, count).indices, tf.math.top_k(flat, count).indices


def gaussian_noise_at(
    images: tf.Tensor, entries: tf.Tensor, sigma: Any, seed: tf.Tensor
) -> tf.Tensor:
    """Adds N(0, σ²) noise to some entries of each image and clips (FCL paper [3]).

    Random numbers are drawn for these entries only.

    Args:
        images: [B, H, W, C] in [0, 1].
        entries: int32 [B, k], flat indices into each image, without duplicates.
        sigma: Standard deviation σ ≥ 0, scalar or [B].
        seed: int32[2]; the same seed gives the same noise.

    Returns:
        [B, H, W, C], clipped to [0, 1]. The other entries do not change.

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
    # One flat axis: index pairs would take twice the memory, and their kernels are slower.
    starts = tf.range(shape[0])[:, tf.newaxis] * tf.reduce_prod(shape[1:])
    places = tf.reshape(entries + starts, [-1, 1])
    flat = tf.tensor_scatter_nd_add(tf.reshape(images, [-1]), places, tf.reshape(noise, [-1]))
    return tf.clip_by_value(tf.reshape(flat, shape), 0.0, 1.0)
