"""Fourier basis augmentation against NumPy, wave by wave."""

from __future__ import annotations

import numpy as np
import scipy.stats
import tensorflow as tf

from tfrobust.augment import FourierBasis
from tfrobust.ops import sampling

IMAGES = np.random.default_rng(0).random([5, 18, 22, 3], "float32")


def uniform(seed, count, channels=3):
    """The three numbers that are drawn for each channel of each image."""
    shape = [count, 1, 1, channels]
    return [sampling.uniform(sampling.fold_in(seed, i), shape).numpy()[:, 0, 0] for i in range(3)]


def test_waves_match_numpy():
    layer = FourierBasis(4.0)
    draws = layer.draw(IMAGES)
    result = layer.apply(IMAGES, draws).numpy()
    first, second, third = uniform(draws["seed"], 5)
    v, u = np.meshgrid(np.linspace(-9, 9, 18), np.linspace(-11, 11, 22), indexing="ij")
    for i in range(5):
        for c in range(3):
            frequency, direction = (1 + int(22 * first[i, c])) / 22, np.pi * second[i, c]
            wave = u * np.cos(direction) + v * np.sin(direction)
            wave = np.sin(2 * np.pi * frequency * wave - np.pi / 4)
            strength = -np.log1p(-np.float64(third[i, c])) * 4
            wave *= strength * np.sqrt(18 * 22) / 32 / np.linalg.norm(wave)
            expected = np.clip(IMAGES[i, :, :, c] + wave, 0, 1)
            np.testing.assert_allclose(result[i, :, :, c], expected, atol=2e-4)


def test_size_of_the_change():
    """The energy of a wave that is not clipped is s² at 32 pixels, and s is exponential."""
    layer, grey = FourierBasis(0.5), tf.fill([2000, 32, 32, 1], 0.5)
    draws = layer.draw(grey)
    norms = np.linalg.norm(layer.apply(grey, draws).numpy().reshape(2000, -1) - 0.5, axis=1)
    assert scipy.stats.kstest(norms / 0.5, "expon").pvalue > 1e-3
    np.testing.assert_array_equal(layer.with_strength(0)(IMAGES, training=True), IMAGES)
