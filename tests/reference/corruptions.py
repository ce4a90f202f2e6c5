"""The 19 common corruptions image by image, with the libraries that made the benchmarks.

Hendrycks and Dietterich 2019 (arXiv:1903.12261). OpenCV and scikit-image are needed by the
functions that use them, not by the import. ImageMagick's motion blur is its formula.
"""

from __future__ import annotations

import io
import math
import pathlib

import numpy as np
from PIL import Image
from scipy import ndimage

TABLES = {
    "gaussian_noise": {
        32: (0.04, 0.06, 0.08, 0.09, 0.10),
        64: (0.04, 0.08, 0.12, 0.15, 0.18),
        224: (0.08, 0.12, 0.18, 0.26, 0.38),
    },
    "shot_noise": {
        32: (500, 250, 100, 75, 50),
        64: (250, 100, 50, 30, 15),
        224: (60, 25, 12, 5, 3),
    },
    "impulse_noise": {
        32: (0.01, 0.02, 0.03, 0.05, 0.07),
        64: (0.01, 0.02, 0.05, 0.08, 0.14),
        224: (0.03, 0.06, 0.09, 0.17, 0.27),
    },
    "defocus_blur": {  # radius, alias
        32: ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1)),
        64: ((0.5, 0.6), (1, 0.1), (1.5, 0.1), (2.5, 0.01), (3, 0.1)),
        224: ((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5)),
    },
    "glass_blur": {  # sigma, delta, iterations
        32: ((0.05, 1, 1), (0.25, 1, 1), (0.4, 1, 1), (0.25, 1, 2), (0.4, 1, 2)),
        64: ((0.1, 1, 1), (0.5, 1, 1), (0.6, 1, 2), (0.7, 2, 1), (0.9, 2, 2)),
        224: ((0.7, 1, 2), (0.9, 2, 1), (1, 2, 3), (1.1, 3, 2), (1.5, 4, 2)),
    },
    "motion_blur": {  # radius, sigma
        32: ((6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5)),
        64: ((10, 1), (10, 1.5), (10, 2), (10, 2.5), (12, 3)),
        224: ((10, 3), (15, 5), (15, 8), (15, 12), (20, 15)),
    },
    "zoom_blur": {  # stop, step
        32: ((1.06, 0.01), (1.11, 0.01), (1.16, 0.01), (1.21, 0.01), (1.26, 0.01)),
        64: ((1.06, 0.01), (1.11, 0.01), (1.16, 0.01), (1.21, 0.01), (1.26, 0.01)),
        224: ((1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02), (1.31, 0.03)),
    },
    "snow": {  # mean, deviation, zoom, threshold, radius and sigma of the blur, share of the image
        32: (
            (0.1, 0.2, 1, 0.6, 8, 3, 0.95),
            (0.1, 0.2, 1, 0.5, 10, 4, 0.9),
            (0.15, 0.3, 1.75, 0.55, 10, 4, 0.9),
            (0.25, 0.3, 2.25, 0.6, 12, 6, 0.85),
            (0.3, 0.3, 1.25, 0.65, 14, 12, 0.8),
        ),
        64: (
            (0.1, 0.2, 1, 0.6, 8, 3, 0.8),
            (0.1, 0.2, 1, 0.5, 10, 4, 0.8),
            (0.15, 0.3, 1.75, 0.55, 10, 4, 0.7),
            (0.25, 0.3, 2.25, 0.6, 12, 6, 0.65),
            (0.3, 0.3, 1.25, 0.65, 14, 12, 0.6),
        ),
        224: (
            (0.1, 0.3, 3, 0.5, 10, 4, 0.8),
            (0.2, 0.3, 2, 0.5, 12, 4, 0.7),
            (0.55, 0.3, 4, 0.9, 12, 8, 0.7),
            (0.55, 0.3, 4.5, 0.85, 12, 8, 0.65),
            (0.55, 0.3, 2.5, 0.85, 12, 12, 0.55),
        ),
    },
    "frost": {  # shares of the image and of the frost
        32: ((1, 0.2), (1, 0.3), (0.9, 0.4), (0.85, 0.4), (0.75, 0.45)),
        64: ((1, 0.3), (0.9, 0.4), (0.8, 0.45), (0.75, 0.5), (0.7, 0.55)),
        224: ((1, 0.4), (0.8, 0.6), (0.7, 0.7), (0.65, 0.7), (0.6, 0.75)),
    },
    "fog": {  # strength, decay
        32: ((0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75)),
        64: ((0.4, 3), (0.7, 3), (1, 2.5), (1.5, 2), (2, 1.75)),
        224: ((1.5, 2), (2, 2), (2.5, 1.7), (2.5, 1.5), (3, 1.4)),
    },
    "brightness": {
        32: (0.05, 0.1, 0.15, 0.2, 0.3),
        64: (0.1, 0.2, 0.3, 0.4, 0.5),
        224: (0.1, 0.2, 0.3, 0.4, 0.5),
    },
    "contrast": {
        32: (0.75, 0.5, 0.4, 0.3, 0.15),
        64: (0.4, 0.3, 0.2, 0.1, 0.05),
        224: (0.4, 0.3, 0.2, 0.1, 0.05),
    },
    "elastic_transform": {  # alpha, sigma, affine, in units of ELASTIC_UNIT pixels
        32: (
            (0, 0, 0.08),
            (0.05, 0.2, 0.07),
            (0.08, 0.06, 0.06),
            (0.1, 0.04, 0.05),
            (0.1, 0.03, 0.03),
        ),
        64: (
            (0, 0, 0.08),
            (0.05, 0.3, 0.06),
            (0.1, 0.08, 0.06),
            (0.1, 0.03, 0.03),
            (0.16, 0.03, 0.02),
        ),
        224: (
            (2, 0.7, 0.1),
            (2, 0.08, 0.2),
            (0.05, 0.01, 0.02),
            (0.07, 0.01, 0.02),
            (0.12, 0.01, 0.02),
        ),
    },
    "pixelate": {
        32: (0.95, 0.9, 0.85, 0.75, 0.65),
        64: (0.9, 0.8, 0.7, 0.6, 0.5),
        224: (0.6, 0.5, 0.4, 0.3, 0.25),
    },
    "jpeg_compression": {
        32: (80, 65, 58, 50, 40),
        64: (65, 58, 50, 40, 25),
        224: (25, 18, 15, 10, 7),
    },
    "speckle_noise": {
        32: (0.06, 0.1, 0.12, 0.16, 0.2),
        64: (0.15, 0.2, 0.25, 0.3, 0.35),
        224: (0.15, 0.2, 0.35, 0.45, 0.6),
    },
    "gaussian_blur": {
        32: (0.4, 0.6, 0.7, 0.8, 1),
        64: (0.5, 0.75, 1, 1.25, 1.5),
        224: (1, 2, 3, 4, 6),
    },
    "spatter": {  # mean, deviation, sigma, threshold, intensity (water) or sigma (mud), mode
        32: (
            (0.62, 0.1, 0.7, 0.7, 0.5, 0),
            (0.65, 0.1, 0.8, 0.7, 0.5, 0),
            (0.65, 0.3, 1, 0.69, 0.5, 0),
            (0.65, 0.1, 0.7, 0.69, 0.6, 1),
            (0.65, 0.1, 0.5, 0.68, 0.6, 1),
        ),
        64: (
            (0.62, 0.1, 0.7, 0.7, 0.6, 0),
            (0.65, 0.1, 0.8, 0.7, 0.6, 0),
            (0.65, 0.3, 1, 0.69, 0.6, 0),
            (0.65, 0.1, 0.7, 0.68, 0.6, 1),
            (0.65, 0.1, 0.5, 0.67, 0.6, 1),
        ),
        224: (
            (0.65, 0.3, 4, 0.69, 0.6, 0),
            (0.65, 0.3, 3, 0.68, 0.6, 0),
            (0.65, 0.3, 2, 0.68, 0.5, 0),
            (0.65, 0.3, 1, 0.65, 1.5, 1),
            (0.67, 0.4, 1, 0.65, 1.5, 1),
        ),
    },
    "saturate": {  # factor, offset
        32: ((0.3, 0), (0.1, 0), (1.5, 0), (2, 0.1), (2.5, 0.2)),
        64: ((0.3, 0), (0.1, 0), (2, 0), (5, 0.1), (30, 0.2)),
        224: ((0.3, 0), (0.1, 0), (2, 0), (5, 0.1), (20, 0.2)),
    },
}

