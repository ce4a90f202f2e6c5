"""Augmentation training: each form by hand and against plain training."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.reference import linear_net
from tfrobust import attacks, augment, methods

DARKER = {"augment": augment.Brightness(-0.3)}


def run(model, images, labels, epochs=1, **settings):
    model.compile(keras.optimizers.SGD(0.1), **{"run_eagerly": True, **settings})
    fit = {"batch_size": 8, "shuffle": False, "verbose": 0, "epochs": epochs}
    history = model.fit(images, labels, **fit).history
    return [np.array(w) for w in model.net.get_weights()], history


@pytest.mark.parametrize(
    "setting, weights",
    [
        ({}, (0.5, 0.5)),
        ({"clean_weight": 0.25}, (0.25, 0.75)),
        ({"augmented_weight": 3.0}, (1.0, 3.0)),
        ({"augmented_weight": 0.0}, (1.0, 0.0)),
        ({"probability": 0.0}, (1.0, 0.0)),
        ({"probability": 1.0}, (0.0, 1.0)),
    ],
    ids=str,
)
def test_one_step_on_a_linear_net(linear_net_of, images, labels, setting, weights):
    net, images = linear_net_of(), images[:, :4, :4]
    kernel, bias = (w.astype("float64") for w in net.get_weights())
    model = methods.AugmentationTraining(net, **DARKER, **setting)
    (new_kernel, new_bias), history = run(model, images, labels)
    views, shares = [], linear_net.one_hot(labels, 4)
    for weight, view in zip(weights, (images, np.clip(images - 0.3, 0, 1))):
        logits = linear_net.logits(view, kernel, bias)
        views.append((view, weight * linear_net.cross_entropy_gradient(logits, shares)))
    expected = linear_net.updated(kernel, bias, 0.1, views)
    np.testing.assert_allclose(new_kernel, expected[0], atol=1e-6)
    np.testing.assert_allclose(new_bias, expected[1], atol=1e-6)
    terms = {"loss", "cross_entropy", "augmented_cross_entropy"}
    assert set(history) == terms - {"augmented_cross_entropy" if "probability" in setting else ""}


def test_with_a_probability_each_image_is_replaced_or_not(make_net):
    images = np.full([400, 4, 4, 3], 0.5, "float32")
    net = keras.Sequential([keras.Input([4, 4, 3]), keras.layers.Flatten()])
    model = methods.AugmentationTraining(net, probability=0.3, **DARKER)
    (first,), (second,) = (model.views(images, None).values() for _ in range(2))
    values = first[:, 0, 0, 0].numpy()
    assert np.all(np.ptp(first.numpy().reshape(400, -1), axis=1) == 0)  # whole images
    assert np.allclose(np.sort(np.unique(values.round(5))), [0.2, 0.5])
    share = np.mean(values < 0.3)
    assert abs(share - 0.3) < 5 * np.sqrt(0.3 * 0.7 / 400)
    assert not np.array_equal(first, second)
    other = methods.AugmentationTraining(net, probability=0.3, seed=1, **DARKER)
    assert not np.array_equal(first, other.views(images, None)["augmented"])


def test_with_a_probability_the_net_sees_one_copy(make_net, images, labels):
    sizes = []

    class Counted(keras.layers.Layer):
        def call(self, x):
            sizes.append(x.shape[0])
            return x

    net = keras.Sequential([keras.Input([16, 16, 3]), Counted(), *make_net().layers])
    sizes.clear()
    run(methods.AugmentationTraining(net, probability=0.5, **DARKER), images, labels)
    assert sizes[-1] == 8 and 16 not in sizes  # before, two images show what the net returns


@pytest.mark.parametrize("probability", [0.0, 1.0])
def test_never_or_always_augmented_is_plain_training(make_net, images, labels, probability):
    plain = images if probability == 0 else np.clip(images - 0.3, 0, 1)
    expected, _ = run(methods.Baseline(make_net()), plain, labels, epochs=2)
    model = methods.AugmentationTraining(make_net(), probability=probability, **DARKER)
    for a, b in zip(run(model, images, labels, epochs=2)[0], expected):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_an_attack_or_a_crop_may_be_drawn(images, labels):
    net = keras.Sequential(
        [keras.Input([12, 12, 3]), keras.layers.Flatten(), keras.layers.Dense(4)]
    )
    crop = augment.ShiftedCrop(2, size=(12, 12))
    model = methods.AugmentationTraining(net, augment=crop, probability=0.5)
    assert model.views(tf.constant(images), None)["augmented"].shape == [8, 12, 12, 3]
    small = images[:, :12, :12]
    attack = attacks.FGSM(0.05)
    model = methods.AugmentationTraining(net, augment=attack, probability=0.5)
    view = model.views(tf.constant(small), tf.constant(labels))["augmented"].numpy()
    attacked = attack.perturb(net, small, labels).numpy()
    same = [np.array_equal(v, a) for v, a in zip(view, attacked)]
    assert [np.array_equal(v, x) for v, x in zip(view, small)] == [not s for s in same]
    assert 0 < sum(same) < 8


def test_adversarial_training_is_one_form_of_it(make_net, images, labels):
    attack = {"attack": attacks.FGSM(0.05)}
    models = [
        methods.AdversarialTraining(make_net(), mu=0.3, **attack),
        methods.AugmentationTraining(make_net(), augment=attacks.FGSM(0.05), clean_weight=0.3),
    ]
    for a, b in zip(*(run(model, images, labels)[0] for model in models)):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("setting", [{"probability": 0.5, "seed": 3}, {"augmented_weight": 2.0}])
def test_continues_after_saving(make_net, images, labels, goes_on_after_loading, setting):
    noise = augment.GaussianNoise(0.1)
    straight = methods.AugmentationTraining(make_net(), augment=noise, **setting)
    run(straight, images, labels)
    loaded = goes_on_after_loading(straight)
    assert {name: loaded.get_config()[name] for name in setting} == setting


def test_a_compiled_step(linear_net_of, images, labels):
    model = methods.AugmentationTraining(linear_net_of(), probability=0.5, **DARKER)
    settings = {"run_eagerly": False, "jit_compile": True}
    _, history = run(model, images[:, :4, :4], labels, **settings)
    assert np.isfinite(history["loss"]).all()


@pytest.mark.parametrize(
    "setting, words",
    [
        ({"augmented_weight": -1}, "augmented_weight must be a number .*received -1"),
        ({"probability": 1.5}, r"probability must be a number in \[0, 1\]; received 1.5"),
        ({"probability": 0.5, "seed": -1}, "seed must be a whole number .*received -1"),
        ({"probability": 0.5, "augmented_weight": 1}, "only one of .*received clean_weight=0.5"),
        ({"clean_weight": 1, "augmented_weight": 1}, "only one of .*received clean_weight=1"),
        ({"clean_weight": 0.2, "probability": 1}, "only one of .*received clean_weight=0.2"),
    ],
)
def test_bad_settings(make_net, setting, words):
    with pytest.raises(ValueError, match=words):
        methods.AugmentationTraining(make_net(), **setting, **DARKER)
