"""Corruptions beside the libraries that made the benchmarks: OpenCV, scikit-image, SciPy, Pillow.

Deterministic corruptions are compared value by value. Random ones draw other numbers here than
there, so what they did to the same images is compared by statistics.
"""

from __future__ import annotations

import functools

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tests.reference import corruptions as reference
from tfrobust.corruptions import CORRUPTIONS, severities
from tfrobust.corruptions.batch import cut
from tfrobust.ops import fields

pytest.importorskip("cv2")
pytest.importorskip("skimage")

#: How far, in 8-bit levels, a value may be from the original's before it is cut to a whole number.
#: Where that is a whole number but for rounding, the cut falls to either side of it.
DETERMINISTIC = {
    "defocus_blur": 0.01,
    "zoom_blur": 0.01,
    "brightness": 0.01,
    "contrast": 0.01,
    "pixelate": 0,
    "jpeg_compression": 0,
    "gaussian_blur": 0.01,
    "saturate": 0.01,
}
#: The share of the values that may be off by one. The batched JPEG is computed in float32: which of
#: its values, about one in a million, falls to the other side of a half depends on the processor.
OFF_BY_ONE = {"jpeg_compression": 1e-4}
RANDOM = tuple(name for name in CORRUPTIONS if name not in DETERMINISTIC)

#: What the means may differ by beyond the standard errors, in 8-bit levels. Glass blur is cut to
#: whole numbers twice, and where the image is smooth a blur of 0.25 pixels changes next to nothing.
ROUNDING = {"glass_blur": 0.5}

#: Size -> how many images, and how many standard errors the means may differ by: fewer images know
#: their standard error less well.
SAMPLES = {32: (200, 5), 64: (40, 6), 224: (12, 8)}


#: Size and severities. Where a function has two ways, these go both: elastic without waves and with
#: them, water and mud, glass copied once and twice.
QUICK = pytest.param(32, (1, 5), id="32")
TWO_WAYS = ("elastic_transform", "spatter", "glass_blur")


def slow(size, *chosen):
    return pytest.param(size, chosen, id=f"{size}-more", marks=pytest.mark.slow)


