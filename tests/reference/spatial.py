"""A rotation about the middle followed by a shift, nearest pixel, black outside; one at a time."""

from __future__ import annotations

import math

import numpy as np


def turned_and_shifted(image, degrees, down, right):
    """[H, W, C]; counter-clockwise degrees and whole pixels."""
    height, width = image.shape[:2]
    middle_y, middle_x = (height - 1) / 2, (width - 1) / 2
    angle = math.radians(degrees)
    result = np.zeros_like(image)
    for row in range(height):
        for column in range(width):
            y, x = row - down - middle_y, column - right - middle_x
            from_x = x * math.cos(angle) - y * math.sin(angle) + middle_x
            from_y = x * math.sin(angle) + y * math.cos(angle) + middle_y
            place = math.floor(from_y + 0.5), math.floor(from_x + 0.5)
            if 0 <= place[0] < height and 0 <= place[1] < width:
                result[row, column] = image[place]
    return result
