"""Utility and sensitivity on linear nets, where they are known, and against differences."""

import keras
import numpy as np
import pytest
import scipy.special
import tensorflow as tf

from tests.reference.gradients import central_differences
from tfrobust.attacks import sensitivity, utility, utility_per_class
from tfrobust.losses import cross_entropy

L = keras.layers
SHAPE = [3, 4, 2]


@pytest.fixture
def batch():
    random = np.random.default_rng(0)
    return random.random([5, *SHAPE]).astype("float32"), np.array([0, 1, 2, 2, 1], "int32")


def linear_net(hidden=6):
    keras.utils.set_random_seed(0)
    layers = [L.Flatten(), L.Dense(hidden, bias_initializer="normal", name="hidden"), L.Dense(3)]
    return keras.Sequential([keras.Input(SHAPE), *layers])


def test_utility_of_a_linear_net(batch):
    """u = |Aᵀ(p − y)|, A the product of the kernels."""
    net, (images, labels) = linear_net(), batch
    first, bias1, second, bias2 = (np.asarray(w, "float64") for w in net.get_weights())
    logits = (images.reshape(5, -1) @ first + bias1) @ second + bias2
    error = scipy.special.softmax(logits, axis=1) - np.eye(3)[labels]
    expected = np.abs(error @ (first @ second).T).reshape(images.shape)
    for given in (labels, labels[:, None], np.eye(3, dtype="float32")[labels]):
        result = utility(net, tf.constant(images), tf.constant(given))
        assert result.dtype == tf.float32 and result.shape == images.shape
        np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-7)


def test_utility_per_class_is_the_mean_over_the_images_of_each(batch):
    net, (images, labels) = linear_net(), batch
    useful = utility(net, tf.constant(images), tf.constant(labels)).numpy()
    batches = [(images[:2], labels[:2]), (images[2:], labels[2:])]
    shown, means = utility_per_class(net, batches, 3)
    for one in range(3):
        np.testing.assert_allclose(shown[one], images[labels == one].mean(axis=0), rtol=1e-6)
        np.testing.assert_allclose(means[one], useful[labels == one].mean(axis=0), rtol=1e-5)
    with pytest.raises(ValueError, match=r"there is none of \[3\]"):
        utility_per_class(net, batches, 4)
    with pytest.raises(ValueError, match="none of"):
        utility_per_class(net, [], 4)


def test_sensitivity_of_a_linear_net(batch):
    """The length of each column of the kernel, for every image alike."""
    net, (images, _) = linear_net(), batch
    kernel = np.asarray(net.get_weights()[0])
    expected = np.linalg.norm(kernel, axis=1).reshape(SHAPE)
    result = sensitivity(net, tf.constant(images))
    np.testing.assert_allclose(result, np.broadcast_to(expected, images.shape), rtol=1e-5)
    both = np.linalg.norm(kernel @ np.asarray(net.get_weights()[2]), axis=1).reshape(SHAPE)
    of_logits = sensitivity(net, images[:1], embedding_layer=net.layers[-1].name)
    np.testing.assert_allclose(of_logits[0], both, rtol=1e-5)


def curved_net():
    keras.utils.set_random_seed(1)
    conv = L.Conv2D(4, 2, activation="softplus")
    layers = [conv, L.BatchNormalization(), L.GlobalAveragePooling2D(name="features"), L.Dense(3)]
    return keras.Sequential([keras.Input(SHAPE), *layers])


