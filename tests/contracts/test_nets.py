"""What every registered net keeps."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfrobust import methods, serving
from tfrobust.layers.outputs import final_activation
from tfrobust.registries import NETS

#: Few channels, for speed; everything else as by default.
THREE, FOUR = {"filters": (4, 8, 8)}, {"filters": (4, 8, 8, 8)}
SMALL = {
    "vgg_16": {"filters": (8, 8, 8, 8, 8), "hidden": 32, "dropout": 0.0},
    "resnet_18": FOUR,
    "resnet_50": {**FOUR, "input_shape": (64, 64, 3), "classes": 10},
    "preact_resnet_18": FOUR,
    "resnext_29": {"filters": (16, 16, 16), "base_width": 4},
    **{name: THREE for name in ("resnet_20", "resnet_32", "resnet_44", "resnet_56")},
    **{name: THREE for name in ("wrn_28_2", "wrn_28_4", "wrn_40_2")},
}


def make(name, **options):
    return NETS[name](**{**SMALL.get(name, {}), **options})


#: The others differ from one of these in depth or width alone.
DISTINCT = [n for n in NETS if n not in ("resnet_32", "resnet_44", "resnet_56", "wrn_28_4")]
DISTINCT.remove("wrn_40_2")


@pytest.fixture(params=DISTINCT)
def net(request):
    return make(request.param)


def test_images_to_finite_logits(net):
    assert isinstance(net, keras.Model) and len(net.output_shape) == 2
    assert final_activation(net) == "linear"
    shape = [3, *net.input_shape[1:]]
    for images in (tf.zeros(shape), tf.ones(shape), tf.random.stateless_uniform(shape, [1, 2])):
        logits = net(images).numpy()
        assert logits.shape == (3, net.output_shape[1]) and np.isfinite(logits).all()


@pytest.mark.parametrize("name", list(NETS))
def test_number_of_classes(name):
    net = make(name, classes=7)
    assert net.output_shape == (None, 7) and net.name == name


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
        nets.append(make(net.name))
    for a, b in zip(*(n.get_weights() for n in nets)):
        np.testing.assert_array_equal(a, b)


def test_trains_one_step_and_is_exported(net, tmp_path):
    images = np.random.default_rng(0).random([4, *net.input_shape[1:]], "float32")
    model = methods.Baseline(net)
    model.compile(keras.optimizers.SGD(0.01))
    before = [np.array(w) for w in net.trainable_variables]
    loss = model.fit(images, np.arange(4), batch_size=4, verbose=0).history["loss"]
    assert np.isfinite(loss).all()
    changed = [np.any(a != np.asarray(b)) for a, b in zip(before, net.trainable_variables)]
    assert all(changed)
    serving.export(model, tmp_path / "served")
    served = tf.saved_model.load(str(tmp_path / "served")).signatures["serving_default"]
    np.testing.assert_allclose(
        served(images=tf.constant(images))["logits"], net.predict(images, verbose=0), atol=1e-4
    )


def test_input_that_is_too_small_is_refused(net):
    if net.name != "lenet":
        with pytest.raises(ValueError, match="received"):
            make(net.name, input_shape=(1, 1, 3))


def test_mixed_precision(net):
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        half = make(net.name)
    finally:
        keras.mixed_precision.set_global_policy("float32")
    half.set_weights(net.get_weights())
    images = tf.random.stateless_uniform([2, *net.input_shape[1:]], [1, 2])
    logits = tf.cast(half(images), tf.float32).numpy()
    assert np.isfinite(logits).all()
    spread = np.abs(net(images)).max()
    assert np.abs(logits - net(images)).max() < 0.2 * spread + 0.05
