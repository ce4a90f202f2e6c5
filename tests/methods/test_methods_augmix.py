"""AugMix training: its terms and its step by hand, with and without the divergence."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.reference import divergence, linear_net
from tests.reference import noisymix as reference
from tfrobust import augment
from tfrobust.layers.dual_batch_normalization import DualBatchNormalization
from tfrobust.methods import AugMixTraining, Baseline


class Darker(augment.Augment):
    """Darkens by a new amount at each call: 0.1, 0.2, …"""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.calls = 0

    def call(self, images, training=None):
        self.calls += bool(training)
        return images - 0.1 * self.calls if training else images


def linear():
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [keras.Input([16, 16, 3]), keras.layers.Flatten(), keras.layers.Dense(4)]
    )


def one_step(model, images, labels, rate=0.1):
    model.compile(keras.optimizers.SGD(rate), run_eagerly=True)
    history = model.fit(images, labels, batch_size=len(images), shuffle=False, verbose=0).history
    return history, model.net.get_weights()


def test_terms(make_net, images, labels):
    net = make_net()
    model = AugMixTraining(net, augment=Darker())
    views = model.views(tf.constant(images), tf.constant(labels))
    assert list(views) == ["clean", "augmented_1", "augmented_2"]
    logits, terms = model.terms(views, tf.constant(labels))
    plain = [np.asarray(net(images - change)) for change in (0, 0.1, 0.2)]
    np.testing.assert_allclose(logits, plain[0], atol=1e-5)
    expected = divergence.cross_entropy(np.eye(4)[labels], plain[0])
    np.testing.assert_allclose(terms["cross_entropy"], expected, atol=1e-5)
    np.testing.assert_allclose(terms["jsd"], divergence.jensen_shannon(*plain), atol=1e-5)
    assert float(tf.convert_to_tensor(model.term_weights["jsd"])) == 12


def test_one_step(images, labels):
    """L = CE(clean) + 12·JSD; the gradient of the logits times the images."""
    model = AugMixTraining(linear(), augment=Darker())
    kernel, bias = model.net.get_weights()
    views = [images, images - np.float32(0.1), images - np.float32(0.2)]
    values = [linear_net.logits(view, kernel, bias) for view in views]
    slopes = 12 * reference.jensen_shannon_gradients(values)
    slopes[0] += linear_net.cross_entropy_gradient(values[0], np.eye(4)[labels])
    expected = linear_net.updated(kernel, bias, 0.01, zip(views, slopes))
    history, weights = one_step(model, images, labels, rate=0.01)
    assert np.abs(weights[0] - kernel).max() > 1e-3
    for new, by_hand in zip(weights, expected):
        np.testing.assert_allclose(new, by_hand, atol=1e-5)
    loss = divergence.cross_entropy(np.eye(4)[labels], values[0])
    loss = (loss + 12 * divergence.jensen_shannon(*values)).mean()
    assert history["loss"][0] == pytest.approx(loss, rel=1e-4)


def test_without_the_divergence_labels_go_with_one_augmented_view(images, labels):
    layer = Darker()
    model = AugMixTraining(linear(), augment=layer, jsd=False)
    kernel, bias = model.net.get_weights()
    view = images - np.float32(0.1)
    slopes = linear_net.cross_entropy_gradient(
        linear_net.logits(view, kernel, bias), np.eye(4)[labels]
    )
    expected = linear_net.updated(kernel, bias, 0.1, [(view, slopes)])
    calls, forward = [], model.net.call
    model.net.call = lambda x, *a, **k: calls.append(x.shape[0]) or forward(x, *a, **k)
    history, weights = one_step(model, images, labels)
    assert set(history) == {"loss", "cross_entropy"}
    for new, by_hand in zip(weights, expected):
        np.testing.assert_allclose(new, by_hand, atol=1e-5)
    assert calls == [8] and layer.calls == 1


@pytest.mark.parametrize(
    "settings",
    [
        {"jsd_weight": 0.0, "augment": augment.Brightness(0.3)},
        {"jsd": False, "augment": augment.Brightness(0.0)},
        {"jsd": False, "augment": None},
        {"augment": augment.Brightness(0.0)},
    ],
    ids=["weight 0", "identity", "nothing", "equal views"],
)
def test_without_its_parts_equals_the_baseline(make_net, images, labels, settings):
    weights = []
    for model in (Baseline(make_net()), AugMixTraining(make_net(), **settings)):
        model.compile(keras.optimizers.SGD(0.1, momentum=0.9), run_eagerly=True)
        model.fit(images, labels, batch_size=3, epochs=2, shuffle=False, verbose=0)
        weights.append(model.net.get_weights())
    for a, b in zip(*weights):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_batch_norm_sees_all_three_views(images, labels):
    norm = keras.layers.BatchNormalization(momentum=0.0)
    layers = [keras.Input([16, 16, 3]), norm, keras.layers.Flatten(), keras.layers.Dense(4)]
    model = AugMixTraining(keras.Sequential(layers), augment=Darker())
    one_step(model, images, labels, rate=0.0)
    expected = np.mean([images - change for change in (0, 0.1, 0.2)], axis=(0, 1, 2, 3))
    np.testing.assert_allclose(norm.moving_mean, expected, rtol=1e-5)


def test_default_is_augmix(make_net):
    model = AugMixTraining(make_net(), seed=3)
    assert isinstance(model.augment, augment.AugMix)
    assert (model.augment.severity, model.augment.width, model.augment.seed) == (3, 3, 3)


def test_augmented_views_have_draws_of_their_own(make_net, images, labels):
    model = AugMixTraining(make_net(), augment=augment.GaussianNoise(0.1))
    clean, first, second = model.views(tf.constant(images), tf.constant(labels)).values()
    np.testing.assert_array_equal(clean, images)
    for a, b in ((clean, first), (clean, second), (first, second)):
        assert np.abs(a - b).max(axis=(1, 2, 3)).min() > 0.1


def test_keras_layers_and_other_augmentations(make_net, images, labels):
    for layer in (keras.layers.RandomFlip(seed=1), augment.Jpeg(30)):
        model = AugMixTraining(make_net(), augment=layer)
        history, _ = one_step(model, images, labels)
        assert np.isfinite(history["loss"]).all()


@pytest.mark.parametrize(
    "settings", [{"jsd": True}, {"jsd": False}, {"jsd": False, "augment": None}]
)
def test_config_round_trip(make_net, settings):
    model = AugMixTraining(make_net(), jsd_weight=3.0, seed=5, **settings)
    config = model.get_config()
    again = AugMixTraining.from_config(config)
    assert type(again.augment) is type(model.augment)
    assert again.get_config() == config
    assert (again.jsd, again.jsd_weight, again.seed) == (model.jsd, 3.0, 5)


@pytest.mark.parametrize(
    "settings, error, words",
    [
        ({"jsd_weight": -1}, ValueError, "jsd_weight must be a number .*received -1"),
        ({"jsd_weight": float("nan")}, ValueError, "jsd_weight must be a number .*received nan"),
        ({"seed": 0.5}, ValueError, "seed must be a whole number .*received 0.5"),
        ({"augment": None}, ValueError, "received augment=None with jsd=True"),
        ({"augment": "jpeg"}, TypeError, "must be an augmentation layer.*received str"),
        ({"augment": augment.Mixup()}, ValueError, "labels true; received Mixup"),
    ],
)
def test_bad_settings(make_net, settings, error, words):
    with pytest.raises(error, match=words):
        AugMixTraining(make_net(), **settings)


def test_views_on_the_auxiliary_route(images, labels):
    """The image moves the clean statistics, both views together the auxiliary ones."""
    dual = DualBatchNormalization()
    layers = [keras.Input(images.shape[1:]), dual, keras.layers.Flatten(), keras.layers.Dense(4)]
    model = AugMixTraining(keras.Sequential(layers), augment=Darker(), dual_norms=True)
    views = model.views(tf.constant(images), tf.constant(labels))
    logits, terms = model.terms(views, tf.constant(labels))
    mean = images.mean(axis=(0, 1, 2))
    for norm, expected in ((dual.clean, mean), (dual.auxiliary, mean - 0.15)):
        np.testing.assert_allclose(norm.moving_mean, 0.1 * expected, atol=1e-5)
    assert logits.shape == (len(images), 4) and set(terms) == {"cross_entropy", "jsd"}
    for wrong in ({"jsd": False}, {"net": linear()}):
        with pytest.raises(ValueError, match=r"dual_norms=True .* needs jsd=True and a net that"):
            AugMixTraining(**{"net": model.net, **wrong}, dual_norms=True)
