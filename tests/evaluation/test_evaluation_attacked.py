"""Attacks reach the same images whatever stands behind the logits of a net."""

from __future__ import annotations

import functools
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.parameters import slow_unless
from tfrobust import attacks, recipes
from tfrobust.datasets import Data
from tfrobust.evaluation import Predictor, attacked, benchmark

pytestmark = pytest.mark.usefixtures("eagerly")

L = keras.layers
RANDOM = np.random.default_rng(0)
CLASSES, COUNT, SHAPE = 4, 120, (6, 6, 3)
LABELS = np.arange(COUNT) % CLASSES
CENTRES = RANDOM.random([CLASSES, *SHAPE])
IMAGES = np.clip(0.3 * CENTRES[LABELS] + 0.7 * RANDOM.random([COUNT, *SHAPE]), 0, 1)
IMAGES = IMAGES.astype("float32")
ATTACKS = {
    "FGSM": attacks.FGSM(0.06),
    "PGD": attacks.PGD(0.06, step_size=0.02, steps=4),
    "spatial": attacks.Spatial(k=3),
}
#: Places of the classes among more outputs, in another order.
PLACES = [9, 2, 7, 4]


@functools.cache
def weights():
    """A linear classifier of the images."""
    flat = IMAGES.reshape(COUNT, -1) - 0.5
    return np.linalg.lstsq(flat, np.eye(CLASSES)[LABELS], rcond=0.2)[0].astype("float32")


def net(scale=1.0, outputs=None, end=None):
    """The classifier, its logits times `scale`, of more outputs if there are places for them."""
    kernel = weights() * 10
    if outputs is not None:
        more = 5 * np.random.default_rng(1).standard_normal([len(kernel), outputs])
        more[:, PLACES] = kernel
        kernel = more.astype("float32")
    inputs = keras.Input(SHAPE)
    flat = L.Flatten()(L.Rescaling(1.0, offset=-0.5)(inputs))
    logits = L.Dense(kernel.shape[1], use_bias=False, name="classes")(flat)
    ends = {
        None: lambda z: z,
        "softmax": L.Softmax(),
        "lambda": L.Lambda(lambda z: tf.nn.softmax(z)),
    }
    model = keras.Model(inputs, ends[end](L.Rescaling(scale)(logits)))
    model.get_layer("classes").set_weights([kernel])
    return model


def accuracies(model, labels=LABELS, **options):
    rows = benchmark(model, (IMAGES, labels), attacked(ATTACKS), verbose=False, **options)
    return {row.corruption: row.value for row in rows if row.metric == "accuracy"}


@functools.cache
def expected(scale=1.0):
    found = accuracies(net(scale))
    assert found["clean"] == 1 and max(found[name] for name in ATTACKS) < 0.9
    return found


def test_a_choice_of_the_outputs():
    assert accuracies(net(outputs=12), classes=PLACES) == expected()
    one_hot = np.eye(CLASSES, dtype="float32")[LABELS]
    assert accuracies(net(outputs=12), one_hot, classes=PLACES) == expected()
    # The same net measured with other classes is attacked anew.
    model = net(outputs=12)
    conditions = attacked({"FGSM": ATTACKS["FGSM"]})
    for classes in (PLACES[::-1], PLACES):
        data = IMAGES, [PLACES.index(classes[k]) for k in LABELS]
        row = benchmark(model, data, conditions, classes=classes, verbose=False)[4]
        assert (row.metric, row.value) == ("accuracy", expected()["FGSM"])


@pytest.mark.parametrize("scale", slow_unless([100.0], [10.0, 100.0]))
def test_a_softmax_that_can_be_removed(scale):
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        assert accuracies(net(scale, end="softmax")) == expected(scale)
        chosen = accuracies(net(scale, 12, "softmax"), classes=PLACES)
    assert chosen == expected(scale)


def test_a_softmax_that_cannot_be_removed():
    assert accuracies(net(end="lambda")) == pytest.approx(expected(), abs=0.01)
    with pytest.warns(RuntimeWarning, match=r"gradient of exactly 0 for \d+ of 120 images"):
        accuracies(net(1e4, end="lambda"))


def test_an_attack_by_itself():
    images, labels = tf.constant(IMAGES[:8]), LABELS[:8]
    for attack in ATTACKS.values():
        first, second = (
            type(attack).from_config(attack.get_config()).perturb(model, images, labels)
            for model in (net(100.0), net(100.0, end="softmax"))
        )
        np.testing.assert_allclose(first, second, atol=1e-6)
    model = net(100.0, end="softmax")
    useful = attacks.utility(model, images, labels)
    np.testing.assert_allclose(useful, attacks.utility(net(100.0), images, labels), rtol=1e-5)


def test_maps_are_of_the_chosen_outputs(tmp_path):
    test = tf.data.Dataset.from_tensor_slices((IMAGES, LABELS)).batch(60)
    data = Data("toy", None, None, test, tuple("abcd"), SHAPE, {"test": COUNT})
    options = {"maps": 2, "examples": 0, "verbose": False}
    recipes.evaluate({"a": net()}, data, [], tmp_path / "4", **options)
    model = net(1.0, 12, "softmax")
    recipes.evaluate({"a": model}, data, [], tmp_path / "12", classes=PLACES, **options)
    four, twelve = (np.load(tmp_path / name / "maps.npz")["maps"][:, :, 0] for name in ("4", "12"))
    assert np.abs(four).max() > 0
    np.testing.assert_allclose(twelve, four, rtol=1e-4, atol=1e-6 * four.max())


def test_the_model_of_logits():
    predictor = Predictor(net(2.0, 12, "softmax"), classes=PLACES)
    np.testing.assert_allclose(predictor.logits(IMAGES), net(2.0)(IMAGES), rtol=1e-5, atol=1e-5)
    assert predictor.logits is predictor.logits
    own = net()
    assert Predictor(own).logits is own
    with pytest.raises(ValueError, match=r"gradients need a Keras model .*received mine, which"):
        _ = Predictor(lambda images: images, name="mine").logits


@pytest.mark.parametrize("dtype", slow_unless(["float16"], ["float64", "float16"]))
def test_images_of_other_types(dtype):
    images = IMAGES[:8].astype(dtype)
    for attack in [*ATTACKS.values(), attacks.FAT(steps=2), attacks.AugMaxAttack(steps=1)]:
        moved = attack.perturb(net(), images, LABELS[:8])
        assert moved.dtype == tf.float32 and np.abs(moved - images).max() > 0.01
    assert attacks.sensitivity(net(), images).dtype == tf.float32
    data = IMAGES.astype(dtype), LABELS
    rows = benchmark(net(), data, attacked(ATTACKS), verbose=False)
    found = {row.corruption: row.value for row in rows if row.metric == "accuracy"}
    assert found == pytest.approx(expected(), abs=0.05)