ELASTIC_UNIT = {32: 32, 64: 64, 224: 244}  # 244 is the authors' slip
FROST_SCALE = {32: 0.2, 64: 0.3, 224: None}
FOG_MAP = {32: 32, 64: 64, 224: 256}

WATER = np.array([175, 238, 238]) / 255
MUD = np.array([63, 42, 20]) / 255


def reference(image, name, severity, table, rng, frost=None):
    """One square image uint8 [H, W, 3], corrupted, uint8; `frost` as `frost_textures` makes it."""
    result = uncut(image, name, severity, table, rng, frost)
    return result if result.dtype == np.uint8 else truncated(result)


def uncut(image, name, severity, table, rng, frost=None):
    """The same before it is cut to 8 bits: numbers about [0, 1], or uint8 if it is made of them."""
    arguments = TABLES[name][table][severity - 1]
    arguments = arguments if isinstance(arguments, tuple) else (arguments,)
    if name == "elastic_transform":
        arguments = tuple(ELASTIC_UNIT[table] * number for number in arguments)
    if name == "fog":
        arguments = (*arguments, FOG_MAP[table])
    if name == "frost":
        arguments = (*arguments, frost)
    return globals()[name](image, rng, *arguments)


def frost_textures(folder, table):
    """The first five photographs, RGB uint8, at the scale of the table."""
    import cv2

    textures = []
    for number in range(1, 6):
        (path,) = pathlib.Path(folder).glob(f"frost{number}.*")
        texture = cv2.imread(str(path))
        if FROST_SCALE[table]:
            texture = cv2.resize(texture, None, fx=FROST_SCALE[table], fy=FROST_SCALE[table])
        textures.append(texture[..., ::-1])
    return textures


