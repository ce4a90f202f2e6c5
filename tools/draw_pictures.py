"""Draws the pictures in notebooks/pictures: suns, houses and trees before skies of many colours.

    python tools/draw_pictures.py [FOLDER]

They stand for a user's own photographs, with one folder per class, and are always the same.
"""

from __future__ import annotations

import pathlib
import sys

import keras
import numpy as np

CLASSES, EACH, SIDE = ("house", "sun", "tree"), 24, 48


def picture(kind: str, random: np.random.Generator) -> np.ndarray:
    """One picture, [48, 48, 3] from 0 to 255."""
    y, x = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    cx, cy, size = random.uniform(0.35, 0.65), random.uniform(0.4, 0.55), random.uniform(0.16, 0.24)
    sky, ground = random.uniform([60, 110, 170], [170, 190, 250]), random.uniform(60, 150, 3)
    image = np.where(y[..., None] < 0.75, sky + 60 * y[..., None], ground)

    def paint(where: np.ndarray, low: list[int], high: list[int]) -> None:
        image[where] = random.uniform(low, high)

    if kind == "sun":
        angle, distance = np.arctan2(y - cy, x - cx), np.hypot(x - cx, y - cy)
        rays = np.cos(random.integers(7, 12) * angle + random.uniform(0, 6)) > 0.3
        paint((distance < 1.7 * size) & rays, [230, 190, 40], [255, 230, 120])
        paint(distance < size, [240, 150, 20], [255, 200, 70])
    elif kind == "house":
        bottom = cy + size + 0.1
        paint((abs(x - cx) < size) & (y > cy) & (y < bottom), [150, 60, 40], [230, 200, 170])
        paint((abs(x - cx) < 1.2 * (y - cy + size)) & (y < cy), [70, 30, 30], [140, 60, 50])
        paint((abs(x - cx) < 0.3 * size) & (y > bottom - size) & (y < bottom), [30] * 3, [80] * 3)
    else:
        paint((abs(x - cx) < 0.2 * size) & (y > cy) & (y < 0.85), [70, 40, 20], [120, 80, 50])
        for shift in (-0.6, 0.0, 0.6):
            crown = np.hypot(x - cx - shift * size, y - cy + 0.4 * abs(shift) * size)
            paint(crown < 0.8 * size, [20, 80, 20], [90, 160, 70])
    return np.clip(image + random.normal(0, 3, image.shape), 0, 255)


def main(folder: str = "notebooks/pictures") -> None:
    """Writes the folder."""
    for number, kind in enumerate(CLASSES):
        place = pathlib.Path(folder, kind)
        place.mkdir(parents=True, exist_ok=True)
        for i in range(EACH):
            random = np.random.default_rng([number, i])
            keras.utils.save_img(place / f"{i:02d}.jpg", picture(kind, random), scale=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
