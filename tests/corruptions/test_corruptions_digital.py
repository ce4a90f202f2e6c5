"""Brightness, contrast, saturation, pixelation, JPEG: hand-computed values, NumPy and Pillow."""

from __future__ import annotations

import colorsys
import io

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

from tfrobust.corruptions import digital, severities

NAMES = ["brightness", "contrast", "saturate", "pixelate", "jpeg_compression"]
CASES = [
    (name, table, severity)
    for name in NAMES
    for table, severity in ((32, 1), (32, 5), (64, 3), (224, 5))
]


def photographs(height, width, count=3):
    """Smooth fields with edges and some noise, uint8."""
    random = np.random.default_rng(height * width)
    rows, columns = np.meshgrid(*(np.linspace(0, 1, n) for n in (height, width)), indexing="ij")
    images = []
    for _ in range(count):
        waves = random.normal(size=[3, 4, 2]) * 6
        phase = random.random([3, 4]) * 6
        field = np.cos(waves[..., 0, None, None] * rows + waves[..., 1, None, None] * columns)
        field = np.sum(field * np.cos(phase)[..., None, None], axis=1) * 40 + 128
        field += random.normal(size=field.shape) * 5
        field[:, height // 3 : height // 2 + 1, width // 4 : width // 2 + 1] += 70
        images.append(field.transpose(1, 2, 0))
    return np.clip(np.stack(images), 0, 255).astype("uint8")


def every_kind_of_pixel():
    """[1, 1, N, 3]: all triples of nine levels (ties, black, white, grey, primaries) and random."""
    levels = np.array([0, 1, 2, 60, 127, 128, 200, 254, 255])
    triples = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(-1, 3)
    random = np.random.default_rng(0).integers(0, 256, [800, 3])
    return np.concatenate([triples, random])[np.newaxis, np.newaxis].astype("uint8")


def extremes(height, width):
    images = np.zeros([5, height, width, 3], "uint8")
    images[1] = 255
    images[2] = 77
    images[3, height // 2, width // 2] = 255
    images[4, :, : (width + 1) // 2] = 255
    return images


# The original operations on one image in [0, 1], in double precision.


def through_hsv(image, change):
    pixels = [
        colorsys.hsv_to_rgb(*change(*colorsys.rgb_to_hsv(*pixel))) for pixel in image.reshape(-1, 3)
    ]
    return np.reshape(pixels, image.shape)


def clip(value):
    return min(max(value, 0.0), 1.0)


def original(name, image, arguments):
    x = image / 255
    if name == "brightness":
        x = through_hsv(x, lambda h, s, v: (h, s, clip(v + arguments[0])))
    elif name == "saturate":
        x = through_hsv(x, lambda h, s, v: (h, clip(s * arguments[0] + arguments[1]), v))
    elif name == "contrast":
        mean = x.mean((0, 1))
        x = (x - mean) * arguments[0] + mean
    elif name == "pixelate":
        height, width = image.shape[:2]
        small = (int(width * arguments[0]), int(height * arguments[0]))
        picture = PIL.Image.fromarray(image).resize(small, PIL.Image.Resampling.BOX)
        return np.asarray(picture.resize((width, height), PIL.Image.Resampling.BOX))
    else:
        file = io.BytesIO()
        PIL.Image.fromarray(image).save(file, "JPEG", quality=arguments[0])
        return np.asarray(PIL.Image.open(file))
    return np.clip(x, 0, 1) * 255


def both(images, name, severity, table):
    """Results and the original's, clipped to [0, 255] but not truncated to 8 bits."""
    arguments = severities.parameters(name, severity, table)
    expected = np.stack([original(name, image, arguments) for image in images])
    pixels = getattr(digital, name)(tf.cast(images, tf.float32), None, *arguments).numpy()
    return np.clip(pixels, 0, 255), expected.astype(float)


def check(images, name, severity, table):
    pixels, expected = both(images, name, severity, table)
    if name in ("pixelate", "jpeg_compression"):
        assert np.abs(pixels - expected).max() <= 1 and np.mean(pixels != expected) < 1e-4
        return
    np.testing.assert_allclose(pixels, expected, atol=5e-4)
    # Cut as `corrupt` does, results are above the original's where double precision falls below
    # whole numbers: by one, and never below.
    far = np.floor(pixels + 1e-3) - np.floor(expected)
    assert far.min() >= 0 and far.max() <= 1


@pytest.mark.parametrize("name, table, severity", CASES)
def test_equals_the_original(name, table, severity):
    size = (table, table) if table < 224 and name == "pixelate" else (33, 47)
    check(photographs(*size), name, severity, table)


@pytest.mark.parametrize("table", [32, 224])
@pytest.mark.parametrize("severity", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("name", ["brightness", "saturate"])
def test_every_kind_of_pixel(name, severity, table):
    check(every_kind_of_pixel(), name, severity, table)


@pytest.mark.parametrize("name", ["pixelate", "jpeg_compression"])
def test_large_images_equal_pillow(name):
    images = photographs(224, 224, count=2)
    for severity in (1, 2, 3, 4, 5):
        np.testing.assert_array_equal(*both(images, name, severity, table=224))


@pytest.mark.parametrize(
    "name, size",
    [*((name, (7, 9)) for name in NAMES), *((name, (130, 101)) for name in NAMES[3:])],
)
def test_extreme_images(name, size):
    for severity in (1, 5):
        check(extremes(*size), name, severity, table=32)


@pytest.mark.parametrize("share", [0.05, 0.14, 0.2, 0.4, 0.51, 0.9])
def test_pixelate_equals_pillow_at_any_fraction(share):
    """Boxes of up to twenty pixels, including those where Pillow rounds halves down."""
    images = np.random.default_rng(1).integers(0, 256, [2, 60, 83, 3]).astype("uint8")
    mine = digital.pixelate(tf.cast(images, tf.float32), None, share).numpy()
    expected = np.stack([original("pixelate", image, (share,)) for image in images])
    np.testing.assert_array_equal(mine, expected)


@pytest.mark.parametrize("large", [13, 17, 30, 32, 47, 64, 96, 224])
def test_boxes_match_pillow(large):
    """For any smaller side, even if a pixel's centre lies on the border of two boxes."""
    single = PIL.Image.fromarray(np.eye(large, dtype="uint8") * 255)
    for small in range(large // 5 + 1, large + 1):
        shrunk = np.asarray(single.resize((small, large), PIL.Image.Resampling.BOX)) > 0
        first, count = digital._boxes(large, small)
        np.testing.assert_array_equal(first, shrunk.argmax(axis=0))
        np.testing.assert_array_equal(count, shrunk.sum(axis=0))
        line = PIL.Image.fromarray(np.arange(small, dtype="uint8")[np.newaxis])
        line = line.resize((large, 1), PIL.Image.Resampling.BOX)
        np.testing.assert_array_equal(digital._nearest(large, small), np.asarray(line)[0])


def test_pixelate_keeps_a_pixel():
    image = tf.constant([[[[3.0, 4.0, 5.0]]]])
    np.testing.assert_array_equal(digital.pixelate(image, None, 0.25), image)


def test_both_ways_of_jpeg_agree():
    images = tf.cast(photographs(41, 50), tf.float32)
    through_codec = digital._through_codec(images, 30).numpy()
    batched = digital.jpeg_compression(images, None, 30).numpy()
    far = np.abs(batched - through_codec)
    assert far.max() <= 1 and np.mean(far > 0) < 1e-4
    assert np.abs(batched - images).max() > 10


def test_large_jpegs_in_batches_of_any_size():
    """Small images are covered by the contract tests of all corruptions."""
    images = photographs(112, 98, count=3)
    expected = digital.jpeg_compression(tf.cast(images, tf.float32), None, 65).numpy()

    @tf.function(input_signature=[tf.TensorSpec([None, 112, 98, 3], tf.float32)])
    def run(batch):
        return digital.jpeg_compression(batch, None, 65)

    assert run(tf.zeros([0, 112, 98, 3])).shape == (0, 112, 98, 3)
    data = tf.data.Dataset.from_tensor_slices(images).batch(2)
    data = data.map(lambda batch: run(tf.cast(batch, tf.float32)))
    found = np.concatenate(list(data.as_numpy_iterator()))
    np.testing.assert_array_equal(found, expected)
