"""One order of the layers inside a net, for both generations of Keras."""

import keras
import numpy as np
import tensorflow as tf

from tfrobust.layers import DualBatchNormalization, Embedding, mixing_layers
from tfrobust.layers.dual_batch_normalization import mean_batch_variance
from tfrobust.layers.inner_layers import inner_layers

LAYERS = keras.layers


class Block(LAYERS.Layer):
    """A residual block of a user: layers as attributes and in a list, a block inside."""

    def __init__(self, inner=None, **kwargs):
        super().__init__(**kwargs)
        self.convs = [LAYERS.Conv2D(4, 1, name=f"{self.name}_conv{i}") for i in range(2)]
        self.norm = DualBatchNormalization(name=f"{self.name}_norm")
        self.inner = inner
        self.point = LAYERS.Activation("linear", name=f"mixing_point_{2 if inner else 1}")

    def call(self, x, training=None):
        x = self.norm(self.convs[1](self.convs[0](x)), training=training)
        return self.point(self.inner(x, training=training) if self.inner else x)


def custom_net():
    inputs = keras.Input([8, 8, 4])
    block = Block(Block(name="b"), name="a")
    head = keras.Sequential([keras.Input([4]), LAYERS.Dense(3, name="last")], name="head")
    return keras.Model(inputs, head(LAYERS.GlobalAveragePooling2D(name="pool")(block(inputs))))


def test_order():
    """What is inside of a layer comes before it, each once."""
    names = [layer.name for layer in inner_layers(custom_net()) if "input" not in layer.name]
    inside = ["b_conv0", "b_conv1", "clean", "auxiliary", "b_norm", "mixing_point_1", "b"]
    whole = ["a_conv0", "a_conv1", "clean", "auxiliary", "a_norm", *inside, "mixing_point_2", "a"]
    assert names == [*whole, "pool", "last", "head"]


def test_a_shared_layer_comes_once():
    relu, inputs = LAYERS.ReLU(), keras.Input([4])
    net = keras.Model(inputs, relu(LAYERS.Dense(4)(relu(inputs))))
    assert list(inner_layers(net)).count(relu) == 1


def test_all_that_look_for_layers_look_there():
    net = custom_net()
    assert list(mixing_layers(net)) == [1, 2]
    assert mean_batch_variance(net) == {"clean": 1.0, "auxiliary": 1.0}
    images = np.random.default_rng(0).random([2, 8, 8, 4], "float32")
    with Embedding(net, "b_norm").recorded() as embedded:
        net(images)
    assert embedded().shape == (2, 8 * 8 * 4)
    with Embedding(net).recorded() as embedded:
        logits = net(images)
    kernel, bias = (tf.convert_to_tensor(w) for w in net.get_layer("head").weights)
    np.testing.assert_allclose(embedded() @ kernel + bias, logits, atol=1e-5)
