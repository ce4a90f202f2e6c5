"""Stability training with attacks and with several perturbations."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.reference import divergence, linear_net
from tfrobust import attacks, augment, methods
from tfrobust.callbacks import AlternateAugmentations
from tfrobust.losses import kl_divergence, symmetric_kl_divergence

DARK = augment.Brightness(-0.3)


def noise_and_dark():
    return [augment.GaussianNoise(0.1), augment.Brightness(-0.3)]


def run(model, images, labels, epochs=1):
    model.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
    fit = {"batch_size": 8, "shuffle": False, "verbose": 0, "epochs": epochs}
    model.fit(images, labels, **fit)
    return [np.array(w) for w in model.net.get_weights()]


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("several", [False, True])
def test_one_step_on_a_linear_net(linear_net_of, images, labels, symmetric, several):
    net, images = linear_net_of(), images[:, :4, :4]
    kernel, bias = (w.astype("float64") for w in net.get_weights())
    shifts = (-0.3, 0.2) if several else (-0.3,)
    perturbations = [augment.Brightness(shift) for shift in shifts]
    model = methods.StabilityTraining(
        net, augment=perturbations if several else DARK, alpha=2.0, symmetric=symmetric
    )
    new_kernel, new_bias = run(model, images, labels)

    clean = linear_net.logits(images, kernel, bias)
    of_clean = linear_net.cross_entropy_gradient(clean, linear_net.one_hot(labels, 4))
    views = []
    for shift in shifts:
        changed = np.clip(images + shift, 0, 1)
        values = linear_net.logits(changed, kernel, bias)
        of_p, of_q = linear_net.kl_gradients(clean, values)
        if symmetric:
            other_q, other_p = linear_net.kl_gradients(values, clean)
            of_p, of_q = (of_p + other_p) / 2, (of_q + other_q) / 2
        of_clean = of_clean + 2.0 * of_p / len(shifts)
        views.append((changed, 2.0 * of_q / len(shifts)))
    expected = linear_net.updated(kernel, bias, 0.1, [(images, of_clean), *views])
    np.testing.assert_allclose(new_kernel, expected[0], atol=1e-6)
    np.testing.assert_allclose(new_bias, expected[1], atol=1e-6)


def test_the_mean_of_the_divergences(make_net, images, labels):
    net = make_net()
    attack = attacks.FGSM(0.05)
    model = methods.StabilityTraining(net, augment=[DARK, attack, augment.GaussianNoise(0.1)])
    views = model.views(tf.constant(images), tf.constant(labels))
    assert list(views) == ["clean", "augmented_0", "augmented_1", "augmented_2"]
    np.testing.assert_allclose(views["augmented_0"], np.clip(images - 0.3, 0, 1), atol=1e-6)
    np.testing.assert_array_equal(views["augmented_1"], attack.perturb(net, images, labels))
    logits, terms = model.terms(views, tf.constant(labels))
    outputs = [net(view) for view in views.values()]
    np.testing.assert_allclose(logits, outputs[0], atol=1e-5)
    expected = np.mean([divergence.kl_divergence(outputs[0], o) for o in outputs[1:]], axis=0)
    np.testing.assert_allclose(terms["stability"], expected, atol=1e-5)


def test_equal_augmentations_draw_different_numbers(make_net, images):
    twice = [augment.GaussianNoise(0.1), augment.GaussianNoise(0.1)]
    model = methods.StabilityTraining(make_net(), augment=twice)
    views = model.views(tf.constant(images), None)
    assert np.abs(views["augmented_0"] - views["augmented_1"]).mean() > 0.01


@pytest.mark.parametrize("alpha", [0.0, 2.0])
def test_fgsm_on_the_full_loss_is_fgsm_on_the_cross_entropy(make_net, images, labels, alpha):
    """At x' = x the divergence has no gradient: so the attack need not know of it."""
    net, labels = make_net(), tf.constant(labels)
    model = methods.StabilityTraining(net, augment=attacks.FGSM(0.05), alpha=alpha)
    for distance in (kl_divergence, symmetric_kl_divergence):
        x = tf.constant(images)
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(x)
            logits = net(x)
            cross_entropy = model.classification_loss(labels, logits)
            # Through x alone, as through x' with x held: both at x' = x.
            through_both = distance(logits, logits)
            through_other = distance(tf.stop_gradient(logits), logits)
            full = [cross_entropy + alpha * d for d in (through_both, through_other)]
        reference = tape.gradient(cross_entropy, x).numpy()
        for loss in full:
            gradient = tape.gradient(loss, x).numpy()
            np.testing.assert_allclose(gradient, reference, atol=1e-6)
            sure = np.abs(reference) > 1e-5
            assert sure.mean() > 0.5
            np.testing.assert_array_equal(np.sign(gradient)[sure], np.sign(reference)[sure])
            expected = np.clip(images + 0.05 * np.sign(gradient), 0, 1)
            attacked = model.views(x, labels)["augmented"].numpy()
            np.testing.assert_allclose(attacked[sure], expected[sure], atol=1e-6)


