"""Converted nets compute the same as the original from the same weights."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.parameters import slow_unless
from tfrobust import methods, serving
from tfrobust.layers.dual_batch_normalization import DualBatchNormalization, mean_batch_variance
from tfrobust.layers.dubin import DuBIN
from tfrobust.layers.half_instance_norm import HalfInstanceNorm
from tfrobust.layers.route import ROUTES, route
from tfrobust.nets.convert_norms import convert_norms

LAYERS = keras.layers
RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.random([4, 8, 8, 3], "float32")


def block(x, number, filters, **options):
    x = LAYERS.Conv2D(filters, 3, padding="same", name=f"conv{number}")(x)
    return LAYERS.ReLU()(LAYERS.BatchNormalization(name=f"norm{number}", **options)(x))


def flat(**options):
    inputs = keras.Input([8, 8, 3])
    x = block(inputs, 1, 5, **options)
    x = LAYERS.Add()([x, block(x, 2, 5)])
    return keras.Model(inputs, LAYERS.Dense(3)(LAYERS.GlobalAveragePooling2D()(x)), name="flat")


def sequential():
    return keras.Sequential(
        [
            keras.Input([8, 8, 3]),
            LAYERS.Conv2D(4, 3),
            LAYERS.BatchNormalization(name="norm1"),
            LAYERS.ReLU(),
            LAYERS.Flatten(),
            LAYERS.Dense(3),
        ]
    )


def without_input_layer():
    net = keras.Sequential([LAYERS.Conv2D(4, 3), LAYERS.BatchNormalization(name="norm1")])
    net.add(LAYERS.GlobalAveragePooling2D())
    net.build([None, 8, 8, 3])
    return net


def nested():
    inner = keras.Sequential([keras.Input([8, 8, 3]), LAYERS.BatchNormalization(name="norm1")])
    middle_input = keras.Input([8, 8, 3])
    middle = keras.Model(middle_input, block(inner(middle_input), 2, 5), name="middle")
    inputs = keras.Input([8, 8, 3])
    x = LAYERS.BatchNormalization(name="norm3")(middle(inputs))
    return keras.Model(inputs, LAYERS.Dense(3)(LAYERS.Flatten()(x)))


def shared():
    norm = LAYERS.BatchNormalization(name="norm1")
    inner = keras.Sequential([keras.Input([8, 8, 3]), LAYERS.BatchNormalization(name="norm2")])
    inputs = keras.Input([8, 8, 3])
    x = norm(LAYERS.Conv2D(3, 3, padding="same")(norm(inputs)))
    x = LAYERS.Concatenate()([inner(x), inner(inputs)])
    return keras.Model(inputs, LAYERS.Dense(3)(LAYERS.GlobalAveragePooling2D()(x)))


def functions():
    """Operations without a layer, which Keras 2 and Keras 3 keep in different ways."""
    inputs = keras.Input([8, 8, 3])
    x = keras.activations.relu(block(2.0 * inputs - 1.0, 1, 4))
    return keras.Model(inputs, LAYERS.Dense(3)(LAYERS.Flatten()(x)))


def adapted():
    inputs = keras.Input([8, 8, 3])
    normalization = LAYERS.Normalization()
    normalization.adapt(3 * IMAGES + 1)
    x = block(normalization(inputs), 1, 4)
    return keras.Model(inputs, LAYERS.Dense(3)(LAYERS.GlobalAveragePooling2D()(x)))


def randomise(net):
    """Sets the norms' weights to random values ≥ 0, since some are variances."""
    for layer in net._flatten_layers():
        if isinstance(layer, LAYERS.BatchNormalization):
            layer.set_weights(
                [0.5 + RANDOM.random(w.shape, "float32") for w in layer.get_weights()]
            )
    return net


def forward(net, name="clean", training=False):
    with route(name):
        return np.asarray(net(IMAGES, training=training))


