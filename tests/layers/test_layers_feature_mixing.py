"""Mixing points: the chosen point changes, and nothing else."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfrobust import nets
from tfrobust.layers import feature_mixing, mixing_layers, recorded_outputs, relu_layers
from tfrobust.layers.feature_mixing import usable_points

LAYERS = keras.layers
IMAGES = np.random.default_rng(0).random([6, 4], "float32")


def point(number):
    return LAYERS.Activation("linear", name=f"mixing_point_{number}")


def flat():
    return keras.Sequential(
        [keras.Input([4]), point(0), LAYERS.Rescaling(10.0), point(1), LAYERS.Rescaling(100.0)]
    )


def nested():
    inner = keras.Sequential([keras.Input([4]), LAYERS.Rescaling(10.0), point(1)])
    middle = keras.Sequential([keras.Input([4]), point(0), inner])
    inputs = keras.Input([4])
    return keras.Model(inputs, LAYERS.Rescaling(100.0)(middle(inputs)))


def without_point_0():
    return keras.Sequential(
        [keras.Input([4]), LAYERS.Rescaling(10.0), point(1), LAYERS.Rescaling(100.0)]
    )


NETS = [flat, nested, without_point_0]


@pytest.mark.parametrize("graph", [False, True])
@pytest.mark.parametrize("build", NETS)
def test_the_chosen_point_is_changed_and_no_other(build, graph):
    """x → 10 x → 1000 x, with 1 added at one of the points."""
    net, traces = build(), []

    def run(images, chosen):
        traces.append(1)
        with feature_mixing(net, (0, 1), chosen, lambda values: values + 1.0) as enter:
            return net(enter(images), training=True)

    run_it = tf.function(run) if graph else run
    for chosen, added in ((0, 1000.0), (1, 100.0), (0, 1000.0)):
        result = run_it(tf.constant(IMAGES), tf.constant(chosen))
        np.testing.assert_allclose(result, 1000 * IMAGES + added, rtol=1e-5)
    assert len(traces) == (1 if graph else 3)
    np.testing.assert_allclose(net(IMAGES, training=True), 1000 * IMAGES, rtol=1e-5)


@pytest.mark.parametrize("build", NETS)
@pytest.mark.parametrize("only, added", [(0, 1000.0), (1, 100.0)])
def test_one_point_alone(build, only, added):
    net = build()
    with feature_mixing(net, (only,), tf.constant(only), lambda values: values + 1.0) as enter:
        result = net(enter(tf.constant(IMAGES)))
    np.testing.assert_allclose(result, 1000 * IMAGES + added, rtol=1e-5)


def test_other_points_are_not_computed():
    net = flat()

    @tf.function
    def run(images, chosen):
        def change(values):
            tf.debugging.assert_less(chosen, 1)
            return values

        with feature_mixing(net, (0, 1), chosen, change) as enter:
            return net(enter(images))

    np.testing.assert_allclose(run(IMAGES, tf.constant(0)), 1000 * IMAGES, rtol=1e-5)
    with pytest.raises(tf.errors.InvalidArgumentError):
        run(IMAGES, tf.constant(1))


def test_gradient_goes_through_the_change():
    net = keras.Sequential([keras.Input([4]), LAYERS.Dense(3), point(1), LAYERS.Dense(2)])

    @tf.function
    def slope(images, chosen):
        with (
            tf.GradientTape() as tape,
            feature_mixing(net, (0, 1), chosen, lambda values: 3.0 * values) as enter,
        ):
            total = tf.reduce_sum(net(enter(images)))
        return tape.gradient(total, net.trainable_variables)

    first = IMAGES.sum(axis=0)[:, None] * net.layers[-1].get_weights()[0].sum(axis=1)
    for chosen in (0, 1):
        kernel, bias, *_ = slope(IMAGES, tf.constant(chosen))
        np.testing.assert_allclose(kernel, 3 * first, rtol=1e-4)
        scale = 3 if chosen == 1 else 1
        expected = scale * 6 * net.layers[-1].get_weights()[0].sum(axis=1)
        np.testing.assert_allclose(bias, expected, rtol=1e-4)


def test_maps_can_be_recorded_in_the_same_pass():
    net = keras.Sequential([keras.Input([4]), point(1), LAYERS.ReLU()])
    with (
        feature_mixing(net, (1,), tf.constant(1), lambda values: values + 1.0) as enter,
        recorded_outputs(relu_layers(net)) as maps,
    ):
        result = net(enter(tf.constant(IMAGES)))
    np.testing.assert_allclose(maps[0], IMAGES + 1, rtol=1e-6)
    np.testing.assert_allclose(result, maps[0])


def test_a_raised_error_ends_the_block():
    net = flat()
    with (
        pytest.raises(RuntimeError),
        feature_mixing(net, (0,), tf.constant(0), lambda values: values + 1.0),
    ):
        raise RuntimeError
    np.testing.assert_allclose(net(IMAGES), 1000 * IMAGES, rtol=1e-5)


def test_mixed_net_is_saved_unchanged(tmp_path):
    net = nested()
    with feature_mixing(net, (0, 1), tf.constant(1), lambda values: values + 1.0) as enter:
        net(enter(tf.constant(IMAGES)))
    net.save(tmp_path / "net.keras")
    again = keras.models.load_model(tmp_path / "net.keras")
    np.testing.assert_allclose(again(IMAGES, training=True), 1000 * IMAGES, rtol=1e-5)


@pytest.mark.parametrize(
    "build, points, usual",
    [
        (lambda: nets.wrn_28_2([8, 8, 3], classes=4), [0, 1, 2, 3], (0, 1, 2, 3)),
        (lambda: nets.preact_resnet_18([8, 8, 3], 4), [0, 1, 2, 3, 4], (0, 1, 2, 3)),
        (nested, [0, 1], (0, 1)),
        (without_point_0, [1], (0, 1)),
        (lambda: keras.Sequential([keras.Input([4]), LAYERS.Dense(2)]), [], (0,)),
    ],
)
def test_points_of_a_net(build, points, usual):
    net = build()
    assert list(mixing_layers(net)) == points
    assert all(layer.name == f"mixing_point_{i}" for i, layer in mixing_layers(net).items())
    assert usable_points(net) == usual


@pytest.mark.parametrize("wanted", [[1, 0, 1], (0, 1), range(2)])
def test_wanted_points(wanted):
    assert usable_points(flat(), wanted) == (0, 1)


@pytest.mark.parametrize("wanted", [[], (), [2], [-1], [0, 5], [True], 1, "01", [0.5], [None]])
def test_points_that_are_not_there_are_refused(wanted):
    with pytest.raises(ValueError, match=r"some of the numbers \[0, 1\].*received "):
        usable_points(flat(), wanted)


def test_a_name_twice_is_refused():
    inner = keras.Sequential([keras.Input([4]), point(1)])
    with pytest.raises(ValueError, match="name mixing_point_1 at most"):
        mixing_layers(keras.Sequential([keras.Input([4]), point(1), inner]))
