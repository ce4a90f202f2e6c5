"""Brightness and saturation: worked pixels, the standard library's HLS, properties."""

from __future__ import annotations

import colorsys

import numpy as np
import pytest
import tensorflow as tf

from tests.reference import color as reference
from tests.reference.gradients import gradient
from tfrobust import ops

FACTORS = [0.0, 0.2, 1.0, 4.0, 6.0, 50.0]
CUBE = np.array(np.meshgrid([0, 1], [0, 1], [0, 1]), "float32").reshape(1, 3, 8, 1)
CORNERS = np.moveaxis(CUBE, 1, -1)  # [1, 8, 1, 3]: the eight pure colours


def random_images(*shape, seed=0):
    return np.random.default_rng(seed).random(shape, "float32")


@pytest.mark.parametrize(
    "delta, expected",
    [(0.25, [0.5, 0.75, 1.0]), (-0.5, [0.0, 0.0, 0.375]), (1, [1, 1, 1]), (-1, [0, 0, 0])],
)
def test_brightness_worked(delta, expected):
    image = tf.constant([[[[0.25, 0.5, 0.875]]]])
    np.testing.assert_array_equal(ops.add_brightness(image, delta)[0, 0, 0], expected)


@pytest.mark.parametrize("delta", [0.39, -0.36, 0.0, (0.1, -0.2, 0.9, -1.0)])
@pytest.mark.parametrize("channels", [1, 3])
def test_brightness_is_the_reference(delta, channels):
    images = random_images(4, 5, 6, channels)
    result = ops.add_brightness(images, delta)
    assert result.dtype == tf.float32
    np.testing.assert_allclose(result, reference.add_brightness(images, delta), atol=1e-6)


def test_brightness_identity_and_gradient():
    images = random_images(2, 3, 3, 3)
    np.testing.assert_array_equal(ops.add_brightness(images, 0.0), images)
    slope, by_delta = gradient(ops.add_brightness, images * 0.5, [0.25, 0.5])
    np.testing.assert_array_equal(slope, np.ones_like(images))
    np.testing.assert_allclose(by_delta, [27, 27])


@pytest.mark.parametrize(
    "pixel, factor, expected",
    [
        ([0.75, 0.5, 0.25], 0, [0.5, 0.5, 0.5]),  # L 0.5, S 0.5
        ([0.75, 0.5, 0.25], 0.5, [0.625, 0.5, 0.375]),
        ([0.75, 0.5, 0.25], 2, [1, 0.5, 0]),
        ([0.75, 0.5, 0.25], 6, [1, 0.5, 0]),  # S stops at 1
        ([0.5, 0.25, 0.25], 1.5, [0.5625, 0.1875, 0.1875]),  # L 0.375, S 1/3
        ([0.5, 0.25, 0.25], 6, [0.75, 0, 0]),  # L is kept where clipping channels gave 1, 0, 0
        ([0.5, 0.75, 0.75], 6, [0.25, 1, 1]),  # L 0.625: above one half
    ],
)
def test_saturation_worked(pixel, factor, expected):
    result = ops.scale_saturation(tf.constant([[[pixel]]], tf.float32), factor)
    np.testing.assert_allclose(result[0, 0, 0], expected, atol=1e-6)


@pytest.mark.parametrize("factor", [*FACTORS, tuple(FACTORS)])
def test_saturation_is_hls(factor):
    images = random_images(6, 8, 7, 3)
    images[:, 0] = images[:, 0] ** 8  # dark
    images[:, 1] = 1 - images[:, 1] ** 8  # light
    images[:, 2] = 0.5 + 0.02 * images[:, 2]  # nearly grey
    result = ops.scale_saturation(images, factor)
    assert result.dtype == tf.float32
    np.testing.assert_allclose(result, reference.scale_saturation(images, factor), atol=1e-5)


@pytest.mark.parametrize("factor", [0.2, 4.0, 50.0])
def test_saturation_keeps_hue_and_lightness(factor):
    images = random_images(1, 20, 20, 3)
    result = ops.scale_saturation(images, factor).numpy()
    for before, after in zip(images.reshape(-1, 3), result.reshape(-1, 3)):
        hue, lightness, _ = colorsys.rgb_to_hls(*map(float, before))
        new_hue, new_lightness, _ = colorsys.rgb_to_hls(*map(float, after))
        assert abs(new_lightness - lightness) < 1e-6
        if np.ptp(after) > 0.02:  # the hue of a grey pixel is rounding
            assert min(abs(new_hue - hue), 1 - abs(new_hue - hue)) < 1e-4


def test_saturation_1_is_exactly_the_identity():
    images = np.concatenate([random_images(1, 64, 64, 3), np.tile(CORNERS, [1, 8, 64, 1])], 1)
    np.testing.assert_array_equal(ops.scale_saturation(images, 1.0), images)
    # Near the surface of the cube rounding puts S a hair above 1.
    images = np.minimum(images, np.array([1, 1e-6, 1e-7], "float32"))
    np.testing.assert_array_equal(ops.scale_saturation(images, [1.0]), images)


def test_saturation_is_not_hsv():
    image = tf.constant([[[[0.75, 0.5, 0.25]]]])
    np.testing.assert_allclose(tf.image.adjust_saturation(image, 0.0), 0.75 * tf.ones_like(image))
    np.testing.assert_allclose(ops.scale_saturation(image, 0.0), 0.5 * tf.ones_like(image))


@pytest.mark.parametrize("factor", FACTORS)
def test_saturation_of_grey(factor):
    grey = np.tile(np.array([0, 1e-7, 0.3, 0.5, 1], "float32").reshape(1, 5, 1, 1), [1, 1, 1, 3])
    np.testing.assert_array_equal(ops.scale_saturation(grey, factor), grey)
    for slope in gradient(ops.scale_saturation, grey, [factor]):
        assert np.isfinite(slope).all()


@pytest.mark.parametrize("factor", FACTORS)
def test_saturation_of_nearly_grey(factor):
    """Where the chroma is rounding, the quotient of saturations has no digits left."""
    values, apart = np.meshgrid([0, 1e-6, 0.5, 0.999], [1e-8, 1e-7, 1e-6, 1e-5, 1e-4])
    images = np.stack([values, values + apart, values + apart / 2], -1)[None].astype("float32")
    result = ops.scale_saturation(images, factor)
    np.testing.assert_allclose(result, reference.scale_saturation(images, factor), atol=1e-5)
    for slope in gradient(ops.scale_saturation, images, [factor]):
        assert np.isfinite(slope).all()


@pytest.mark.parametrize("factor", FACTORS)
def test_saturation_of_pure_colours(factor):
    result = ops.scale_saturation(CORNERS, factor)
    np.testing.assert_allclose(result, reference.scale_saturation(CORNERS, factor), atol=1e-6)
    assert all(np.isfinite(slope).all() for slope in gradient(ops.scale_saturation, CORNERS, [2.0]))


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_saturation_needs_three_channels(channels):
    with pytest.raises(ValueError, match=f"3 channels; received {channels}"):
        ops.scale_saturation(tf.zeros([1, 2, 2, channels]), 2.0)
