"""Linear filters."""

from __future__ import annotations

from typing import Any

import tensorflow as tf


def gaussian_kernel(sigma: Any, kernel_size: int) -> tf.Tensor:
    """Taps of a sampled one-dimensional Gaussian, normalised to sum 1.

    w_i ∝ exp(−i² / 2σ²) for i = −r..r, r = (kernel_size − 1) / 2; σ = 0 gives a single 1.

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
    # The floor stands for σ = 0: exp underflows to 0 for every tap but the middle one.
    taps = tf.exp(-0.5 * tf.square(offsets / tf.maximum(sigma, 1e-3)))
    return taps / tf.reduce_sum(taps, axis=-1, keepdims=True)


def gaussian_blur(images: tf.Tensor, sigma: Any, kernel_size: int = 3) -> tf.Tensor:
    """Convolves with a kernel_size × kernel_size Gaussian (FMA paper, section 4.2.2).

    The border is mirrored without repeating the edge pixel (reflect-101), as in
    tensorflow-addons' and OpenCV's default; the paper does not say. The result is a weighted mean,
    so that it needs no clipping.

    Args:
        images: [B, H, W, C] in [0, 1]; H and W larger than kernel_size / 2.
        sigma: σ ≥ 0 in pixels, scalar or [B].
        kernel_size: Odd side of the kernel in pixels; 3 in Table 1.

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
    if taps.shape.rank == 2:
        taps = tf.reshape(taps, [-1, kernel_size, 1, 1, 1])  # [B, k] -> [B, k, 1, 1, 1]
    else:
        taps = tf.reshape(taps, [1, kernel_size, 1, 1, 1])
    # The kernel is separable and symmetric: rows, then columns, and one product serves two taps.
    for axis in (1, 2):
        paddings = [[0, 0]] * 4
        paddings[axis] = [radius, radius]
        padded = tf.pad(images, paddings, "REFLECT")
        size = tf.shape(images)[axis]

        def shifted(offset, padded=padded, axis=axis, size=size):
            begin, extent = [0, 0, 0, 0], [-1, -1, -1, -1]
            begin[axis], extent[axis] = offset, size
            return tf.slice(padded, begin, tf.stack(extent))

        images = taps[:, radius] * images
        for i in range(radius):
            images += taps[:, i] * (shifted(i) + shifted(kernel_size - 1 - i))
    return images
