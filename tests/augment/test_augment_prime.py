"""PRIME's primitives against SciPy and NumPy, and its chains one image at a time."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.ndimage
import scipy.stats
import tensorflow as tf

from tests.reference.augmix import smooth_images
from tfrobust.augment import Prime
from tfrobust.ops import prime, sampling

pytestmark = pytest.mark.usefixtures("eagerly")

RANDOM = np.random.default_rng(0)
IMAGES = smooth_images(6, 18, 22).astype("float32") / 255


def filtered(image, kernel):
    planes = [
        scipy.ndimage.correlate(image[..., c], kernel, mode="constant")
        for c in range(image.shape[-1])
    ]
    return np.clip(np.stack(planes, axis=-1), 0, 1)


def mapped(image, coefficients):
    """[H, W, C] and [C, K], value by value."""
    values = np.rint(255 * image) / 255
    k = np.arange(1, coefficients.shape[1] + 1)
    waves = np.sin(np.pi * values[..., np.newaxis] * k)  # [H, W, C, K]
    return np.clip(values + (waves * coefficients).sum(-1), 0, 1)


def deformed(image, field):
    rows, columns = np.mgrid[: image.shape[0], : image.shape[1]]
    places = [rows - field[1], columns - field[0]]
    planes = [
        scipy.ndimage.map_coordinates(image[..., c], places, order=1, mode="nearest")
        for c in range(image.shape[-1])
    ]
    return np.stack(planes, axis=-1)


def displaced(noise, cut, temperature, height, width):
    """Mode by mode."""
    x, y = np.linspace(0, 1, width), np.linspace(0, 1, height)
    field = np.zeros([2, height, width])
    for which, side in ((0, width), (1, height)):
        for i in range(1, noise.shape[1] + 1):
            for j in range(1, noise.shape[2] + 1):
                radius = np.hypot(i, j)
                if radius < cut + 0.5:
                    wave = np.outer(np.sin(np.pi * j * y), np.sin(np.pi * i * x))
                    field[which] += noise[which, i - 1, j - 1] / radius * wave
        field[which] *= np.sqrt(temperature) * side
    return field


@pytest.mark.parametrize("size", [1, 3, 5])
def test_filters_match_scipy(size):
    kernels = RANDOM.normal(0, 0.3, [6, size, size]).astype("float32")
    result = prime.filter_images(tf.constant(IMAGES), tf.constant(kernels))
    expected = [filtered(x, k) for x, k in zip(IMAGES, kernels)]
    np.testing.assert_allclose(result, expected, atol=1e-5)


def test_colour_maps_match_numpy():
    coefficients = RANDOM.normal(0, 0.1, [6, 3, 9]).astype("float32")
    result = prime.map_colours(tf.constant(IMAGES), tf.constant(coefficients))
    expected = [mapped(x, c) for x, c in zip(IMAGES, coefficients)]
    np.testing.assert_allclose(result, expected, atol=1e-4)


def test_displacements_and_warps_match_numpy():
    noise = RANDOM.normal(0, 1, [6, 2, 7, 7]).astype("float32")
    cut = np.array([2, 3, 4, 5, 6, 7], "float32")
    heat = RANDOM.uniform(0, 0.01, 6).astype("float32")
    fields = prime.displacement(*map(tf.constant, (noise, cut, heat)), 18, 22).numpy()
    expected = [displaced(n, c, t, 18, 22) for n, c, t in zip(noise, cut, heat)]
    np.testing.assert_allclose(fields, expected, atol=1e-4)
    assert np.abs(fields[:, :, 0]).max() < 1e-4 > np.abs(fields[:, :, :, -1]).max()
    result = prime.deform(tf.constant(IMAGES), tf.constant(fields))
    expected = [deformed(x, f) for x, f in zip(IMAGES, fields)]
    np.testing.assert_allclose(result, expected, atol=1e-4)


def test_temperatures_are_petrinis():
    low, high = (t.numpy() for t in prime.temperatures(tf.constant([2.0, 5.0, 90.0]), 32))
    np.testing.assert_allclose(low, 1 / (np.pi * 32**2 * np.log([2, 5, 90])), rtol=1e-5)
    np.testing.assert_allclose(
        high[:2], 4 / (np.pi**3 * np.array([4, 25]) * np.log([2, 5])), rtol=1e-5
    )
    assert high[2] == low[2]


def by_hand(image, drawn, i, layer):
    """The mixture of one image; only the normal numbers are the package's."""
    height, width, channels = image.shape
    mixture = np.zeros(image.shape)
    for chain in range(layer.width):
        x = image.astype("float64")
        for step in range(drawn["depths"][i, chain]):
            seed = sampling.fold_in(drawn["seed"], chain * layer.depth + step)[i : i + 1]
            at = (i, chain, step)
            if drawn["primitives"][at] == 0:
                noise = sampling.normal(seed, [1, 3, 3])[0].numpy() * drawn["sigma"][at]
                noise[1, 1] += 1
                x = filtered(x, noise)
            elif drawn["primitives"][at] == 1:
                cut, side = drawn["modes"][at], min(height, width)
                noise = sampling.normal(seed, [1, 2, side - 1, side - 1])[0].numpy()
                low = 1 / (np.pi * side**2 * np.log(cut))
                high = max(low, 4 / (np.pi**3 * cut**2 * np.log(cut)))
                heat = low + drawn["heat"][at] * (high - low)
                x = deformed(x, displaced(noise, cut, heat, height, width))
            else:
                noise = sampling.normal(seed, [1, channels, layer.colours])[0].numpy()
                noise[:, int(drawn["frequencies"][at]) :] = 0
                x = mapped(x, noise * np.sqrt(drawn["temperature"][at]))
        mixture += drawn["weights"][i, chain] * x
    mix = drawn["mix"][i]
    return (1 - mix) * image + mix * mixture


