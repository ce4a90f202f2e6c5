"""Batch norm adapted to images: NumPy layer by layer, and what stays."""

import keras
import numpy as np
import pytest

from tfrobust import nets
from tfrobust.layers.dual_batch_normalization import DualBatchNormalization
from tfrobust.nets import BatchNormAdapter

pytestmark = pytest.mark.usefixtures("eagerly")

SHAPE = (4, 5, 3)
IMAGES = np.random.default_rng(0).uniform(0.2, 0.9, [7, *SHAPE]).astype("float32")


def two_norms():
    norms = [keras.layers.BatchNormalization(epsilon=1e-5) for _ in range(2)]
    layers = [norms[0], keras.layers.ReLU(), norms[1], keras.layers.Flatten()]
    net = keras.Sequential([keras.Input(SHAPE), *layers, keras.layers.Dense(2)])
    random = np.random.default_rng(1)
    for norm in norms:
        norm.set_weights([random.uniform(0.5, 1.5, 3).astype("float32") for _ in range(4)])
    return net, norms


def by_hand(norms, images, weight):
    """The statistics of both layers, each computed from what the adapted one before returns."""
    x, found = images.astype("float64"), []
    for norm in norms:
        gamma, beta, mean, variance = (value.astype("float64") for value in norm.get_weights())
        mean = weight * mean + (1 - weight) * x.mean((0, 1, 2))
        variance = weight * variance + (1 - weight) * x.var((0, 1, 2))
        found.append((mean, variance))
        x = np.maximum(gamma * (x - mean) / np.sqrt(variance + 1e-5) + beta, 0)
    return found


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_statistics_are_mixed_layer_by_layer(weight):
    net, norms = two_norms()
    expected, before = by_hand(norms, IMAGES, weight), net.get_weights()
    adapter = BatchNormAdapter(net)
    for images in (IMAGES[:2], IMAGES):  # from the training's statistics each time
        adapter.adapt(images, weight)
    for norm, (mean, variance) in zip(norms, expected):
        np.testing.assert_allclose(norm.moving_mean, mean, rtol=1e-5)
        np.testing.assert_allclose(norm.moving_variance, variance, rtol=1e-5)
        np.testing.assert_array_equal(norm.gamma, before[0 if norm is norms[0] else 4])
    adapter.reset()
    for now, old in zip(net.get_weights(), before):
        np.testing.assert_array_equal(now, old)


def test_frozen_norms_and_the_clean_half_alone():
    norm = DualBatchNormalization()
    net = keras.Sequential([keras.Input(SHAPE), norm, keras.layers.Flatten()])
    net.trainable = False
    BatchNormAdapter(net).adapt(IMAGES, 0.0)
    np.testing.assert_allclose(norm.clean.moving_mean, IMAGES.mean((0, 1, 2)), rtol=1e-5)
    np.testing.assert_array_equal(norm.auxiliary.moving_mean, 0)


def test_one_constant_image_is_finite():
    net, norms = two_norms()
    BatchNormAdapter(net).adapt(np.full([1, *SHAPE], 0.5, "float32"), 0.0)
    np.testing.assert_allclose(norms[0].moving_variance, 0, atol=1e-6)
    assert np.isfinite(net(IMAGES)).all()


def test_nets_without_batch_norm_and_wrong_weights_are_refused(make_net):
    with pytest.raises(ValueError, match=r"must have batch norms .* has none"):
        BatchNormAdapter(make_net())
    with pytest.raises(ValueError, match=r"weight must be .*; received 1\.5"):
        BatchNormAdapter(two_norms()[0]).adapt(IMAGES, 1.5)


@pytest.mark.parametrize("activation", [None, "softmax"])
def test_logits_are_scaled_in_the_weights(make_net, images, activation):
    net = make_net(activation=activation)
    before = np.asarray(nets.to_logits(net).model(images))
    nets.scale_logits(net, 2.5)
    np.testing.assert_allclose(nets.to_logits(net).model(images), before / 2.5, rtol=1e-5)
    head = np.asarray(net.layers[-1].kernel)
    for wrong in (0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="temperature must be"):
            nets.scale_logits(net, wrong)
    np.testing.assert_array_equal(net.layers[-1].kernel, head)


def test_outputs_that_do_not_follow_from_the_last_layer_are_refused(make_net, images):
    body = make_net()
    x = keras.layers.Dense(4, activation="tanh")(body.outputs[0])
    net = keras.Model(body.inputs, x)
    before = np.asarray(net(images))
    with pytest.raises(ValueError, match="do not grow with the weights of its last layer"):
        nets.scale_logits(net, 2.0)
    np.testing.assert_array_equal(net(images), before)
