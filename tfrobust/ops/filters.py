"""Linear filters."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tfrobust.ops.compiled import compiled


def gaussian_kernel(sigma: Any, kernel_size: int) -> tf.Tensor:
    """Samples a one-dimensional Gaussian kernel, normalised to sum 1.

    w_i ∝ exp(−i² / 2σ²) for i = −r..r, r = (kernel_size − 1) / 2; σ = 0 gives a unit impulse.

    Args:
        sigma: σ ≥ 0 in pixels, scalar or [B].
        kernel_size: Odd number of taps.

    Returns:
        [kernel_size] or [B, kernel_size] float32.

    Example:

    >>> gaussian_kernel(0.0, 3).numpy()
    array([0., 1., 0.], dtype=float32)
    """
    radius = (kernel_size - 1) // 2
    offsets = tf.range(-radius, radius + 1, dtype=tf.float32)
    sigma = tf.cast(sigma, tf.float32)[..., tf.newaxis]
    # At the floor, exp underflows to 0 for every tap but the middle one, as it should for σ = 0.
    taps = tf.exp(-0.5 * tf.square(offsets / tf.maximum(sigma, 1e-3)))
    return taps / tf.reduce_sum(taps, axis=-1, keepdims=True)


def gaussian_blur(images: tf.Tensor, sigma: Any, kernel_size: int = 3) -> tf.Tensor:
    """Convolves with a kernel_size × kernel_size Gaussian (FMA paper, section 4.2.2).

    The border is mirrored without repeating the edge pixel (reflect-101), the default of
    tensorflow-addons and OpenCV; the paper does not specify it. The result is a weighted mean and
    needs no clipping.

    Args:
        images: [B, H, W, C] in [0, 1]; H and W larger than kernel_size / 2.
        sigma: σ ≥ 0 in pixels, scalar or [B].
        kernel_size: Odd side of the kernel in pixels; default 3 (Table 1).

    Returns:
        [B, H, W, C].

    Raises:
        ValueError: `kernel_size` is even or not positive, or too large for the images.
    """
    if kernel_size < 1 or kernel_size % 2 == 0:
        raise ValueError(f"kernel_size must be an odd number of pixels; received {kernel_size}")
    radius = kernel_size // 2
    for axis, name in ((1, "height"), (2, "width")):
        side = images.shape[axis]
        if side is not None and side <= radius:
            raise ValueError(
                f"a kernel of {kernel_size} pixels needs images of {name} {radius + 1} or more; "
                f"received {name} {side}"
            )
    taps = tf.cast(gaussian_kernel(sigma, kernel_size), images.dtype)
    taps = tf.reshape(taps, [-1, kernel_size, 1, 1])  # [B, k, 1, 1], or [1, k, 1, 1]
    # The kernel is separable: one pass along each axis; along the width, neighbouring pixels are
    # `channels` values apart.
    channels = images.shape[-1]
    for axis, step in ((1, 1), (2, channels)):
        padded = _pad_reflect(images, radius, axis)
        size = [n if n is not None else tf.shape(padded)[i] for i, n in enumerate(padded.shape)]
        rows = tf.reshape(padded, [-1, size[1], size[2] * channels])
        images = tf.reshape(_weighted_sum(rows, taps, axis, step), tf.shape(images))
    return images


@compiled
def _weighted_sum(padded: tf.Tensor, taps: tf.Tensor, axis: int, step: int) -> tf.Tensor:
    """Σ_i taps[:, i] · (padded shifted by i · step along an axis), for symmetric taps."""
    last = taps.shape[1] - 1
    size = (padded.shape[axis] or tf.shape(padded)[axis]) - last * step

    def shifted(i):
        window = slice(i * step, i * step + size)
        return padded[:, window] if axis == 1 else padded[:, :, window]

    middle = last // 2
    total = taps[:, middle] * shifted(middle)
    for i in range(middle):  # one product per pair of symmetric taps
        total += taps[:, i] * (shifted(i) + shifted(last - i))
    return total


def _pad_reflect(images: tf.Tensor, radius: int, axis: int) -> tf.Tensor:
    # Not tf.pad, which rejects an empty batch.
    if radius == 0:
        return images
    before, after = [slice(None)] * 4, [slice(None)] * 4
    before[axis], after[axis] = slice(radius, 0, -1), slice(-2, -radius - 2, -1)
    return tf.concat([images[tuple(before)], images, images[tuple(after)]], axis)
