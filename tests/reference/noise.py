"""Noise, pixel by pixel, from random numbers that the caller gives."""

from __future__ import annotations

import numpy as np

#: Standard deviations below one 8-bit level count as one level.
SMALLEST_DEVIATION = 1 / 255


def replace_pixels(images, probability, draws):
    """A pixel whose uniform number u is below its p becomes the grey u/p in all channels.

    `probability` is broadcast to [B, H, W]; `draws` is [B, H, W].
    """
    result = np.array(images, "float64")
    probability = np.broadcast_to(probability, draws.shape)
    for b, y, x in np.ndindex(draws.shape):
        if draws[b, y, x] < probability[b, y, x]:
            result[b, y, x, :] = draws[b, y, x] / probability[b, y, x]
    return result


def replacement_probability(deviation, probability):
    """min(1, c/s) with mean `probability`; c is found by bisection."""
    deviation = np.maximum(np.asarray(deviation, "float64"), SMALLEST_DEVIATION)
    low, high = 0.0, float(deviation.max())
    for _ in range(200):
        middle = (low + high) / 2
        if np.minimum(1, middle / deviation).mean() < probability:
            low = middle
        else:
            high = middle
    return np.minimum(1, high / deviation)


def patch(height, width, row, column, size):
    """[H, W], True in the patch: `size` rows from row − ⌊size/2⌋ on, and columns likewise."""
    inside = np.zeros([height, width], bool)
    for y in range(row - size // 2, row - size // 2 + size):
        for x in range(column - size // 2, column - size // 2 + size):
            if 0 <= y < height and 0 <= x < width:
                inside[y, x] = True
    return inside


def patch_gaussian(images, sigma, size, row, column, noise):
    """`noise` is [B, h, w, C] and repeats with the period (h, w)."""
    result = np.array(images, "float64")
    batch, height, width, _ = result.shape
    sigma, size, row, column = (np.broadcast_to(n, batch) for n in (sigma, size, row, column))
    for b in range(batch):
        for y, x in np.argwhere(patch(height, width, row[b], column[b], size[b])):
            value = noise[b, y % noise.shape[1], x % noise.shape[2]]
            result[b, y, x] = np.clip(result[b, y, x] + sigma[b] * value, 0, 1)
    return result
