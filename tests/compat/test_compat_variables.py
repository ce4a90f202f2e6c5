"""What `add_weight` is given on either stack, and the variables of a SavedModel."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfrobust.compat.stack import KERAS_2
from tfrobust.compat.variables import WITHOUT_AUTOCAST, in_place_of, plain_variables


def test_a_weight_is_read_as_float32_under_mixed_precision():
    class Reads(keras.layers.Layer):
        def build(self, input_shape):
            settings = {"shape": (), "initializer": "zeros", "dtype": "float32"}
            self.kept = self.add_weight(name="kept", **settings, **WITHOUT_AUTOCAST)
            self.cast = self.add_weight(name="cast", **settings)

        def call(self, inputs):
            self.seen = [tf.convert_to_tensor(v).dtype for v in (self.kept, self.cast)]
            return inputs

    layer = Reads(dtype="mixed_float16")
    layer(tf.zeros([1]))
    assert layer.seen == [tf.float32, tf.float16]


def test_a_module_tracks_plain_variables(make_net):
    net = make_net()
    module = tf.Module()
    module.weights = plain_variables(net.variables)
    assert len(module.variables) == 6
    for variable, value in zip(module.variables, net.get_weights()):
        np.testing.assert_array_equal(variable, value)


@pytest.mark.skipif(KERAS_2, reason="the variables of Keras 2 are TensorFlow's")
def test_a_module_does_not_track_the_variables_of_keras_3(make_net):
    module = tf.Module()
    module.weights = make_net().variables
    assert module.variables == ()


def test_layers_read_tensors_in_place_of_variables_which_are_back_after_an_error():
    layer = keras.layers.Dense(2)
    layer.build([None, 2])
    kernel = layer.kernel
    with pytest.raises(KeyError), in_place_of([kernel], [tf.zeros([2, 2])], [layer]):
        assert np.all(np.asarray(layer(np.ones([1, 2], "float32"))) == 0)
        raise KeyError
    assert layer.kernel is kernel
