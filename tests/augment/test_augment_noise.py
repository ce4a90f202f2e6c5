"""Layers of speckle, uniform and non-uniform noise and Patch Gaussian: draws and invariants."""

from __future__ import annotations

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.reference import noise as reference
from tfrobust import augment, ops
from tfrobust.ops import noise

IMAGES = np.random.default_rng(0).random([4, 7, 9, 3], "float32")
DEVIATION = np.random.default_rng(1).uniform(0.01, 0.4, [7, 9])


def nonuniform(probability=0.15, **options):
    return augment.NonuniformNoise(probability, deviation=DEVIATION, **options)


MAKERS = {
    "speckle": augment.SpeckleNoise,
    "uniform": augment.UniformNoise,
    "nonuniform": nonuniform,
    "patch": augment.PatchGaussian,
}
every = pytest.mark.parametrize("make", MAKERS.values(), ids=list(MAKERS))


def test_layers_match_their_ops():
    places = ops.PlacesByDeviation(DEVIATION)
    for layer, op in (
        (augment.SpeckleNoise(0.3), ops.speckle_noise),
        (augment.UniformNoise(0.4), ops.uniform_noise),
        (
            nonuniform(0.4),
            lambda x, probability, seed: ops.nonuniform_noise(x, probability, places, seed),
        ),
    ):
        draws = layer.draw(IMAGES)
        strengths = draws[layer.parameter]
        np.testing.assert_array_equal(strengths, tf.fill([4], layer.strength))
        expected = op(IMAGES, strengths, draws["seed"])
        np.testing.assert_array_equal(layer.apply(IMAGES, draws), expected)
        assert np.mean(expected != IMAGES) > 0.1


@every
def test_one_strength_per_image(make):
    """Each image changes by its own strength, as in a batch with only that strength."""
    layer = make((0.0, 1.0))
    strengths = np.array([0.0, 0.1, 0.4, 1.0], "float32")
    seed = tf.constant([5, 6])
    result = layer.apply(IMAGES, {layer.parameter: strengths, "seed": seed}).numpy()
    np.testing.assert_array_equal(result[0], IMAGES[0])
    for i, strength in enumerate(strengths):
        same = make(float(strength)).apply(
            IMAGES, {layer.parameter: tf.fill([4], strength), "seed": seed}
        )
        np.testing.assert_array_equal(same[i], result[i])


@every
def test_config_survives_saving(make):
    layer = make((0.1, 0.5), seed=9, name="mine")
    config = json.loads(json.dumps(layer.get_config()))
    for twin in (
        type(layer).from_config(config),
        keras.saving.deserialize_keras_object(
            json.loads(json.dumps(keras.saving.serialize_keras_object(layer)))
        ),
        layer.with_strength((0.1, 0.5)),
    ):
        assert twin.get_config() == layer.get_config() and twin.name == "mine"
        seed = tf.constant([1, 2])
        expected = layer.apply(IMAGES, layer.draw(IMAGES, seed))
        np.testing.assert_array_equal(twin.apply(IMAGES, twin.draw(IMAGES, seed)), expected)


def test_speckle_default_is_gaussian_noise_at_one_half():
    assert augment.SpeckleNoise().strength * 0.5 == augment.GaussianNoise().strength


# Non-uniform.


def test_nonuniform_without_deviation_is_uniform():
    draws = {"probability": tf.fill([4], 0.4), "seed": tf.constant([1, 2])}
    expected = augment.UniformNoise().apply(IMAGES, draws)
    np.testing.assert_array_equal(augment.NonuniformNoise().apply(IMAGES, draws), expected)
    assert augment.NonuniformNoise().get_config()["deviation"] is None


