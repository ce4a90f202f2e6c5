"""Colour operations: hand-computed pixels, the standard library's HLS, Pillow, properties."""

from __future__ import annotations

import colorsys

import numpy as np
import pytest
import tensorflow as tf

from tests.reference import color as reference
from tests.reference.gradients import gradient
from tfrobust import augment, ops

FACTORS = [0.0, 0.2, 1.0, 4.0, 6.0, 50.0]
CUBE = np.array(np.meshgrid([0, 1], [0, 1], [0, 1]), "float32").reshape(1, 3, 8, 1)
CORNERS = np.moveaxis(CUBE, 1, -1)  # [1, 8, 1, 3]: the eight pure colours


def random_images(*shape, seed=0):
    return np.random.default_rng(seed).random(shape, "float32")


@pytest.mark.parametrize(
    "delta, expected",
    [(0.25, [0.5, 0.75, 1.0]), (-0.5, [0.0, 0.0, 0.375]), (1, [1, 1, 1]), (-1, [0, 0, 0])],
)
def test_brightness_hand_computed(delta, expected):
    image = tf.constant([[[[0.25, 0.5, 0.875]]]])
    np.testing.assert_array_equal(ops.add_brightness(image, delta)[0, 0, 0], expected)


@pytest.mark.parametrize("delta", [0.39, -0.36, 0.0, (0.1, -0.2, 0.9, -1.0)])
@pytest.mark.parametrize("channels", [1, 3])
def test_brightness_matches_reference(delta, channels):
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
    "stops, expected",
    [
        (0, [0.0, 0.02, 0.5, 1.0]),
        (-1, [0.0, 0.01, 0.36078, 0.73536]),  # 0.02 is decoded and encoded by the straight lines
        (1, [0.0, 0.04, 0.68584, 1.0]),
        (-10, [0.0, 0.02 / 1024, 0.0027, 12.92 / 1024]),
    ],
)
def test_exposure_hand_computed(stops, expected):
    image = tf.constant([[[[0.0]], [[0.02]], [[0.5]], [[1.0]]]])
    np.testing.assert_allclose(ops.change_exposure(image, stops)[0, :, 0, 0], expected, atol=1e-5)


@pytest.mark.parametrize("stops", [-3.0, 0.7, (0.5, -8.0, 10.0, 0.0)])
@pytest.mark.parametrize("channels", [1, 3])
def test_exposure_matches_reference(stops, channels):
    images = random_images(4, 5, 6, channels)
    every = np.broadcast_to(stops, 4)
    expected = [reference.change_exposure(x, s) for x, s in zip(images, every)]
    np.testing.assert_allclose(ops.change_exposure(images, stops), expected, atol=1e-5)


def test_stops_add_up():
    images = random_images(2, 5, 5, 3) * 0.5
    twice = ops.change_exposure(ops.change_exposure(images, -1.0), -2.0)
    np.testing.assert_allclose(ops.change_exposure(images, -3.0), twice, atol=1e-5)


@pytest.mark.parametrize("gamma", [0.1, 0.5, 1.0, 2.2, 10.0, (0.5, 1.0, 3.0, 10.0)])
def test_gamma_matches_reference(gamma):
    images = np.rint(random_images(4, 5, 6, 3) * 255).astype("float32") / 255
    images[:, 0, 0] = 0.0
    expected = images.astype("float64") ** np.reshape(np.broadcast_to(gamma, 4), [4, 1, 1, 1])
    np.testing.assert_allclose(ops.apply_gamma(images, gamma), expected, atol=1e-5)


@pytest.mark.parametrize(
    "change, identity, strengths",
    [
        (ops.change_exposure, 0.0, [-10.0, -2.0, 0.0, 3.0]),
        (ops.apply_gamma, 1.0, [0.1, 0.9, 1.0, 10.0]),
    ],
)
def test_dark_images_keep_their_identity_and_finite_gradients(change, identity, strengths):
    images = random_images(4, 3, 3, 3)
    np.testing.assert_array_equal(change(images, identity), images)
    images[:, 0] = 0.0
    images[:, 1, 0] = 1.0
    slope, by_strength = gradient(change, images, strengths)
    assert np.isfinite(slope).all() and np.isfinite(by_strength).all()
    assert slope[:, 0].min() > 0  # also black pixels have one


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
def test_saturation_hand_computed(pixel, factor, expected):
    result = ops.scale_saturation(tf.constant([[[pixel]]], tf.float32), factor)
    np.testing.assert_allclose(result[0, 0, 0], expected, atol=1e-6)


