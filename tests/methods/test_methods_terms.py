"""The terms of each method against separate passes and the NumPy references."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.reference import divergence, fma
from tfrobust import augment, methods
from tfrobust.layers import recorded_outputs, relu_layers

DARKER = {"augment": augment.Brightness(-0.3)}


def passes(net, images):
    """Feature maps and logits of clean and darkened images, in separate passes."""
    results = []
    for view in (images, np.clip(images - 0.3, 0, 1)):
        with recorded_outputs(relu_layers(net)) as maps:
            logits = net(view)
        results.append(([m.numpy().astype("float64") for m in maps], np.asarray(logits, "float64")))
    return results


def terms_of(model, images, labels):
    images, labels = tf.constant(images), tf.constant(labels)
    logits, terms = model.terms(model.views(images, labels), labels)
    return logits.numpy(), {name: value.numpy() for name, value in terms.items()}


def cross_entropy(labels, logits):
    logits = logits - logits.max(axis=1, keepdims=True)
    return np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(labels)), labels]


def test_baseline(make_net, images, labels):
    net = make_net()
    (_, clean), _ = passes(net, images)
    logits, terms = terms_of(methods.Baseline(net), images, labels)
    np.testing.assert_allclose(logits, clean, atol=1e-5)
    np.testing.assert_allclose(terms["cross_entropy"], cross_entropy(labels, clean), atol=1e-5)


def test_augmentation_training(make_net, images, labels):
    net = make_net()
    (_, clean), (_, dark) = passes(net, images)
    model = methods.AugmentationTraining(net, clean_weight=0.25, **DARKER)
    logits, terms = terms_of(model, images, labels)
    np.testing.assert_allclose(logits, clean, atol=1e-5)
    np.testing.assert_allclose(terms["cross_entropy"], cross_entropy(labels, clean), atol=1e-5)
    np.testing.assert_allclose(
        terms["augmented_cross_entropy"], cross_entropy(labels, dark), atol=1e-5
    )
    weights = {name: float(tf.convert_to_tensor(w)) for name, w in model.term_weights.items()}
    assert weights == {"cross_entropy": 0.25, "augmented_cross_entropy": 0.75}


@pytest.mark.parametrize("symmetric", [False, True])
def test_stability_training(make_net, images, labels, symmetric):
    net = make_net()
    (_, clean), (_, dark) = passes(net, images)
    model = methods.StabilityTraining(net, alpha=3.0, symmetric=symmetric, **DARKER)
    _, terms = terms_of(model, images, labels)
    name = "symmetric_kl_divergence" if symmetric else "kl_divergence"
    np.testing.assert_allclose(
        terms["stability"], getattr(divergence, name)(clean, dark), atol=1e-5
    )
    np.testing.assert_allclose(terms["cross_entropy"], cross_entropy(labels, clean), atol=1e-5)


def test_feature_map_augmentation(make_net, images, labels):
    net = make_net()
    (clean_maps, clean), (dark_maps, _) = passes(net, images)
    model = methods.FeatureMapAugmentation(net, gamma=0.5, **DARKER)
    assert len(model.relu_layers) == len(clean_maps) == 2
    _, terms = terms_of(model, images, labels)
    np.testing.assert_allclose(
        terms["fma"], fma.feature_map_augmentation(clean_maps, dark_maps), rtol=1e-4
    )
    np.testing.assert_allclose(terms["cross_entropy"], cross_entropy(labels, clean), atol=1e-5)


@pytest.mark.parametrize(
    "method, setting",
    [
        (methods.AugmentationTraining, {"clean_weight": 1.0}),
        (methods.StabilityTraining, {"alpha": 0.0}),
        (methods.FeatureMapAugmentation, {"gamma": 0.0}),
    ],
)
def test_without_its_own_term_a_method_is_the_baseline(make_net, images, labels, method, setting):
    weights = []
    for model in (methods.Baseline(make_net()), method(make_net(), **setting, **DARKER)):
        model.compile(keras.optimizers.SGD(0.1, momentum=0.9), run_eagerly=True)
        model.fit(images, labels, batch_size=4, epochs=2, shuffle=False, verbose=0)
        weights.append(model.net.get_weights())
    for a, b in zip(*weights):
        np.testing.assert_allclose(a, b, atol=1e-6)


@pytest.mark.parametrize(
    "method, setting",
    [
        (methods.AugmentationTraining, {"clean_weight": 1.5}),
        (methods.StabilityTraining, {"alpha": -1}),
        (methods.StabilityTraining, {"alpha": float("nan")}),
        (methods.FeatureMapAugmentation, {"gamma": "0.1"}),
    ],
)
def test_bad_settings(make_net, method, setting):
    name, value = next(iter(setting.items()))
    with pytest.raises(ValueError, match=rf"{name} must be a number .*received {value!r}"):
        method(make_net(), **setting, **DARKER)


def test_fma_without_relu_is_refused():
    net = keras.Sequential([keras.Input([8, 8, 3]), keras.layers.Flatten(), keras.layers.Dense(4)])
    with pytest.raises(ValueError, match=r"net with at least one; net .* has none .*Dense"):
        methods.FeatureMapAugmentation(net, **DARKER)


class Hides(keras.layers.Layer):
    def call(self, x):
        return tf.nn.relu(x) + 1.0


def test_fma_says_what_it_cannot_see():
    layers = [keras.layers.Flatten(), keras.layers.Dense(5), Hides(), keras.layers.Dense(4)]
    net = keras.Sequential([keras.Input([8, 8, 3]), *layers])
    with pytest.raises(ValueError, match=r"has none \(1 computed inside of hides\w* \(Hides\)"):
        methods.FeatureMapAugmentation(net, **DARKER)
    layers = [layers[0], keras.layers.Dense(5, "relu"), Hides(), keras.layers.Dense(4)]
    net = keras.Sequential([keras.Input([8, 8, 3]), *layers])
    with pytest.warns(UserWarning, match=r"compares 1 of the 2 ReLUs found in .*; 1 .* hides"):
        model = methods.FeatureMapAugmentation(net, **DARKER)
    assert model.relu_layers == [net.layers[1]]


def test_rejects_other_objects_than_nets(make_net):
    with pytest.raises(TypeError, match=r"must be a keras.Model; received str"):
        methods.Baseline("resnet")
    with pytest.raises(ValueError, match="no weights yet"):
        methods.Baseline(keras.Sequential([keras.layers.Dense(3)]))
    inputs = keras.Input([4])
    two = keras.Model(inputs, [keras.layers.Dense(2)(inputs), keras.layers.Dense(2)(inputs)])
    with pytest.raises(ValueError, match="one output"):
        methods.Baseline(two)
    with pytest.raises(TypeError, match=r"augment must be an augmentation layer.*received float"):
        methods.StabilityTraining(make_net(), augment=0.1)


@pytest.mark.parametrize("whole", [lambda m: m, lambda m: augment.Sequence([augment.Flip(), m])])
def test_mixed_labels_are_refused(make_net, whole):
    with pytest.raises(ValueError, match="labels true; received Mixup"):
        methods.AugmentationTraining(make_net(), augment=whole(augment.Mixup()))


@pytest.mark.parametrize(
    "whole", [lambda crop: crop, lambda crop: augment.Sequence([augment.GaussianNoise(), crop])]
)
def test_crops_of_larger_images(whole):
    """The paper's random crop of 224 from 256 pixels; the clean view is the centre crop."""
    net = keras.Sequential(
        [keras.Input([12, 10, 3]), keras.layers.Flatten(), keras.layers.Dense(4)]
    )
    crop = augment.ShiftedCrop(2, size=(12, 10))
    model = methods.StabilityTraining(net, augment=whole(crop))
    images = np.random.default_rng(0).random([8, 16, 16, 3], "float32")
    views = model.views(images, None)
    np.testing.assert_array_equal(views["clean"], images[:, 2:14, 3:13])
    assert views["augmented"].shape == [8, 12, 10, 3]
    model.compile("sgd", run_eagerly=True)
    history = model.fit(images, np.arange(8) % 4, batch_size=8, verbose=0).history
    assert np.isfinite(history["loss"]).all()


def test_evaluation_leaves_the_net_as_it_is(images, labels):
    """Batch norm uses its stored statistics, and does not update them."""
    net = keras.Sequential(
        [
            keras.Input([16, 16, 3]),
            keras.layers.BatchNormalization(),
            keras.layers.Flatten(),
            keras.layers.Dense(4),
        ]
    )
    before = net.get_weights()
    model = methods.Baseline(net)
    model.compile("sgd", metrics=["accuracy"])
    measured = model.evaluate(images, labels, batch_size=4, verbose=0, return_dict=True)
    for now, then in zip(net.get_weights(), before):
        np.testing.assert_array_equal(now, then)
    expected = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    loss = float(expected(labels, net(images, training=False)))
    assert measured["loss"] == pytest.approx(loss, rel=1e-5)
