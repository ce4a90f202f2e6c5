"""Losses compute in float32 whatever they are given."""

import numpy as np
import pytest
import tensorflow as tf

from tfrobust import losses

RANDOM = np.random.default_rng(0)
FIRST, SECOND = (RANDOM.random([4, 5]).astype("float16") for _ in range(2))
LABELS = np.array([0, 1, 2, 3])
PARTNER = tf.constant([1, 0, 3, 2])

LOSSES = {
    "cross_entropy": lambda a, b: losses.cross_entropy(LABELS, a),
    "soft_labels": lambda a, b: losses.cross_entropy(b / tf.reduce_sum(b, 1, keepdims=True), a),
    "kl_divergence": losses.kl_divergence,
    "symmetric_kl_divergence": losses.symmetric_kl_divergence,
    "jensen_shannon": losses.jensen_shannon,
    "feature_map_augmentation": lambda a, b: losses.feature_map_augmentation([a], [b]),
    "softmax_contrastive": lambda a, b: losses.softmax_contrastive(a, b, temperature=0.5),
    "margin_contrastive": lambda a, b: losses.margin_contrastive(a, b, margin=0.5),
    "mixup_loss": lambda a, b: losses.mixup_loss(losses.cross_entropy, LABELS, a, PARTNER, 0.25),
}


@pytest.mark.parametrize("name", list(LOSSES))
def test_float64_and_float16(name):
    values = [
        LOSSES[name](tf.constant(FIRST, dtype), tf.constant(SECOND, dtype))
        for dtype in (tf.float32, tf.float64, tf.float16)
    ]
    assert {value.dtype for value in values} == {tf.float32}
    np.testing.assert_allclose(values[1], values[0], rtol=1e-5)
    np.testing.assert_allclose(values[2], values[0], rtol=2e-2)
