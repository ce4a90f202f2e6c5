"""Noise: its distribution, its bounds, and reproducibility from the seed."""

from __future__ import annotations

import math

import numpy as np
import pytest
import tensorflow as tf

from tests.reference.gradients import gradient
from tfrobust import ops

SEED = tf.constant([3, 7])
GREY = tf.fill([8, 32, 32, 3], 0.5)
N = 8 * 32 * 32 * 3


def standard_error_bound(probability, n=N):
    """Five standard errors of a relative frequency among n values."""
    return 5 * math.sqrt(probability * (1 - probability) / n)


@pytest.mark.parametrize("sigma", [0.05, 0.3, (0.0, 0.1, 0.2, 0.5)])
def test_gaussian_is_clipped_philox(sigma):
    images = np.random.default_rng(0).random([4, 8, 8, 3], "float32")
    normal = tf.random.stateless_normal([4, 8, 8, 3], SEED, alg="philox").numpy()
    expected = np.clip(images + np.reshape(sigma, [-1, 1, 1, 1]) * normal, 0, 1)
    np.testing.assert_allclose(ops.gaussian_noise(images, sigma, SEED), expected, atol=1e-6)


def test_gaussian_mean_and_deviation():
    sigma = 0.05  # 0.5 is ten deviations from the clip
    noise = (ops.gaussian_noise(GREY, sigma, SEED) - 0.5).numpy()
    assert abs(noise.mean()) < 5 * sigma / math.sqrt(N)
    assert abs(noise.std() - sigma) < 5 * sigma / math.sqrt(2 * N)


def test_gaussian_per_image():
    noise = (ops.gaussian_noise(GREY[:3], [0.0, 0.02, 0.08], SEED) - 0.5).numpy()
    np.testing.assert_array_equal(noise[0], 0)
    for image, sigma in zip(noise[1:], (0.02, 0.08)):
        assert abs(image.std() - sigma) < 5 * sigma / math.sqrt(2 * N / 8)
    # Independent, not one field scaled.
    assert abs(np.corrcoef(noise[1].ravel(), noise[2].ravel())[0, 1]) < 5 / math.sqrt(N / 8)


@pytest.mark.parametrize(
    "noisy",
    [
        lambda images, seed: ops.gaussian_noise(images, 0.1, seed),
        lambda images, seed: ops.salt_and_pepper(images, 0.1, 0.5, 0.25, seed),
    ],
)
def test_seed_determines_everything(noisy):
    first = noisy(GREY, SEED).numpy()
    np.testing.assert_array_equal(noisy(GREY, SEED), first)
    # A graph may join operations that were apart, and then rounds once where they round twice.
    np.testing.assert_allclose(tf.function(noisy)(GREY, SEED), first, atol=1e-6)
    for other in ([4, 7], [3, 8]):
        assert np.mean(noisy(GREY, tf.constant(other)) != first) > 0.1


def test_gaussian_0_is_exactly_the_identity():
    images = np.random.default_rng(0).random([2, 8, 8, 3], "float32")
    np.testing.assert_array_equal(ops.gaussian_noise(images, 0.0, SEED), images)


@pytest.mark.parametrize("sigma", [1e-8, 10.0])
def test_gaussian_extremes(sigma):
    result = ops.gaussian_noise(GREY, sigma, SEED)
    assert float(tf.reduce_min(result)) >= 0 and float(tf.reduce_max(result)) <= 1
    for slope in gradient(lambda x, s: ops.gaussian_noise(x, s, SEED), GREY, sigma):
        assert np.isfinite(slope).all()


@pytest.mark.parametrize("p, q", [(0.025, 0.5), (0.01, 0.7), (0.4, 0.2)])
def test_salt_and_pepper_frequencies(p, q):
    result = ops.salt_and_pepper(GREY, p, q, 0.25, SEED).numpy()
    assert set(np.unique(result)) == {0.25, 0.5, 0.75}  # exactly 0.5 ± ρ
    hit = result != 0.5
    assert abs(hit.mean() - p) < standard_error_bound(p)
    salt = (result[hit] == 0.75).mean()
    assert abs(salt - q) < standard_error_bound(q, hit.sum())


def test_salt_and_pepper_hits_channels_alone():
    hit = ops.salt_and_pepper(GREY, 0.5, 0.5, 0.25, SEED).numpy() != 0.5
    for channels, probability in (((0, 1), 0.25), ((0, 1, 2), 0.125)):
        both = np.all(hit[..., channels], axis=-1).mean()
        assert abs(both - probability) < standard_error_bound(probability, N / 3)


@pytest.mark.parametrize(
    "value, q, rho, expected",
    [
        (0.5, 1, 0.25, 0.75),
        (0.5, 0, 0.25, 0.25),
        (0, 1, 0.3, 0.3),
        (0.9, 1, 0.3, 1),
        (0.1, 0, 0.3, 0),
    ],
)
def test_salt_and_pepper_adds_and_clips(value, q, rho, expected):
    result = ops.salt_and_pepper(tf.fill([1, 4, 4, 3], value + 0.0), 1.0, q, rho, SEED)
    np.testing.assert_allclose(result, np.full([1, 4, 4, 3], expected), atol=1e-7)


def test_salt_and_pepper_0_is_exactly_the_identity():
    images = np.random.default_rng(0).random([2, 8, 8, 3], "float32")
    np.testing.assert_array_equal(ops.salt_and_pepper(images, 0.0, 0.5, 0.5, SEED), images)
    np.testing.assert_array_equal(ops.salt_and_pepper(images, 1.0, 0.5, 0.0, SEED), images)


def test_salt_and_pepper_per_image():
    p, q, rho = [0.0, 1.0, 1.0, 0.5], [1.0, 1.0, 0.0, 1.0], [0.25, 0.25, 0.125, 0.5]
    result = ops.salt_and_pepper(GREY[:4], p, q, rho, SEED).numpy()
    for image, values in zip(result, ({0.5}, {0.75}, {0.375}, {0.5, 1.0})):
        assert set(np.unique(image)) == values
    assert abs((result[3] == 1).mean() - 0.5) < standard_error_bound(0.5, N / 8)


def test_salt_and_pepper_gradient():
    slope, by_rho = gradient(
        lambda x, rho: ops.salt_and_pepper(x, 0.5, 1.0, rho, SEED), GREY[:1], 0.25
    )
    np.testing.assert_array_equal(slope, np.ones_like(slope))
    assert by_rho == np.sum(ops.salt_and_pepper(GREY[:1], 0.5, 1.0, 0.25, SEED) != 0.5)
