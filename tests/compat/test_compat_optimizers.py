"""Loss scaling in mixed float16, and the variables that a checkpoint must hold."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfrobust.compat.optimizers import optimizer_variables, scaled_loss, unscaled_gradients
from tfrobust.compat.stack import KERAS_2


def scaling(inner):
    if KERAS_2:
        return keras.mixed_precision.LossScaleOptimizer(inner)
    return keras.optimizers.LossScaleOptimizer(inner)


def stepped(optimizer):
    """1 after a step on the loss 3x, and the gradient that the tape gave."""
    layer = keras.layers.Layer()
    x = layer.add_weight(name="x", shape=(), initializer="ones")
    with tf.GradientTape() as tape:
        loss = scaled_loss(optimizer, 3 * tf.convert_to_tensor(x))
    gradients = tape.gradient(loss, layer.trainable_variables)
    unscaled = unscaled_gradients(optimizer, gradients)
    optimizer.apply_gradients(zip(unscaled, layer.trainable_variables))
    return float(tf.convert_to_tensor(x)), float(gradients[0])


def test_a_scaled_step_is_the_plain_step():
    assert stepped(keras.optimizers.SGD(0.25)) == (0.25, 3)
    assert stepped(scaling(keras.optimizers.SGD(0.25))) == (0.25, 3 * 2**15)


@pytest.mark.parametrize("wrap", [lambda optimizer: optimizer, scaling], ids=["plain", "scaling"])
def test_the_learning_rate_is_among_the_variables(wrap):
    optimizer = wrap(keras.optimizers.SGD(0.125, momentum=0.5))
    optimizer.build([tf.Variable(1.0)] if KERAS_2 else [keras.Variable(1.0)])
    values = [float(np.asarray(tf.convert_to_tensor(v))) for v in optimizer_variables(optimizer)]
    assert values.count(0.125) == 1
    assert values.count(2**15) == (wrap is scaling)


@pytest.mark.skipif(not KERAS_2, reason="Keras 3 counts all of them among the variables")
def test_keras_2_leaves_them_out():
    optimizer = scaling(keras.optimizers.SGD(0.125))
    optimizer.build([tf.Variable(1.0)])
    assert len(optimizer_variables(optimizer)) == len(optimizer.variables) + 3