def test_layer_matches_its_primitives():
    layer = Prime()
    seeds = sampling.image_seeds(0, "prime", np.arange(6))
    draws = layer.draw(IMAGES, seeds)
    result = layer.apply(IMAGES, draws).numpy()
    drawn = {key: value.numpy() for key, value in draws.items()}
    assert {0, 1, 2} == set(drawn["primitives"].ravel())
    off = [np.abs(result[i] - by_hand(IMAGES[i], drawn, i, layer)) for i in range(6)]
    # A value that is rounded to 8 bits the other way may be anywhere in a colour map.
    assert np.mean(np.array(off) > 1e-3) < 0.01 and np.median(off) < 1e-5


def test_draws_have_the_released_codes_distributions():
    layer = Prime(cut=20)
    drawn = {k: v.numpy() for k, v in layer.draw(tf.zeros([4000, 64, 64, 1])).items()}
    for name, high in (("sigma", 4), ("temperature", 0.01)):
        values = drawn[name].ravel() / high
        assert scipy.stats.kstest(values, "uniform").pvalue > 1e-4
    assert scipy.stats.kstest(drawn["heat"].ravel(), scipy.stats.beta(0.5, 0.5).cdf).pvalue > 1e-4
    modes = np.bincount(drawn["modes"].ravel().astype(int), minlength=21) / drawn["modes"].size
    expected = np.zeros(21)
    for largest in range(3, 21):
        edges = scipy.stats.beta(0.5, 0.5).cdf(np.arange(largest) / (largest - 1))
        expected[2 : largest + 1] += np.diff(edges) / 18
    np.testing.assert_allclose(modes, expected, atol=0.01)
    assert drawn["frequencies"].min() == 1 and drawn["frequencies"].max() == 100
    assert np.allclose(drawn["weights"].sum(-1), 1, atol=1e-5)
    assert set(drawn["depths"].ravel()) == {1, 2, 3}


def test_wrong_arguments_are_refused():
    for wrong in ({"kernel_size": 2}, {"sigma": -1}, {"cut": 2}, {"width": 0}, {"colours": 0}):
        with pytest.raises(ValueError, match=f"{next(iter(wrong))} must be"):
            Prime(**wrong)
