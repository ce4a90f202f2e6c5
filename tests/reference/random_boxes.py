"""Random resized crops one image at a time: the box in plain Python, the resize with Pillow."""

from __future__ import annotations

import math

import numpy as np
import PIL.Image


def box(height, width, areas, log_ratios, top, left, ratio):
    """The box of an image, from the fractions and uniform numbers that were drawn for it."""
    for area, log_ratio in zip(areas, log_ratios):
        pixels, shape = float(area) * height * width, math.exp(log_ratio)
        wide, high = round(math.sqrt(pixels * shape)), round(math.sqrt(pixels / shape))
        if 0 < wide <= width and 0 < high <= height:
            return int(top * (height - high + 1)), int(left * (width - wide + 1)), high, wide
    wide, high = width, height
    if width / height < ratio[0]:
        high = round(width / ratio[0])
    elif width / height > ratio[1]:
        wide = round(height * ratio[1])
    return (height - high) // 2, (width - wide) // 2, high, wide


def crop(image, place, size):
    """A box of an image [H, W, C] of floats, cut out and then resized to (height, width)."""
    top, left, high, wide = map(int, place)
    planes = [
        PIL.Image.fromarray(np.ascontiguousarray(plane), "F").resize(
            (size[1], size[0]), PIL.Image.Resampling.BILINEAR
        )
        for plane in np.moveaxis(image[top : top + high, left : left + wide], -1, 0)
    ]
    return np.stack([np.asarray(plane) for plane in planes], -1)