def truncated(x):
    """[0, 1] to 8 bits. Not-a-number, as spatter can make it, becomes 0, as in a cast on x86."""
    return np.nan_to_num(np.clip(x, 0, 1) * 255).astype(np.uint8)


# Noise.


def gaussian_noise(image, rng, sigma):
    return image / 255 + rng.normal(0, sigma, image.shape)


def shot_noise(image, rng, rate):
    return rng.poisson(image / 255 * rate) / rate


def impulse_noise(image, rng, amount):
    from skimage.util import random_noise

    return random_noise(image / 255, mode="s&p", rng=rng, amount=amount)


def speckle_noise(image, rng, sigma):
    return image / 255 * (1 + rng.normal(0, sigma, image.shape))


# Blur.


def smooth(x, sigma, **options):
    from skimage.filters import gaussian

    return gaussian(x, sigma, channel_axis=-1 if x.ndim == 3 else None, **options)


def gaussian_blur(image, rng, sigma):
    return smooth(image / 255, sigma)


def glass_blur(image, rng, sigma, delta, iterations):
    size = len(image)
    blurred = truncated(smooth(image / 255, sigma)).reshape(-1, 3)
    lines = np.arange(size - delta, delta, -1)
    places = (size * lines[:, np.newaxis] + lines).ravel()
    # The exchange goes through views of the same memory, so it copies in one direction. Which pixel
    # comes from where does not depend on the pixels.
    origin = list(range(size * size))
    for _ in range(iterations):
        right, down = rng.integers(-delta, delta, [2, len(places)])
        for here, there in zip(places.tolist(), (places + size * down + right).tolist()):
            origin[here] = origin[there]
    return smooth(blurred[origin].reshape(image.shape) / 255, sigma)


