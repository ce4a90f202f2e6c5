"""Augmentations with a strength: ranges, and options other than the defaults.

What each registered one keeps at its defaults is in tests/contracts/test_augments.py.
"""

from __future__ import annotations

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.reference import color, filters
from tfrobust import augment, ops
from tfrobust.augment import AUGMENTS, StrengthAugment
from tfrobust.compat.variables import ADVANCE

#: Name to one strength, a range, and other parameters that are not the defaults.
CASES = {
    "brightness": (0.25, (-0.5, 0.25), {}),
    "exposure": (-1.5, (-3.0, 1.0), {}),
    "gamma": (2.5, (0.4, 3.0), {}),
    "saturation": (4.0, (0.25, 6.0), {}),
    "gaussian_noise": (0.1, (0.0, 0.2), {}),
    "salt_and_pepper": (0.3, (0.1, 0.9), {"salt_fraction": 0.75, "amplitude": 0.25}),
    "gaussian_blur": (0.8, (0.2, 2.0), {"kernel_size": 5}),
    "contrast": (0.4, (0.25, 2.0), {}),
    "color": (0.4, (0.25, 2.0), {}),
    "uniform_noise": (0.3, (0.1, 0.9), {}),
    "nonuniform_noise": (0.3, (0.1, 0.9), {"deviation": np.linspace(0, 1, 64).reshape(8, 8)}),
    "speckle_noise": (0.2, (0.0, 0.4), {}),
    "patch_gaussian": (0.2, (0.1, 0.4), {"size": (3, 9)}),
    "fourier_basis": (3.0, (0.5, 6.0), {}),
    "rotation": (30.0, (10.0, 90.0), {}),
    "shear": (0.3, (0.1, 0.6), {}),
}
#: Strengths in whole pixels or levels, and probabilities of all or nothing: see their tests.
OTHERS = ["jpeg", "thumbnail", "translation", "shifted_crop", "flip", "pad_and_crop"]
OTHERS += ["random_erasing"]
every = pytest.mark.parametrize("name", CASES)
#: Four of random pixels, black and white.
IMAGES = np.random.default_rng(0).random([6, 8, 8, 3], "float32")
IMAGES[4], IMAGES[5] = 0.0, 1.0


def make(case, strength=None, **options):
    default, _, others = CASES[case]
    return AUGMENTS[case](default if strength is None else strength, **{**others, **options})


def make_ranged(case, **options):
    return make(case, CASES[case][1], **options)


def several(layer, count=3):
    return [np.asarray(layer(IMAGES, training=True)) for _ in range(count)]


def test_every_strength_is_here():
    strong = {name for name in AUGMENTS if issubclass(AUGMENTS[name], StrengthAugment)}
    assert {*CASES, *OTHERS} == strong


def test_brightness_matches_reference():
    result = make("brightness", -0.4)(IMAGES, training=True)
    np.testing.assert_allclose(result, color.add_brightness(IMAGES, -0.4), atol=1e-6)


@pytest.mark.parametrize("stops", [-6, -1.5, 0.5, 4])
def test_exposure_matches_reference(stops):
    result = make("exposure", stops)(IMAGES, training=True)
    np.testing.assert_allclose(result, color.change_exposure(IMAGES, stops), atol=1e-5)


@pytest.mark.parametrize("gamma", [0.4, 2.5])
def test_gamma_matches_reference(gamma):
    images = np.rint(255 * IMAGES) / np.float32(255)  # below their levels it is a line
    result = make("gamma", gamma)(images, training=True)
    np.testing.assert_allclose(result, images.astype("float64") ** gamma, atol=1e-5)


def test_saturation_matches_reference():
    result = make("saturation", 6)(IMAGES, training=True)
    np.testing.assert_allclose(result, color.scale_saturation(IMAGES, 6), atol=1e-5)


def test_blur_matches_reference():
    result = augment.GaussianBlur(1.175, kernel_size=5)(IMAGES, training=True)
    np.testing.assert_allclose(result, filters.gaussian_blur(IMAGES, 1.175, 5), atol=2e-6)


def test_noise_layers_match_their_ops():
    noise, pepper = make("gaussian_noise"), make("salt_and_pepper")
    draws = noise.draw(IMAGES)
    expected = ops.gaussian_noise(IMAGES, 0.1, draws["seed"])
    np.testing.assert_array_equal(noise.apply(IMAGES, draws), expected)
    draws = pepper.draw(IMAGES)
    expected = ops.salt_and_pepper(IMAGES, 0.3, 0.75, 0.25, draws["seed"])
    np.testing.assert_array_equal(pepper.apply(IMAGES, draws), expected)


@every
def test_batch_does_not_mix(name):
    """A given strength affects only its own image, as if the image were alone."""
    layer = make(name)
    strengths = np.array([layer.identity, *np.linspace(*CASES[name][1], 5)], "float32")
    seed = tf.constant([1, 2])
    result = layer.apply(IMAGES, {layer.parameter: strengths, "seed": seed}).numpy()
    np.testing.assert_array_equal(result[0], IMAGES[0])
    for i in range(4):
        same = {layer.parameter: tf.fill([6], strengths[i]), "seed": seed}
        np.testing.assert_array_equal(layer.apply(IMAGES, same)[i], result[i])