def test_smallest_deviation():
    """p ∝ 1 / max(s, smallest): of s = 0, 0.1, 0.4 as 1 : 1 : ¼ or 1 : ½ : ⅛ and so on."""
    deviation, images = [[0.0, 0.1, 0.4]], tf.fill([40_000, 1, 3, 1], 0.5)

    def rates(**options):
        layer = augment.NonuniformNoise(0.2, deviation=deviation, **options)
        assert layer.deviation.tolist() == deviation
        noisy = layer.apply(images, layer.draw(images, tf.constant([1, 2])))
        return np.mean(noisy.numpy() != 0.5, axis=0).ravel()

    for smallest, parts in [(0.1, (1, 1, 1 / 4)), (0.05, (1, 1 / 2, 1 / 8)), (1e-6, (1, 1e-5, 0)),
                            (1.0, (1, 1, 1)), (1 / 255, (1, 10 / 255, 10 / 1020))]:  # fmt: skip
        expected = 0.6 * np.array(parts) / sum(parts)
        # Five standard errors of 40,000 draws.
        error = 5 * np.sqrt(expected * (1 - expected) / 40_000) + 1e-9
        found = rates(smallest_deviation=smallest)
        assert (abs(found - expected) <= np.maximum(error, 1e-3)).all(), smallest
    np.testing.assert_array_equal(rates(), rates(smallest_deviation=1 / 255))
    layer = augment.NonuniformNoise(deviation=deviation, smallest_deviation=0.05)
    config = layer.get_config()
    assert config["smallest_deviation"] == 0.05
    twin = augment.NonuniformNoise.from_config(config)
    draws = layer.draw(images, tf.constant([1, 2]))
    np.testing.assert_array_equal(twin.apply(images, draws), layer.apply(images, draws))
    measured = augment.NonuniformNoise.from_images(np.zeros([2, 1, 1, 3]), smallest_deviation=0.2)
    assert measured.smallest_deviation == 0.2
    for wrong in (0, -1, 2, float("nan")):
        with pytest.raises(ValueError, match="smallest_deviation must"):
            augment.NonuniformNoise(smallest_deviation=wrong)
    with pytest.raises(ValueError, match="deviation must be finite numbers of 0 or more"):
        augment.NonuniformNoise(deviation=[[-0.1]], smallest_deviation=0.2)


def test_nonuniform_has_the_drawn_probability():
    """Each image has its drawn probability, distributed according to the map."""
    count = 3000
    layer = nonuniform((0.05, 0.9))
    grey = tf.fill([count, 7, 9, 1], 2.0)
    draws = layer.draw(grey)
    hit = layer.apply(grey, draws).numpy()[..., 0] != 2
    shares = draws["probability"].numpy()
    expected = np.array([reference.replacement_probability(DEVIATION, s) for s in shares[:200]])
    errors = np.sqrt((expected * (1 - expected)).sum(axis=(1, 2))) / 63
    assert (np.abs(hit[:200].mean(axis=(1, 2)) - shares[:200]) <= 5 * errors).all()
    error = np.sqrt((shares * (1 - shares)).sum() / 63) / count
    assert abs(hit.mean() - shares.mean()) < 5 * error
    assert hit.mean(axis=0)[DEVIATION < 0.1].mean() > 1.5 * hit.mean(axis=0)[DEVIATION > 0.3].mean()


def test_measure_is_the_standard_deviation():
    images = np.random.default_rng(2).random([50, 7, 9, 3], "float32")
    expected = images.mean(axis=-1, dtype="float64").std(axis=0)
    labels = np.arange(50)
    batches = tf.data.Dataset.from_tensor_slices(images).batch(16)
    labelled = tf.data.Dataset.from_tensor_slices((images, labels)).batch(7)
    for given in (
        images,
        tf.constant(images),
        [images[:1], images[1:30], images[30:30], images[30:]],
        (batch for batch in np.split(images, 10)),
        batches,
        labelled,
    ):
        result = augment.NonuniformNoise.measure(given)
        assert result.dtype == np.float64
        np.testing.assert_allclose(result, expected, rtol=1e-12)


def test_measure_keeps_its_digits():
    """Sums of squares would lose a small deviation beside a large mean; so would float32."""
    offsets = np.random.default_rng(3).normal(size=[4000, 2, 2, 1])
    images = 0.999 + 1e-6 * offsets
    result = augment.NonuniformNoise.measure(np.split(images, 40))
    np.testing.assert_allclose(result, images[..., 0].std(axis=0), rtol=1e-6)
    # One array larger than what is read at a time.
    np.testing.assert_allclose(augment.NonuniformNoise.measure(images), result, rtol=1e-6)


def test_from_images():
    images = np.random.default_rng(2).random([50, 7, 9, 3], "float32")
    layer = augment.NonuniformNoise.from_images(images, (0.1, 0.2), seed=4, name="mine")
    assert layer.strength == (0.1, 0.2) and layer.seed == 4 and layer.name == "mine"
    measured = augment.NonuniformNoise.measure(images)
    np.testing.assert_array_equal(layer.get_config()["deviation"], measured)
    assert augment.NonuniformNoise.from_images(images).strength == 0.15