def disk(radius, alias):
    import cv2

    reach, taps = (8, 3) if radius <= 8 else (radius, 5)
    squares = np.arange(-reach, reach + 1) ** 2
    inside = (squares[:, np.newaxis] + squares <= radius**2).astype(np.float32)
    return cv2.GaussianBlur(inside / inside.sum(), (taps, taps), alias)


def defocus_blur(image, rng, radius, alias):
    import cv2

    kernel = disk(radius, alias)
    return np.dstack([cv2.filter2D(image[..., c] / 255, -1, kernel) for c in range(3)])


def moved(image, radius, sigma, degrees):
    """ImageMagick's motion blur of 8-bit values, uint8."""
    taps = np.arange(2 * radius + 1)
    weights = np.exp(-(taps**2) / (2 * sigma**2))
    weights /= weights.sum()
    angle = math.radians(degrees)
    rows, columns = (np.arange(n) for n in image.shape[:2])
    total = np.zeros(image.shape)
    for tap, weight in zip(taps, weights):
        down = math.ceil(tap * math.sin(angle) - 0.5)
        right = math.ceil(tap * math.cos(angle) - 0.5)
        from_rows = np.clip(rows + down, 0, rows[-1])
        from_columns = np.clip(columns + right, 0, columns[-1])
        total += weight * image[from_rows][:, from_columns]
    return np.floor(total + 0.5).astype(np.uint8)


def motion_blur(image, rng, radius, sigma):
    return moved(image, radius, sigma, rng.uniform(-45, 45))


def zoomed(x, factor):
    """The centre of x [H, W, C], enlarged to its size again."""
    size = len(x)
    inner = math.ceil(size / factor)
    first = (size - inner) // 2
    centre = x[first : first + inner, first : first + inner]
    large = ndimage.zoom(centre, (factor, factor, 1), order=1)
    first = (len(large) - size) // 2
    return large[first : first + size, first : first + size]


def zoom_blur(image, rng, stop, step):
    x = (image / 255).astype(np.float32)
    layers = [x, *(zoomed(x, factor) for factor in np.arange(1, stop, step))]
    return np.sum(layers, axis=0) / len(layers)


# Weather.


def snow(image, rng, mean, deviation, zoom, threshold, radius, sigma, share):
    import cv2

    x = (image / 255).astype(np.float32)
    flakes = zoomed(rng.normal(mean, deviation, [*image.shape[:2], 1]), zoom)
    flakes = truncated(np.where(flakes < threshold, 0, flakes)[..., 0])
    flakes = moved(flakes, radius, sigma, rng.uniform(-135, -45))[..., np.newaxis] / 255
    grey = cv2.cvtColor(x, cv2.COLOR_RGB2GRAY)[..., np.newaxis]
    pale = share * x + (1 - share) * np.maximum(x, 1.5 * grey + 0.5)
    return pale + flakes + flakes[::-1, ::-1]


def frost(image, rng, image_share, frost_share, textures):
    size = len(image)
    texture = textures[rng.integers(5)]
    top, left = (rng.integers(0, length - size) for length in texture.shape[:2])
    part = texture[top : top + size, left : left + size]
    return (image_share * image + frost_share * part) / 255


def plasma(size, decay, rng):
    """Diamond-square on a torus, in [0, 1]."""
    field = np.zeros([size, size])
    step, wibble = size, 100.0

    def mean(*neighbours):
        return sum(neighbours) / 4 + wibble * rng.uniform(-wibble, wibble, neighbours[0].shape)

    while step > 1:
        half = step // 2
        corners = field[::step, ::step].copy()
        right, below = np.roll(corners, -1, axis=1), np.roll(corners, -1, axis=0)
        middles = mean(corners, right, below, np.roll(below, -1, axis=1))
        field[half::step, half::step] = middles
        field[::step, half::step] = mean(corners, right, middles, np.roll(middles, 1, axis=0))
        field[half::step, ::step] = mean(corners, below, middles, np.roll(middles, 1, axis=1))
        step, wibble = half, wibble / decay
    return (field - field.min()) / np.ptp(field)


