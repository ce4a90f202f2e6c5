"""DAMP: what a step computes against NumPy, and what stays."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.parameters import slow_unless
from tfrobust import augment, methods, saving
from tfrobust.layers.weight_noise import WeightNoise
from tfrobust.methods.routed import RoutedModel
from tfrobust.recipes.method_parts import build_method
from tfrobust.registries import METHODS

pytestmark = pytest.mark.usefixtures("eagerly")

X = np.random.default_rng(0).random([6, 2, 2, 1], "float32")
Y = np.arange(6) % 3


def linear(**kwargs):
    layers = [keras.layers.Flatten(), keras.layers.Dense(3, **kwargs)]
    return keras.Sequential([keras.Input([2, 2, 1]), *layers])


def compiled(net, sigma, **kwargs):
    model = methods.Baseline(net, weight_noise=sigma)
    model.compile(keras.optimizers.SGD(0.5), **kwargs)
    return model


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def test_a_step_is_that_of_the_multiplied_weights():
    model = compiled(linear(), 0.4)
    kernel, bias = (w.astype("float64") for w in model.net.get_weights())
    kernel = np.random.default_rng(1).normal(size=kernel.shape)
    model.net.set_weights([kernel, bias])
    (factor,) = model.weight_noise.draw(model.net)
    model.weight_noise.count_from(0)
    factor = factor.numpy().astype("float64")
    assert factor.shape == (4, 3) and 0.1 < np.abs(factor - 1).mean() < 0.7
    model.train_on_batch(X, Y)
    flat = X.reshape(6, 4).astype("float64")
    off = (softmax(flat @ (kernel * factor) + bias) - np.eye(3)[Y]) / 6
    now = model.net.get_weights()
    np.testing.assert_allclose(now[0], kernel - 0.5 * factor * (flat.T @ off), atol=1e-5)
    np.testing.assert_allclose(now[1], bias - 0.5 * off.sum(0), atol=1e-5)


def test_factors_have_mean_1_and_the_given_deviation():
    net = keras.Sequential([keras.Input([200]), keras.layers.Dense(300)])
    noise = WeightNoise(0.2, seed=3)
    (first,), (second,) = noise.draw(net), noise.draw(net)
    assert abs(np.mean(first) - 1) < 5 * 0.2 / 245 and abs(np.std(first) - 0.2) < 0.005
    assert abs(np.corrcoef(np.ravel(first), np.ravel(second))[0, 1]) < 0.03


def test_kernels_and_scales_alone_and_none_that_is_frozen():
    layers = [
        keras.layers.Conv2D(4, 3),
        keras.layers.BatchNormalization(),
        keras.layers.DepthwiseConv2D(2),
        keras.layers.Flatten(),
        keras.layers.Dense(3),
    ]
    body = keras.Sequential([keras.Input([8, 8, 3]), *layers[:3]])
    net = keras.Sequential([keras.Input([8, 8, 3]), body, *layers[3:]])
    shapes = [tuple(factor.shape) for factor in WeightNoise(0.1).draw(net)]
    assert sorted(shapes) == sorted([(3, 3, 3, 4), (4,), (2, 2, 4, 1), (100, 3)])
    layers[0].trainable = False
    assert len(WeightNoise(0.1).draw(net)) == 3
    noise = WeightNoise(0.5)
    images = np.random.default_rng(0).random([2, 8, 8, 3], "float32")
    before, weights = np.asarray(net(images)), net.get_weights()
    with noise.applied(net, noise.draw(net)):
        inside = np.asarray(net(images))
    assert np.abs(inside - before).max() > 1e-3
    np.testing.assert_array_equal(net(images), before)
    for now, old in zip(net.get_weights(), weights):
        np.testing.assert_array_equal(now, old)


def test_mixed_precision(images, labels):
    norm = keras.layers.BatchNormalization
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        layers = [keras.layers.Conv2D(4, 3, strides=4), norm(), keras.layers.Flatten()]
        net = keras.Sequential([keras.Input([16, 16, 3]), *layers, keras.layers.Dense(4)])
        model = compiled(net, 0.2)
    finally:
        keras.mixed_precision.set_global_policy("float32")
    before = net.get_weights()
    model.train_on_batch(images, labels)
    assert np.abs(net.get_weights()[0] - before[0]).max() > 0


def test_saved_and_loaded_it_goes_on_drawing(tmp_path):
    model = compiled(linear(), 0.3)
    model.train_on_batch(X, Y)
    saving.save_model(model, tmp_path / "model.keras")
    again = saving.load_model(tmp_path / "model.keras")
    assert again.weight_noise.sigma == 0.3
    for one in (model, again):
        one.train_on_batch(X, Y)
    np.testing.assert_allclose(*(m.net.get_weights()[0] for m in (model, again)), atol=1e-6)
    assert "weight_noise" not in methods.Baseline(linear()).get_config()
    with pytest.raises(ValueError, match="sigma must be"):
        methods.Baseline(linear(), weight_noise=-1)


#: Those with routes have a step in common.
TRIED = [n for n in METHODS if n == "augmix_pgdat" or not issubclass(METHODS[n], RoutedModel)]


@pytest.mark.parametrize("name", slow_unless(["stability_training", "noisymix"], TRIED))
def test_every_method_takes_it(name, make_net, images, labels):
    settings = {"weight_noise": 0.2}
    if issubclass(METHODS[name], RoutedModel):
        settings["dual_norms"] = False
    if name == "feature_contrastive":
        settings["k"] = 64
    model = build_method(name, make_net(), augment.Brightness(0.1), settings)
    model.compile("sgd")
    before = model.net.get_weights()
    model.train_on_batch(images, labels)
    moved = [np.abs(now - old).max() for now, old in zip(model.net.get_weights(), before)]
    assert max(moved) > 0 and np.isfinite(moved).all()


@pytest.mark.slow
@pytest.mark.parametrize("jit_compile", [False, True])
def test_traced_and_compiled_by_xla_it_is_the_same(jit_compile, request):
    tf.config.run_functions_eagerly(False)
    results = []
    for compile_it in (False, jit_compile):
        keras.utils.set_random_seed(0)
        model = compiled(linear(), 0.3, jit_compile=compile_it)
        model.fit(X, Y, epochs=2, batch_size=3, shuffle=False, verbose=0)
        results.append(model.net.get_weights()[0])
    np.testing.assert_allclose(*results, atol=1e-5)


@pytest.mark.slow
def test_two_devices_draw_each_its_own():
    tf.config.run_functions_eagerly(False)
    strategy = tf.distribute.MirroredStrategy(
        ["/cpu:0", "/cpu:1"], cross_device_ops=tf.distribute.ReductionToOneDevice()
    )
    with strategy.scope():
        model = compiled(linear(), 0.3)
    model.fit(X, Y, epochs=1, batch_size=6, verbose=0)
    assert np.isfinite(model.net.get_weights()[0]).all()
    draw = strategy.run(lambda: model.weight_noise.draw(model.net)[0])
    first, second = strategy.experimental_local_results(draw)
    assert np.abs(first - second).max() > 0
