"""Colour changes, one pixel at a time, with the conversions of Python's standard library."""

from __future__ import annotations

import colorsys

import numpy as np


def add_brightness(images, delta):
    """clip(x + Δ); `delta` is a number or one number an image."""
    images = np.asarray(images, "float64")
    deltas = np.broadcast_to(delta, len(images))
    return np.stack([np.clip(image + d, 0, 1) for image, d in zip(images, deltas)])


def scale_saturation(images, factor):
    """Into HLS (HSL with its letters changed round), S times `factor` up to 1, and back."""
    images = np.asarray(images, "float64")
    factors = np.broadcast_to(factor, len(images))
    result = np.empty_like(images)
    for b, y, x in np.ndindex(images.shape[:3]):
        hue, lightness, saturation = colorsys.rgb_to_hls(*images[b, y, x])
        result[b, y, x] = colorsys.hls_to_rgb(hue, lightness, min(saturation * factors[b], 1.0))
    return result
