"""Where the embedding of a net is found, and what is recorded."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfrobust import nets
from tfrobust.layers import Embedding

L = keras.layers
IMAGES = np.random.default_rng(0).random([2, 16, 16, 3]).astype("float32")


def recorded(net, layer=None, images=IMAGES):
    with Embedding(net, layer).recorded() as embedded:
        logits = net(images)
    return embedded().numpy(), np.asarray(logits)


def backbone():
    return keras.Sequential(
        [keras.Input([16, 16, 3]), L.Conv2D(5, 3, activation="relu"), L.GlobalAveragePooling2D()],
        name="backbone",
    )


def functional(name="features"):
    inputs = keras.Input([16, 16, 3])
    x = L.Conv2D(5, 3, activation="relu", name="conv")(inputs)
    x = L.GlobalAveragePooling2D(name=name)(x)
    x = L.Dropout(0.5)(x)
    return keras.Model(inputs, L.Dense(4, name="logits")(x))


NETS = {
    "features": functional,
    "no features": lambda: functional("pooled"),
    "sequential": lambda: keras.Sequential(
        [keras.Input([16, 16, 3]), *backbone().layers, L.Dense(4)]
    ),
    "nested": lambda: keras.Sequential([keras.Input([16, 16, 3]), backbone(), L.Dense(4)]),
    "nested head": lambda: keras.Sequential(
        [keras.Input([16, 16, 3]), backbone(), keras.Sequential([keras.Input([5]), L.Dense(4)])]
    ),
    "all nested": lambda: keras.Sequential([keras.Input([16, 16, 3]), functional()]),
    "softened": lambda: keras.Sequential(
        [keras.Input([16, 16, 3]), backbone(), L.Dense(4), L.BatchNormalization(), L.Rescaling(0.5)]
    ),
}


@pytest.mark.parametrize("kind", list(NETS))
def test_is_the_input_of_the_output_layer(kind):
    keras.utils.set_random_seed(1)
    net = NETS[kind]()
    embedded, logits = recorded(net)
    assert embedded.shape == (2, 5) and embedded.dtype == np.float32
    kernel, bias = (np.asarray(w) for w in net.get_weights()[2:4])
    expected = embedded @ kernel + bias
    if kind == "softened":
        expected *= 0.5 / np.sqrt(1 + 1e-3)  # BatchNorm's epsilon
    np.testing.assert_allclose(logits, expected, atol=1e-5)


@pytest.mark.parametrize("make", [nets.resnet_20, nets.lenet, nets.small_cnn])
def test_own_nets_use_their_features_layer(make):
    net = make()
    images = np.random.default_rng(0).random([2, *net.input_shape[1:]]).astype("float32")
    embedded, logits = recorded(net, None, images)
    kernel, bias = (np.asarray(w) for w in net.layers[-1].get_weights())
    np.testing.assert_allclose(logits, embedded @ kernel + bias, atol=1e-4)
    np.testing.assert_array_equal(recorded(net, "features", images)[0], embedded)


def test_named_layer_and_maps_are_flattened():
    net = functional()
    embedded, _ = recorded(net, "conv")
    assert embedded.shape == (2, 14 * 14 * 5)
    np.testing.assert_array_equal(embedded.reshape(2, 14, 14, 5), net.get_layer("conv")(IMAGES))
    nested = NETS["all nested"]()
    assert recorded(nested, "conv")[0].shape == (2, 14 * 14 * 5)
    assert recorded(NETS["nested"](), "backbone")[0].shape == (2, 5)


def test_unknown_height():
    net = keras.Sequential([keras.Input([None, None, 3]), L.Conv2D(4, 1), L.GlobalMaxPooling2D()])
    embedded, _ = recorded(net)
    np.testing.assert_array_equal(embedded, IMAGES.reshape(2, -1))


def test_unknown_name_lists_those_there_are():
    with pytest.raises(
        ValueError, match=r"no layer 'top' .*its layers: .*conv, features, .*logits"
    ):
        Embedding(functional(), "top")


def test_net_without_kernel_is_refused():
    net = keras.Sequential([keras.Input([1, 1, 4]), L.BatchNormalization(), L.Flatten(name="flat")])
    with pytest.raises(ValueError, match=r"no dense layer or convolution.*embedding_layer.*flat"):
        Embedding(net)
    assert recorded(net, "flat", np.zeros([2, 1, 1, 4], "float32"))[0].shape == (2, 4)


def test_gradient_reaches_the_weights_in_a_graph():
    net = functional()
    embedding = Embedding(net)

    @tf.function
    def gradients(images):
        with tf.GradientTape() as tape:
            with embedding.recorded() as embedded:
                net(images, training=True)
            total = tf.reduce_sum(embedded())
        return tape.gradient(total, net.trainable_variables)

    slopes = gradients(IMAGES)
    assert [slope is None for slope in slopes] == [False, False, True, True]
    assert float(tf.reduce_max(tf.abs(slopes[0]))) > 0
