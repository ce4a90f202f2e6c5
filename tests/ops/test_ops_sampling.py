"""Seeds and per-image parameters."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from tfrobust.ops import sampling


def test_seed_pair():
    np.testing.assert_array_equal(sampling.seed_pair(5, tf.constant(2, tf.int64)), [5, 2])


def test_fold_in_tells_apart():
    seed = sampling.seed_pair(1, 2)
    data = [*range(500), "GaussianNoise", "Brightness", "B+", "B-"]
    seeds = {tuple(sampling.fold_in(seed, d).numpy()) for d in data}
    assert len(seeds) == len(data)
    assert tuple(sampling.fold_in(sampling.seed_pair(1, 3), 0).numpy()) not in seeds
    np.testing.assert_array_equal(sampling.fold_in(seed, "B+"), sampling.fold_in(seed, "B+"))
    traced = tf.function(lambda i: sampling.fold_in(seed, i))
    np.testing.assert_array_equal(traced(tf.constant(9)), sampling.fold_in(seed, 9))


@pytest.mark.parametrize("low, high", [(0.0, 1.0), (-0.5, 0.25)])
def test_uniform(low, high):
    numbers = sampling.uniform(sampling.seed_pair(0), [4000], low, high).numpy()
    assert low <= numbers.min() < low + 0.01 * (high - low)
    assert high - 0.01 * (high - low) < numbers.max() < high
    # Standard deviation of a uniform number: a twelfth of the squared width.
    assert abs(numbers.mean() - (low + high) / 2) < 5 * (high - low) / (12 * 4000) ** 0.5


def test_normal_is_philox():
    seed = sampling.seed_pair(0, 1)
    expected = tf.random.stateless_normal([64], seed, alg="philox")
    np.testing.assert_array_equal(sampling.normal(seed, [64]), expected)


def test_per_image():
    images = tf.ones([2, 3, 3, 1], tf.float16)
    assert sampling.per_image(0.5, images).shape == []
    scaled = images * sampling.per_image([0.5, 2.0], images)
    assert scaled.dtype == tf.float16
    np.testing.assert_array_equal(scaled[:, 0, 0, 0], [0.5, 2.0])
