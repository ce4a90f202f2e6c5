"""Mixup: pairs, mixing weights, and labels mixed like the images."""

from __future__ import annotations

import json

import keras
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from tests.reference.gradients import gradient
from tfrobust import augment

IMAGES = np.random.default_rng(0).random([6, 7, 9, 3], "float32")
LABELS = np.eye(4, dtype="float32")[[0, 1, 2, 3, 0, 1]]
both = pytest.mark.parametrize("per_image", [False, True])


def shares_of(layer, batch):
    """λ of the images of one large batch."""
    return layer.draw(tf.zeros([batch, 1, 1, 1]), tf.constant([7, 8]))["mixing_weight"].numpy()


def several_draws(layer, batch, count):
    """Draws of many small batches."""
    images = tf.zeros([batch, 1, 1, 1])
    draw = tf.function(lambda i: layer.draw(images, tf.stack([7, i])), autograph=False)
    return [draw(tf.constant(i)) for i in range(count)]


@both
def test_mixes_with_its_draws(per_image):
    layer = augment.Mixup(alpha=0.8, per_image=per_image)
    draws = layer.draw(IMAGES)
    mixing_weight, partner = draws["mixing_weight"].numpy(), draws["partner"].numpy()
    assert mixing_weight.shape == partner.shape == (6,) and partner.dtype == np.int32
    assert sorted(partner) == list(range(6)) and list(partner) != list(range(6))
    assert len(set(mixing_weight)) == (6 if per_image else 1)
    following = layer.draw(IMAGES)
    assert (following["mixing_weight"] != mixing_weight).numpy().all()
    assert list(following["partner"].numpy()) != list(partner)
    expected = [s * x + (1 - s) * IMAGES[p] for s, p, x in zip(mixing_weight, partner, IMAGES)]
    np.testing.assert_allclose(layer.apply(IMAGES, draws), expected, atol=1e-6)
    expected = [s * y + (1 - s) * LABELS[p] for s, p, y in zip(mixing_weight, partner, LABELS)]
    labels = layer.mix_labels(LABELS, draws).numpy()
    np.testing.assert_allclose(labels, expected, atol=1e-6)
    np.testing.assert_allclose(labels.sum(axis=-1), 1, atol=1e-6)


def test_weight_1_is_exactly_the_identity():
    draws = {"mixing_weight": tf.ones([6]), "partner": tf.range(5, -1, -1)}
    layer = augment.Mixup()
    np.testing.assert_array_equal(layer.apply(IMAGES, draws), IMAGES)
    np.testing.assert_array_equal(layer.mix_labels(LABELS, draws), LABELS)
    draws["mixing_weight"] = tf.zeros([6])
    np.testing.assert_array_equal(layer.apply(IMAGES, draws), IMAGES[::-1])


def test_permutations_are_uniform():
    """Six orders of three images; the order and λ are independent."""
    count = 400
    draws = several_draws(augment.Mixup(), 3, count)
    orders = np.array([d["partner"] for d in draws])
    _, kinds, counts = np.unique(orders, axis=0, return_inverse=True, return_counts=True)
    assert len(counts) == 6
    assert np.abs(counts / count - 1 / 6).max() < 5 * (5 / 36 / count) ** 0.5
    shares = np.array([d["mixing_weight"][0] for d in draws])
    for kind in range(6):
        mean = shares[kinds.ravel() == kind].mean()
        assert abs(mean - 0.5) < 5 / (12 * counts[kind]) ** 0.5


@pytest.mark.parametrize("alpha, per_image", [(1.0, True), (0.3, True), (4.0, True), (0.3, False)])
def test_weight_is_beta_distributed(alpha, per_image):
    layer = augment.Mixup(alpha=alpha, per_image=per_image)
    if per_image:
        shares = shares_of(layer, 2000)
    else:
        shares = np.array([draws["mixing_weight"][0] for draws in several_draws(layer, 2, 300)])
    distance = scipy.stats.kstest(shares, scipy.stats.beta(alpha, alpha).cdf).statistic
    assert distance < 2.5 / shares.size**0.5


@pytest.mark.parametrize("alpha", [1e-30, 0.01, 100])
def test_extreme_alpha(alpha):
    shares = shares_of(augment.Mixup(alpha=alpha, per_image=True), 4000)
    assert ((shares >= 0) & (shares <= 1)).all()
    near_the_ends = np.minimum(shares, 1 - shares) < 1e-3
    assert near_the_ends.mean() > 0.9 if alpha < 1 else not near_the_ends.any()


@both
def test_extreme_images(per_image):
    layer = augment.Mixup(alpha=0.2, per_image=per_image)
    point = np.zeros_like(IMAGES)
    point[0, 3, 4] = 1
    for images in (np.zeros_like(IMAGES), np.ones_like(IMAGES), point, IMAGES[:1], IMAGES[:0]):
        result = layer(tf.constant(images), training=True).numpy()
        assert result.shape == images.shape and np.isfinite(result).all()
        assert ((result >= 0) & (result <= 1)).all()
    np.testing.assert_allclose(layer(IMAGES[:1], training=True), IMAGES[:1], atol=1e-6)
    np.testing.assert_allclose(layer(0 * IMAGES + 0.3, training=True), 0 * IMAGES + 0.3, atol=1e-6)


