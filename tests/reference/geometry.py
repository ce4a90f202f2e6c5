"""Warps by SciPy, windows by NumPy's padding, one image at a time."""

from __future__ import annotations

import math

import numpy as np
import scipy.ndimage


def warp(images, matrices, order=1):
    """Reads image b at `matrices[b]` (2×2, for x and y) times the place, both from the middle.

    SciPy's "grid-constant" is the border that blends into black.
    """
    images = np.asarray(images, "float64")
    middle = (np.array(images.shape[1:3]) - 1) / 2
    result = np.empty_like(images)
    for b, matrix in enumerate(matrices):
        matrix = np.asarray(matrix, "float64")[::-1, ::-1]  # SciPy counts rows before columns
        for c in range(images.shape[-1]):
            result[b, :, :, c] = scipy.ndimage.affine_transform(
                images[b, :, :, c],
                matrix,
                middle - matrix @ middle,
                order=order,
                mode="grid-constant",
            )
    return result


def rotate(images, angle_degrees, order=1):
    """Counter-clockwise, about the middle."""
    matrices = []
    for angle in np.broadcast_to(angle_degrees, len(images)):
        cosine, sine = math.cos(math.radians(angle)), math.sin(math.radians(angle))
        matrices.append([[cosine, -sine], [sine, cosine]])
    return warp(images, matrices, order)


def shear(images, shear_x, shear_y):
    """x reads x + s_x·y, y reads y + s_y·x, from the middle."""
    pairs = zip(np.broadcast_to(shear_x, len(images)), np.broadcast_to(shear_y, len(images)))
    return warp(images, [[[1, x], [y, 1]] for x, y in pairs])


def crop(images, top, left, height, width, fill):
    """Windows of the images after padding far enough."""
    top, left = (np.broadcast_to(t, len(images)) for t in (top, left))
    result = np.empty([len(images), height, width, images.shape[-1]], images.dtype)
    for b, image in enumerate(images):
        before = [max(0, -top[b]), max(0, -left[b])]
        after = [
            max(0, top[b] + height - image.shape[0]),
            max(0, left[b] + width - image.shape[1]),
        ]
        padding = [*zip(before, after), (0, 0)]
        padded = np.pad(image, padding, "reflect" if fill == "mirror" else "constant")
        y, x = before[0] + top[b], before[1] + left[b]
        result[b] = padded[y : y + height, x : x + width]
    return result


def translate(images, dx, dy, fill):
    """Moves what is seen to the right and down."""
    return crop(images, -np.asarray(dy), -np.asarray(dx), *images.shape[1:3], fill)
