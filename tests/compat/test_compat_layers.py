"""What is directly inside a layer or model, and which layers draw random numbers."""

import keras

from tfrobust.compat.layers import holds_generator, sublayers


class Holds(keras.layers.Layer):
    """A layer with layers inside, one by one and in a list."""

    def __init__(self):
        super().__init__()
        self.norm = keras.layers.BatchNormalization()
        self.block = [keras.layers.Dense(4), keras.layers.ReLU()]

    def call(self, inputs):
        return self.block[1](self.block[0](self.norm(inputs)))


def test_what_a_layer_holds_in_its_order():
    holds = Holds()
    assert sublayers(holds) == [holds.norm, *holds.block]
    assert sublayers(holds.norm) == []


def test_functions_are_inside_a_model():
    inputs = keras.Input([4])
    dense = keras.layers.Dense(2)
    net = keras.Model(inputs, keras.activations.relu(dense(inputs)))
    inside = sublayers(net)
    assert len(inside) == 3 and inside[1] is dense
    assert sublayers(inside[2]) == []


def test_layers_that_draw():
    drawing = [keras.layers.Dropout(0.5), keras.layers.RandomFlip(), keras.layers.GaussianNoise(1)]
    others = [keras.layers.Dense(2), keras.layers.BatchNormalization(), Holds()]
    assert [holds_generator(layer) for layer in (*drawing, *others)] == [True] * 3 + [False] * 3
