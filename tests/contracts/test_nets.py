"""What every registered net keeps."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfrobust.layers.outputs import final_activation
from tfrobust.registries import NETS


@pytest.fixture(params=list(NETS))
def net(request):
    return NETS[request.param]()


def test_images_to_finite_logits(net):
    assert isinstance(net, keras.Model) and len(net.output_shape) == 2
    assert final_activation(net) == "linear"
    shape = [3, *net.input_shape[1:]]
    for images in (tf.zeros(shape), tf.ones(shape), tf.random.stateless_uniform(shape, [1, 2])):
        logits = net(images).numpy()
        assert logits.shape == (3, net.output_shape[1]) and np.isfinite(logits).all()


def test_number_of_classes(net):
    assert NETS[net.name](classes=7).output_shape == (None, 7)


def test_gradient_reaches_every_weight(net):
    images = tf.random.stateless_uniform([4, *net.input_shape[1:]], [1, 2])
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.square(net(images, training=True)))
    for weight, gradient in zip(
        net.trainable_variables, tape.gradient(loss, net.trainable_variables)
    ):
        assert gradient is not None and float(tf.reduce_max(tf.abs(gradient))) > 0, weight.name


def test_saved_file_needs_keras_alone(net, tmp_path):
    """The net holds no class of ours, so that a user keeps it without the package."""
    modules = {type(layer).__module__.split(".")[0] for layer in net.layers}
    assert modules == {"keras"}
    net.save(tmp_path / "net.keras")
    again = keras.models.load_model(tmp_path / "net.keras")
    images = np.random.default_rng(0).random([2, *net.input_shape[1:]], "float32")
    np.testing.assert_array_equal(net(images), again(images))


def test_one_seed_makes_one_net(net):
    nets = []
    for _ in range(2):
        keras.utils.set_random_seed(3)
        nets.append(NETS[net.name]())
    for a, b in zip(*(n.get_weights() for n in nets)):
        np.testing.assert_array_equal(a, b)
