"""One check of what can be trained, measured and exported, for all that do so."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfrobust import methods, serving
from tfrobust.evaluation.predictor import Predictor
from tfrobust.nets.classifier import check_classifier, returns_probabilities
from tfrobust.serving.plain_net import PlainNet

LAYERS = keras.layers


def sequential(*layers, shape=(8, 8, 3)):
    return keras.Sequential([keras.Input(shape), *layers])


def dense(*args, **kwargs):
    return sequential(LAYERS.Flatten(), LAYERS.Dense(*args, **kwargs))


def functional(make):
    inputs = keras.Input([8, 8, 3])
    return keras.Model(inputs, make(LAYERS.Dense(10)(LAYERS.Flatten()(inputs))))


def two_images():
    inputs = [keras.Input([8, 8, 3]), keras.Input([8, 8, 3])]
    return keras.Model(inputs, LAYERS.Dense(3)(LAYERS.Flatten()(LAYERS.Add()(inputs))))


ONE_OUTPUT = r"one output \[batch, classes\]; received output shape"
NO_CLASSIFIERS = {
    "one sigmoid": (lambda: dense(1, "sigmoid"), r"each of 2 classes or more; .*\[0, z\]"),
    "ten sigmoids": (lambda: dense(10, "sigmoid"), "one class, by .*which ends in sigmoid"),
    "sigmoids, then float32": (
        lambda: sequential(
            LAYERS.Flatten(),
            LAYERS.Dense(10, "sigmoid"),
            LAYERS.Activation("linear", dtype="float32"),
        ),
        "which ends in sigmoid",
    ),
    "sigmoid function": (lambda: functional(keras.activations.sigmoid), "which ends in sigmoid"),
    "two outputs": (
        lambda: functional(lambda x: [x, x]),
        ONE_OUTPUT,
    ),
    "named outputs": (
        lambda: functional(lambda x: {"a": x, "b": x}),
        ONE_OUTPUT,
    ),
    "a map": (lambda: sequential(LAYERS.Conv2D(10, 1)), r"output shape \(None, 8, 8, 10\)"),
    "two inputs": (two_images, r"one input \[batch, height, width, channels\]"),
    "no images": (lambda: sequential(LAYERS.Dense(3), shape=(5,)), "one input"),
    "not built": (lambda: keras.Sequential([LAYERS.Dense(3)]), "no weights yet"),
}


@pytest.mark.parametrize("kind", list(NO_CLASSIFIERS))
def test_no_classifier_of_images(kind, tmp_path):
    make, said = NO_CLASSIFIERS[kind]
    net = make()
    for use in (
        check_classifier,
        methods.Baseline,
        lambda net: serving.export(net, tmp_path / "saved"),
        PlainNet,  # TensorFlow Lite and ONNX
    ):
        with pytest.raises(ValueError, match=said):
            use(net)
    if kind != "not built":
        with pytest.raises(ValueError, match=said):
            Predictor(net)
    assert not list(tmp_path.iterdir())


def test_subclassed_models_are_to_be_wrapped():
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = LAYERS.Dense(3)

        def call(self, images):
            return self.dense(tf.reshape(images, [-1, 192]))

    net = Own()
    net(np.zeros([1, 8, 8, 3], "float32"))
    with pytest.raises(ValueError, match="call a subclassed model in a functional one"):
        check_classifier(net)


class HiddenSoftmax(LAYERS.Layer):
    def call(self, inputs):
        return tf.nn.softmax(inputs)


SOFTMAX = {
    "activation": lambda: dense(10, "softmax"),
    "layer": lambda: sequential(LAYERS.Flatten(), LAYERS.Dense(10), LAYERS.Softmax()),
    "function": lambda: functional(keras.activations.softmax),
    "then float32": lambda: sequential(
        LAYERS.Flatten(), LAYERS.Dense(10, "softmax"), LAYERS.Activation("linear", dtype="float32")
    ),
    "custom layer": lambda: sequential(LAYERS.Flatten(), LAYERS.Dense(10), HiddenSoftmax()),
    "lambda": lambda: functional(LAYERS.Lambda(lambda x: tf.nn.softmax(x), output_shape=(10,))),
}


@pytest.mark.parametrize("kind", list(SOFTMAX))
def test_a_softmax_is_found_wherever_it_stands(kind):
    """A loss on logits would take the softmax of the softmax."""
    net = SOFTMAX[kind]()
    check_classifier(net)
    assert returns_probabilities(net)
    with pytest.raises(ValueError, match=r"must end in logits.*softmax"):
        methods.Baseline(net)
    Predictor(net)


def test_a_hidden_softmax_is_served_as_probabilities(tmp_path):
    net = SOFTMAX["custom layer"]()
    serving.export(net, tmp_path / "saved")
    serve = tf.saved_model.load(str(tmp_path / "saved")).signatures["serving_default"]
    images = np.random.default_rng(0).random([3, 8, 8, 3], "float32")
    outputs = serve(images=tf.constant(images))
    assert set(outputs) == {"probabilities"}
    np.testing.assert_allclose(outputs["probabilities"], net(images), atol=1e-6)
    assert PlainNet(net).output == "probabilities"
