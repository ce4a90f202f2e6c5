"""The generators of Dropout are saved: with Keras 2 on request, with Keras 3 as variables."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfrobust.compat.random_generators import generator_states, use_saved_generators
from tfrobust.compat.stack import KERAS_2

ONES = np.ones([4, 16], "float32")


def dropout():
    return keras.Sequential([keras.Input([16]), keras.layers.Dropout(0.5)])


@pytest.fixture
def saved_generators():
    use_saved_generators()
    yield
    if KERAS_2:
        keras.backend.experimental.disable_tf_random_generator()


def test_draws_repeat_from_a_saved_state(saved_generators):
    net = dropout()
    variables = [*net.variables, *generator_states(net)]
    assert len(variables) == 1
    before = [tf.identity(tf.convert_to_tensor(v)) for v in variables]
    first, second = (np.asarray(net(ONES, training=True)) for _ in range(2))
    for variable, value in zip(variables, before):
        variable.assign(value)
    assert (first != second).any()
    np.testing.assert_array_equal(net(ONES, training=True), first)


@pytest.mark.skipif(not KERAS_2, reason="Keras 3 always has generators, among its variables")
def test_keras_2_hides_them_and_has_none_unless_asked(saved_generators):
    assert dropout().variables == []
    keras.backend.experimental.disable_tf_random_generator()
    net = dropout()
    net(ONES, training=True)
    assert generator_states(net) == []
