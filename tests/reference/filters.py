"""Gaussian blur with SciPy."""

from __future__ import annotations

import math

import numpy as np
import scipy.ndimage


def gaussian_kernel(sigma, kernel_size):
    """Taps exp(−i² / 2σ²), divided by their sum; a single 1 at σ = 0."""
    radius = kernel_size // 2
    if sigma == 0:
        return np.eye(kernel_size)[radius]
    taps = [math.exp(-(i**2) / (2 * sigma**2)) for i in range(-radius, radius + 1)]
    return np.array(taps) / sum(taps)


def gaussian_blur(images, sigma, kernel_size):
    """SciPy's "mirror" is the border that does not repeat the edge: d c b | a b c d | c b a."""
    images = np.asarray(images, "float64")
    sigmas = np.broadcast_to(sigma, len(images))
    blurred = []
    for image, s in zip(images, sigmas):
        for axis in (0, 1):
            image = scipy.ndimage.correlate1d(
                image, gaussian_kernel(s, kernel_size), axis=axis, mode="mirror"
            )
        blurred.append(image)
    return np.stack(blurred)