@pytest.mark.parametrize("factor", [*FACTORS, tuple(FACTORS)])
def test_saturation_matches_hls(factor):
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
    by_hsv = tf.image.adjust_saturation(image, 0.0)
    np.testing.assert_allclose(by_hsv, 0.75 * tf.ones_like(image), atol=1e-6)
    np.testing.assert_allclose(ops.scale_saturation(image, 0.0), 0.5 * tf.ones_like(image))


@pytest.mark.parametrize("factor", FACTORS)
def test_saturation_of_grey(factor):
    grey = np.tile(np.array([0, 1e-7, 0.3, 0.5, 1], "float32").reshape(1, 5, 1, 1), [1, 1, 1, 3])
    np.testing.assert_array_equal(ops.scale_saturation(grey, factor), grey)
    for slope in gradient(ops.scale_saturation, grey, [factor]):
        assert np.isfinite(slope).all()


@pytest.mark.parametrize("factor", FACTORS)
def test_saturation_of_nearly_grey(factor):
    """If the chroma is only rounding error, so is the quotient of saturations."""
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


#: Factors of AugMix's operators (severity 1 to 10), beyond them, and the ends.
BLENDS = [0.0, 0.118, 0.64, 1.0, 1.9, 10.0]
blends = pytest.mark.parametrize("blend", [ops.scale_contrast, ops.scale_color])


def photo(height=48, width=64):
    """8-bit: a wave in each channel, an edge, noise, and a bright and a dark pixel."""
    random = np.random.default_rng(3)
    y, x = np.mgrid[:height, :width, :1][:2] / 10
    across, down, phase = random.uniform(0, 6, [3, 3])
    image = 110 + 35 * np.sin(across * x + down * y + phase) + 40 * (x + y > 6)
    image += random.normal(0, 4, [height, width, 3])
    image[5, 7], image[9, 3] = 255, 0
    return np.clip(image, 0, 255).astype("uint8")


@pytest.mark.parametrize(
    "factor, expected",
    [
        # Luminance 0.299 and 0.114, mean 0.2065.
        (0.0, [[0.2065, 0.2065, 0.2065], [0.2065, 0.2065, 0.2065]]),
        (0.5, [[0.60325, 0.10325, 0.10325], [0.10325, 0.10325, 0.60325]]),
        (1.0, [[1, 0, 0], [0, 0, 1]]),
        (1.5, [[1, 0, 0], [0, 0, 1]]),
    ],
)
def test_contrast_hand_computed(factor, expected):
    image = tf.constant([[[[1.0, 0, 0], [0, 0, 1.0]]]])
    np.testing.assert_allclose(ops.scale_contrast(image, factor)[0, 0], expected, atol=1e-5)


@pytest.mark.parametrize(
    "pixel, factor, expected",
    [
        ([1, 0, 0], 0, [0.299, 0.299, 0.299]),
        ([0, 1, 0], 0, [0.587, 0.587, 0.587]),
        ([0, 0, 1], 0.5, [0.057, 0.057, 0.557]),
        ([0.5, 0.25, 0.5], 2, [0.64675, 0.14675, 0.64675]),  # luminance 0.35325
        ([1, 1, 0], 2, [1, 1, 0]),
    ],
)
def test_color_hand_computed(pixel, factor, expected):
    result = ops.scale_color(tf.constant([[[pixel]]], tf.float32), factor)
    np.testing.assert_allclose(result[0, 0, 0], expected, atol=1e-5)


@pytest.mark.parametrize("factor", [*BLENDS, tuple(BLENDS)])
def test_blends_match_reference(factor):
    images = random_images(6, 8, 7, 3)
    images *= np.linspace(0.2, 1, 6, dtype="float32")[:, None, None, None]  # dark to light
    tolerance = 1e-5 * (1 + np.max(factor))  # 16-bit weights: 0.587006 stands for 0.587
    for blend, expected in (
        (ops.scale_contrast, reference.scale_contrast(images, factor)),
        (ops.scale_color, reference.scale_color(images, factor)),
    ):
        result = blend(images, factor)
        assert result.dtype == tf.float32
        np.testing.assert_allclose(result, expected, atol=tolerance)
    grey = images[..., :1]
    expected = reference.scale_contrast(grey, factor)
    np.testing.assert_allclose(ops.scale_contrast(grey, factor), expected, atol=1e-5)


