"""Adversarial training: one step by hand, its two forms, its settings."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.reference import linear_net
from tfrobust import attacks, augment, methods


def small(images):
    return images[:, :4, :4]


def fitted(model, images, labels, **settings):
    model.compile(keras.optimizers.SGD(0.1), **{"run_eagerly": True, **settings})
    history = model.fit(images, labels, batch_size=8, shuffle=False, verbose=0).history
    return [np.array(w) for w in model.net.get_weights()], history


@pytest.mark.parametrize("mu", [0.0, 0.3, 1.0])
def test_one_step_on_a_linear_net(linear_net_of, images, labels, mu):
    net, images = linear_net_of(), small(images)
    kernel, bias = (w.astype("float64") for w in net.get_weights())
    model = methods.AdversarialTraining(net, attack=attacks.FGSM(0.05), mu=mu)
    (new_kernel, new_bias), history = fitted(model, images, labels)

    slope = linear_net.image_gradient(images, labels, kernel, bias)
    attacked = np.clip(images + 0.05 * np.sign(slope), 0, 1)
    shares = linear_net.one_hot(labels, 4)
    upstreams = [
        linear_net.cross_entropy_gradient(linear_net.logits(x, kernel, bias), shares)
        for x in (images, attacked)
    ]
    views = [(images, mu * upstreams[0]), (attacked, (1 - mu) * upstreams[1])]
    expected_kernel, expected_bias = linear_net.updated(kernel, bias, 0.1, views)
    np.testing.assert_allclose(new_kernel, expected_kernel, atol=1e-6)
    np.testing.assert_allclose(new_bias, expected_bias, atol=1e-6)
    assert history["adversarial_cross_entropy"][0] > history["cross_entropy"][0]


def test_with_mu_one_it_is_the_baseline(make_net, images, labels):
    weights = [
        fitted(model, images, labels)[0]
        for model in (
            methods.Baseline(make_net()),
            methods.AdversarialTraining(make_net(), attack=attacks.PGD(), mu=1),
        )
    ]
    for a, b in zip(*weights):
        np.testing.assert_allclose(a, b, atol=1e-6)


def batch_norm_net():
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input([16, 16, 3]),
            keras.layers.BatchNormalization(momentum=0.5),
            keras.layers.Conv2D(4, 3, strides=2, activation="relu"),
            keras.layers.Flatten(),
            keras.layers.Dense(4),
        ]
    )


def test_with_mu_zero_only_attacked_images_count(images, labels):
    """Weights and moving statistics equal those of plain training on the attacked images."""
    attack = attacks.FGSM(0.05)
    model = methods.AdversarialTraining(batch_norm_net(), attack=attack, mu=0)
    weights, history = fitted(model, images, labels)
    net = batch_norm_net()
    plain, _ = fitted(
        methods.Baseline(net), attack.perturb(batch_norm_net(), images, labels), labels
    )
    for a, b in zip(weights, plain):
        np.testing.assert_allclose(a, b, atol=1e-6)
    logits = batch_norm_net()(images, training=False)  # of the clean images, for the metrics
    expected = np.mean(methods.Baseline(net).classification_loss(tf.constant(labels), logits))
    assert history["cross_entropy"][0] == pytest.approx(float(expected), rel=1e-5)


def test_both_copies_are_normalised_together(images, labels):
    net = batch_norm_net()
    attack = attacks.FGSM(0.05)
    both = np.concatenate([images, attack.perturb(net, images, labels)])
    model = methods.AdversarialTraining(net, attack=attack)
    weights, _ = fitted(model, images, labels)
    np.testing.assert_allclose(weights[2], both.mean(axis=(0, 1, 2)) / 2, atol=1e-5)


def test_the_default_is_the_papers(make_net):
    model = methods.AdversarialTraining(make_net())
    assert isinstance(model.attack, attacks.FGSM) and model.attack.epsilon == 0.001
    weights = {name: float(tf.convert_to_tensor(w)) for name, w in model.term_weights.items()}
    assert weights == {"cross_entropy": 0.5, "adversarial_cross_entropy": 0.5}


def test_an_attack_that_draws_goes_on_after_loading(
    make_net, images, labels, goes_on_after_loading
):
    attack = attacks.FAT(0.05, steps=2, tau=1, seed=3)
    straight = methods.AdversarialTraining(make_net(), attack=attack, mu=0.25)
    fitted(straight, images, labels)
    straight.attack.tau.assign(2)

    def same_attack(loaded):
        assert int(loaded.attack.tau) == 2
        assert loaded.get_config()["attack"] == straight.get_config()["attack"]

    goes_on_after_loading(straight, same_attack)


def test_activity_regularisation_counts_once(images, labels):
    """The attack's passes leave nothing behind in the losses of the net."""
    losses = []
    for method in (methods.Baseline, methods.AdversarialTraining):
        keras.utils.set_random_seed(0)
        dense = keras.layers.Dense(4, activity_regularizer=keras.regularizers.L2(0.1))
        net = keras.Sequential([keras.Input([16, 16, 3]), keras.layers.Flatten(), dense])
        settings = {} if method is methods.Baseline else {"attack": attacks.PGD(0.0, steps=2)}
        eager = method is methods.Baseline
        _, history = fitted(method(net, **settings), images, labels, run_eagerly=eager)
        losses.append(history["loss"][0] - history["cross_entropy"][0])
    assert losses[0] > 0.001
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)


def test_bad_settings(make_net):
    with pytest.raises(ValueError, match=r"mu must be a number in \[0, 1\]; received 1.5"):
        methods.AdversarialTraining(make_net(), mu=1.5)
    with pytest.raises(TypeError, match=r"attack must be an attack.*received GaussianNoise"):
        methods.AdversarialTraining(make_net(), attack=augment.GaussianNoise(0.1))
    sides = augment.Alternating([augment.Brightness(0.1), augment.Brightness(-0.1)])
    with pytest.raises(ValueError, match=r"must not alternate by epochs.*augment=attack"):
        methods.AdversarialTraining(make_net(), attack=attacks.WorstOfK(sides))