@functools.cache
def photos(count, size, seed=0):
    """uint8: smooth colours, an edge, a flat saturated corner, and fine noise in every second."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0 : 1 : size * 1j, 0 : 1 : size * 1j][..., np.newaxis]
    images = []
    for i in range(count):
        speed, phase = random.uniform(1, 9, [2, 3]), random.uniform(0, 7, [2, 3])
        image = 120 + 45 * (np.sin(y * speed[0] + phase[0]) + np.cos(x * speed[1] + phase[1]))
        disk = np.hypot(y - random.random(), x - random.random()) < random.uniform(0.1, 0.4)
        image = image + disk * random.uniform(-120, 120, 3)
        width, height = random.integers(size // 8, size // 3, 2)
        image[:height, :width] = random.permutation([255, 0, random.integers(256)])
        image += (0, 12)[i % 2] * random.normal(size=image.shape)
        images.append(np.clip(image, 0, 255).round())
    return np.stack(images).astype(np.uint8)


def extremes(size):
    """Black and white, one bright pixel, and all hues at all saturations."""
    black = np.zeros([size, size, 3], np.uint8)
    halves, point = black.copy(), black.copy()
    halves[: size // 2] = 255
    point[size // 2, size // 2] = 255
    ramp = np.linspace(0, 255, size).round().astype(np.uint8)
    hsv = np.dstack([*np.meshgrid(ramp, ramp), np.full([size, size], 200, np.uint8)])
    return np.stack([halves, point, np.asarray(Image.fromarray(hsv, "HSV").convert("RGB"))])


@pytest.fixture(scope="module")
def frost_folder(tmp_path_factory):
    """Five textures: streaks of different brightness, hue and roughness."""
    folder = tmp_path_factory.mktemp("frost")
    random = np.random.default_rng(7)
    for number, suffix in enumerate(("png", "png", "png", "jpg", "jpg"), start=1):
        height, width = 300 + 40 * number, 400 - 20 * number
        coarse = random.uniform(0, 60 + 35 * number, [height // 20, width // 3, 3])
        texture = Image.fromarray(coarse.astype(np.uint8)).resize((width, height), Image.BICUBIC)
        texture.save(folder / f"frost{number}.{suffix}")
    return folder


def originals(images, name, severity, seed=0, folder=None):
    size = images.shape[1]
    frost = reference.frost_textures(folder, size) if name == "frost" else None
    random = np.random.default_rng([seed, severity])
    return np.stack([reference.reference(i, name, severity, size, random, frost) for i in images])


def corrupted(images, name, severity, **options):
    """Like `corrupt`, but compiles only once what severities have in common."""
    keys = fields.image_keys(1, name, severity, tf.range(len(images)))
    arguments = severities.parameters(name, severity, images.shape[1])
    pixels = CORRUPTIONS[name](tf.cast(images, tf.float32), keys, *arguments, **options)
    return cut(pixels).numpy()


@pytest.mark.parametrize(
    "size, chosen",
    [QUICK, slow(32, 2, 3, 4), slow(64, 1, 2, 3, 4, 5), slow(224, 1, 2, 3, 4, 5)],
)
@pytest.mark.parametrize("name", DETERMINISTIC)
def test_deterministic(name, size, chosen):
    images = photos(1, size)
    if size != 224:
        images = np.concatenate([images, extremes(size)])
    for severity in chosen:
        ours = corrupted(images, name, severity)
        exact = [reference.uncut(image, name, severity, size, None) for image in images]
        exact = np.stack(exact) * (1.0 if exact[0].dtype == np.uint8 else 255.0)
        low, high = (
            np.clip(exact + sign * DETERMINISTIC[name], 0, 255).astype(np.uint8) for sign in (-1, 1)
        )
        wrong = (ours < low) | (ours > high)
        first = np.argmax(wrong)
        assert wrong.mean() <= OFF_BY_ONE.get(name, 0), (
            f"severity {severity}: {wrong.sum()} of {wrong.size} values, the first is "
            f"{ours.flat[first]}, the original {exact.flat[first]:.4f}"
        )
        whole = np.clip(exact, 0, 255).astype(np.uint8)
        assert np.abs(ours.astype(int) - whole).max() <= 1


def statistics_of(clean, corrupted):
    """Name -> one number per image; all are in 8-bit levels."""
    change = corrupted.astype(float) - clean
    size = clean.shape[1]
    found = {f"mean of channel {c}": change[..., c].mean(axis=(1, 2)) for c in range(3)}
    found["standard deviation"] = change.std(axis=(1, 2, 3))
    distance = np.abs(change).mean(axis=3)
    found["mean absolute change"] = distance.mean(axis=(1, 2))
    edge = max(2, size // 16)
    found["change at the top"] = distance[:, :edge].mean(axis=(1, 2))
    found["change at the bottom"] = distance[:, -edge:].mean(axis=(1, 2))
    found["change on the left"] = distance[:, :, :edge].mean(axis=(1, 2))
    found["change on the right"] = distance[:, :, -edge:].mean(axis=(1, 2))
    # What moves the image down or right goes with its derivative.
    for axis, direction in ((1, "down"), (2, "right")):
        slope = np.roll(clean.astype(float), 1, axis) - np.roll(clean.astype(float), -1, axis)
        norm = np.sqrt((slope**2).mean(axis=(1, 2, 3)))
        found[f"movement {direction}"] = (change * slope).mean(axis=(1, 2, 3)) / norm
    # Power spectrum by the length of the wave, and by its direction.
    power = (np.abs(np.fft.fft2(change, axes=(1, 2))) ** 2).mean(axis=3) / size**4
    rows, columns = np.meshgrid(*[np.abs(np.fft.fftfreq(size))] * 2, indexing="ij")
    radius = np.hypot(rows, columns)
    bounds = [0.5 / size, 1.5 / size, 2.5 / size, 0.12, 0.2, 0.3, 0.4, 1]
    for low, high in zip(bounds, bounds[1:]):
        ring = power[:, (radius >= low) & (radius < high)]
        found[f"wave numbers {low:.3f} to {high:.3f}"] = np.sqrt(ring.sum(axis=1))
    found["waves across"] = np.sqrt(power[:, columns > 2 * rows].sum(axis=1))
    found["waves down"] = np.sqrt(power[:, rows > 2 * columns].sum(axis=1))
    found["waves aslant"] = np.sqrt(power[:, (columns <= 2 * rows) & (rows <= 2 * columns)].sum(1))
    # Between the channels: noise has its own in each, weather one for all.
    grey = change.mean(axis=3)
    found["grey standard deviation"] = grey.std(axis=(1, 2))
    return found


def differences(images, ours, theirs, margin, rounding=0.05):
    """Statistics that differ by more than the margin in standard errors and rounding in levels."""
    wrong = []
    expected = statistics_of(images, theirs)
    for what, value in statistics_of(images, ours).items():
        difference = value - expected[what]
        error = difference.std(ddof=1) / np.sqrt(len(images))
        if not abs(difference.mean()) <= margin * error + rounding:
            wrong.append(
                f"{what}: {value.mean():.3f}, original {expected[what].mean():.3f}, "
                f"standard error {error:.3f}"
            )
    return wrong


@pytest.mark.parametrize("size, chosen", [QUICK, slow(32, 1, 3), slow(64, 4), slow(224, 3)])
@pytest.mark.parametrize("name", RANDOM)
def test_random(name, size, chosen, frost_folder):
    count, margin = SAMPLES[size]
    images = photos(count, size, seed=1)
    options = {"folder": frost_folder} if name == "frost" else {}
    if chosen == (1, 5) and name not in TWO_WAYS:
        chosen = (5,)
    for severity in chosen:
        ours = corrupted(images, name, severity, **options)
        theirs = originals(images, name, severity, folder=frost_folder)
        wrong = differences(images, ours, theirs, margin, ROUNDING.get(name, 0.05))
        assert not wrong, f"severity {severity}"


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_severities_grow(name, frost_folder):
    """Severity 5 changes more than severity 1; two tables at 32 pixels are not in that order."""
    # As many images as above, so that nothing is compiled again.
    images = photos(4 if name in DETERMINISTIC else SAMPLES[32][0], 32, seed=1)
    options = {"folder": frost_folder} if name == "frost" else {}
    weak, strong = (
        np.abs(corrupted(images, name, severity, **options).astype(float) - images).mean()
        for severity in (1, 5)
    )
    assert min(weak, strong) > 0
    assert strong > weak or name in ("elastic_transform", "saturate")


@pytest.mark.parametrize("name", ["gaussian_noise", "motion_blur", "fog", "elastic_transform"])
def test_statistics_tell_the_next_severity(name):
    """Otherwise the comparison above would mean little."""
    images = photos(200, 32, seed=1)
    weak, strong = (originals(images, name, severity) for severity in (4, 5))
    assert differences(images, weak, strong, margin=5)
    assert not differences(images, weak, originals(images, name, 4, seed=1), margin=5)