def test_without_weight_equals_the_baseline(make_net, images, labels):
    models = [
        methods.Baseline(make_net()),
        methods.StabilityTraining(make_net(), augment=[*noise_and_dark(), attacks.FGSM()], alpha=0),
    ]
    for a, b in zip(*(run(model, images, labels, epochs=2) for model in models)):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_saved_list_continues(make_net, images, labels, goes_on_after_loading):
    given = [*noise_and_dark(), attacks.PGD(0.05, steps=2), attacks.WorstOfK(DARK, 2)]
    straight = methods.StabilityTraining(make_net(), augment=given, alpha=0.5)
    run(straight, images, labels)
    config = straight.get_config()
    again = type(straight).from_config(config)
    assert json.dumps(again.get_config()) == json.dumps(config)
    loaded = goes_on_after_loading(straight)
    assert [type(a) for a in loaded.augment.augments] == [type(a) for a in given]


def test_alternating_member_of_a_list_is_found(make_net, images, labels):
    sides = augment.Alternating([augment.Brightness(0.2), augment.Brightness(-0.2)])
    whole = [augment.GaussianNoise(0.1), attacks.WorstOfK(sides, k=1)]
    model = methods.StabilityTraining(make_net(), augment=whole)
    model.compile("sgd", run_eagerly=True)
    with pytest.raises(ValueError, match="AlternateAugmentations"):
        model.fit(images, labels, verbose=0)
    model.fit(
        images, labels, epochs=2, batch_size=8, callbacks=[AlternateAugmentations()], verbose=0
    )
    dark = model.views(tf.constant(images), tf.constant(labels))["augmented_1"]
    np.testing.assert_allclose(dark, np.clip(images - 0.2, 0, 1), atol=1e-6)


def test_crops_in_a_list(images):
    crop = augment.ShiftedCrop(2, size=(12, 10))
    net = keras.Sequential(
        [keras.Input([12, 10, 3]), keras.layers.Flatten(), keras.layers.Dense(4)]
    )
    both = [crop, augment.Sequence([augment.GaussianNoise(0.1), crop])]
    views = methods.StabilityTraining(net, augment=both).views(tf.constant(images), None)
    assert {tuple(view.shape) for view in views.values()} == {(8, 12, 10, 3)}
    mixed = methods.StabilityTraining(net, augment=[crop, augment.GaussianNoise(0.1)])
    with pytest.raises(ValueError, match="images of one shape"):
        mixed.views(tf.constant(images), None)


@pytest.mark.parametrize(
    "given, words",
    [
        ([], r"a list of one or more .* received a list of \[\]"),
        ([DARK, "noise"], r"received a list of \['Brightness', 'str'\]"),
        ([augment.Mixup()], r"labels true; received Mixup"),
    ],
)
def test_bad_lists(make_net, given, words):
    with pytest.raises(ValueError, match=words):
        methods.StabilityTraining(make_net(), augment=given)