@pytest.mark.parametrize(
    "build",
    slow_unless(
        [sequential, nested, shared, functions],
        [flat, sequential, without_input_layer, nested, shared, functions, adapted],
    ),
)
def test_dual_norms_compute_what_the_batch_norms_did(build):
    net = randomise(build())
    before = net.get_weights()
    converted = convert_norms(net, "dubn")
    np.testing.assert_array_equal(forward(converted), forward(net))
    for name in ROUTES:
        plain = convert_norms(net, "bn")  # training changes its moving averages
        for training in (False, True):
            outputs = forward(converted, name, training)
            np.testing.assert_array_equal(outputs, forward(plain, training=training))
    assert all(np.array_equal(a, b) for a, b in zip(before, net.get_weights()))
    inner = list(converted._flatten_layers())
    duals = {id(layer) for layer in inner if isinstance(layer, DualBatchNormalization)}
    kept = [
        layer for layer in net._flatten_layers() if isinstance(layer, LAYERS.BatchNormalization)
    ]
    assert len(duals) == len({id(layer) for layer in kept}) > 0
    assert isinstance(converted, keras.Sequential) == isinstance(net, keras.Sequential)
    assert converted.name == net.name


def test_all_weights_are_copies():
    net = randomise(flat())
    before, output = net.get_weights(), forward(net)
    converted = convert_norms(methods.Baseline(net), "dubin", mixed=["norm1"])
    for weight in converted.weights:
        weight.assign(tf.zeros(weight.shape))
    assert all(np.array_equal(a, b) for a, b in zip(before, net.get_weights()))
    np.testing.assert_array_equal(forward(net), output)


def test_instance_norm_takes_the_first_channels():
    """The weights are split by hand; the outputs are composed of Keras' own two norms."""
    net = keras.Sequential([keras.Input([8, 8, 3]), LAYERS.BatchNormalization(name="norm1")])
    norm = net.get_layer("norm1")
    gamma, beta, mean, variance = np.float32(
        [[1, 2, 3], [4, 5, 6], [0.7, 0.8, 0.9], [1.1, 1.2, 1.3]]
    )
    norm.set_weights([gamma, beta, mean, variance])
    x = IMAGES.astype("float64")
    average, spread = x.mean((1, 2), keepdims=True), x.var((1, 2), keepdims=True)
    instance = gamma * (x - average) / np.sqrt(spread + norm.epsilon) + beta
    batch = gamma * (x - mean) / np.sqrt(variance + norm.epsilon) + beta
    want = np.concatenate([instance[..., :1], batch[..., 1:]], axis=-1)
    for kind, cls in (("dubin", DuBIN), ("ibn", HalfInstanceNorm)):
        converted = convert_norms(net, kind, mixed="norm1")
        layer = converted.get_layer("norm1")
        assert type(layer) is cls
        for name in ROUTES:
            np.testing.assert_allclose(forward(converted, name), want, rtol=1e-4, atol=1e-4)
        parts = [layer.batch_norm]
        if kind == "dubin":
            parts = [layer.batch_norm.clean, layer.batch_norm.auxiliary]
        for part in parts:
            np.testing.assert_array_equal(
                part.get_weights(), [gamma[1:], beta[1:], mean[1:], variance[1:]]
            )
        np.testing.assert_array_equal(layer.instance_norm.get_weights(), [gamma[:1], beta[:1]])


@pytest.mark.parametrize("center, scale", [(True, False), (False, True), (False, False)])
def test_norms_without_scale_or_offset(center, scale):
    net = randomise(flat(center=center, scale=scale))
    np.testing.assert_array_equal(forward(convert_norms(net, "dubn"), "auxiliary"), forward(net))
    layer = convert_norms(net, "dubin", mixed=["norm1"]).get_layer("norm1")
    old = net.get_layer("norm1").get_weights()
    assert len(layer.instance_norm.get_weights()) == center + scale == len(old) - 2
    for value, whole in zip(layer.instance_norm.get_weights(), old):
        np.testing.assert_array_equal(value, whole[:2])
    for value, whole in zip(layer.batch_norm.auxiliary.get_weights(), old):
        np.testing.assert_array_equal(value, whole[2:])


@pytest.mark.parametrize("norm", ["dubn", "dubin", "ibn"])
def test_settings_stay(norm):
    inputs = keras.Input([8, 8, 3])
    options = dict(momentum=0.8, epsilon=0.02, gamma_regularizer="l2", dtype="mixed_bfloat16")
    x = LAYERS.BatchNormalization(axis=1, name="first", trainable=False, **options)(inputs)
    net = keras.Model(inputs, x)
    layer = convert_norms(net, norm, mixed=["first"]).get_layer("first")
    assert (layer.momentum, layer.epsilon, layer.axis, layer.trainable) == (0.8, 0.02, 1, False)
    assert type(layer.gamma_regularizer) is keras.regularizers.L2
    assert layer.beta_regularizer is None
    assert layer.dtype_policy.name == "mixed_bfloat16" and layer.compute_dtype == "bfloat16"


