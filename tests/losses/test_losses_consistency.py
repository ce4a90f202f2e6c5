"""Kullback–Leibler divergences: hand-computed values, SciPy, and defining properties."""

from __future__ import annotations

import math

import numpy as np
import pytest
import tensorflow as tf

from tests.reference import divergence as reference
from tests.reference.gradients import central_differences, gradient
from tfrobust import losses

NAMES = ["kl_divergence", "symmetric_kl_divergence"]
P = np.random.default_rng(0).normal(size=[32, 10], scale=3).astype("float32")
Q = np.random.default_rng(1).normal(size=[32, 10], scale=3).astype("float32")


def test_hand_computed_values():
    p, q = tf.math.log([[1.0, 1.0]]), tf.math.log([[1.0, 3.0]])  # ½, ½ and ¼, ¾
    forward = 0.5 * math.log(2) + 0.5 * math.log(2 / 3)
    reverse = 0.25 * math.log(1 / 2) + 0.75 * math.log(3 / 2)
    np.testing.assert_allclose(losses.kl_divergence(p, q), [forward], rtol=1e-5)
    np.testing.assert_allclose(losses.kl_divergence(q, p), [reverse], rtol=1e-5)
    symmetric = losses.symmetric_kl_divergence(p, q)
    np.testing.assert_allclose(symmetric, [(forward + reverse) / 2], rtol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("name", NAMES)
def test_matches_scipy(name, dtype):
    p, q = tf.cast(P, dtype), tf.cast(Q, dtype)
    result = getattr(losses, name)(p, q)
    assert result.shape == [32] and result.dtype == tf.float32
    expected = getattr(reference, name)(tf.cast(p, "float64"), tf.cast(q, "float64"))
    np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_nonnegative_and_zero_for_equal_predictions(name):
    divergence = getattr(losses, name)
    np.testing.assert_array_equal(divergence(P, P), np.zeros(32))
    np.testing.assert_allclose(divergence(P, P + 5), np.zeros(32), atol=1e-5)
    nearly = P + np.random.default_rng(2).normal(size=P.shape, scale=1e-4).astype("float32")
    assert np.min(divergence(P, nearly)) > -1e-6  # rounding error of the sum
    assert np.min(divergence(P, Q)) > 0.1


@pytest.mark.parametrize("name", NAMES)
def test_invariant_to_a_shift_of_the_logits(name):
    divergence = getattr(losses, name)
    np.testing.assert_allclose(divergence(P + 64, Q - 64), divergence(P, Q), atol=1e-3)


def test_only_the_symmetric_one_is_symmetric():
    forward, reverse = losses.kl_divergence(P, Q).numpy(), losses.kl_divergence(Q, P).numpy()
    assert np.abs(forward - reverse).max() > 0.1
    np.testing.assert_allclose(
        losses.symmetric_kl_divergence(P, Q), losses.symmetric_kl_divergence(Q, P), rtol=1e-6
    )


@pytest.mark.parametrize("name", NAMES)
def test_extremes(name):
    divergence = getattr(losses, name)
    p = tf.constant([[1e4, -1e4, 0.0], [1e4, -1e4, -1e4], [-1e4, -1e4, -1e4]])
    q = tf.constant([[-1e4, 1e4, 0.0], [1e4, -1e4, -1e4], [1e4, 1e4, 1e4]])
    np.testing.assert_allclose(divergence(p, q), [2e4, 0, 0], rtol=1e-5, atol=1e-6)
    for slope in gradient(divergence, p, q):
        assert np.isfinite(slope).all()


@pytest.mark.parametrize("name", NAMES)
def test_gradient_flows_through_both(name):
    p, q = P[:3], Q[:3]
    by_p, by_q = gradient(getattr(losses, name), p, q)
    naive = getattr(reference, name)
    expected_by_p = central_differences(lambda x: naive(x, q), p)
    expected_by_q = central_differences(lambda x: naive(p, x), q)
    np.testing.assert_allclose(by_p, expected_by_p, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(by_q, expected_by_q, rtol=1e-3, atol=1e-5)
    assert np.abs(by_p).max() > 0.1 and np.abs(by_q).max() > 0.1