def test_gradient_goes_to_both_images():
    """Each image is used once as itself and once as a partner: with one λ its slope is 1."""
    layer = augment.Mixup(alpha=0.5)
    draws = layer.draw(IMAGES)
    (slope,) = gradient(lambda x: layer.apply(x, draws), IMAGES)
    np.testing.assert_allclose(slope, np.ones_like(IMAGES), atol=1e-6)


def test_labels_of_other_kinds():
    layer = augment.Mixup()
    draws = {"mixing_weight": tf.fill([6], 0.75), "partner": tf.range(5, -1, -1)}
    whole = layer.mix_labels(LABELS.astype("int32"), draws)
    assert whole.dtype == tf.float32
    np.testing.assert_array_equal(whole, layer.mix_labels(LABELS, draws))
    soft = 0.9 * LABELS.astype("float64") + 0.025
    result = layer.mix_labels(soft, draws)
    assert result.dtype == tf.float64
    np.testing.assert_allclose(result, 0.75 * soft + 0.25 * soft[::-1])


@both
def test_weights_belong_to_the_labels(per_image):
    """Weight times cross-entropy is λ·w·CE(y) + (1 − λ)·w[π]·CE(y[π]); weights may be 0."""
    layer = augment.Mixup(per_image=per_image)
    draws, weight = layer.draw(IMAGES), np.array([0, 1, 2, 0.5, 3, 0], "float32")
    share, partner = draws["mixing_weight"].numpy(), draws["partner"].numpy()
    minus_log = np.random.default_rng(0).random([6, 4])
    labels, weights = layer.mix_labels(LABELS, draws, weight)
    own, other = ((y * minus_log).sum(axis=1) for y in (LABELS, LABELS[partner]))
    expected = share * weight * own + (1 - share) * weight[partner] * other
    np.testing.assert_allclose(
        weights * (labels * minus_log).numpy().sum(axis=1), expected, atol=1e-5
    )
    np.testing.assert_allclose(labels.numpy().sum(axis=1), 1, atol=1e-5)
    nothing, zeros = layer.mix_labels(LABELS, draws, tf.zeros([6]))
    np.testing.assert_array_equal(nothing, layer.mix_labels(LABELS, draws))
    np.testing.assert_array_equal(zeros, 0)


@pytest.mark.parametrize("shape", [[6], [6, 1], [6, 4, 1]])
def test_class_indices_are_refused(shape):
    layer = augment.Mixup()
    with pytest.raises(ValueError, match=r"one-hot or soft.*received shape \(6.*tf.one_hot"):
        layer.mix_labels(tf.zeros(shape, tf.int32), layer.draw(IMAGES))


@both
def test_unknown_batch_size_and_pipeline(per_image):
    layer = augment.Mixup(alpha=0.4 if per_image else 1.0, per_image=per_image)
    seed = tf.constant([1, 2])

    def mix(images, labels):
        draws = layer.draw(images, seed)
        return layer.apply(images, draws), layer.mix_labels(labels, draws)

    expected = mix(tf.constant(IMAGES), tf.constant(LABELS))
    any_batch = [tf.TensorSpec([None, 7, 9, 3]), tf.TensorSpec([None, 4])]
    traced = tf.function(mix, input_signature=any_batch, autograph=False)
    data = tf.data.Dataset.from_tensor_slices((IMAGES, LABELS)).batch(6)
    for results in (traced(IMAGES, LABELS), next(iter(data.map(traced)))):
        for result, value in zip(results, expected):
            np.testing.assert_allclose(result, value, atol=1e-5)


@pytest.mark.slow
def test_compiles():
    """XLA draws different numbers than TensorFlow's kernels, from the same distribution."""
    layer = augment.Mixup(alpha=0.4, per_image=True)
    draw = tf.function(lambda seed: layer.draw(tf.zeros([999, 1, 1, 1]), seed), jit_compile=True)
    draws = draw(tf.constant([1, 2]))
    assert sorted(draws["partner"].numpy()) == list(range(999))
    expected = scipy.stats.beta(0.4, 0.4).cdf
    assert scipy.stats.kstest(draws["mixing_weight"], expected).statistic < 2.5 / 999**0.5


def test_config_survives_saving():
    layer = augment.Mixup(alpha=0.25, per_image=True, seed=9, name="mine")
    for twin in (
        augment.Mixup.from_config(json.loads(json.dumps(layer.get_config()))),
        keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer)),
    ):
        assert twin.get_config() == layer.get_config()
        assert (twin.alpha, twin.per_image, twin.seed, twin.name) == (0.25, True, 9, "mine")
        np.testing.assert_array_equal(
            twin.draw(IMAGES)["mixing_weight"], layer.draw(IMAGES)["mixing_weight"]
        )
        twin.set_weights([np.zeros([3], "int64")])
        layer.set_weights([np.zeros([3], "int64")])


@pytest.mark.parametrize("wrong", [0, -0.5, 100.5, float("nan"), "high", None, True])
def test_bad_alpha(wrong):
    with pytest.raises(ValueError, match=f"alpha must be .*100.*; received {wrong!r}"):
        augment.Mixup(alpha=wrong)