def test_frozen_parts_stay_frozen():
    net = nested()
    net.get_layer("middle").trainable = False
    converted = convert_norms(net, "dubn")
    middle = converted.get_layer("middle")
    assert middle.trainable is False and middle.trainable_weights == []
    assert middle.get_layer("norm2").trainable is False
    assert len(converted.trainable_weights) == 4 + 2


def test_places_by_a_function():
    net = convert_norms(flat(), "dubin", mixed=lambda layer: layer.name.endswith("2"))
    kinds = [type(net.get_layer(name)) for name in ("norm1", "norm2")]
    assert kinds == [DualBatchNormalization, DuBIN]
    inner = convert_norms(nested(), "ibn", mixed=["norm1"]).get_layer("middle").layers[1]
    assert type(inner.get_layer("norm1")) is HalfInstanceNorm


@pytest.mark.filterwarnings("ignore:Gradients do not exist")  # of the route not taken
def test_converted_nets_train_save_and_serve(images, labels, tmp_path):
    inputs = keras.Input([16, 16, 3])
    x = LAYERS.GlobalAveragePooling2D()(block(inputs, 1, 4))
    net = convert_norms(keras.Model(inputs, LAYERS.Dense(4)(x)), "dubin", mixed=["norm1"])
    dual = net.get_layer("norm1").batch_norm
    method = methods.Baseline(net)
    method.compile("sgd", run_eagerly=True)
    method.fit(images, labels, batch_size=4, epochs=1, verbose=0)
    variances = mean_batch_variance(method)
    assert variances["auxiliary"] == 1 != variances["clean"]
    dual.auxiliary.set_weights([w + 1 for w in dual.auxiliary.get_weights()])
    net.save(tmp_path / "net.keras")
    again = keras.models.load_model(tmp_path / "net.keras")
    for name in ROUTES:
        with route(name):
            np.testing.assert_array_equal(net(images), again(images))
    serving.export(net, tmp_path / "served")
    served = tf.saved_model.load(str(tmp_path / "served"))
    logits = served.signatures["serving_default"](images=tf.constant(images))["logits"]
    np.testing.assert_allclose(logits, net(images), rtol=1e-4, atol=1e-5)
    with route("auxiliary"):
        assert not np.allclose(logits, net(images), rtol=1e-2)


class Hidden(LAYERS.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.norm = LAYERS.BatchNormalization()

    def call(self, inputs):
        return self.norm(inputs)


class Subclassed(keras.Model):
    def call(self, inputs):
        return inputs


class Special(LAYERS.BatchNormalization):
    pass


def holding(layer):
    return keras.Sequential([keras.Input([8, 8, 3]), layer])


@pytest.mark.parametrize(
    "make, norm, mixed, error, message",
    [
        (flat, "dubm", (), ValueError, "norm must be one of bn, ibn, dubn, dubin"),
        (lambda: LAYERS.Dense(1), "dubn", (), TypeError, "must be a keras.Model; received Dense"),
        (Subclassed, "dubn", (), ValueError, "functional or Sequential model; received a Subcl"),
        (lambda: keras.Sequential([LAYERS.Dense(2)]), "dubn", (), ValueError, "no weights yet"),
        (lambda: holding(LAYERS.ReLU()), "dubn", (), ValueError, "no BatchNormalization layer"),
        (lambda: holding(Hidden(name="h")), "dubn", (), ValueError, r"'h' \(Hidden\) holds one"),
        (lambda: convert_norms(flat(), "dubn"), "dubn", (), ValueError, "'norm1' .* holds one"),
        (lambda: holding(Special()), "dubn", (), ValueError, "only plain .* has Special"),
        (
            lambda: flat(gamma_constraint=keras.constraints.NonNeg()),
            "dubn",
            (),
            ValueError,
            "'norm1' has gamma_constraint",
        ),
        (flat, "dubin", (), ValueError, "'dubin' needs mixed.*choose from: norm1, norm2"),
        (flat, "ibn", lambda layer: False, ValueError, "'ibn' needs mixed"),
        (flat, "dubin", ["norm1", "norm9"], ValueError, r"\(norm1, norm2\); received 'norm9'"),
        (flat, "dubn", "conv1", ValueError, "received 'conv1'"),
    ],
)
def test_what_cannot_be_converted(make, norm, mixed, error, message):
    with pytest.raises(error, match=message):
        convert_norms(make(), norm, mixed=mixed)