def test_against_differences(batch):
    images, labels = batch
    net = curved_net()
    kernel, bias, *norm, head, head_bias = (np.asarray(w, "float64") for w in net.get_weights())
    assert len(norm) == 4

    def embeddings(x):
        windows = np.stack(
            [x[:, i : i + 2, j : j + 2].reshape(len(x), -1) for i in range(2) for j in range(3)], 1
        )
        maps = np.logaddexp(0, windows @ kernel.reshape(-1, 4) + bias)
        return maps.mean(axis=1) / np.sqrt(1 + 1e-3)

    def loss(x):
        log_p = scipy.special.log_softmax(embeddings(x) @ head + head_bias, axis=1)
        return -log_p[np.arange(len(x)), labels]

    expected = np.abs(central_differences(loss, images))
    np.testing.assert_allclose(utility(net, images, labels), expected, rtol=1e-3, atol=1e-6)
    squares = sum(
        central_differences(lambda x, e=e: embeddings(x)[:, e], images) ** 2 for e in range(4)
    )
    np.testing.assert_allclose(sensitivity(net, images), np.sqrt(squares), rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("make, sizes", [(curved_net, (5, 1)), (linear_net, (5, 1, 0))])
def test_graph_as_eager_with_unknown_batch(batch, make, sizes):
    images, labels = batch
    net = make()
    maps = tf.function(
        lambda x, y: (utility(net, x, y), sensitivity(net, x)),
        input_signature=[tf.TensorSpec([None, *SHAPE]), tf.TensorSpec([None], tf.int32)],
    )
    for size in sizes:
        used, felt = maps(images[:size], labels[:size])
        assert used.shape == felt.shape == [size, *SHAPE]
        if size:
            expected = utility(net, images[:size], labels[:size])
            np.testing.assert_allclose(used, expected, rtol=1e-4, atol=1e-6)
            np.testing.assert_allclose(felt, sensitivity(net, images[:size]), rtol=1e-4)


def test_net_runs_in_inference_mode(batch):
    images, labels = batch
    keras.utils.set_random_seed(0)
    net = keras.Sequential(
        [keras.Input(SHAPE), L.BatchNormalization(), L.Flatten(), L.Dropout(0.9), L.Dense(3)]
    )
    before = net.get_weights()
    first, second = utility(net, images, labels), utility(net, images, labels)
    np.testing.assert_array_equal(first, second)
    np.testing.assert_allclose(
        utility(net, images[:2], labels[:2]), first[:2], rtol=1e-4, atol=1e-6
    )
    sensitivity(net, images)
    for old, new in zip(before, net.get_weights()):
        np.testing.assert_array_equal(old, new)


def test_no_gradient_flows_back(batch):
    images, labels = batch
    net = linear_net()
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(utility(net, images, labels))
        total += tf.reduce_sum(sensitivity(net, images))
    assert all(g is None for g in tape.gradient(total, net.trainable_variables))


def test_other_loss(batch):
    images, labels = batch
    net = linear_net()

    def threefold(labels, logits):
        return 3 * cross_entropy(labels, logits)

    result, single = (utility(net, images, labels, loss=f) for f in (threefold, cross_entropy))
    np.testing.assert_allclose(result, 3 * single, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_saturated_net_is_finite(value):
    net = linear_net()
    net.set_weights([1e3 * w for w in net.get_weights()])
    images, labels = np.full([3, *SHAPE], value, "float32"), np.arange(3, dtype="int32")
    assert np.isfinite(utility(net, images, labels)).all()
    assert np.isfinite(sensitivity(net, images)).all()


def test_half_precision_keeps_small_utilities(batch):
    images, labels = batch
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        net = linear_net()
    finally:
        keras.mixed_precision.set_global_policy("float32")
    exact = linear_net()
    weights = exact.get_weights()
    weights[2] = weights[2] * 2e-5  # utilities around 1e-6, float16 has steps of 6e-8 there
    for one in (net, exact):
        one.set_weights(weights)
    result, expected = utility(net, images, labels), utility(exact, images, labels)
    assert 1e-7 < np.median(expected) < 1e-5
    np.testing.assert_allclose(result, expected, rtol=0.05, atol=2e-8)
    assert np.isfinite(sensitivity(net, images)).all()


def test_unknown_layer(batch):
    with pytest.raises(ValueError, match=r"no layer 'top'.*hidden"):
        sensitivity(linear_net(), batch[0], embedding_layer="top")
