"""Logits of classifiers that end in a softmax of any kind."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfrobust.layers import recorded_inputs
from tfrobust.nets.logits import are_probabilities, to_logits

L = keras.layers
IMAGES = np.random.default_rng(0).random([6, 4, 4, 3], "float32")


def body(classes=5, **kwargs):
    keras.utils.set_random_seed(1)
    inputs = keras.Input([4, 4, 3])
    hidden = L.Dense(7, activation="relu")(L.Flatten()(inputs))
    return inputs, L.Dense(classes, name="last", **kwargs)(hidden)


@keras.saving.register_keras_serializable(package="tests")
class Probabilities(L.Layer):
    def call(self, logits):
        return tf.nn.softmax(logits)


class Subclassed(keras.Model):
    """A model whose graph cannot be seen."""

    def __init__(self, net):
        super().__init__()
        self.inner = net

    def call(self, images, training=None):
        return tf.nn.softmax(self.inner(images, training=training))


class Lying(keras.Model):
    """A functional model that computes something else than its graph."""

    def call(self, images, training=None):
        return tf.nn.softmax(3 * super().call(images, training=training))


def ends(name):
    """A net that ends in a softmax in one of many ways, on the weights of `body`."""
    if name in ("activation", "float32", "regularised", "no_bias", "tf_function"):
        options = {
            "activation": {"activation": "softmax"},
            "float32": {"activation": "softmax", "dtype": "float32"},
            "regularised": {"activation": "softmax", "kernel_regularizer": "l2"},
            "no_bias": {"activation": "softmax", "use_bias": False},
            "tf_function": {"activation": tf.nn.softmax},
        }
        inputs, outputs = body(**options[name])
        if name == "float32":
            outputs = L.Activation("linear", dtype="float32")(outputs)
        return keras.Model(inputs, outputs)
    inputs, logits = body()
    if name == "layer":
        return keras.Model(inputs, L.Softmax()(logits))
    if name == "activation_layer":
        return keras.Model(inputs, L.Activation("softmax", dtype="float32")(logits))
    if name == "function":
        return keras.Model(inputs, keras.activations.softmax(logits))
    if name == "function_tf":
        return keras.Model(inputs, L.Lambda(tf.nn.softmax)(logits))
    if name == "sequential":
        return keras.Sequential([keras.Model(inputs, logits), L.Softmax()])
    if name == "nested":
        inner = keras.Model(inputs, L.Softmax()(logits))
        outer = keras.Input([4, 4, 3])
        return keras.Model(outer, L.Activation("linear", dtype="float32")(inner(outer)))
    if name == "convolution":
        maps = L.Reshape([1, 1, 5])(logits)
        maps = L.Conv2D(5, 1, activation="softmax")(maps)
        return keras.Model(inputs, L.Flatten()(maps))
    if name == "lambda":
        return keras.Model(inputs, L.Lambda(lambda z: tf.nn.softmax(z))(logits))
    if name == "custom":
        return keras.Model(inputs, Probabilities()(logits))
    if name == "subclassed":
        return Subclassed(keras.Model(inputs, logits))
    assert name == "lying"
    return Lying(inputs, logits)


CUT = [
    "activation",
    "float32",
    "regularised",
    "no_bias",
    "tf_function",
    "layer",
    "activation_layer",
    "function",
    "function_tf",
    "sequential",
    "nested",
    "convolution",
]


@pytest.mark.parametrize("name", CUT)
def test_the_softmax_is_removed(name):
    net = ends(name)
    model, found = to_logits(net)
    assert found == "softmax"
    logits = model(IMAGES).numpy()
    assert not are_probabilities(logits)
    np.testing.assert_allclose(tf.nn.softmax(logits), net(IMAGES), rtol=1e-5)
    # On the same weights, now and later.
    assert [id(weight) for weight in model.weights] == [id(weight) for weight in net.weights]
    assert len(model.losses) == len(net.losses)
    np.testing.assert_allclose([float(x) for x in model.losses], [float(x) for x in net.losses])
    net.set_weights([2 * weight for weight in net.get_weights()])
    np.testing.assert_allclose(tf.nn.softmax(model(IMAGES)), net(IMAGES), rtol=1e-5)


@pytest.mark.parametrize("name", ["lambda", "custom", "subclassed", "lying"])
def test_logarithms_where_it_cannot_be_removed(name):
    net = ends(name)
    model, found = to_logits(net, IMAGES)
    assert found == "probabilities" and model.output_shape == (None, 5)
    np.testing.assert_allclose(model(IMAGES), np.log(net(IMAGES)), rtol=1e-5)


def test_logits_stay():
    net = keras.Model(*body())
    assert to_logits(net) == (net, "logits")
    hidden = keras.Model(*body(activation="relu"))  # no class, but no probabilities either
    assert to_logits(hidden).found == "logits"


def test_the_model_without_softmax_is_saved_and_trained(tmp_path):
    net = ends("regularised")
    model = to_logits(net).model
    before = np.array(model(IMAGES))
    model.save(tmp_path / "logits.keras")
    again = keras.models.load_model(tmp_path / "logits.keras")
    np.testing.assert_array_equal(again(IMAGES), before)
    assert [type(layer) for layer in again.layers] == [type(layer) for layer in net.layers]
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(IMAGES, np.arange(6) % 5, verbose=0)
    assert np.abs(model(IMAGES) - before).max() > 1e-3
    np.testing.assert_allclose(tf.nn.softmax(model(IMAGES)), net(IMAGES), rtol=1e-5)


@pytest.mark.parametrize("policy, least", [("mixed_float16", -14), ("float32", -126)])
def test_the_logarithm_of_nothing_is_finite(policy, least):
    keras.mixed_precision.set_global_policy(policy)
    try:
        inputs = keras.Input([1, 1, 2])
        logits = L.Lambda(lambda z: tf.nn.softmax(1000 * z))(L.Flatten()(inputs))
        model = to_logits(keras.Model(inputs, logits)).model
    finally:
        keras.mixed_precision.set_global_policy("float32")
    images = tf.constant([[[[0.0, 1.0]]], [[[0.50, 0.504]]]])
    with tf.GradientTape() as tape:
        tape.watch(images)
        outputs = model(images)
    gradient = tape.gradient(outputs, images, output_gradients=tf.constant([[1.0, -1.0]] * 2))
    np.testing.assert_allclose(outputs[0], [least * np.log(2), 0], rtol=1e-5)
    assert np.isfinite(gradient).all()
    assert outputs.dtype == tf.float32 and np.abs(gradient[1]).max() > 100


def test_images_of_any_size_and_none():
    inputs = keras.Input([None, None, 3])
    pooled = L.GlobalAveragePooling2D()(inputs)
    assert to_logits(keras.Model(inputs, L.Softmax()(pooled))).found == "softmax"
    with pytest.raises(ValueError, match=r"does not say which images it takes; give some"):
        to_logits(ends("subclassed"))
    with pytest.raises(ValueError, match=r"2 classes or more.*returns \(2, 1\)"):
        to_logits(keras.Model(*body(classes=1)))


def test_a_layer_that_was_looked_into_loses_its_softmax():
    dense = keras.layers.Dense(3, activation="softmax")
    net = keras.Sequential([keras.Input([2, 2, 1]), keras.layers.Flatten(), dense])
    images = np.random.default_rng(0).random([4, 2, 2, 1], "float32")
    with recorded_inputs([dense]):
        expected = net(images)
    np.testing.assert_allclose(tf.nn.softmax(to_logits(net).model(images)), expected, atol=1e-6)