@pytest.mark.parametrize("factor", BLENDS)
def test_blends_match_pillow(factor):
    """Pillow truncates the result and rounds the grey that it blends with to a level."""
    image = photo()
    small = (image / 255).astype("float32")[None]
    spread = abs(1 - factor)
    levels = 255 * ops.scale_color(small, factor)[0].numpy()
    lower = levels - reference.pillow_enhance("Color", image, factor)
    assert lower.min() > -0.5 * spread - 1e-3 and lower.max() < 1 + 0.5 * spread + 1e-3
    # The rounding of the pixels' luminances hardly moves their mean.
    levels = 255 * ops.scale_contrast(small, factor)[0].numpy()
    lower = levels - reference.pillow_enhance("Contrast", image, factor)
    assert lower.min() > -0.52 * spread - 1e-3 and lower.max() < 1 + 0.52 * spread + 1e-3
    levels = 255 * ops.scale_contrast(small[..., :1], factor)[0, ..., 0].numpy()
    lower = levels - reference.pillow_enhance("Contrast", image[..., 0], factor)
    assert lower.min() > -0.5 * spread - 1e-3 and lower.max() < 1 + 0.5 * spread + 1e-3


@blends
def test_blend_1_is_exactly_the_identity(blend):
    images = np.concatenate([random_images(1, 64, 64, 3), np.tile(CORNERS, [1, 8, 64, 1])], 1)
    np.testing.assert_array_equal(blend(images, 1.0), images)
    images = random_images(3, 9, 7, 3)
    result = blend(images, [0.5, 1.0, 2.0]).numpy()
    np.testing.assert_array_equal(result[1], images[1])
    assert np.abs(result - images).max(axis=(1, 2, 3))[[0, 2]].min() > 0.1


@blends
def test_blends_keep_grey_images(blend):
    """Luminance weights with a sum below 1 would darken white."""
    for value in (0.0, 0.3, 1.0):
        grey = tf.fill([1, 7, 9, 3], value)
        np.testing.assert_allclose(blend(grey, 0.0), grey, atol=1e-6)
        np.testing.assert_allclose(blend(grey, 5.0), grey, atol=1e-6)


@blends
def test_blends_keep_the_mean_luminance(blend):
    images = 0.4 + 0.2 * random_images(2, 9, 8, 3)  # nothing is clipped
    weights = [0.299, 0.587, 0.114]
    means = (images @ weights).mean(axis=(1, 2))
    result = blend(images, [0.3, 1.8]).numpy()
    np.testing.assert_allclose((result @ weights).mean(axis=(1, 2)), means, atol=1e-5)


@blends
@pytest.mark.parametrize("factor", [0.0, 0.5, 1.5])
def test_blends_gradient(blend, factor):
    """The gradient of the sum of all values is f + 3·(1 − f)·w for a channel of weight w."""
    images = 0.4 + 0.2 * random_images(2, 5, 4, 3)
    slope, by_factor = gradient(blend, images, [factor, factor])
    expected = factor + 3 * (1 - factor) * np.array([0.299, 0.587, 0.114])
    np.testing.assert_allclose(slope, np.broadcast_to(expected, images.shape), atol=1e-4)
    expected = blend(images, [1.0, 1.0]) - blend(images, [0.0, 0.0])  # linear in f
    np.testing.assert_allclose(by_factor, np.sum(expected, axis=(1, 2, 3)), atol=1e-3)


@blends
@pytest.mark.parametrize("factor", [0.0, 1.0, 100.0])
def test_blends_of_extreme_images(blend, factor):
    point = np.zeros([1, 7, 9, 3], "float32")
    point[0, 3, 4] = 1
    for images in (np.zeros_like(point), np.ones_like(point), point, point[:, 3:4, 4:5], point[:0]):
        result = blend(images, [factor] * len(images)).numpy()
        assert result.shape == images.shape and np.isfinite(result).all()
        assert ((result >= 0) & (result <= 1)).all()
        for slope in gradient(blend, images, [factor] * len(images)):
            assert np.isfinite(slope).all()


@pytest.mark.parametrize("blend, channels", [("contrast", 2), ("contrast", 4), ("color", 1)])
def test_blends_need_channels(blend, channels):
    with pytest.raises(ValueError, match=f"channels?.*; received {channels} channels"):
        getattr(ops, f"scale_{blend}")(tf.zeros([1, 2, 2, channels]), 2.0)


@pytest.mark.parametrize("name", ["Contrast", "Color"])
def test_blend_layers_span_augmix(name):
    """f = 1.8·level/10 + 0.1, level from 0.1 to 3; each image is blended with its own f."""
    layer = getattr(augment, name)()
    np.testing.assert_allclose(layer.strength, [1.8 * level / 10 + 0.1 for level in (0.1, 3)])
    images = random_images(4, 8, 7, 3)
    draws = layer.draw(images)
    assert len(set(draws["factor"].numpy())) == 4
    expected = getattr(reference, f"scale_{name.lower()}")(images, draws["factor"].numpy())
    np.testing.assert_allclose(layer.apply(images, draws), expected, atol=1e-5)
