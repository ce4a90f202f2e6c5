"""Corruptions by a fixed blur.

Hendrycks and Dietterich 2019 (arXiv:1903.12261); the authors' scripts are the definition. Nothing
here is random, so the keys are unused. A blur is linear, so it works on the scale 0 to 255.
"""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tfrobust.ops.compiled import compiled, multiply_add, sum_of_products

#: Smallest radius at which a disk is summed by columns instead of pixel by pixel.
_COLUMNS_FROM = 3
#: Weights below this are dropped, less than a hundredth of a grey level in total.
_NEGLIGIBLE = 1e-6
#: Rows in a block of running sums.
_BLOCK = 16


def gaussian_blur(images: tf.Tensor, keys: tf.Tensor, sigma: float) -> tf.Tensor:
    """Blurs with a Gaussian truncated at 4 σ; edge pixels are repeated beyond the border.

    Args:
        images: [B, H, W, C], whole numbers from 0 to 255.
        keys: Unused.
        sigma: σ > 0 in pixels.

    Returns:
        [B, H, W, C] on the scale 0 to 255, not rounded.

    Example:

    >>> line = tf.constant([0.0, 0.0, 255.0, 0.0, 0.0])[None, None, :, None]
    >>> gaussian_blur(line, None, 0.4)[0, 0, :, 0].numpy().round(1)
    array([  0. ,  10.3, 234.4,  10.3,   0. ], dtype=float32)
    """
    return smooth(images, sigma, 4, "edge")


def smooth(images: tf.Tensor, sigma: float, truncate: float, mode: str) -> tf.Tensor:
    """Smooths with a Gaussian, as `scipy.ndimage.gaussian_filter` does.

    Args:
        images: [B, H, W, C].
        sigma: σ ≥ 0 in pixels.
        truncate: Radius of the kernel in units of σ.
        mode: Padding mode of `numpy.pad`: "edge" or "symmetric".

    Returns:
        [B, H, W, C].
    """
    radius = int(truncate * sigma + 0.5)
    if radius == 0:
        return images
    taps = tf.constant(gaussian_taps(sigma, radius), tf.float32)
    rows = tf.constant(_places(images.shape[1], radius, mode))
    smoothed = _filter_rows(_pad_columns(images, radius, mode), taps, images.shape[3])
    return tf.reshape(_filter_columns(smoothed, taps, rows), tf.shape(images))


def gaussian_taps(sigma: float, radius: int) -> np.ndarray:
    """Weights of a Gaussian at -radius, ..., radius pixels, summing to 1."""
    weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    return weights / weights.sum()


def defocus_blur(images: tf.Tensor, keys: tf.Tensor, radius: float, alias: float) -> tf.Tensor:
    """Blurs with an anti-aliased disk; the border is mirrored (reflect-101).

    The disk is X² + Y² ≤ r² on a grid from -8 to 8 (for r > 8, from -r to r), divided by its area
    and smoothed by a Gaussian of 3×3 (for r > 8, 5×5) weights. The smoothing mirrors the disk at
    the border of its grid, which has an effect for r ≥ 8.

    Args:
        images: [B, H, W, C], whole numbers from 0 to 255.
        keys: Unused.
        radius: r ≥ 0 in pixels; above 8 it must be a whole number.
        alias: σ > 0 of the anti-aliasing in pixels.

    Returns:
        [B, H, W, C] on the scale 0 to 255, not rounded.

    Example:

    >>> point = tf.pad([[[[255.0]]]], [[0, 0], [2, 2], [2, 2], [0, 0]])
    >>> defocus_blur(point, None, 1, 0.1)[0, 1:4, 1:4, 0].numpy().round()
    array([[ 0., 51.,  0.],
           [51., 51., 51.],
           [ 0., 51.,  0.]], dtype=float32)
    """
    disk = _disk(float(radius), float(alias))
    height, width, channels = images.shape[1:]
    rows = _places(height, disk.margin, "reflect")
    # Padded to whole blocks, plus one row because running sums begin with 0.
    rows = np.pad(rows, (0, -(len(rows) + 1) % _BLOCK + 1))
    field = _gather_rows(_pad_columns(images, disk.margin, "reflect"), tf.constant(rows))
    blurred: Any = 0.0
    if disk.heights:
        smoothing = len(disk.smoothing) // 2
        size = (height + 2 * smoothing, (width + 2 * smoothing) * channels)
        sums = _disk_sums(_running_sums(field), disk.heights, size, channels)
        blurred = _filter_both(sums, tf.constant(disk.smoothing, tf.float32), channels)
    if disk.taps:
        weights = tf.constant(disk.weights, tf.float32)
        size = (height, width * channels)
        blurred = _add_single_taps(field, blurred, weights, disk.taps, disk.margin, size, channels)
    return tf.reshape(blurred, tf.shape(images))


def _places(size: int, margin: int, mode: Any) -> np.ndarray:
    """Source pixels of a line padded by a margin, at -margin, ..., size + margin - 1."""
    return np.pad(np.arange(size, dtype=np.int32), margin, mode=mode)


def _pad_columns(images: tf.Tensor, margin: int, mode: str) -> tf.Tensor:
    """Pads the images on the left and right: [B, H, (margin + W + margin) · C]."""
    height, width, channels = images.shape[1:]
    places = _places(width, margin, mode)
    left = tf.gather(images, places[:margin], axis=2)
    right = tf.gather(images, places[margin + width :], axis=2)
    wide = tf.concat([left, images, right], axis=2)
    return tf.reshape(wide, [-1, height, (width + 2 * margin) * channels])