@pytest.mark.parametrize(
    "wrong, error, words",
    [
        (np.zeros([4, 7, 9], "float32"), ValueError, "received shape (4, 7, 9)"),
        (np.zeros([4, 7, 9, 3], "uint8"), TypeError, "received dtype uint8"),
        (np.zeros([0, 7, 9, 3], "float32"), ValueError, "received none"),
        ([], ValueError, "received none"),
        ([IMAGES, IMAGES[:, :5]], ValueError, "received 7x9 and 5x9 pixels"),
        ([IMAGES, IMAGES[:, :1, :1]], ValueError, "received 7x9 and 1x1 pixels"),
    ],
)
def test_measure_refuses(wrong, error, words):
    with pytest.raises(error) as raised:
        augment.NonuniformNoise.measure(wrong)
    assert words in str(raised.value)


def test_map_must_fit():
    with pytest.raises(ValueError, match=r"of 7x9 pixels.*; received images of 8x8 pixels"):
        nonuniform()(tf.zeros([1, 8, 8, 3]), training=True)
    with pytest.raises(ValueError, match=r"deviation must be .*; received shape \(3,\)"):
        augment.NonuniformNoise(deviation=[0.1, 0.2, 0.3])


# Patch Gaussian.


def given_to_the_op(monkeypatch, layer, shape):
    """The arguments that the layer passes to its operation."""
    seen = {}

    def spy(images, sigma, size, row, column, seed, **options):
        seen.update(sigma=sigma, size=size, row=row, column=column, **options)
        return images

    monkeypatch.setattr(noise, "patch_gaussian", spy)
    layer(tf.zeros(shape), training=True)
    return {name: np.asarray(value) for name, value in seen.items()}


def even(numbers, low, high):
    """Whether all integers from low to high occur equally often, within five standard errors."""
    probability = 1 / (high - low + 1)
    values, counts = np.unique(numbers, return_counts=True)
    error = (probability * (1 - probability) / len(numbers)) ** 0.5
    return (
        list(values) == list(range(low, high + 1))
        and (np.abs(counts / len(numbers) - probability) <= 5 * error).all()
    )


def test_patch_draws(monkeypatch):
    layer = augment.PatchGaussian((0.0, 0.5), size=(1, 25))
    seen = given_to_the_op(monkeypatch, layer, [8000, 7, 9, 3])
    assert even(seen["size"], 1, 25) and even(seen["row"], 0, 6) and even(seen["column"], 0, 8)
    assert seen["largest"] == 25
    assert 0 <= seen["sigma"].min() < 0.01 and 0.49 < seen["sigma"].max() <= 0.5
    drawn = [seen[name] for name in ("sigma", "size", "row", "column")]
    correlations = np.corrcoef(drawn) - np.eye(4)
    assert np.abs(correlations).max() < 5 / 8000**0.5


def test_patch_of_fixed_size(monkeypatch):
    seen = given_to_the_op(monkeypatch, augment.PatchGaussian(0.2, size=4), [100, 7, 9, 3])
    assert (seen["size"] == 4).all() and seen["largest"] == 4
    np.testing.assert_array_equal(seen["sigma"], np.full(100, 0.2, "float32"))


def test_patch_lies_where_its_centre_is():
    """Seen in the images: a patch of one pixel, everywhere; a larger one, cut at the border."""
    changed = (
        augment.PatchGaussian(0.1, size=1)(tf.fill([4000, 3, 5, 1], 0.5), training=True) != 0.5
    )
    places = np.argwhere(changed.numpy()[..., 0])
    assert len(places) == 4000
    assert even(places[:, 1] * 5 + places[:, 2], 0, 14)
    changed = augment.PatchGaussian(0.1, size=3)(tf.fill([500, 9, 8, 1], 0.5), training=True) != 0.5
    counts = np.count_nonzero(changed, axis=(1, 2, 3))
    assert set(counts) == {4, 6, 9}  # in a corner, at an edge, inside


def test_patch_larger_than_the_image_covers_it():
    changed = augment.PatchGaussian(0.1, size=100)(tf.fill([4, 7, 9, 3], 0.5), training=True) != 0.5
    assert np.asarray(changed).mean() > 0.99


@pytest.mark.parametrize(
    "wrong, said",
    [
        (0, "whole number from 1 to 10000; received 0"),
        (2.5, "whole number from 1 to 10000; received 2.5"),
        ("big", "received 'big'"),
        (None, "received None"),
        ((0, 5), "received 0"),
        ((1, 2, 3), r"received \(1, 2, 3\)"),
        ((5, 4), r"low <= high; received \(5, 4\)"),
        ((1, float("nan")), "received nan"),
    ],
)
def test_bad_patch_size(wrong, said):
    with pytest.raises(ValueError, match=f"size must be .*{said}"):
        augment.PatchGaussian(size=wrong)
