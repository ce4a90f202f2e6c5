"""Cross-entropy for every label format."""

from __future__ import annotations

import math

import numpy as np
import pytest
import tensorflow as tf

from tests.reference import divergence as reference
from tests.reference.gradients import gradient
from tfrobust import losses

LOGITS = np.random.default_rng(0).normal(size=[16, 5], scale=3).astype("float32")
LABELS = np.random.default_rng(1).integers(0, 5, 16)
ONE_HOT = np.eye(5)[LABELS]
SOFT = np.random.default_rng(2).dirichlet(np.ones(5), 16)


def test_hand_computed_values():
    logits = tf.math.log([[1.0, 3.0], [1.0, 1.0]])  # probabilities ¼, ¾ and ½, ½
    result = losses.cross_entropy(tf.constant([0, 1]), logits)
    np.testing.assert_allclose(result, [math.log(4), math.log(2)], rtol=1e-6)


@pytest.mark.parametrize(
    "labels, expected_labels",
    [
        (LABELS, ONE_HOT),
        (LABELS.astype("float32"), ONE_HOT),  # the form in which Keras passes on integer labels
        (LABELS.astype("uint8")[:, None], ONE_HOT),
        (ONE_HOT, ONE_HOT),
        (ONE_HOT.astype("int32"), ONE_HOT),
        (SOFT, SOFT),
    ],
)
def test_matches_reference(labels, expected_labels):
    result = losses.cross_entropy(tf.constant(labels), LOGITS)
    assert result.shape == [16] and result.dtype == tf.float32
    np.testing.assert_allclose(result, reference.cross_entropy(expected_labels, LOGITS), rtol=1e-4)


def test_half_precision_is_computed_in_float32():
    logits = tf.constant(LOGITS, tf.float16)
    result = losses.cross_entropy(tf.constant(LABELS), logits)
    assert result.dtype == tf.float32
    np.testing.assert_allclose(
        result, reference.cross_entropy(ONE_HOT, logits.numpy()), rtol=1e-4, atol=1e-6
    )


def test_invariant_to_a_shift_of_the_logits():
    shifted = losses.cross_entropy(tf.constant(LABELS), LOGITS + 64)
    unshifted = losses.cross_entropy(tf.constant(LABELS), LOGITS)
    np.testing.assert_allclose(shifted, unshifted, atol=1e-4)


@pytest.mark.parametrize("labels", [tf.constant([0, 1]), tf.constant([[1.0, 0.0], [0.0, 1.0]])])
def test_extremes(labels):
    logits = tf.constant([[1e4, -1e4], [1e4, -1e4]])
    np.testing.assert_allclose(losses.cross_entropy(labels, logits), [0, 2e4], rtol=1e-6)
    (slope,) = gradient(lambda x: losses.cross_entropy(labels, x), logits)
    np.testing.assert_allclose(slope, [[0, 0], [1, -1]], atol=1e-6)


def test_gradient_is_prediction_minus_label():
    (slope,) = gradient(lambda x: losses.cross_entropy(tf.constant(LABELS), x), LOGITS)
    np.testing.assert_allclose(slope, reference.softmax(LOGITS) - ONE_HOT, atol=1e-6)