@compiled
def _gather_rows(lines: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
    return tf.gather(lines, rows, axis=1)


@compiled
def _filter_rows(lines: tf.Tensor, taps: tf.Tensor, step: int) -> tf.Tensor:
    """Σ_i taps[i] · (lines shifted to the left by i · step), for symmetric taps."""
    width = lines.shape[2] - (taps.shape[0] - 1) * step
    return _symmetric_sum(taps, lambda i: lines[:, :, i * step : i * step + width])


@compiled
def _filter_columns(lines: tf.Tensor, taps: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
    """Σ_i taps[i] · (lines shifted up by i, after a gather of `rows`), for symmetric taps."""
    height = lines.shape[1]
    return _symmetric_sum(taps, lambda i: tf.gather(lines, rows[i : i + height], axis=1))


def _symmetric_sum(taps: tf.Tensor, shifted: Any) -> tf.Tensor:
    last = taps.shape[0] - 1
    middle = last // 2
    pairs = [(taps[middle], shifted(middle))]
    for i in range(middle):  # one product per pair of symmetric taps
        pairs.append((taps[i], shifted(i) + shifted(last - i)))
    return sum_of_products(pairs)


class Disk(NamedTuple):
    """A kernel decomposed into a smoothed disk of ones plus single taps."""

    margin: int  # radius of the kernel
    heights: tuple[int, ...]  # half heights of the disk's columns; () if there are only single taps
    smoothing: np.ndarray  # separable smoothing weights, which include the factor 1 / area
    taps: Any  # offsets (down, across) of the single taps, grouped by weight
    weights: np.ndarray


@functools.lru_cache(maxsize=32)
def _disk(radius: float, alias: float) -> Disk:
    grid = np.arange(-8, 9) if radius <= 8 else np.arange(-radius, radius + 1)
    mask = (grid[:, None] ** 2 + grid**2 <= radius**2) / 1.0
    area = mask.sum()
    reach = 1 if radius <= 8 else 2
    smoothing = gaussian_taps(alias, reach)
    kernel = _convolve(np.pad(mask / area, reach, mode="reflect"), smoothing)
    if radius < _COLUMNS_FROM:
        taps, weights = _single_taps(kernel)
        margin = max(max(place) for places in taps for place in places)
        return Disk(margin, (), smoothing, taps, weights)

    # The single taps correct the smoothed disk for mirroring at the border of the grid.
    whole = _convolve(np.pad(mask / area, 2 * reach), smoothing)
    rest = np.pad(kernel, reach) - whole
    ones = int(radius)
    heights = [math.isqrt(int(radius**2 - x**2)) for x in range(-ones, ones + 1)]
    return Disk(ones + reach, tuple(heights), smoothing / area**0.5, *_single_taps(rest))


def _convolve(image: np.ndarray, taps: np.ndarray) -> np.ndarray:
    for axis in (0, 1):
        image = np.apply_along_axis(np.convolve, axis, image, taps, "valid")
    return image


def _single_taps(kernel: np.ndarray) -> tuple[Any, np.ndarray]:
    middle = len(kernel) // 2
    kept = np.where(np.abs(kernel) > _NEGLIGIBLE, kernel, 0)
    if kept.any():  # dropped weights go to the centre, so constant images do not change
        kept[middle, middle] += kernel.sum() - kept.sum()
    quarter = kept[middle:, middle:]  # a disk is symmetric along both axes
    chosen = np.argwhere(quarter)
    taps = tuple(
        tuple(sorted({(a, b) for a in (-y, y) for b in (-x, x)})) for y, x in chosen.tolist()
    )
    return taps, quarter[tuple(chosen.T)]


@compiled
def _add_single_taps(
    field: tf.Tensor, base: Any, weights: tf.Tensor, taps: Any, margin: int, size: Any, step: int
) -> tf.Tensor:
    """base + Σ_i weights[i] · (sum of the field shifted by each offset of taps[i])."""
    for i, places in enumerate(taps):
        total: Any = 0.0
        for down, across in places:
            top, left = margin + down, (margin + across) * step
            total += field[:, top : top + size[0], left : left + size[1]]
        base = multiply_add(weights[i], total, base)
    return base


def _running_sums(field: tf.Tensor) -> tf.Tensor:
    """Sums of all rows above each row; exact, because they are integers below 2²⁴."""
    # A product with a triangular matrix per block of rows is four times as fast as tf.cumsum.
    height, size = field.shape[1:]
    count = height // _BLOCK
    blocks = tf.reshape(field, [-1, _BLOCK, size])
    above = tf.matmul(tf.constant(np.tri(_BLOCK, k=-1), tf.float32), blocks)
    totals = tf.reshape(above[:, -1] + blocks[:, -1], [-1, count, size])
    starts = tf.matmul(tf.constant(np.tri(count, k=-1), tf.float32), totals)
    sums = _add_block_starts(tf.reshape(above, [-1, count, _BLOCK, size]), starts)
    return tf.reshape(sums, [-1, height, size])


@compiled
def _add_block_starts(above: tf.Tensor, starts: tf.Tensor) -> tf.Tensor:
    return above + starts[:, :, None]


@compiled
def _disk_sums(sums: tf.Tensor, heights: tuple[int, ...], size: Any, step: int) -> tf.Tensor:
    """Sums over a disk, each column as the difference of two running sums."""
    radius = len(heights) // 2
    total: Any = 0.0
    for i, height in enumerate(heights):
        top, bottom = radius - height, radius + height + 1
        line = sums[:, :, i * step : i * step + size[1]]
        total += line[:, bottom : bottom + size[0]] - line[:, top : top + size[0]]
    return total


@compiled
def _filter_both(sums: tf.Tensor, taps: tf.Tensor, step: int) -> tf.Tensor:
    reach = taps.shape[0] - 1
    height = sums.shape[1] - reach
    return _filter_rows(_symmetric_sum(taps, lambda i: sums[:, i : i + height]), taps, step)
