"""Corruptions by noise: against SciPy and NumPy on the same words, and the distributions."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf

from tfrobust.corruptions import noise, severities
from tfrobust.ops import fields

NAMES = ["gaussian_noise", "shot_noise", "impulse_noise", "speckle_noise"]
HASHED = tf.function(fields.threefry, jit_compile=True)


def images(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape).astype("float32")


def image_keys(count, seed=3):
    return fields.image_keys(seed, "noise", 2, tf.range(count))


def words(keys, count):
    """The random words of each image, uint32 [B, count]; counter i gives words 2i and 2i + 1."""
    counters = tf.range((count + 1) // 2, dtype=tf.int32)[None]
    counters = tf.cast(counters, tf.uint32)
    pair = HASHED(keys, counters, tf.zeros_like(counters))
    return np.stack([np.asarray(word) for word in pair], axis=-1).reshape(len(keys), -1)[:, :count]


def uniform(keys, shape):
    return (words(keys, math.prod(shape)) >> 9).reshape(-1, *shape) / 2.0**23


def normal(keys, shape):
    return scipy.special.ndtri(uniform(keys, shape) + 2.0**-24)


def arguments(name, table=32, severity=3):
    return severities.TABLES[table][name][severity - 1]


@pytest.mark.parametrize("size", [(7, 9), (1, 1)])
def test_gaussian_and_speckle_equal_scipy(size):
    x, keys = images(3, *size, 3), image_keys(3)
    n = normal(keys, [*size, 3])
    np.testing.assert_allclose(noise.gaussian_noise(x, keys, 0.38), x + 0.38 * 255 * n, atol=2e-3)
    np.testing.assert_allclose(noise.speckle_noise(x, keys, 0.6), x + 0.6 * x * n, atol=2e-3)


def test_normal_is_the_quantile_everywhere():
    steps = np.unique(
        np.concatenate([np.arange(3000), 2**23 - 1 - np.arange(3000), np.arange(0, 2**23, 997)])
    )
    ours = tf.function(fields.normal_of, jit_compile=True)(tf.constant(steps << 9, tf.uint32))
    expected = scipy.special.ndtri((steps + 0.5) / 2**23)
    assert abs(expected).max() > 5.2
    np.testing.assert_allclose(ours, expected, atol=1.5e-5)


def test_normal_moments():
    keys = image_keys(16)
    grey = np.full([16, 64, 64, 3], 100, "float32")
    n = np.asarray(noise.gaussian_noise(grey, keys, 0.1) - 100).astype(float) / 25.5
    size = n.size  # five standard errors
    assert abs(n.mean()) < 5 / math.sqrt(size)
    assert abs(n.std() - 1) < 5 / math.sqrt(2 * size)
    assert abs((n**4).mean() - 3) < 5 * math.sqrt(96 / size)
    # Not one field for all: images, channels and neighbours are independent.
    for a, b in ((n[0], n[1]), (n[..., 0], n[..., 1]), (n[:, 1:], n[:, :-1])):
        assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 5 / math.sqrt(a.size)


def test_impulse_equals_numpy():
    x, keys = images(4, 9, 11, 3), image_keys(4)
    u = uniform(keys, [9, 11, 3])
    expected = np.where(u < 0.135, 0, np.where(u < 0.27, 255, x))
    np.testing.assert_array_equal(noise.impulse_noise(x, keys, 0.27), expected)


@pytest.mark.parametrize("amount", [0.0, 0.01, 0.27, 1.0])
def test_impulse_frequencies(amount):
    grey = np.full([8, 64, 64, 3], 99, "float32")
    result = noise.impulse_noise(grey, image_keys(8), amount).numpy()
    size = result.size
    for value, share in ((0, amount / 2), (255, amount / 2), (99, 1 - amount)):
        error = 5 * math.sqrt(share * (1 - share) / size)
        assert abs(np.mean(result == value) - share) <= error
    # Each channel on its own.
    hit = result != 99
    both = np.mean(hit[..., 0] & hit[..., 1])
    assert abs(both - amount**2) <= 5 * math.sqrt(amount**2 * (1 - amount**2) / (size / 3))


def implied(rate):
    """Probabilities of the counts according to the alias table, [256, counts]."""
    table, first = noise._poisson_table(rate)
    columns = table.shape[1]
    own = (table >> 10).astype(float) / 2**22
    chance = np.zeros([256, int(first.max()) + columns])
    rows = np.repeat(np.arange(256), columns).reshape(256, columns)
    start = first.astype(int)[:, None]
    np.add.at(chance, (rows, start + np.arange(columns)), own / columns)
    np.add.at(chance, (rows, start + (table & 1023)), (1 - own) / columns)
    return chance


RATES = sorted({row[0] for table in severities.TABLES.values() for row in table["shot_noise"]})


@pytest.mark.parametrize("rate", [0.5, *RATES, 5000])
def test_poisson_table_is_the_distribution(rate):
    chance = implied(float(rate))
    mean = np.arange(256) * rate / 255
    expected = scipy.stats.poisson.pmf(np.arange(chance.shape[1]), mean[:, None])
    np.testing.assert_allclose(chance, expected, atol=1e-7)
    np.testing.assert_allclose(chance.sum(axis=1), 1, atol=1e-12)
    np.testing.assert_allclose(chance @ np.arange(chance.shape[1]), mean, rtol=1e-5)


@pytest.mark.parametrize("rate", [3.0, 12.0, 500.0])
def test_shot_equals_the_table_on_the_same_words(rate):
    x, keys = images(3, 16, 16, 3), image_keys(3)
    table, first = noise._poisson_table(rate)
    bits = int(math.log2(table.shape[1]))
    word = words(keys, 16 * 16 * 3).reshape(x.shape)
    column = word >> (32 - bits)
    entry = table[x.astype(int), column]
    below = (word >> (10 - bits)) & (2**22 - 1) < entry >> 10
    count = first[x.astype(int)] + np.where(below, column, entry & 1023)
    expected = count * 255 / rate
    np.testing.assert_allclose(noise.shot_noise(x, keys, rate), expected, rtol=1e-6)


@pytest.mark.parametrize("rate", [3.0, 60.0, 500.0])
def test_shot_counts_are_poisson(rate):
    x = np.broadcast_to(np.arange(256).reshape(16, 16, 1), [400, 16, 16, 3]).astype("float32")
    counts = noise.shot_noise(x, image_keys(400), rate).numpy() * rate / 255
    np.testing.assert_allclose(counts, np.rint(counts), atol=1e-3)
    counts = np.rint(counts).astype(int).transpose(1, 2, 0, 3).reshape(256, -1)
    mean = np.arange(256) * rate / 255
    n = counts.shape[1]
    assert (counts[0] == 0).all()  # black has no photons
    assert (abs(counts.mean(axis=1) - mean) <= 5 * np.sqrt(mean / n)).all()
    spread = np.sqrt((mean + 2 * mean**2) / n)  # standard error of a Poisson variance
    assert (abs(counts.var(axis=1) - mean) <= 5 * spread + 1e-12).all()
    # All levels at once: the place of each count within its distribution is uniform.
    low = scipy.stats.poisson.cdf(counts - 1, mean[:, None])
    high = scipy.stats.poisson.cdf(counts, mean[:, None])
    place = low + (high - low) * np.random.default_rng(0).random(counts.shape)
    seen = np.histogram(place, 50, (0, 1))[0]
    expected = place.size / 50
    assert ((seen - expected) ** 2 / expected).sum() < 49 + 5 * math.sqrt(2 * 49)


@pytest.mark.parametrize("rate", [0.0, -1.0, 5001.0, float("nan")])
def test_shot_rate_out_of_range(rate):
    with pytest.raises(ValueError, match="rate"):
        noise.shot_noise(images(1, 4, 4, 3), image_keys(1), rate)


@pytest.mark.parametrize("name", NAMES)
def test_extremes(name):
    x = np.stack([np.zeros([16, 16, 3]), np.full([16, 16, 3], 255)]).astype("float32")
    for table in (32, 64, 224):
        result = getattr(noise, name)(x, image_keys(2), *arguments(name, table, 5)).numpy()
        assert np.isfinite(result).all()
        if name in ("shot_noise", "speckle_noise"):
            np.testing.assert_array_equal(result[0], 0)
        else:
            assert len(np.unique(result[0])) > 1
        assert len(np.unique(result[1])) > 1
