"""Layers inside layers, and functions in nets."""

import keras

from tfrobust.compat.layers import every_layer, operations
from tfrobust.compat.stack import KERAS_2


class Holds(keras.layers.Layer):
    """A layer with a norm inside."""

    def __init__(self):
        super().__init__()
        self.norm = keras.layers.BatchNormalization()

    def call(self, inputs):
        return self.norm(inputs)


def test_every_layer_looks_into_layers():
    shared, holds = keras.layers.ReLU(), Holds()
    inner = keras.Sequential([keras.Input([4]), shared, holds])
    inputs = keras.Input([4])
    net = keras.Model(inputs, shared(inner(inputs)))
    found = every_layer(net)
    assert holds.norm in found and holds.norm not in [*net.layers, *inner.layers]
    assert found.count(shared) == 1 and net in found


def test_functions_are_operations():
    inputs = keras.Input([4])
    net = keras.Model(inputs, keras.activations.relu(keras.layers.Dense(2)(inputs)))
    assert len(operations(net)) == 3
    assert len(net.layers) == (3 if KERAS_2 else 2)
