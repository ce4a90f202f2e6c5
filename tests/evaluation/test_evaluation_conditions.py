"""Each condition shows a model just the images that it says."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.parameters import slow_unless
from tfrobust import attacks, augment, corruptions, nets
from tfrobust.evaluation import Predictor, attacked, augmented, corrupted, published, swept
from tfrobust.evaluation.condition import Batch
from tfrobust.ops import sampling

RANDOM = np.random.default_rng(0)
IMAGES = np.rint(RANDOM.random([7, 32, 32, 3]) * 255).astype("uint8")
FLOATS = IMAGES.astype("float32") / 255
LABELS = np.arange(7) % 4


@pytest.fixture(scope="module")
def predictor():
    keras.utils.set_random_seed(1)
    return Predictor(nets.small_cnn([32, 32, 3], 4))


def batch(start=0, stop=7, full=4, index=None):
    places = np.arange(start, stop) if index is None else np.asarray(index)
    return Batch(FLOATS[places % 7], LABELS[places % 7], places, full)


def shown(condition, predictor, seed=5, **where):
    return np.array(condition.change(batch(**where), predictor, seed))


@pytest.mark.parametrize(
    "name, severity", [("fog", 3), ("gaussian_noise", 5), ("jpeg_compression", 1)]
)
def test_corruptions_are_those_of_corrupt(predictor, name, severity):
    (condition,) = corrupted([name], severities=[severity])
    expected = corruptions.corrupt(IMAGES, name, severity, seed=5).numpy() / np.float32(255)
    np.testing.assert_array_equal(shown(condition, predictor), expected)
    # The last batch is filled up, and an image is the same in whatever batch it stands.
    last = shown(condition, predictor, start=5, full=4)
    np.testing.assert_array_equal(last, expected[5:])
    some = shown(condition, predictor, index=[6, 1])
    np.testing.assert_array_equal(some, expected[[6, 1]])
    assert condition.protocol(batch()) == {"table": 32}


def test_selections():
    assert len(corrupted()) == 75 and len(corrupted("all", severities=[2])) == 19
    assert [c.name for c in corrupted("noise", severities=[1])] == list(
        corruptions.CORRUPTION_GROUPS["noise"]
    )
    assert [c.name for c in corrupted("held_out", severities=[1])] == list(
        corruptions.HELD_OUT_CORRUPTIONS
    )
    assert [(c.name, c.severity) for c in corrupted(["snow"], severities=[5, 1])] == [
        ("snow", 5),
        ("snow", 1),
    ]


def test_frost_says_where_it_comes_from():
    (condition,) = corrupted(["frost"], severities=[1])
    assert condition.protocol(batch())["frost"] == corruptions.frost_source().label


def test_augmentations_draw_by_seed_name_and_index(predictor):
    layer = augment.GaussianNoise(0.1)
    (condition,) = augmented({"GN": layer})
    seeds = sampling.image_seeds(5, "GN", np.arange(7))
    expected = layer.apply(FLOATS, layer.draw(FLOATS, seeds))
    np.testing.assert_allclose(shown(condition, predictor), expected, atol=1e-6)
    others = shown(condition, predictor, index=np.arange(7, 14))  # the same images at other places
    assert np.abs(others - expected).max(axis=(1, 2, 3)).min() > 0.01
    assert condition.severity == 0.1 and condition.protocol(batch()) == {"draws": 2}


def conditions_that_draw():
    layers = {
        "combined": augment.table_3([32, 32])["Combined-"],
        "choice": augment.PerImageChoice([augment.PatchGaussian(), augment.Rotation()]),
        "applied": augment.RandomApply(augment.SpeckleNoise((0.1, 0.5))),
        "augmix": augment.AugMix(alpha=0.5),
    }
    searches = {
        "pgd": attacks.PGD(steps=1),
        "fat": attacks.FAT(steps=1),
        "spatial": attacks.Spatial(k=2),
        "worst": attacks.WorstOfK(augment.GaussianNoise(0.1), k=2),
        "augmax": attacks.AugMaxAttack(steps=1, level_draws=2, target="random"),
    }
    return {c.name: c for c in (*augmented(layers), *attacked(searches))}


#: A draw for each image, for each of its operations, for a choice, for a start, for each try.
DRAWING = ["choice", "applied", "pgd", "worst"]


@pytest.mark.parametrize("name", slow_unless(DRAWING, conditions_that_draw()))
def test_an_image_is_changed_alike_in_whatever_batch(predictor, name):
    condition = conditions_that_draw()[name]
    whole = shown(condition, predictor)
    assert np.abs(whole - FLOATS).max() > 1 / 255
    index = [6, 1, 3]
    part = shown(condition, predictor, index=index)
    # A different batch may round differently, and a sign of a gradient may hang on it.
    assert np.mean(np.abs(part - whole[index]) > 1e-5) < 0.01
    assert np.abs(shown(condition, predictor, index=np.arange(7, 14)) - whole).max() > 0


def test_a_sweep_changes_the_strength_alone(predictor):
    layer = augment.Brightness(0.5, seed=3)
    conditions = swept("B", layer, [0.0, 0.25])
    assert [(c.name, c.severity) for c in conditions] == [("B", 0.0), ("B", 0.25)]
    np.testing.assert_array_equal(shown(conditions[0], predictor), FLOATS)
    expected = np.minimum(FLOATS + np.float32(0.25), 1)
    np.testing.assert_allclose(shown(conditions[1], predictor), expected, atol=1e-6)
    assert layer.strength == 0.5


def test_attacks_are_those_of_the_library(predictor):
    fgsm, pgd, spatial = attacked()
    expected = attacks.FGSM(8 / 255).perturb(predictor.net, tf.constant(FLOATS), LABELS)
    np.testing.assert_allclose(shown(fgsm, predictor), expected, atol=1e-6)
    assert fgsm.severity == 8 / 255 and pgd.severity == 8 / 255 and spatial.severity is None
    assert pgd.protocol(batch())["attack"]["steps"] == 20
    assert spatial.protocol(batch())["attack"]["k"] == 10
    for condition in (pgd, spatial):
        first = shown(condition, predictor)
        assert np.abs(first - FLOATS).max() > 1 / 255
        assert np.abs(shown(condition, predictor, seed=6) - first).max() > 0
        # Draws follow from the images, not from what was measured before.
        np.testing.assert_array_equal(shown(condition, predictor), first)


def test_attacks_raise_the_loss(predictor):
    net = predictor.net
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    before = float(loss(LABELS, net(FLOATS)))
    for condition in attacked()[:2]:
        after = float(loss(LABELS, net(shown(condition, predictor))))
        assert after > before + 0.01


def test_published_files(tmp_path, predictor):
    images = np.random.default_rng(1).integers(0, 256, [5 * 7, 32, 32, 3]).astype("uint8")
    np.save(tmp_path / "fog.npy", images)
    np.save(tmp_path / "labels.npy", LABELS)
    first, second = published("cifar10_c", tmp_path, names=["fog"], severities=[1, 3], batch_size=4)
    for condition, start in [(first, 0), (second, 14)]:
        parts = list(condition.data(None))
        assert [len(labels) for _, labels in parts] == [4, 3]
        pixels = np.concatenate([np.array(images) for images, _ in parts]) * 255
        np.testing.assert_allclose(pixels, images[start : start + 7], atol=1e-3)
        np.testing.assert_array_equal(np.concatenate([labels for _, labels in parts]), LABELS)
    assert first.protocol(batch()) == {"files": "cifar10_c"}
    np.testing.assert_array_equal(shown(first, predictor), FLOATS)


@pytest.mark.parametrize(
    "call, error, said",
    [
        (lambda: corrupted(["smog"]), ValueError, "smog"),
        (lambda: corrupted("colour"), ValueError, "corruptions must be one of test, noise"),
        (lambda: corrupted(severities=[0]), ValueError, "severity must be a whole number from 1"),
        (
            lambda: augmented({"x": 3}),
            TypeError,
            "x must be a layer of tfrobust.augment; received int",
        ),
        (
            lambda: augmented({"brightness": augment.Brightness()}),
            ValueError,
            "must not have the name of a common corruption.*received 'brightness'",
        ),
        (lambda: augmented({"clean": augment.Brightness()}), ValueError, "received 'clean'"),
        (
            lambda: augmented({"M": augment.RandomApply(augment.Mixup())}),
            ValueError,
            "M must be an augmentation that leaves the labels true; received Mixup",
        ),
        (lambda: swept("C", augment.table_3([8, 8])["Combined+"], [1]), TypeError, "one strength"),
        (lambda: swept("B", augment.Brightness(), [7]), ValueError, r"in \[-1, 1\]; received 7"),
        (lambda: attacked({"x": augment.Brightness()}), TypeError, "one of tfrobust.attacks"),
        (lambda: published("cifar10"), ValueError, "cifar10_c, cifar100_c"),
        (lambda: published("cifar10_c", "/none"), FileNotFoundError, "/none"),
        (
            lambda: corrupted()[0].check(Predictor(lambda x: x), [32, 32, 1]),
            ValueError,
            "images of 3 channels; received 1",
        ),
        (
            lambda: corrupted()[0].check(Predictor(lambda x: x), [48, 48, 3]),
            ValueError,
            "48",
        ),
        (
            lambda: attacked()[0].check(Predictor(lambda x: x), [32, 32, 3]),
            ValueError,
            "needs gradients, so a Keras model",
        ),
    ],
)
def test_bad_input(call, error, said):
    with pytest.raises(error, match=said):
        call()


def test_groups_among_names():
    found = [one.name for one in corrupted(["noise", "fog"], severities=[1])]
    assert found == ["gaussian_noise", "shot_noise", "impulse_noise", "fog"]
    with pytest.raises(ValueError, match="each once; received gaussian_noise, shot_noise"):
        corrupted(["noise", "shot_noise"])
