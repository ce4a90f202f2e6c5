"""Mixing of pairs."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from tests.reference.gradients import gradient
from tfrobust import ops

PARTNER = [2, 0, 1, 3]


def random_values(*shape):
    return np.random.default_rng(0).random(shape, "float32")


def test_hand_computed_values():
    values = tf.constant([[0.0], [1.0], [0.5]])
    result = ops.mix_pairs(values, tf.constant([1, 2, 0]), [0.25, 0.5, 1.0])
    np.testing.assert_array_equal(result, [[0.75], [0.75], [0.5]])


@pytest.mark.parametrize("shape", [(4,), (4, 10), (4, 7, 9, 3), (4, 2, 3, 4, 5)])
@pytest.mark.parametrize("mixing_weight", [0.3, (0.0, 0.2, 0.9, 1.0)])
def test_any_rank(shape, mixing_weight):
    values = random_values(*shape)
    shares = np.broadcast_to(mixing_weight, 4)
    expected = [s * v + (1 - s) * values[p] for s, v, p in zip(shares, values, PARTNER)]
    result = ops.mix_pairs(values, tf.constant(PARTNER), mixing_weight)
    assert result.dtype == tf.float32
    np.testing.assert_allclose(result, expected, atol=1e-6)


def test_stays_between_the_two():
    """Rounding never leaves [0, 1], even without clipping."""
    shares = random_values(20000)
    for value in (1.0, 1 - 2.0**-24, 0.0):
        values = tf.fill([20000, 1], value)
        result = ops.mix_pairs(values, tf.range(20000)[::-1], shares).numpy()
        assert result.min() >= 0 and result.max() <= 1
        np.testing.assert_allclose(result, values, atol=2e-7)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_keeps_the_dtype(dtype):
    values = tf.cast(random_values(4, 3), dtype)
    result = ops.mix_pairs(values, tf.constant(PARTNER), 0.5)
    assert result.dtype == values.dtype
    plain = tf.cast(values, tf.float64).numpy()
    expected = 0.5 * plain + 0.5 * plain[PARTNER]
    np.testing.assert_allclose(tf.cast(result, tf.float64), expected, rtol=1e-2)


def test_graph_and_empty_batch():
    values = random_values(4, 3)
    traced = tf.function(
        ops.mix_pairs,
        input_signature=[
            tf.TensorSpec([None, 3]),
            tf.TensorSpec([None], tf.int32),
            tf.TensorSpec([None]),
        ],
    )
    shares = np.array([0.1, 0.2, 0.3, 0.4], "float32")
    expected = ops.mix_pairs(values, tf.constant(PARTNER), shares)
    np.testing.assert_allclose(traced(values, PARTNER, shares), expected, atol=1e-6)
    assert traced(values[:0], tf.zeros([0], tf.int32), shares[:0]).shape == (0, 3)


def test_gradient():
    """Gradients reach each value in both of its roles, and the weight."""
    values = random_values(4, 5)
    shares = np.array([0.1, 0.2, 0.9, 1.0], "float32")
    slope, by_share = gradient(
        lambda v, s: ops.mix_pairs(v, tf.constant(PARTNER), s), values, shares
    )
    expected = shares.copy()
    for mixing_weight, partner in zip(shares, PARTNER):
        expected[partner] += 1 - mixing_weight
    np.testing.assert_allclose(slope, np.repeat(expected[:, None], 5, axis=1), atol=1e-6)
    np.testing.assert_allclose(by_share, (values - values[PARTNER]).sum(axis=1), atol=1e-5)