@every
def test_limits_are_allowed_and_have_a_finite_gradient(name):
    low, high = make(name).limits
    for strength in (make(name).identity, low, high, (low, high)):
        layer = make(name, strength)
        draws, images = layer.draw(IMAGES), tf.constant(IMAGES)
        with tf.GradientTape() as tape:
            tape.watch(images)
            result = layer.apply(images, draws)
        slope = tape.gradient(result, images).numpy()
        result = result.numpy()
        assert result.shape == IMAGES.shape and result.dtype == np.float32
        # The weights of a blur sum to 1 ± rounding.
        assert result.min() >= 0 and result.max() <= 1 + 1e-6
        assert np.isfinite(slope).all()


@pytest.mark.parametrize("option", ["salt_fraction", "amplitude"])
@pytest.mark.parametrize("wrong", [-0.25, 1.25])
def test_bad_salt_and_pepper(option, wrong):
    with pytest.raises(ValueError, match=rf"{option} must be .*\[0, 1\]; received {wrong}"):
        augment.SaltAndPepper(0.5, **{option: wrong})


@pytest.mark.parametrize("wrong", [0, 2, 4, -3, 2.5, 3.5])
def test_bad_kernel(wrong):
    with pytest.raises(ValueError, match=f"kernel_size must be an odd .*received {wrong}"):
        augment.GaussianBlur(1.0, kernel_size=wrong)


@every
def test_with_strength(name):
    layer = make(name, seed=5)
    for strength in (0.5, (0.25, 0.75)):
        copy = layer.with_strength(strength)
        assert type(copy) is type(layer) and copy.strength == strength
        assert copy.get_config() == {**layer.get_config(), layer.parameter: strength}
    assert layer.strength == CASES[name][0]


@every
def test_config_round_trip(name):
    """A restored layer makes the same draws and results."""
    layer = make_ranged(name, seed=11, name="mine")
    config = json.loads(json.dumps(layer.get_config()))
    given = json.dumps(config)
    twin = type(layer).from_config(config)
    assert json.dumps(config) == given  # the caller's dictionary is left alone
    other = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    for each in (twin, other):
        assert each.get_config() == layer.get_config() and each.name == "mine"
    draws = layer.draw(IMAGES)
    assert draws[layer.parameter].shape == [6] and draws["seed"].shape == [2]
    result = layer.apply(IMAGES, draws)
    np.testing.assert_array_equal(twin(IMAGES, training=True), result)
    assert np.abs(result - IMAGES).max() > 0.01


# Seeds, which all augmentations have from one class ----------------------------------------------


def test_seed():
    first, second, third = several(make_ranged("gaussian_noise", seed=3))
    assert np.abs(first - second).max() > 0 and np.abs(second - third).max() > 0
    np.testing.assert_array_equal(
        several(make_ranged("gaussian_noise", seed=3)), [first, second, third]
    )
    other = several(make_ranged("gaussian_noise", seed=4))
    assert np.abs(other[0] - first).max() > 0
    # Neighbouring seeds are no shifted copies of one another.
    assert np.abs(other[0] - second).max() > 0


def test_kinds_of_one_seed_differ():
    seeds = [tuple(np.asarray(make(name, seed=7).draw(IMAGES)["seed"])) for name in CASES]
    assert len(set(seeds)) == len(CASES)


def test_one_trace_many_draws():
    layer, traces = make_ranged("brightness"), []

    @tf.function
    def step(images):
        traces.append(1)
        return layer(images, training=True)

    results = [step(IMAGES).numpy() for _ in range(20)]
    assert len(traces) == 1
    assert len({result.tobytes() for result in results}) == 20
    # A trace may fuse a product and a sum.
    np.testing.assert_allclose(results[:3], several(make_ranged("brightness")), atol=1e-6)


def test_draws_are_counted_in_a_weight():
    """A restored run continues with the draws that it would have made."""
    layer = make_ranged("gaussian_noise")
    first, second = several(layer, 2)
    (count,) = layer.get_weights()
    assert count.tolist() == [2 * ADVANCE, 0, 0] and not layer.trainable_weights
    restored = make_ranged("gaussian_noise")
    restored.set_weights([count])
    third = np.asarray(layer(IMAGES, training=True))
    np.testing.assert_array_equal(restored(IMAGES, training=True), third)
    layer.set_weights([np.zeros_like(count)])
    np.testing.assert_array_equal(several(layer, 2), [first, second])


def test_saturation_needs_colour():
    with pytest.raises(ValueError, match="3 channels; received 1"):
        augment.Saturation(2.0)(tf.zeros([1, 8, 8, 1]), training=True)


def test_float32_under_a_half_precision_policy():
    """Noise of 0.02 would be rounded away."""
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        result = make("gaussian_noise", 1e-4)(IMAGES, training=True)
    finally:
        keras.mixed_precision.set_global_policy("float32")
    assert result.dtype == tf.float32
    assert 0 < np.abs(result - IMAGES).max() < 1e-3
