"""Nets that users bring: what every method does with a family that is not ours."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.contracts.test_methods import make_model
from tfrobust import attacks, nets, saving
from tfrobust.compat.stack import KERAS_2
from tfrobust.registries import METHODS

L = keras.layers
CLASSES = 4


def mobile_net():
    """ReLU6, depthwise convolutions, batch norm; pixels from -1 to 1 and a softmax."""
    keras.utils.set_random_seed(0)
    model = keras.applications.MobileNetV2([32, 32, 3], alpha=0.35, weights=None, classes=CLASSES)
    return nets.adapt(model, input_range="minus_1_to_1")


def with_layer_norm():
    """As transformers and ConvNeXt have it: neither batch norm nor ReLU."""
    keras.utils.set_random_seed(0)
    layers = [L.Conv2D(8, 4, strides=4), L.LayerNormalization(), L.Activation("gelu")]
    layers += [L.GlobalAveragePooling2D(), L.LayerNormalization(), L.Dense(CLASSES)]
    return keras.Sequential([keras.Input([32, 32, 3]), *layers])


def two_steps(name, net):
    """The losses of two steps, eager ones, and whether each trainable weight has changed."""
    random = np.random.default_rng(0)
    images, labels = random.random([8, 32, 32, 3], "float32"), np.arange(8) % CLASSES
    before = [v.numpy() for v in net.trainable_variables]
    method = make_model(name, net, eager=True)
    history = method.fit(images, labels, batch_size=4, verbose=0, shuffle=False).history
    changed = [np.any(v.numpy() != b) for v, b in zip(net.trainable_variables, before)]
    return history["loss"], changed


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
def test_every_method_trains_mobile_net(name):
    loss, changed = two_steps(name, mobile_net())
    assert np.isfinite(loss).all()
    assert np.mean(changed) > 0.9


@pytest.mark.parametrize(
    "name",
    [
        name if name == "augmix_training" else pytest.param(name, marks=pytest.mark.slow)
        for name in METHODS
        if name != "feature_map_augmentation"
    ],
)
def test_layer_norm_is_enough(name):
    loss, changed = two_steps(name, with_layer_norm())
    assert np.isfinite(loss).all()
    assert np.mean(changed) > 0.9


def test_feature_maps_need_relus():
    with pytest.raises(ValueError, match="ReLU"):
        two_steps("feature_map_augmentation", with_layer_norm())


@pytest.mark.skipif(KERAS_2, reason="Keras 2 has no low-rank adaptation (LoRA)")
def test_low_rank_adaptation(tmp_path):
    """Only the adaptors of a dense layer that has some are trained, and they survive a file."""
    net = with_layer_norm()
    for layer in net.layers[:-1]:
        layer.trainable = False
    net.layers[-1].enable_lora(2)
    whole, names = net.layers[-1]._kernel, [v.name for v in net.trainable_variables]
    before = whole.numpy()
    _, changed = two_steps("stability_training", net)
    assert "lora_kernel_a" in names and len(names) == 3 and all(changed)
    np.testing.assert_array_equal(before, whole.numpy())
    saving.save_model(net, tmp_path / "model.keras")
    images = tf.random.stateless_uniform([2, 32, 32, 3], [1, 2])
    loaded = saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded(images), net(images), atol=1e-6)


def test_attacks_see_through_the_adapter():
    """The gradient of an adapted model is that of its logits, not of its saturated softmax."""
    inner = keras.Sequential(
        [keras.Input([4, 4, 3]), L.Rescaling(1 / 255), L.Flatten(), L.Dense(CLASSES)]
    )
    model = keras.Sequential([keras.Input([4, 4, 3]), inner, L.Rescaling(1e4), L.Softmax()])
    images = np.random.default_rng(0).random([4, 4, 4, 3], "float32")
    labels = np.array(inner(255 * images)).argmax(axis=1)
    moved = attacks.FGSM(0.5).perturb(nets.adapt(model), images, labels)
    assert np.mean(np.array(inner(255 * moved)).argmax(axis=1) == labels) < 0.5
