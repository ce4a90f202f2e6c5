"""The Jensen–Shannon divergence: hand-computed values, SciPy, bounds and gradient."""

from __future__ import annotations

import math

import numpy as np
import pytest
import tensorflow as tf
from scipy.spatial import distance

from tests.reference import divergence as reference
from tests.reference.gradients import central_differences, gradient
from tfrobust.losses import jensen_shannon

VIEWS = np.random.default_rng(0).normal(size=[5, 32, 10], scale=3).astype("float32")


def test_hand_computed_values():
    """½, ½ and ¼, ¾: M is ⅜, ⅝; and two certain predictions of different classes: log 2."""
    p, q = tf.math.log([[1.0, 1.0]]), tf.math.log([[1.0, 3.0]])
    first = 0.5 * math.log(4 / 3) + 0.5 * math.log(4 / 5)
    second = 0.25 * math.log(2 / 3) + 0.75 * math.log(6 / 5)
    np.testing.assert_allclose(jensen_shannon(p, q), [(first + second) / 2], rtol=1e-5)
    sure = tf.constant([[50.0, -50.0, 0.0]]), tf.constant([[-50.0, 50.0, 0.0]])
    np.testing.assert_allclose(jensen_shannon(*sure), [math.log(2)], rtol=1e-5)
    # Two against one: M is ⅔, ⅓.
    expected = (2 * math.log(3 / 2) + math.log(3)) / 3
    np.testing.assert_allclose(jensen_shannon(sure[0], *sure), [expected], rtol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("count", [2, 3, 5])
def test_matches_scipy(count, dtype):
    views = [tf.cast(view, dtype) for view in VIEWS[:count]]
    result = jensen_shannon(*views)
    assert result.shape == [32] and result.dtype == tf.float32
    expected = reference.jensen_shannon(*(tf.cast(view, "float64") for view in views))
    np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-6)


def test_two_predictions_match_scipys_squared_distance():
    p, q = (reference.softmax(view) for view in VIEWS[:2])
    expected = [distance.jensenshannon(a, b) ** 2 for a, b in zip(p, q)]
    np.testing.assert_allclose(jensen_shannon(*VIEWS[:2]), expected, rtol=1e-3)


def test_mean_is_clipped_from_below():
    """Both predictions give one class p = 1e-9, where M is clipped to 1e-7."""
    logits = np.log([[1e-9, 1 - 1e-9]]).astype("float32")
    small = 1e-9 * math.log(1e-9 / 1e-7)
    assert small < -4e-9
    value = jensen_shannon(logits, logits)
    np.testing.assert_allclose(value, reference.jensen_shannon(logits, logits), atol=1e-10)
    np.testing.assert_allclose(value, [small], atol=1e-9)
    # No gradient flows through a clipped M; all of it comes from the softmax, p(log p − log M).
    by_first, _ = gradient(jensen_shannon, logits, logits)
    expected = central_differences(lambda x: reference.jensen_shannon(x, logits), logits, 1e-4)
    np.testing.assert_allclose(by_first, expected, atol=2e-9)
    assert abs(by_first[0, 0]) > 1e-9


@pytest.mark.parametrize("count", [2, 3, 5])
def test_zero_for_equal_predictions(count):
    shifted = [VIEWS[0] + 7 * i for i in range(count)]
    np.testing.assert_allclose(jensen_shannon(*shifted), np.zeros(32), atol=2e-6)
    for slope in gradient(jensen_shannon, *shifted):
        np.testing.assert_allclose(slope, 0, atol=1e-6)


@pytest.mark.parametrize("count", [2, 3, 5])
def test_bounded_by_log_n(count):
    sure = [tf.constant([[100.0 * (i == j) for j in range(6)]]) for i in range(count)]
    np.testing.assert_allclose(jensen_shannon(*sure), [math.log(count)], rtol=1e-5)
    many = 30 * np.random.default_rng(3).normal(size=[count, 500, 6]).astype("float32")
    values = jensen_shannon(*many).numpy()
    assert values.min() > -1e-6 and values.max() < math.log(count) + 1e-6


def test_invariant_to_order_and_shift():
    first = jensen_shannon(*VIEWS[:3])
    np.testing.assert_allclose(jensen_shannon(*VIEWS[2::-1]), first, rtol=1e-5)
    np.testing.assert_allclose(jensen_shannon(*(VIEWS[:3] + 64)), first, atol=1e-4)


def test_extremes():
    p = tf.constant([[1e4, -1e4, 0.0], [1e4, -1e4, -1e4], [-1e4, -1e4, -1e4], [1e38, 0, -1e38]])
    q = tf.constant([[-1e4, 1e4, 0.0], [1e4, -1e4, -1e4], [1e4, 1e4, 1e4], [-1e38, 0, 1e38]])
    np.testing.assert_allclose(jensen_shannon(p, q), np.log([2, 1, 1, 2]), rtol=1e-5, atol=1e-6)
    for slope in gradient(jensen_shannon, p, q, p):
        assert np.isfinite(slope).all()


def test_gradient_flows_through_all_predictions_and_the_mean():
    views = VIEWS[:3, :3]
    slopes = gradient(jensen_shannon, *views)
    for i, slope in enumerate(slopes):

        def varied(x, i=i):
            return reference.jensen_shannon(*(x if j == i else views[j] for j in range(3)))

        np.testing.assert_allclose(slope, central_differences(varied, views[i]), atol=1e-5)
        assert np.abs(slope).max() > 0.01


def test_one_prediction_is_refused():
    with pytest.raises(ValueError, match="2 predictions or more; received 1"):
        jensen_shannon(VIEWS[0])
