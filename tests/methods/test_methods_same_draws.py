"""Views that are compared meet the same random numbers inside the net."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.parameters import slow_unless
from tfrobust import attacks, augment, methods
from tfrobust.layers import norm_layer

LAYERS = keras.layers
IMAGES = np.random.default_rng(0).random([4, 8, 8, 3], "float32")
LABELS = np.array([0, 1, 2, 0])
#: Not the identity by its class, so that nothing is left out.
SAME = augment.Brightness(0.0)


class Dropping(LAYERS.Layer):
    """A layer of a user that holds a Dropout and a ReLU."""

    def __init__(self):
        super().__init__()
        self.dropout, self.relu = LAYERS.Dropout(0.5), LAYERS.ReLU()

    def call(self, x, training=None):
        return self.relu(self.dropout(x, training=training))


class Shaking(LAYERS.Layer):
    """A layer of a user that draws by itself."""

    def call(self, x, training=None):
        return x + tf.random.uniform(tf.shape(x)) if training else x


def net_with(*layers):
    keras.utils.set_random_seed(1)
    return keras.Sequential(
        [
            keras.Input([8, 8, 3]),
            LAYERS.Conv2D(4, 3, activation="relu"),
            *layers,
            norm_layer("dubn"),
            LAYERS.ReLU(),
            LAYERS.Flatten(),
            LAYERS.Dropout(0.3),
            LAYERS.Dense(3),
        ]
    )


DRAWING = {
    "dropout": lambda: [LAYERS.Dropout(0.5), LAYERS.SpatialDropout2D(0.5)],
    "noise": lambda: [LAYERS.GaussianNoise(0.5), LAYERS.GaussianDropout(0.5)],
    "in a layer": lambda: [Dropping()],
    "shared": lambda: (lambda drop: [drop, LAYERS.Conv2D(4, 1), drop])(LAYERS.Dropout(0.5)),
}
METHODS = {
    "stability": lambda net: methods.StabilityTraining(net, augment=SAME),
    "fma": lambda net: methods.FeatureMapAugmentation(net, augment=SAME),
    "jsd": lambda net: methods.AugMixTraining(net, augment=SAME),
    "noisymix": lambda net: methods.NoisyMix(net, augment=SAME, additive=0.0, multiplicative=0.0),
    "augmax": lambda net: methods.AugMax(
        net, augment=SAME, attack=attacks.FGSM(0.0), dual_norms=False
    ),
    "augmax in one batch": lambda net: methods.AugMax(
        net, augment=SAME, attack=attacks.FGSM(0.0), dual_norms=False, one_clean_batch=True
    ),
}


PAIRS = [(name, kind) for name in METHODS for kind in DRAWING]
#: Each method with one kind, and one method with each kind.
QUICK_PAIRS = [(name, kind) for name, kind in PAIRS if name == "fma" or kind == "in a layer"]


@pytest.mark.parametrize("name, kind", slow_unless(QUICK_PAIRS, PAIRS, several=True))
def test_an_augmentation_that_changes_nothing_costs_nothing(name, kind):
    model = METHODS[name](net_with(*DRAWING[kind]()))
    (term,) = set(model.term_weights) - {"cross_entropy", "adversarial_cross_entropy"}
    losses, logits = [], []
    for _ in range(2):
        views = model.views(tf.constant(IMAGES), tf.constant(LABELS))
        clean, terms = model.terms(views, tf.constant(LABELS))
        losses.append(terms[term].numpy())
        logits.append(clean.numpy())
    np.testing.assert_allclose(losses, 0, atol=1e-6)
    assert np.abs(logits[0] - logits[1]).max() > 1e-3  # and there are draws


@pytest.mark.parametrize("jit_compile", slow_unless([True], [True, False]))
def test_in_a_traced_step_and_under_xla(jit_compile):
    model = METHODS["fma"](net_with(*DRAWING["in a layer"]()))
    model.compile("sgd", jit_compile=jit_compile)
    history = model.fit(IMAGES, LABELS, verbose=0, epochs=2).history
    np.testing.assert_allclose(history["fma"], 0, atol=1e-6)


def test_the_draws_of_dropout_are_as_ever():
    """Half of the inputs are 0, the others doubled; each image has its own."""
    net = keras.Sequential([keras.Input([10, 10, 10]), LAYERS.Dropout(0.5), LAYERS.Flatten()])
    model = methods.StabilityTraining(
        keras.Sequential([keras.Input([10, 10, 10]), *net.layers]), augment=SAME
    )
    ones = tf.ones([8, 10, 10, 10])
    first, second = (part.numpy() for part in model.forward_together(ones, ones))
    np.testing.assert_array_equal(first, second)
    assert set(first.ravel()) == {0.0, 2.0}
    assert abs(first.mean() - 1) < 5 / np.sqrt(first.size)
    assert len({row.tobytes() for row in first}) == 8


RANDOM = {
    "RandomFlip": lambda: LAYERS.RandomFlip(),
    "RandomRotation": lambda: LAYERS.RandomRotation(0.1),
    "Shaking": Shaking,
    "GaussianNoise": lambda: augment.GaussianNoise(0.1),
}
REFUSED = [(name, layer) for name in METHODS for layer in RANDOM]
QUICK_REFUSED = [pair for pair in REFUSED if pair[0] == "stability" or pair[1] == "Shaking"]


@pytest.mark.parametrize("name, layer", slow_unless(QUICK_REFUSED, REFUSED, several=True))
def test_other_random_layers_are_refused(name, layer):
    named = rf"\w+ \({layer}\)"
    with pytest.raises(ValueError, match=f"same random numbers .* in {named}.*augment="):
        METHODS[name](net_with(RANDOM[layer]()))


def test_methods_that_compare_nothing_take_them():
    net = net_with(LAYERS.RandomFlip())
    methods.Baseline(net)
    methods.AugmentationTraining(net, augment=SAME)
    methods.AugMixTraining(net, augment=SAME, jsd=False)


def test_layers_that_draw_nothing_are_not_refused():
    class Doubling(LAYERS.Layer):
        def call(self, x):
            return 2 * x

    METHODS["stability"](net_with(Doubling(), LAYERS.Lambda(lambda x: x + 1)))
