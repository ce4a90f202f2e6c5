"""Blur corruptions: SciPy, NumPy and hand-computed values."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.ndimage

from tfrobust.corruptions import CORRUPTIONS, blur, severities, zoom

NAMES = ["gaussian_blur", "defocus_blur", "zoom_blur"]
#: At 32×32 pixels the libraries of the originals are beside them, in test_corruptions_oracle.
CASES = [(64, (33, 47), 1), (32, (7, 9), 2), (224, (96, 80), 5), (224, (1, 1), 1)]


def images(*shape, seed=0):
    """Black and white noise, the hardest for a blur; a colour; white; and any values below."""
    random = np.random.default_rng(seed)
    result = random.integers(0, 256, shape).astype("float32")
    result[0] = 255 * random.integers(0, 2, shape[1:])
    if len(result) > 3:
        result[1], result[2] = [10, 100, 200], 255
    return result


def arguments(name, table=32, severity=3):
    return severities.TABLES[table][name][severity - 1]


def gaussian_reference(image, sigma):
    return scipy.ndimage.gaussian_filter(image, (sigma, sigma, 0), mode="nearest", truncate=4.0)


def disk_reference(radius, alias):
    grid = np.arange(-8, 9) if radius <= 8 else np.arange(-radius, radius + 1)
    across, down = np.meshgrid(grid, grid)
    disk = (across**2 + down**2 <= radius**2).astype(float)
    size = 3 if radius <= 8 else 5
    taps = np.exp(-((np.arange(size) - (size - 1) / 2) ** 2) / (2 * alias**2))
    for axis in (0, 1):  # scipy's mirror is OpenCV's reflect-101
        disk = scipy.ndimage.correlate1d(disk, taps / taps.sum(), axis=axis, mode="mirror")
    return disk / (across**2 + down**2 <= radius**2).sum()


def defocus_reference(image, radius, alias):
    kernel = disk_reference(radius, alias)
    margin = len(kernel) // 2
    height, width, _ = image.shape
    padded = np.pad(image, [(margin, margin), (margin, margin), (0, 0)], mode="reflect")
    total = np.zeros_like(image)
    for down, across in np.argwhere(kernel > 1e-9):
        moved = padded[down : down + height, across : across + width]
        total += kernel[down, across] * moved
    return total


def zoom_reference(image, stop, step):
    total = image.copy()
    factors = np.arange(1, stop, step)
    height, width, _ = image.shape
    for factor in factors:
        rows, columns = (int(np.ceil(size / factor)) for size in (height, width))
        top, left = (height - rows) // 2, (width - columns) // 2
        part = image[top : top + rows, left : left + columns]
        zoomed = scipy.ndimage.zoom(part, (factor, factor, 1), order=1)
        top, left = (zoomed.shape[0] - height) // 2, (zoomed.shape[1] - width) // 2
        total += zoomed[top : top + height, left : left + width]
    return total / (len(factors) + 1)


REFERENCES = dict(zip(NAMES, (gaussian_reference, defocus_reference, zoom_reference)))


@pytest.mark.parametrize("table, size, severity", CASES)
@pytest.mark.parametrize("name", NAMES)
def test_matches_reference(name, table, size, severity):
    x = images(4, *size, 3)
    values = arguments(name, table, severity)
    expected = [REFERENCES[name](image.astype(float), *values) for image in x]
    ours = CORRUPTIONS[name](x, None, *values)
    np.testing.assert_allclose(ours, expected, atol=0.01)  # grey levels
    # Constant images stay as they are, but for the smoothing of the disk, whose mirrored border
    # changes its sum.
    share = disk_reference(*values).sum() if name == "defocus_blur" else 1
    np.testing.assert_allclose(ours[1:3], x[1:3] * share, atol=5e-4)


@pytest.mark.parametrize("radius", [4.5, 9])
def test_any_disk(radius):
    x = images(2, 31, 29, 3)
    expected = [defocus_reference(image.astype(float), radius, 0.7) for image in x]
    np.testing.assert_allclose(blur.defocus_blur(x, None, radius, 0.7), expected, atol=0.02)


def test_one_bright_pixel_becomes_the_kernel():
    point = np.zeros([1, 41, 41, 3], "float32")
    point[0, 20, 20, 1] = 255
    for radius, alias, reach in ((1, 0.2, 8), (8, 0.5, 8), (10, 0.5, 10)):
        result = blur.defocus_blur(point, None, radius, alias).numpy()[0]
        inside = result[20 - reach : 21 + reach, 20 - reach : 21 + reach, 1]
        np.testing.assert_allclose(inside / 255, disk_reference(radius, alias), atol=2e-5)
        assert (result[..., [0, 2]] == 0).all()
        outside = result[..., 1].copy()
        outside[20 - reach : 21 + reach, 20 - reach : 21 + reach] = 0
        np.testing.assert_allclose(outside / 255, 0, atol=2e-6)


@pytest.mark.parametrize("table, severity, count", [(32, 2, 12), (224, 3, 11)])
def test_number_of_zooms(table, severity, count):
    """A pixel at the top, which only the first zoom contains, keeps a weight of 2 / (count + 1)."""
    point = np.zeros([1, 401, 1, 1], "float32")
    point[0, 0] = 255
    result = zoom.zoom_blur(point, None, *arguments("zoom_blur", table, severity))
    np.testing.assert_allclose(result[0, 0, 0, 0], 255 * 2 / (count + 1), rtol=1e-5)
