"""AugMix's operators as Pillow has them, and their mixing in NumPy."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageEnhance, ImageOps


def smooth_images(count, height, width, channels=3, seed=0):
    """uint8 images like photographs: smooth, with edges and some noise; the first few extreme."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, [count, 4, 4, channels], "uint8")
    images = np.empty([count, height, width, channels], "uint8")
    for i in range(count):
        for c in range(channels):
            big = Image.fromarray(coarse[i, :, :, c]).resize((width, height), Image.BICUBIC)
            images[i, :, :, c] = np.asarray(big)
    images[:, height // 3 :, width // 2 :] //= 2
    noise = random.integers(-8, 9, images.shape)
    images = np.clip(images.astype(int) + noise, 0, 255).astype("uint8")
    special = [0, 255, random.integers(0, 256, images.shape[1:]), 100]
    for i, values in enumerate(special[:count]):
        images[i] = values
    if count > 3:
        images[3, 0, 0] = 255  # one bright pixel
    return images


def operate(name, pixels, level):
    """One operator of the paper's Table on one uint8 image; a negative level turns it round."""
    size, sign = abs(level), -1 if level < 0 else 1
    image = Image.fromarray(pixels if pixels.shape[-1] > 1 else pixels[..., 0])
    width, height = image.size

    def affine(*matrix):
        return image.transform(image.size, Image.AFFINE, matrix, resample=Image.BILINEAR)

    whole = {
        "translate_x": sign * int(size * (width / 3) / 10),
        "translate_y": sign * int(size * (height / 3) / 10),
    }
    result = {
        "autocontrast": lambda: ImageOps.autocontrast(image),
        "equalize": lambda: ImageOps.equalize(image),
        "posterize": lambda: ImageOps.posterize(image, 4 - int(size * 4 / 10)),
        "rotate": lambda: image.rotate(sign * int(size * 30 / 10), Image.BILINEAR),
        "solarize": lambda: ImageOps.solarize(image, 256 - int(size * 256 / 10)),
        "shear_x": lambda: affine(1, level * 0.3 / 10, 0, 0, 1, 0),
        "shear_y": lambda: affine(1, 0, 0, level * 0.3 / 10, 1, 0),
        "translate_x": lambda: affine(1, 0, whole["translate_x"], 0, 1, 0),
        "translate_y": lambda: affine(1, 0, 0, 0, 1, whole["translate_y"]),
        "color": lambda: ImageEnhance.Color(image).enhance(size * 1.8 / 10 + 0.1),
        "contrast": lambda: ImageEnhance.Contrast(image).enhance(size * 1.8 / 10 + 0.1),
        "brightness": lambda: ImageEnhance.Brightness(image).enhance(size * 1.8 / 10 + 0.1),
        "sharpness": lambda: ImageEnhance.Sharpness(image).enhance(size * 1.8 / 10 + 0.1),
    }[name]()
    return np.asarray(result).reshape(pixels.shape)


def chain(names, pixels, levels):
    """Operators one after the other."""
    for name, level in zip(names, levels):
        pixels = operate(name, pixels, level)
    return pixels


def mix(image, chains, weights, blend):
    """(1 − m)·x + m·Σ w_i·chain_i in float64; chains in [0, 1]."""
    mixture = sum(w * c for w, c in zip(np.float64(weights), np.float64(chains)))
    return (1 - blend) * np.float64(image) + blend * mixture
