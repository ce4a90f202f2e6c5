"""The classification loss of mixed images."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.reference import divergence as reference
from tfrobust.losses import cross_entropy, mixup_loss

LOGITS = np.random.default_rng(0).normal(size=[5, 4], scale=3).astype("float32")
LABELS = np.array([0, 1, 2, 3, 0])
PARTNER = np.array([3, 0, 2, 4, 1])


def test_hand_computed_values():
    """p = ½, ½ for a mix of classes 0 and 1, p = ¼, ¾ for one of 1 and 0."""
    logits = tf.math.log([[1.0, 1.0], [1.0, 3.0]])
    result = mixup_loss(cross_entropy, tf.constant([0, 1]), logits, tf.constant([1, 0]), 0.75)
    expected = [np.log(2), 0.75 * np.log(4 / 3) + 0.25 * np.log(4)]
    np.testing.assert_allclose(result, expected, rtol=1e-5)


@pytest.mark.parametrize("mixing_weight", [0.3, 0.0, 1.0, (0.0, 0.2, 0.9, 1.0, 0.5)])
@pytest.mark.parametrize("form", ["indices", "column", "one_hot"])
def test_is_the_loss_of_mixed_labels(form, mixing_weight):
    one_hot = np.eye(4)[LABELS]
    shares = np.broadcast_to(mixing_weight, 5)[:, None]
    expected = reference.cross_entropy(shares * one_hot + (1 - shares) * one_hot[PARTNER], LOGITS)
    given = {"indices": LABELS, "column": LABELS[:, None], "one_hot": one_hot}[form]
    result = mixup_loss(
        cross_entropy, tf.constant(given), LOGITS, tf.constant(PARTNER), mixing_weight
    )
    assert result.shape == [5]
    np.testing.assert_allclose(result, expected, rtol=1e-5)


def test_any_loss():
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True).call
    result = mixup_loss(loss, tf.constant(LABELS), LOGITS, tf.constant(PARTNER), 0.25)
    own, other = (loss(y, LOGITS).numpy() for y in (LABELS, LABELS[PARTNER]))
    np.testing.assert_allclose(result, 0.25 * own + 0.75 * other, rtol=1e-5)


def test_weights_belong_to_the_labels():
    weight = np.array([0.5, 2.0, 0.0, 1.0, 4.0], "float32")
    given = tf.constant(LABELS), LOGITS, tf.constant(PARTNER), 0.25
    result = mixup_loss(cross_entropy, *given, sample_weight=weight)
    own, other = (reference.cross_entropy(np.eye(4)[y], LOGITS) for y in (LABELS, LABELS[PARTNER]))
    np.testing.assert_allclose(
        result, 0.25 * weight * own + 0.75 * weight[PARTNER] * other, rtol=1e-5
    )


def test_empty_batch():
    empty = tf.zeros([0], tf.int32)
    assert mixup_loss(cross_entropy, empty, tf.zeros([0, 4]), empty, 0.5).shape == [0]
