"""Linear filters."""

from __future__ import annotations

from typing import Any, Optional

import numpy as np
import tensorflow as tf

from tfrobust.ops.compiled import compiled

#: A kernel that follows σ ends so many σ from its middle.
_TRUNCATE = 4.0
#: Upper bound of σ where it is not known while tracing.
_UNKNOWN_SIGMA = 100.0
#: Up to this radius, the taps are added one by one, which is faster and exact on GPUs, too, which
#: round the factors of matrix products.
_FEW = 16


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
    offsets = _offsets((kernel_size - 1) // 2)
    sigma = tf.cast(sigma, tf.float32)[..., tf.newaxis]
    # At the floor, exp underflows to 0 for every tap but the middle one, as it should for σ = 0.
    taps = tf.exp(-0.5 * tf.square(offsets / tf.maximum(sigma, 1e-3)))
    return taps / tf.reduce_sum(taps, axis=-1, keepdims=True)


def gaussian_blur(
    images: tf.Tensor,
    sigma: Any,
    kernel_size: Optional[int] = None,
    *,
    largest: Optional[float] = None,
) -> tf.Tensor:
    """Convolves with a Gaussian (FMA paper, section 4.2.2).

    By default the kernel of each image follows its σ: it ends ⌊4σ + ½⌋ pixels from its middle, as
    that of `scipy.ndimage.gaussian_filter`. A `kernel_size` limits the blur instead: for a σ far
    above it the kernel is a box.

    The border is mirrored without repeating the edge pixel (reflect-101), the default of
    tensorflow-addons and OpenCV; the paper does not specify it. A kernel that follows σ may be
    larger than the images, which are then mirrored several times. The result is a weighted mean and
    needs no clipping.

    Args:
        images: [B, H, W, C] in [0, 1]; H and W larger than kernel_size / 2, if that is given.
        sigma: σ ≥ 0 in pixels, scalar or [B].
        kernel_size: Odd side of the kernel in pixels, such as 3 (FMA paper, Table 1). Default None:
            it follows σ.
        largest: Upper bound of a σ that is a tensor; the smaller it is, the faster. Default: the
            largest σ, or 100 while tracing.

    Returns:
        [B, H, W, C].

    Raises:
        ValueError: `kernel_size` is even or not positive, or too large for the images.
    """
    if kernel_size is not None:
        _check_kernel_size(kernel_size, images.shape)
        return _by_shifts(images, gaussian_kernel(sigma, kernel_size))
    if largest is None:
        known = tf.get_static_value(tf.convert_to_tensor(sigma, tf.float32))
        largest = _UNKNOWN_SIGMA if known is None else float(np.max(known, initial=0))
    radius = _radius(largest)
    within = tf.abs(_offsets(radius)) <= tf.cast(_radius(sigma), tf.float32)[..., tf.newaxis]
    taps = gaussian_kernel(sigma, 2 * radius + 1) * tf.cast(within, tf.float32)
    taps /= tf.reduce_sum(taps, axis=-1, keepdims=True)
    few = radius <= _FEW and all(side is not None and side > radius for side in images.shape[1:3])
    return _by_shifts(images, taps) if few else _by_matrices(images, taps)


def _radius(sigma: Any) -> Any:
    """Taps on either side of the middle of a kernel that follows σ."""
    if isinstance(sigma, float):
        return int(_TRUNCATE * sigma + 0.5)
    return tf.floor(_TRUNCATE * tf.cast(sigma, tf.float32) + 0.5)


def _offsets(radius: int) -> tf.Tensor:
    return tf.range(-radius, radius + 1, dtype=tf.float32)


def _check_kernel_size(kernel_size: int, shape: tf.TensorShape) -> None:
    if kernel_size < 1 or kernel_size % 2 == 0:
        raise ValueError(f"kernel_size must be an odd number of pixels; received {kernel_size}")
    radius = kernel_size // 2
    for side, name in zip(shape[1:3], ("height", "width")):
        if side is not None and side <= radius:
            raise ValueError(
                f"a kernel of {kernel_size} pixels needs images of {name} {radius + 1} or more; "
                f"received {name} {side}"
            )


def _by_shifts(images: tf.Tensor, taps: tf.Tensor) -> tf.Tensor:
    """Convolves both axes with few taps [B, k] or [k], no farther than the images reach."""
    size = taps.shape[-1]
    taps = tf.reshape(
        tf.cast(taps, images.dtype), [-1, size, 1, 1]
    )  # [B, k, 1, 1], or [1, k, 1, 1]
    # The kernel is separable: one pass along each axis; along the width, neighbouring pixels are
    # `channels` values apart.
    channels = images.shape[-1]
    for axis, step in ((1, 1), (2, channels)):
        padded = _pad_reflect(images, size // 2, axis)
        sides = [n if n is not None else tf.shape(padded)[i] for i, n in enumerate(padded.shape)]
        rows = tf.reshape(padded, [-1, sides[1], sides[2] * channels])
        images = tf.reshape(_weighted_sum(rows, taps, axis, step), tf.shape(images))
    return images


def _by_matrices(images: tf.Tensor, taps: tf.Tensor) -> tf.Tensor:
    """Convolves both axes with any number of taps [B, k] or [k], as products with matrices."""
    taps = tf.reshape(tf.cast(taps, images.dtype), [-1, taps.shape[-1]])
    shape = images.shape
    for _ in range(2):  # along the first of the two axes, which then change places
        batch, side, other, channels = tf.unstack(tf.shape(images))
        rows = tf.matmul(_matrix(taps, side), tf.reshape(images, [batch, side, other * channels]))
        images = tf.transpose(tf.reshape(rows, [batch, side, other, channels]), [0, 2, 1, 3])
    return tf.ensure_shape(images, shape)


def _matrix(taps: tf.Tensor, side: tf.Tensor) -> tf.Tensor:
    """What each pixel of a line of `side` pixels adds to each other one: [B, side, side].

    The mirrored line repeats every 2·side − 2 pixels: pixel j is found at j and −j, and at whole
    periods from there.
    """
    period = tf.maximum(2 * side - 2, 1)
    count, first = taps.shape[1], -(taps.shape[1] // 2) % period
    padding = [[0, 0], [first, -(first + count) % period]]
    folded = tf.reshape(tf.pad(taps, padding), [-1, (first + count - 1) // period + 1, period])
    weights = tf.reduce_sum(folded, axis=1)  # [B, period], of all taps that fall onto one place
    to, source = tf.range(side)[:, tf.newaxis], tf.range(side)[tf.newaxis]
    inner = tf.cast((source > 0) & (source < side - 1), taps.dtype)  # the ends have no second place
    direct = tf.gather(weights, (to - source) % period, axis=1)
    return direct + inner * tf.gather(weights, (to + source) % period, axis=1)


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
