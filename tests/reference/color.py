"""Colour changes, one pixel at a time, with the conversions of Python's standard library."""

from __future__ import annotations

import colorsys

import numpy as np
import PIL.Image
import PIL.ImageEnhance


def add_brightness(images, delta):
    """clip(x + Δ); `delta` is a number or one number per image."""
    images = np.asarray(images, "float64")
    deltas = np.broadcast_to(delta, len(images))
    return np.stack([np.clip(image + d, 0, 1) for image, d in zip(images, deltas)])


def change_exposure(images, stops):
    """From sRGB to linear light, times 2^stops, and back, value by value."""
    result = np.empty(images.shape, "float64")
    for place, value in np.ndenumerate(np.asarray(images, "float64")):
        light = value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
        light = min(light * 2.0**stops, 1.0)
        result[place] = 12.92 * light if light <= 0.0031308 else 1.055 * light ** (1 / 2.4) - 0.055
    return result


def scale_saturation(images, factor):
    """Into HLS (HSL with its letters changed round), S times `factor` up to 1, and back."""
    images = np.asarray(images, "float64")
    factors = np.broadcast_to(factor, len(images))
    result = np.empty_like(images)
    for b, y, x in np.ndindex(images.shape[:3]):
        hue, lightness, saturation = colorsys.rgb_to_hls(*images[b, y, x])
        result[b, y, x] = colorsys.hls_to_rgb(hue, lightness, min(saturation * factors[b], 1.0))
    return result


def luminance(pixel):
    """ITU-R BT.601."""
    red, green, blue = pixel
    return 0.299 * red + 0.587 * green + 0.114 * blue


def scale_contrast(images, factor):
    """Blends each image with the mean of its pixels' luminance."""
    images = np.asarray(images, "float64")
    result = np.empty_like(images)
    for b, (image, f) in enumerate(zip(images, np.broadcast_to(factor, len(images)))):
        pixels = image.reshape(-1, image.shape[-1])
        greys = [pixel[0] if len(pixel) == 1 else luminance(pixel) for pixel in pixels]
        result[b] = np.clip(f * image + (1 - f) * np.mean(greys), 0, 1)
    return result


def scale_color(images, factor):
    """Blends each pixel with its luminance."""
    images = np.asarray(images, "float64")
    factors = np.broadcast_to(factor, len(images))
    result = np.empty_like(images)
    for b, y, x in np.ndindex(images.shape[:3]):
        grey = luminance(images[b, y, x])
        result[b, y, x] = np.clip(grey + factors[b] * (images[b, y, x] - grey), 0, 1)
    return result


def pillow_enhance(kind, image, factor):
    """Pillow's own result on one 8-bit [H, W, 3] or [H, W] image, in 8-bit levels."""
    enhancer = getattr(PIL.ImageEnhance, kind)(PIL.Image.fromarray(image))
    return np.asarray(enhancer.enhance(factor), "float64")