def fog(image, rng, strength, decay, map_size):
    x = image / 255
    height, width = image.shape[:2]
    cloud = plasma(map_size, decay, rng)[:height, :width, np.newaxis]
    return (x + strength * cloud) * x.max() / (x.max() + strength)


# Digital.


def brightness(image, rng, offset):
    from skimage.color import hsv2rgb, rgb2hsv

    hue, saturation, value = np.moveaxis(rgb2hsv(image / 255), -1, 0)
    return hsv2rgb(np.dstack([hue, saturation, np.clip(value + offset, 0, 1)]))


def saturate(image, rng, factor, offset):
    from skimage.color import hsv2rgb, rgb2hsv

    hue, saturation, value = np.moveaxis(rgb2hsv(image / 255), -1, 0)
    return hsv2rgb(np.dstack([hue, np.clip(factor * saturation + offset, 0, 1), value]))


def contrast(image, rng, factor):
    x = image / 255
    mean = x.mean(axis=(0, 1))
    return (x - mean) * factor + mean


def pixelate(image, rng, share):
    size = len(image)
    small = Image.fromarray(image).resize((int(size * share),) * 2, Image.BOX)
    return np.asarray(small.resize((size, size), Image.BOX))


def jpeg_compression(image, rng, quality):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def elastic_transform(image, rng, alpha, sigma, affine):
    import cv2

    x = (image / 255).astype(np.float32)
    size = len(image)
    centre, arm = size // 2, size // 3
    signs = np.array([[1, 1], [1, -1], [-1, -1]])
    here = (centre + arm * signs).astype(np.float32)
    there = here + rng.uniform(-affine, affine, here.shape).astype(np.float32)
    matrix = cv2.getAffineTransform(here, there)
    x = cv2.warpAffine(x, matrix, (size, size), borderMode=cv2.BORDER_REFLECT_101)
    shifts = []
    for _ in "xy":
        field = rng.uniform(-1, 1, [size, size])
        field = smooth(field, sigma, mode="reflect", truncate=3) if sigma else field
        shifts.append((alpha * field).astype(np.float32))
    rows, columns = np.mgrid[:size, :size]
    places = [rows + shifts[1], columns + shifts[0]]
    planes = [ndimage.map_coordinates(x[..., c], places, order=1, mode="reflect") for c in range(3)]
    return np.dstack(planes)


def spatter(image, rng, mean, deviation, sigma, threshold, extent, mode):
    x = (image / 255).astype(np.float32)
    layer = smooth(rng.normal(mean, deviation, image.shape[:2]), sigma)
    layer[layer < threshold] = 0
    if mode == 0:
        return x + extent * water(layer)[..., np.newaxis] * WATER
    mask = smooth((layer > threshold).astype(np.float32), extent)
    mask = np.where(mask < 0.8, 0, mask)[..., np.newaxis]
    return x * (1 - mask) + mask * MUD


def water(layer):
    """Where light breaks in the drops, at most 1; not-a-number everywhere if there is no drop."""
    import cv2

    layer = (layer * 255).astype(np.uint8)
    distance = cv2.distanceTransform(255 - cv2.Canny(layer, 50, 150), cv2.DIST_L2, 5)
    distance = cv2.blur(np.minimum(distance, 20), (3, 3)).astype(np.uint8)
    relief = np.array([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]], np.float32)
    distance = cv2.filter2D(cv2.equalizeHist(distance), cv2.CV_8U, relief)
    light = layer * cv2.blur(distance, (3, 3)).astype(np.float32)
    with np.errstate(invalid="ignore"):
        return light / light.max()
