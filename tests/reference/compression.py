"""JPEG and thumbnails with Pillow, and images for both."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image


def photos(count, height, width, channels=3, seed=0):
    """8-bit images with smooth colours, edges and, in every second one, much noise."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j][..., np.newaxis]
    images = []
    for i in range(count):
        waves = random.uniform(1, 6, [4, channels])
        image = np.sin(rows * waves[0] + waves[1]) + np.cos(columns * waves[2] + waves[3])
        inside = np.hypot(rows - random.random(), columns - random.random()) < 0.4
        image = 128 + 50 * image + inside * random.uniform(-90, 90, channels)
        images.append(image + (4, 60)[i % 2] * random.normal(size=image.shape))
    return np.clip(np.stack(images), 0, 255).round().astype(np.uint8)


def jpeg_file(image, quality):
    """One 8-bit image [H, W, C], written with Pillow's defaults and opened again."""
    file = io.BytesIO()
    Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(
        file, "JPEG", quality=int(quality)
    )
    return Image.open(file)


def jpeg(images, qualities):
    """8-bit images [B, H, W, C] through files."""
    results = [np.asarray(jpeg_file(image, q)) for image, q in zip(images, qualities)]
    return np.stack(results).reshape(images.shape)


def thumbnail(images, sizes):
    """Images [B, H, W, C] in [0, 1] shrunk and stretched in floating point."""
    results = []
    for image, size in zip(np.asarray(images, "float32"), sizes):
        height, width, channels = image.shape
        small = min(size, width), min(size, height)
        planes = [Image.fromarray(np.ascontiguousarray(image[..., c])) for c in range(channels)]
        planes = [
            plane.resize(small, Image.BILINEAR).resize((width, height), Image.BILINEAR)
            for plane in planes
        ]
        results.append(np.stack([np.asarray(plane) for plane in planes], -1))
    return np.stack(results)


def thumbnail_of_8_bits(images, size):
    """8-bit RGB images [B, H, W, 3], rounded to 8 bits after each of the two steps."""
    results = []
    for image in images:
        height, width = image.shape[:2]
        small = Image.fromarray(image).resize((min(size, width), min(size, height)), Image.BILINEAR)
        results.append(np.asarray(small.resize((width, height), Image.BILINEAR)))
    return np.stack(results)
