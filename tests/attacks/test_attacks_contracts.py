"""Contracts that every registered attack keeps, and the worst of k draws."""

from __future__ import annotations

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.parameters import slow_unless
from tfrobust import attacks, augment
from tfrobust.layers.norms import norm_layer
from tfrobust.layers.route import route
from tfrobust.losses import cross_entropy

L = keras.layers
SHAPE = (7, 9, 3)


@keras.saving.register_keras_serializable(package="tests")
class Tints(augment.AugMix):
    """Draws as AugMix does, and makes chains of them that take no time to compile.

    AugMix has contract tests of its own; the attack is tested with it beside NumPy.
    """

    def chains(self, images, draws):
        tint = draws["levels"] * tf.cast(1 + draws["operators"], tf.float32) / 100  # [B, width, 1]
        return tf.clip_by_value(images[:, tf.newaxis] + tint[..., tf.newaxis, tf.newaxis], 0, 1)


#: Few steps. An attack that is not named here is made with its defaults.
SETTINGS = {
    "fgsm": lambda: {"epsilon": 0.03},
    "pgd": lambda: {"epsilon": 0.03, "step_size": 0.01, "steps": 4},
    "apgd": lambda: {"epsilon": 0.03, "steps": 5},
    "fat": lambda: {"epsilon": 0.03, "step_size": 0.01, "steps": 4, "tau": 1},
    "spatial": lambda: {"k": 3},
    "augmax_attack": lambda: {
        "augmix": Tints(10, width=2, depth=1),
        "steps": 3,
        "level_draws": 2,
    },
}
#: Where the search begins with the same seed. That of other attacks begins with the image itself.
BEGINS = {"spatial": {"k": 1}, "worst_of_k": {"k": 1}, "augmax_attack": {"steps": 0}}
NOT_RANDOM = {"fgsm"}

every = pytest.mark.parametrize("name", [*attacks.ATTACKS, "worst_of_k"])


def make(attack, **settings):
    if attack == "worst_of_k":
        return attacks.WorstOfK(augment.GaussianNoise(0.1), **{"k": 3, **settings})
    return attacks.ATTACKS[attack](**{**SETTINGS.get(attack, dict)(), **settings})


@functools.cache
def batch():
    """Six images, of which one is black and one white, and their labels."""
    images = np.random.default_rng(1).random([6, *SHAPE], "float32")
    images[0], images[1] = 0.0, 1.0
    return images, np.arange(6, dtype="int64") % 4


def linear(shape=SHAPE, scale=0.2):
    """A net without gradients so small that rounding decides their sign."""
    net = keras.Sequential([keras.Input(shape), L.Flatten(), L.Dense(4)])
    kernel = np.random.default_rng(0).standard_normal([int(np.prod(shape)), 4])
    net.set_weights([scale * kernel.astype("float32"), np.zeros(4, "float32")])
    return net


@functools.cache
def curved():
    """A net with layers that behave differently in training: batch norm, dropout, a regularizer."""
    keras.utils.set_random_seed(0)
    layers = [
        L.Conv2D(4, 3, strides=2, activation="relu", activity_regularizer="l2"),
        L.BatchNormalization(momentum=0.5),
        L.Dropout(0.5),
        L.Flatten(),
        L.Dense(4),
    ]
    net = keras.Sequential([keras.Input(SHAPE), *layers])
    net(batch()[0], training=True)
    return net


@functools.cache
def moved(name, net=curved):
    """The first result of an attack with seed 3 for the batch."""
    return make(name, seed=3).perturb(net(), *batch()).numpy()


@functools.cache
def plain():
    return linear()


@every
def test_result_is_an_image_in_the_ball(name):
    images, result = batch()[0], moved(name)
    assert result.shape == images.shape and result.dtype == np.float32
    assert result.min() >= 0 and result.max() <= 1
    assert np.abs(result - images).max() > 0.02
    epsilon = getattr(make(name), "epsilon", 1.0)
    assert np.abs(result - images).max() <= epsilon + 1e-6


@every
def test_the_loss_rises(name):
    """From the image, or from the attack's start, to the result."""
    images, labels = batch()
    before = images
    if name in BEGINS:
        before = make(name, seed=3, **BEGINS[name]).perturb(curved(), images, labels)
    first, last = (
        np.mean(cross_entropy(tf.constant(labels), curved()(x))) for x in (before, moved(name))
    )
    assert last > first


@every
def test_net_does_not_change(name):
    """No moving statistics change, no gradient reaches the weights, dropout is off."""
    net, (images, labels) = curved(), batch()
    expected = moved(name)
    before = [w.copy() for w in net.get_weights()]
    with tf.GradientTape() as tape:
        given = tf.constant(images)
        tape.watch(given)
        result = make(name, seed=3).perturb(net, given, tf.constant(labels))
    assert tape.gradient(result, [given, *net.trainable_variables]) == [None] * 7
    for old, new in zip(before, net.get_weights()):
        np.testing.assert_array_equal(old, new)
    np.testing.assert_array_equal(result, expected)


