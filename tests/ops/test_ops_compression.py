"""JPEG and thumbnails: hand-computed blocks and lines, Pillow, properties."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from tests.parameters import slow_unless
from tests.reference import compression as reference
from tests.reference.gradients import gradient
from tfrobust import ops
from tfrobust.ops.compression import quantization_tables

QUALITIES = [1, 10, 30, 75, 95, 100]


def to_float(images):
    return np.asarray(images, "float32") / 255


def extremes(height, width, channels):
    """Black, white, grey, a bright pixel on black, a dark one on white, and a checkerboard."""
    images = np.zeros([6, height, width, channels], "float32")
    images[1] = images[4] = 1
    images[2] = 0.5
    images[3, height // 2, width // 2] = 1
    images[4, height // 2, width // 2] = 0
    images[5] = (np.indices([height, width]).sum(0) % 2)[..., np.newaxis]
    return images


def assert_alike(result, expected):
    """JPEGs of two programs, or of two places in one.

    float32 has too few digits for a coefficient in 10,000; which way it is rounded depends on how
    its sum was added up, and moves a block.
    """
    apart = 255 * np.abs(np.asarray(result) - expected)
    assert apart.mean() < 0.05
    assert (apart > 0.5).mean() < 0.03


# JPEG


def test_tables_hand_computed():
    luminance, chrominance = (table.numpy() for table in quantization_tables([50, 25, 100, 1]))
    # s = 100, 200, 0, 5000
    np.testing.assert_array_equal(luminance[0, 0], [16, 11, 10, 16, 24, 40, 51, 61])
    np.testing.assert_array_equal(luminance[1, 0], [32, 22, 20, 32, 48, 80, 102, 122])
    np.testing.assert_array_equal(chrominance[1, 1], [36, 42, 52, 132, 198, 198, 198, 198])
    np.testing.assert_array_equal([luminance[2], chrominance[2]], np.ones([2, 8, 8]))
    np.testing.assert_array_equal([luminance[3], chrominance[3]], np.full([2, 8, 8], 255))


def test_tables_are_those_in_the_files_of_pillow():
    qualities = np.arange(1, 101)
    luminance, chrominance = (t.numpy() for t in quantization_tables(qualities))
    for quality in qualities:
        tables = reference.jpeg_file(np.zeros([8, 8, 3], "uint8"), quality).quantization
        np.testing.assert_array_equal(luminance[quality - 1].ravel(), tables[0])
        np.testing.assert_array_equal(chrominance[quality - 1].ravel(), tables[1])
    np.testing.assert_array_equal(quantization_tables(37)[0], luminance[36])
    np.testing.assert_array_equal(quantization_tables(36.6)[0], luminance[36])


@pytest.mark.parametrize(
    "level, quality, expected",
    [
        (100, 1, 96),  # 8·(100 − 128) / 255 = −0.88, so −1: 128 − 255/8
        (100, 50, 100),  # −224 / 16 = −14
        (153, 50, 154),  # 200 / 16 = 12.5: away from zero to 13, 128 + 13·16/8
        (103, 50, 102),  # −12.5, so −13
        (37, 100, 37),
    ],
)
def test_flat_grey_hand_computed(level, quality, expected):
    image = tf.fill([1, 8, 8, 1], level / 255)
    levels = 255 * ops.jpeg(image, quality)
    np.testing.assert_allclose(levels, np.full([1, 8, 8, 1], expected), atol=1e-4)


def test_flat_red_hand_computed():
    # Y 76, Cb 85, Cr 255 (127.5 more than 128 is cut off), and back to R 76 + 1.402·127 = 254.05,
    # G 76 + 0.344·43 − 0.714·127 = 0.1 and B −0.2.
    image = tf.tile(tf.constant([[[[1.0, 0.0, 0.0]]]]), [1, 16, 16, 1])
    expected = np.tile([254.0, 0, 0], [1, 16, 16, 1])
    np.testing.assert_allclose(255 * ops.jpeg(image, 100), expected, atol=1e-4)


def test_one_wave_hand_computed():
    """cos(3·(2x + 1)π/16) alone: one coefficient, to whole steps of its table entry."""
    wave = np.cos(3 * (2 * np.arange(8) + 1) * np.pi / 16)
    image = np.tile(128 + 20 * wave, [1, 8, 1])[..., np.newaxis]  # amplitude 20: coefficient 113.1
    result = 255 * ops.jpeg(to_float(image.round()), 50).numpy()
    # Entry 16 of the table: seven steps are 112, an amplitude of 112 / √32 = 19.8.
    np.testing.assert_allclose(result[0, :, :, 0], np.tile(128 + 19.8 * wave, [8, 1]), atol=0.51)


@pytest.mark.parametrize(
    "height, width, channels",
    slow_unless(
        [(17, 31, 3), (20, 4, 3), (4, 5, 3), (17, 31, 1)],
        [
            (32, 32, 3),
            (48, 64, 3),
            (17, 31, 3),
            (7, 9, 3),
            (20, 4, 3),  # two columns of chroma are repeated, three are interpolated
            (4, 5, 3),
            (1, 1, 3),
            (40, 24, 1),
            (17, 31, 1),
        ],
        several=True,
    ),
)
def test_jpeg_matches_pillow(height, width, channels):
    """Equal bit for bit except for few values: a mean difference below 0.01/255, 0.2% different."""
    images = reference.photos(24, height, width, channels)
    qualities = np.tile(QUALITIES, 4)
    result = ops.jpeg(to_float(images), qualities)
    assert result.dtype == tf.float32 and result.shape == images.shape
    apart = np.abs(255 * result.numpy() - reference.jpeg(images, qualities))
    assert apart.mean() < 0.01
    assert (apart > 0.5).mean() < 0.002


@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_extremes(channels):
    images = extremes(32, 32, channels)
    for quality in (1, 30, 100):
        result = ops.jpeg(images, quality).numpy()
        assert np.isfinite(result).all() and result.min() >= 0 and result.max() <= 1
        expected = reference.jpeg(np.round(255 * images).astype("uint8"), [quality] * 6)
        assert np.abs(255 * result - expected).mean() < 0.01


def test_jpeg_of_empty_batches_and_single_pixels():
    assert ops.jpeg(tf.zeros([0, 16, 16, 3]), 30).shape == [0, 16, 16, 3]
    assert ops.jpeg(tf.zeros([0, 16, 16, 3]), tf.zeros([0])).shape == [0, 16, 16, 3]
    # One grey pixel is a flat block: 8·(51 − 128) / 27 = −22.8, so 128 − 23·27/8 = 50.4.
    levels = 255 * ops.jpeg(tf.fill([1, 1, 1, 1], 0.2), 30)
    np.testing.assert_allclose(levels, [[[[50]]]], atol=1e-4)


def test_jpeg_rounds_its_input_to_8_bits():
    images = to_float(reference.photos(2, 24, 32))
    nudged = np.clip(images + np.random.default_rng(0).uniform(-0.4, 0.4, images.shape) / 255, 0, 1)
    expected = ops.jpeg(images, 80)
    np.testing.assert_array_equal(ops.jpeg(nudged.astype("float32"), 80), expected)
    levels = 255 * expected.numpy()
    np.testing.assert_allclose(levels, levels.round(), atol=1e-4)


def test_a_quality_for_each_image():
    images = to_float(reference.photos(6, 24, 32))
    together = ops.jpeg(images, tf.constant(QUALITIES)).numpy()
    for i, quality in enumerate(QUALITIES):
        alone = ops.jpeg(images, quality).numpy()
        assert_alike(alone[i], together[i])
        np.testing.assert_array_equal(ops.jpeg(images, quality + 0.3), alone)


def test_jpeg_loses_more_at_lower_quality():
    images = to_float(reference.photos(2, 24, 32, 1))
    lost = [float(np.abs(ops.jpeg(images, q) - images).mean()) for q in (100, 75, 30, 10, 1)]
    assert 0 < lost[0] < 1 / 255
    assert lost == sorted(lost) and lost[-1] > 0.05


def test_jpeg_works_in_blocks():
    images = to_float(reference.photos(2, 24, 32, 1))
    result = ops.jpeg(images, 30).numpy()
    turned = ops.jpeg(np.roll(images, [8, 16], [1, 2]), 30)
    assert_alike(turned, np.roll(result, [8, 16], [1, 2]))
    images[:, :8, :8] = 0
    np.testing.assert_array_equal(ops.jpeg(images, 30)[:, 8:, 8:], result[:, 8:, 8:])


def test_jpeg_keeps_grey_grey():
    grey = to_float(reference.photos(2, 24, 32, 1))
    coloured = ops.jpeg(np.tile(grey, [1, 1, 1, 3]), 20).numpy()
    assert_alike(coloured, np.tile(ops.jpeg(grey, 20), [1, 1, 1, 3]))
    np.testing.assert_array_equal(coloured, np.tile(coloured[..., :1], [1, 1, 1, 3]))


@pytest.mark.parametrize("channels", slow_unless([3], [1, 3]))
def test_jpeg_has_gradient_zero(channels):
    images = np.concatenate(
        [extremes(9, 7, channels), to_float(reference.photos(2, 9, 7, channels))]
    )
    for function in (ops.jpeg, tf.function(ops.jpeg)):
        slope, by_quality = gradient(function, images, np.full([8], 30, "float32"))
        np.testing.assert_array_equal(slope, np.zeros_like(images))
        np.testing.assert_array_equal(by_quality, np.zeros(8))


@pytest.mark.parametrize("function", [ops.jpeg, ops.thumbnail])
def test_graphs_and_unknown_batch_sizes(function):
    images = to_float(reference.photos(3, 12, 10))
    strengths = np.array([3, 40, 9], "float32")
    expected = function(images, strengths).numpy()
    specs = [tf.TensorSpec([None, 12, 10, 3]), tf.TensorSpec([None])]
    traced = tf.function(function, input_signature=specs)
    for size in (3, 0):
        np.testing.assert_allclose(
            traced(images[:size], strengths[:size]), expected[:size], atol=1e-6
        )
    data = tf.data.Dataset.from_tensor_slices((images, strengths)).batch(3).map(function)
    np.testing.assert_allclose(np.concatenate(list(data)), expected, atol=1e-6)


@pytest.mark.parametrize("channels", [2, 4])
def test_jpeg_needs_grey_or_rgb(channels):
    with pytest.raises(ValueError, match=rf"1 \(grey\) or 3 \(RGB\).*received {channels} channels"):
        ops.jpeg(tf.zeros([1, 8, 8, channels]), 30)


@pytest.mark.parametrize(
    "sizes", [[(3, 4), (20, 60)], pytest.param([(3, 4), (17, 9), (20, 60)], marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("function", [ops.jpeg, ops.thumbnail])
def test_sizes_may_be_unknown(function, sizes):
    """Also such that JPEG does not interpolate the chroma, and larger than the largest radius."""
    spec = tf.TensorSpec([None, None, None, 3])
    call = tf.function(lambda x: function(x, [5.0, 30.0]), input_signature=[spec])
    for height, width in sizes:
        images = np.random.default_rng(0).random([2, height, width, 3], "float32")
        np.testing.assert_allclose(call(images), function(images, [5.0, 30.0]), atol=1e-6)


# Thumbnails


@pytest.mark.parametrize(
    "size, expected",
    [
        # Shrunk weights 3, 3, 1 and 1, 3, 3 of 7; stretched ¾ and ¼ of the two.
        (2, [1 / 14, 0.75 / 14 + 0.25 * 3 / 7, 0.25 / 14 + 0.75 * 3 / 7, 3 / 7]),
        (1, [0.25, 0.25, 0.25, 0.25]),  # weights 5, 7, 7, 5 of 24
        (4, [0, 0, 0.5, 0.5]),
        (100, [0, 0, 0.5, 0.5]),
    ],
)
def test_thumbnail_hand_computed(size, expected):
    line = tf.constant([0.0, 0.0, 0.5, 0.5])
    for shape in ([1, 4, 1, 1], [1, 1, 4, 1]):
        result = ops.thumbnail(tf.reshape(line, shape), size)
        np.testing.assert_allclose(np.ravel(result), expected, atol=1e-6)


@pytest.mark.parametrize(
    "height, width, channels, sizes",
    [
        (32, 32, 3, [1, 5, 20, 31]),
        (23, 40, 3, [2, 9, 30, 39]),
        (7, 9, 1, [1, 3, 5, 8]),
        (50, 50, 3, [20, 25, 40, 49]),  # few neighbours,
        (50, 50, 3, [4, 10, 15, 19]),  # many,
        (50, 50, 3, [1, 2, 3, 50]),  # all pixels
    ],
)
def test_thumbnail_matches_pillow(height, width, channels, sizes):
    images = to_float(reference.photos(4, height, width, channels))
    result = ops.thumbnail(images, sizes)
    assert result.dtype == tf.float32 and result.shape == images.shape
    np.testing.assert_allclose(result, reference.thumbnail(images, sizes), atol=2e-5)
    for i, size in enumerate(sizes):
        np.testing.assert_allclose(ops.thumbnail(images, size)[i], result[i], atol=1e-6)


@pytest.mark.parametrize("size", [3, 14, 30])
def test_thumbnail_matches_pillow_in_8_bits(size):
    """Two roundings to 8 bits, each after two passes of 8 bits, are 2/255 at most."""
    images = reference.photos(4, 40, 33)
    result = 255 * ops.thumbnail(to_float(images), size).numpy()
    apart = np.abs(result - reference.thumbnail_of_8_bits(images, size))
    assert apart.max() <= 2 and apart.mean() < 0.5


def test_no_thumbnail_is_larger_than_the_image():
    images = to_float(reference.photos(4, 30, 12))
    for size in (30, 31, 4096):
        np.testing.assert_array_equal(ops.thumbnail(images, size), images)
    # Beside any other size, an image that is not shrunk is not changed.
    for other in (28, 6, 1):
        result = ops.thumbnail(images, [30, other, 500, other]).numpy()
        np.testing.assert_array_equal(result[::2], images[::2])
        assert np.abs(result[1::2] - images[1::2]).max(axis=(1, 2, 3)).min() > 0.02
    # A short side stays, whatever happens to the long one.
    stripes = np.tile(images[:, :1], [1, 30, 1, 1])
    np.testing.assert_allclose(ops.thumbnail(stripes, 12), stripes, atol=1e-6)


def test_thumbnail_rounds_sizes():
    images = to_float(reference.photos(2, 16, 16))
    np.testing.assert_array_equal(ops.thumbnail(images, 6.4), ops.thumbnail(images, 6))
    np.testing.assert_array_equal(ops.thumbnail(images, [5.6, 6.4]), ops.thumbnail(images, [6, 6]))


@pytest.mark.parametrize("size", [1, 9, 24])
def test_thumbnail_is_a_symmetric_mean(size):
    images = to_float(reference.photos(4, 50, 50))
    result = ops.thumbnail(images, size).numpy()
    turned = ops.thumbnail(images.swapaxes(1, 2), size).numpy()
    np.testing.assert_allclose(turned.swapaxes(1, 2), result, atol=1e-6)
    flipped = ops.thumbnail(images[:, ::-1, ::-1], size).numpy()
    np.testing.assert_allclose(flipped[:, ::-1, ::-1], result, atol=1e-5)
    assert images.min() <= result.min() and result.max() <= images.max()
    np.testing.assert_allclose(ops.thumbnail(tf.fill([4, 50, 50, 3], 0.7), size), 0.7, atol=1e-6)


@pytest.mark.parametrize("size", [1, 3, 16, 30, 40])
@pytest.mark.parametrize("height, width, channels", [(40, 33, 3), (7, 9, 1), (1, 1, 3)])
def test_thumbnail_extremes(height, width, channels, size):
    images = extremes(height, width, channels)
    result = ops.thumbnail(images, size).numpy()
    assert np.isfinite(result).all() and result.min() >= 0 and result.max() <= 1
    np.testing.assert_array_equal(result[0], images[0])
    np.testing.assert_allclose(result[1], images[1], atol=1e-6)
    (slope,) = gradient(lambda x: ops.thumbnail(x, size), images)
    assert np.isfinite(slope).all()
    assert ops.thumbnail(images[:0], size).shape == [0, height, width, channels]


def test_thumbnail_gradient_is_its_transpose():
    images = to_float(reference.photos(4, 50, 50))
    seen = np.random.default_rng(0).normal(size=images.shape).astype("float32")
    function = tf.function(lambda x, a: seen * ops.thumbnail(x, a))
    for size in (2, 30):
        slope, by_size = gradient(function, images, np.full([4], size, "float32"))
        np.testing.assert_array_equal(by_size, np.zeros(4))
        product = float(np.sum(seen.astype("float64") * ops.thumbnail(images, size)))
        assert np.sum(slope.astype("float64") * images) == pytest.approx(product, abs=0.01)
