"""Finding ReLUs and recording feature maps in nets of every kind."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfrobust.layers import recorded_outputs, relu_layers
from tfrobust.layers.feature_taps import find_relus
from tfrobust.layers.outputs import final_activation

LAYERS = keras.layers


def flat():
    inputs = keras.Input([4])
    x = LAYERS.Dense(5, activation="relu")(inputs)
    x = LAYERS.ReLU()(LAYERS.Dense(6)(x))
    x = LAYERS.Activation("relu")(LAYERS.Dense(7)(x))
    x = keras.activations.relu(LAYERS.Dense(8)(x))
    x = LAYERS.LeakyReLU()(LAYERS.Dense(9)(x))
    x = LAYERS.Dense(10, activation="tanh")(x)
    return keras.Model(inputs, LAYERS.Dense(2)(x)), [5, 6, 7, 8]


def nested():
    inner = keras.Sequential([keras.Input([4]), LAYERS.Dense(5, activation="relu")])
    middle = keras.Sequential([keras.Input([4]), inner, LAYERS.Dense(6, activation="relu")])
    inputs = keras.Input([4])
    return keras.Model(inputs, LAYERS.Dense(2)(middle(inputs))), [5, 6]


def shared():
    relu, inputs = LAYERS.ReLU(), keras.Input([4])
    x = relu(LAYERS.Dense(5)(inputs))
    x = relu(LAYERS.Dense(6)(x))
    return keras.Model(inputs, LAYERS.Dense(2)(x)), [5, 6]


@pytest.mark.parametrize("build", [flat, nested, shared])
def test_every_relu_output_is_recorded_once(build):
    net, widths = build()
    batch = np.random.default_rng(0).normal(size=[3, 4]).astype("float32")

    @tf.function
    def run(images):
        with recorded_outputs(relu_layers(net)) as maps:
            logits = net(images, training=True)
        return logits, maps

    for _ in range(2):  # also the second time
        logits, maps = run(batch)
        assert [feature_map.shape[1] for feature_map in maps] == widths
        assert all(float(tf.reduce_min(feature_map)) >= 0 for feature_map in maps)
        np.testing.assert_allclose(logits, net(batch), atol=1e-6)


def test_recorded_values_are_those_of_the_net():
    net, _ = flat()
    batch = np.random.default_rng(0).normal(size=[3, 4]).astype("float32")
    with recorded_outputs(relu_layers(net)) as maps:
        net(batch)
    kernel, bias = net.layers[1].get_weights()
    np.testing.assert_allclose(maps[0], np.maximum(batch @ kernel + bias, 0), atol=1e-6)


def test_nothing_is_recorded_outside_the_block():
    net, _ = flat()
    batch = tf.zeros([3, 4])
    with recorded_outputs(relu_layers(net)) as maps:
        net(batch)
    count = len(maps)
    net(batch)
    assert len(maps) == count
    with pytest.raises(RuntimeError), recorded_outputs(relu_layers(net)):
        raise RuntimeError
    with recorded_outputs(relu_layers(net)[:1]) as maps:
        net(batch)
    assert len(maps) == 1


def test_recorded_net_is_saved_unchanged(tmp_path):
    net, _ = nested()
    with recorded_outputs(relu_layers(net)):
        net(tf.zeros([1, 4]))
    net.save(tmp_path / "net.keras")
    again = keras.models.load_model(tmp_path / "net.keras")
    batch = np.random.default_rng(0).normal(size=[3, 4]).astype("float32")
    np.testing.assert_array_equal(net(batch), again(batch))


class Block(LAYERS.Layer):
    """ReLUs as layers, as the activation of one, as functions; it ends in one."""

    def __init__(self):
        super().__init__()
        self.first, self.relu = LAYERS.Dense(5, activation="relu"), LAYERS.ReLU()
        self.second, self.third = LAYERS.Dense(6), LAYERS.Dense(7)

    def call(self, x):
        x = self.relu(self.second(self.first(x)))
        x = tf.nn.relu(self.third(x)) - 1.0  # nothing gives this one away
        return tf.nn.relu(x)


def test_relus_inside_custom_layers():
    net = keras.Sequential([keras.Input([4]), Block(), LAYERS.Dense(8, "relu"), LAYERS.Dense(2)])
    relus = find_relus(net)
    block = net.layers[0]
    assert relus.layers == [block.first, block.relu, block, net.layers[1]]
    assert (relus.found, relus.hidden) == (5, 1) and relus.hiding == (f"{block.name} (Block)",)
    with recorded_outputs(relus.layers) as maps:
        net(np.random.default_rng(0).normal(size=[3, 4]).astype("float32"))
    assert [m.shape[1] for m in maps] == [5, 6, 7, 8]
    assert find_relus(nested()[0]).hidden == 0


def test_not_a_relu():
    layers = [LAYERS.ReLU(negative_slope=0.1), LAYERS.ReLU(threshold=0.5), LAYERS.ELU()]
    assert relu_layers(keras.Sequential([keras.Input([4]), *layers])) == []
    assert len(relu_layers(keras.Sequential([keras.Input([4]), LAYERS.ReLU(max_value=6)]))) == 1


@pytest.mark.parametrize(
    "make, name",
    [
        (lambda: [LAYERS.Dense(3)], "linear"),
        (lambda: [LAYERS.Dense(3, activation="softmax")], "softmax"),
        (lambda: [LAYERS.Dense(3), LAYERS.Softmax()], "softmax"),
        (lambda: [LAYERS.Dense(3), LAYERS.Activation("sigmoid")], "sigmoid"),
        (lambda: [keras.Sequential([LAYERS.Dense(3, activation="softmax")])], "softmax"),
    ],
)
def test_final_activation(make, name):
    assert final_activation(keras.Sequential([keras.Input([4]), *make()])) == name