@every
def test_seeds(name):
    net, (images, labels) = plain(), batch()
    one, other = make(name, seed=3), make(name, seed=4)
    first, again = (one.perturb(net, images, labels).numpy() for _ in range(2))
    np.testing.assert_array_equal(first, moved(name, plain))
    assert np.array_equal(first, again) == (name in NOT_RANDOM)
    changed = other.perturb(net, images, labels)
    assert np.array_equal(first, changed) == (name in NOT_RANDOM)


@every
def test_config_round_trip(name):
    attack = make(name, seed=3, name="an_attack")
    saved = keras.saving.serialize_keras_object(attack)
    again = keras.saving.deserialize_keras_object(saved)
    assert type(again) is type(attack) and again.get_config() == attack.get_config()
    np.testing.assert_array_equal(again.perturb(plain(), *batch()), moved(name, plain))


#: The others draw as the worst of k does, and AugMax' ascent is traced in the tests of its own.
TRACED = ["fgsm", "pgd", "fat", "worst_of_k"]


@pytest.mark.parametrize("name", slow_unless(TRACED, [*attacks.ATTACKS, "worst_of_k"]))
def test_graph_as_eager_with_any_batch(name):
    (images, labels), net, traced = batch(), plain(), []
    attack, eager = make(name, seed=3), make(name, seed=3)

    @tf.function(input_signature=[tf.TensorSpec([None, *SHAPE]), tf.TensorSpec([None], tf.int64)])
    def perturb(x, y):
        traced.append(1)
        result = attack.perturb(net, x, y)
        assert result.shape.as_list() == [None, *SHAPE]
        return result

    np.testing.assert_allclose(perturb(images, labels), moved(name, plain), atol=1e-5)
    eager.count_from(1)
    one = eager.perturb(net, images[2:3], labels[2:3])
    np.testing.assert_allclose(perturb(images[2:3], labels[2:3]), one, atol=1e-5)
    assert perturb(images[:0], labels[:0]).shape == (0, *SHAPE)
    assert eager.perturb(net, images[:0], labels[:0]).shape == (0, *SHAPE)
    assert len(traced) == 1


@every
def test_replicas_draw_their_own_numbers(name):
    net, given = plain(), [tf.constant(values) for values in batch()]
    strategy = tf.distribute.MirroredStrategy(
        ["/cpu:0", "/cpu:1"], tf.distribute.ReductionToOneDevice()
    )
    with strategy.scope():
        attack = make(name)
    result = strategy.run(lambda: attack.perturb(net, *given))
    first, second = strategy.experimental_local_results(result)
    assert np.isfinite(first).all()
    assert np.array_equal(first, second) == (name in NOT_RANDOM)


@every
def test_extreme_images_and_logits_stay_finite(name):
    images = np.repeat([0.0, 0.5, 1.0], 2).astype("float32").reshape([6, 1, 1, 1])
    images = np.broadcast_to(images, [6, *SHAPE])
    result = make(name).perturb(linear(scale=1e6), images, batch()[1]).numpy()
    assert np.isfinite(result).all() and result.min() >= 0 and result.max() <= 1


@every
def test_one_pixel(name):
    images = np.full([2, 1, 1, 3], 0.5, "float32")
    result = make(name).perturb(linear([1, 1, 3]), images, np.array([0, 1]))
    assert result.shape == images.shape and np.isfinite(result).all()


@every
def test_uses_the_current_route(name):
    norm = norm_layer("dubn")
    keras.utils.set_random_seed(0)
    net = keras.Sequential([keras.Input(SHAPE), norm, L.Flatten(), L.Dense(4)])
    turned = [np.array(w, "float32") for w in ([-1, 1, -2], [0] * 3, [0] * 3, [1] * 3)]
    norm.auxiliary.set_weights(turned)
    results = []
    for way in ("clean", "auxiliary"):
        with route(way):
            results.append(make(name, seed=1).perturb(net, *batch()))
    assert not np.allclose(*results)


@every
def test_identity_outside_training(name):
    images, _ = batch()
    np.testing.assert_array_equal(make(name)(images, training=False), images)
    with pytest.raises(TypeError, match=r"needs the net and the labels"):
        make(name).call(tf.constant(images), training=True)


def test_registry_makes_every_attack():
    for name in attacks.ATTACKS:
        assert isinstance(attacks.ATTACKS[name](), attacks.Attack)


@every
@pytest.mark.parametrize(
    "change, error, said",
    [
        (lambda x, y: (255 * x, y), ValueError, r"must lie in \[0, 1\].*divide 0-255"),
        (lambda x, y: (x * np.nan, y), ValueError, "must be finite"),
        (lambda x, y: (x[0], y), ValueError, r"\[batch, height, width, channels\]"),
        (lambda x, y: ((255 * x).astype("uint8"), y), TypeError, "uint8"),
        (lambda x, y: (x, y + 1), ValueError, "class indices from 0 to 3; received values"),
    ],
)
def test_wrong_images_and_labels_are_refused(name, change, error, said):
    images, labels = change(*batch())
    with pytest.raises(error, match=f"given to .*{said}"):
        make(name).perturb(linear(), images, labels)
