"""Geometric layers: their draws, read off images with a unique value per pixel."""

from __future__ import annotations

import json
import math

import keras
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from tests.reference import geometry as reference
from tfrobust import augment, ops
from tfrobust.ops import geometry, sampling

N = 3000
SEED = tf.constant([5, 6])
#: Layers that read whole pixels, with the displacement that they may draw in a 9×9 image.
SHIFTING = {
    "translation": (lambda s, **k: augment.Translation(s, **k), "black"),
    "translation_mirrored": (lambda s, **k: augment.Translation(s, fill="mirror", **k), "mirror"),
    "pad_and_crop": (lambda s, **k: augment.PadAndCrop(s, **k), "black"),
    "shifted_crop": (lambda s, **k: augment.ShiftedCrop(s, **k), "mirror"),
}
shifting = pytest.mark.parametrize("name", SHIFTING)


def ramps(height, width):
    """[N, H, W, 2]: how far right and down of the middle, in steps of 1/64 from 1/2."""
    y, x = np.mgrid[:height, :width] - np.array([height // 2, width // 2])[:, None, None]
    image = np.stack([x, y], -1) / 64 + 0.5
    return np.tile(image.astype("float32"), [N, 1, 1, 1])


def read(pixels):
    """Right and down that pixels of `ramps` stand for, [N, 2]."""
    return (np.asarray(pixels) - 0.5) * 64


def check_uniform(values, low, high):
    assert low <= values.min() and values.max() <= high
    assert scipy.stats.kstest(values, "uniform", (low, high - low)).pvalue > 1e-5


def check_independent(first, second):
    assert abs(np.corrcoef(first, second)[0, 1]) < 5 / math.sqrt(N)


def angles_of(layer):
    """The pixel to the right of the middle reads (cos θ, sin θ) away from it."""
    return np.degrees(np.arctan2(*read(layer(ramps(5, 5), training=True)[:, 2, 3]).T[::-1]))


@pytest.mark.parametrize("most", [30.0, 180.0])
def test_angles_are_uniform(most):
    layer = augment.Rotation(most)
    first, second = angles_of(layer), angles_of(layer)
    for angles in (first, second):
        check_uniform(angles, -most - 1e-2, most + 1e-2)
    check_independent(first, second)


def test_drawn_largest_angles():
    layer = augment.Rotation((10.0, 90.0))
    draws = layer.draw(ramps(5, 5), SEED)
    turned = layer.apply(ramps(5, 5), draws)
    angles = np.degrees(np.arctan2(*read(turned[:, 2, 3]).T[::-1]))
    shares = angles / draws["max_degrees"].numpy()
    check_uniform(shares, -1 - 1e-3, 1 + 1e-3)
    check_independent(np.abs(shares), draws["max_degrees"].numpy())


def test_rotation_matches_reference():
    images = np.random.default_rng(0).random([N, 5, 5, 2], "float32")
    layer = augment.Rotation(30.0)
    draws = layer.draw(images, SEED)
    angles = np.degrees(np.arctan2(*read(layer.apply(ramps(5, 5), draws)[:, 2, 3]).T[::-1]))
    expected = reference.rotate(images[:50], angles[:50])
    np.testing.assert_allclose(layer.apply(images, draws)[:50], expected, atol=1e-4)


def test_interpolation_is_used():
    image = np.random.default_rng(0).random([4, 7, 7, 3], "float32")
    nearest = augment.Rotation(40.0, interpolation="nearest")(image, training=True).numpy()
    assert set(nearest.ravel()) <= {0.0, *image.ravel()}
    blended = augment.Rotation(40.0)(image, training=True).numpy()
    assert len(set(blended.ravel()) - set(image.ravel())) > 100


@pytest.mark.parametrize("most", [0.3, 1.0])
def test_shears_are_uniform_and_independent(most):
    result = augment.Shear(most)(ramps(5, 5), training=True)
    # Below the middle a shear reads s_x further right, right of the middle s_y further down.
    shear_x, shear_y = read(result[:, 3, 2])[:, 0], read(result[:, 2, 3])[:, 1]
    for shears in (shear_x, shear_y):
        check_uniform(shears, -most - 1e-4, most + 1e-4)
    check_independent(shear_x, shear_y)
    expected = reference.shear(ramps(5, 5)[:50], shear_x[:50], shear_y[:50])
    np.testing.assert_allclose(result[:50], expected, atol=1e-5)


@shifting
@pytest.mark.parametrize("most, whole", [(3, 3), (1.9, 1), (0.5, 0)])
def test_shifts_are_whole_and_equally_likely(name, most, whole):
    make, fill = SHIFTING[name]
    result = make(most)(ramps(9, 9), training=True).numpy()
    moved = -read(result[:, 4, 4])  # what is seen in the middle came from there
    for axis in (0, 1):
        values, counts = np.unique(moved[:, axis], return_counts=True)
        np.testing.assert_array_equal(values, np.arange(-whole, whole + 1))
        share = 1 / len(values)
        assert np.abs(counts / N - share).max() <= 5 * math.sqrt(share * (1 - share) / N)
    if whole:
        check_independent(*moved.T)
    dx, dy = moved[:60].astype(int).T
    expected = reference.translate(ramps(9, 9)[:60], dx, dy, fill)
    np.testing.assert_array_equal(result[:60], expected)


@shifting
def test_drawn_largest_shifts(name):
    make, _ = SHIFTING[name]
    layer = make((0, 4))
    draws = layer.draw(ramps(9, 9), SEED)
    moved = np.abs(read(layer.apply(ramps(9, 9), draws)[:, 4, 4]))
    most = np.floor(draws[layer.parameter].numpy())
    assert (moved <= most[:, None]).all()
    for limit in range(4):  # 4 itself has probability 0
        assert moved[most == limit].max() == limit


def test_pad_and_crop_is_padding_then_cropping():
    images = np.random.default_rng(0).random([N, 8, 8, 1], "float32")
    result = augment.PadAndCrop(2)(images, training=True).numpy()
    starts = np.zeros([5, 5])
    padded = np.pad(images, [(0, 0), (2, 2), (2, 2), (0, 0)])
    for top, left in np.ndindex(5, 5):
        window = padded[:, top : top + 8, left : left + 8]
        starts[top, left] = np.sum((window == result).all((1, 2, 3)))
    assert starts.sum() == N
    assert np.abs(starts / N - 1 / 25).max() < 5 * math.sqrt(24 / 25**2 / N)


def test_flips_are_independent_of_each_other():
    images = ramps(1, 3)
    for probability in (0.5, 0.1):
        layer = augment.Flip(probability)
        first, second = (read(layer(images, training=True)[:, 0, 0])[:, 0] == 1 for _ in "ab")
        for flipped in (first, second):
            error = 5 * math.sqrt(probability * (1 - probability) / N)
            assert abs(flipped.mean() - probability) < error
        check_independent(first, second)


def test_flip_always_never_and_drawn():
    images = ramps(1, 3)
    np.testing.assert_array_equal(augment.Flip(1.0)(images, training=True), images[:, :, ::-1])
    np.testing.assert_array_equal(augment.Flip(0.0)(images, training=True), images)
    layer = augment.Flip((0.25, 0.75))
    draws = layer.draw(images, SEED)
    flipped = read(layer.apply(images, draws)[:, 0, 0])[:, 0] == 1
    probability = draws["probability"].numpy()
    expected = (0.25 + 0.75) / 2
    assert abs(flipped.mean() - expected) < 5 * math.sqrt(expected * (1 - expected) / N)
    # Cov(flipped, p) is the variance of p: 0.5² / 12.
    assert abs(np.cov(flipped, probability)[0, 1] - 0.25 / 12) < 5 * 0.5 * 0.5 / math.sqrt(12 * N)


def test_layers_match_their_ops():
    images = np.random.default_rng(0).random([8, 7, 9, 3], "float32")
    strengths = tf.linspace(0.0, 20.0, 8)
    angles = strengths * sampling.uniform(SEED, [8], -1.0, 1.0)
    np.testing.assert_array_equal(
        augment.Rotation().distort(images, strengths, SEED), ops.rotate(images, angles)
    )
    dx, dy = (geometry.draw_shifts(sampling.fold_in(SEED, i), strengths) for i in (0, 1))
    expected = ops.translate(images, dx, dy)
    for layer in (augment.Translation(), augment.PadAndCrop()):
        np.testing.assert_array_equal(layer.distort(images, strengths, SEED), expected)


def test_window_comes_out_of_larger_images():
    layer = augment.ShiftedCrop(2, size=(5, 7))
    images = ramps(12, 12)
    draws = layer.draw(images, SEED)
    result = layer.apply(images, draws).numpy()
    assert result.shape == (N, 5, 7, 2)
    right, down = read(result[:, 2, 3]).T  # of the pixel at the middle of the images
    # The crop from the centre starts at row (12 − 5) // 2 = 3 and column (12 − 7) // 2 = 2, so
    # that its middle is pixel (5, 5), one up and left of the zero of the ramps.
    for axis in (right, down):
        values, counts = np.unique(axis + 1, return_counts=True)
        np.testing.assert_array_equal(values, [-2, -1, 0, 1, 2])
        assert np.abs(counts / N - 0.2).max() < 5 * math.sqrt(0.2 * 0.8 / N)
    check_independent(right, down)
    top, left = (down + 4).astype(int), (right + 3).astype(int)
    np.testing.assert_array_equal(
        result[:60], reference.crop(images[:60], top[:60], left[:60], 5, 7, "black")
    )


def test_window_stays_inside_the_image():
    images = ramps(7, 6)
    result = augment.ShiftedCrop(4096, size=(5, 5))(images, training=True).numpy()
    tops, lefts = ((read(result[:, 2, 2])[:, i] + 1).astype(int) for i in (1, 0))
    # Nearly all displacements end at the edges.
    assert set(tops) <= {0, 1, 2} and np.mean(tops == 1) < 0.01
    assert set(lefts) == {0, 1}
    np.testing.assert_array_equal(
        augment.ShiftedCrop(9, size=(7, 6))(images[:2], training=True), images[:2]
    )


def test_window_outside_training_is_the_crop_from_the_centre():
    images = np.random.default_rng(0).random([2, 11, 12, 3], "float32")
    layer = augment.ShiftedCrop(2, size=(5, 7))
    for training in (False, None):
        result = layer(images, training=training)
        np.testing.assert_array_equal(result, images[:, 3:8, 2:9])
    np.testing.assert_array_equal(layer.with_strength(0)(images, training=True), result)
    assert layer.with_strength(0).size == (5, 7)
    assert tuple(layer.compute_output_shape((None, 11, 12, 3))) == (None, 5, 7, 3)
    assert tuple(augment.ShiftedCrop().compute_output_shape((None, 11, 12, 3))) == (None, 11, 12, 3)


def test_window_in_a_net_and_back_from_a_file(tmp_path):
    layer = augment.ShiftedCrop((1, 2), size=[5, 7], seed=3)
    model = keras.Sequential([keras.Input([11, 12, 3]), layer, keras.layers.Flatten()])
    assert model.output_shape == (None, 105)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert again.layers[0].get_config() == layer.get_config()
    images = np.random.default_rng(0).random([4, 11, 12, 3], "float32")
    np.testing.assert_array_equal(again(images, training=True), model(images, training=True))
    plain = json.loads(json.dumps(layer.get_config()))
    assert augment.ShiftedCrop.from_config(plain).size == (5, 7)


@pytest.mark.parametrize("wrong", [5, (5,), (0, 5), (5, 2.5), "55", (True, 5)])
def test_wrong_window(wrong):
    with pytest.raises(ValueError, match=r"size must be .*received"):
        augment.ShiftedCrop(3, size=wrong)


@pytest.mark.parametrize("training", [True, False])
def test_window_larger_than_the_images(training):
    layer = augment.ShiftedCrop(3, size=(8, 12))
    with pytest.raises(ValueError, match=r"images, which are 7×12 pixels; received 8×12"):
        layer(np.zeros([1, 7, 12, 3], "float32"), training=training)


def test_unknown_words_are_refused():
    with pytest.raises(ValueError, match=r"interpolation must be one of .*; received 'cubic'"):
        augment.Rotation(interpolation="cubic")
    with pytest.raises(ValueError, match=r"fill must be one of .*; received 3"):
        augment.Translation(fill=3)


@pytest.mark.parametrize(
    "make",
    [
        lambda: augment.Rotation(180.0),
        lambda: augment.Rotation(180.0, interpolation="nearest"),
        lambda: augment.Shear(1.0),
        lambda: augment.Translation(20),
        lambda: augment.ShiftedCrop(20),
        lambda: augment.Flip(),
        lambda: augment.PadAndCrop(20),
    ],
)
@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (1, 7, 9, 3)])
def test_any_images(make, shape):
    image = np.zeros(shape, "float32")
    image[:, shape[1] // 2, shape[2] // 2] = 1
    for images in (image, 1 - image):
        result = make()(images, training=True).numpy()
        assert result.shape == shape and np.isfinite(result).all()
        assert ((result >= 0) & (result <= 1)).all()
