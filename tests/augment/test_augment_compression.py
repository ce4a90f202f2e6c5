"""The layers Jpeg and Thumbnail: meaning of the strength, and one strength per image."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from tests.reference import compression as reference
from tests.reference.gradients import gradient
from tfrobust import augment, ops

PHOTOS = reference.photos(6, 24, 32)
IMAGES = (PHOTOS / 255).astype("float32")
QUALITIES = np.array([1, 10, 30, 75, 95, 100], "float32")


def test_defaults_are_the_practical_values_of_the_paper():
    assert augment.Jpeg().strength == 30 and augment.Thumbnail().strength == 150


def test_jpeg_matches_pillow():
    result = 255 * augment.Jpeg()(IMAGES, training=True).numpy()
    apart = np.abs(result - reference.jpeg(PHOTOS, [30] * 6))
    assert apart.mean() < 0.01


def test_thumbnail_matches_pillow():
    result = augment.Thumbnail(10)(IMAGES, training=True)
    np.testing.assert_allclose(result, reference.thumbnail(IMAGES, [10] * 6), atol=2e-5)


def test_every_image_has_its_own_strength():
    draws = {"quality": QUALITIES, "seed": tf.constant([1, 2])}
    result = augment.Jpeg().apply(IMAGES, draws)
    np.testing.assert_array_equal(result, ops.jpeg(IMAGES, QUALITIES))
    for i, quality in enumerate(QUALITIES):
        np.testing.assert_array_equal(result[i], ops.jpeg(IMAGES, np.full(6, quality))[i])
    draws = {"size": np.array([4096, 20, 10, 5, 31, 32], "float32"), "seed": draws["seed"]}
    result = augment.Thumbnail().apply(IMAGES, draws)
    np.testing.assert_array_equal(result, ops.thumbnail(IMAGES, draws["size"]))
    np.testing.assert_array_equal(tf.gather(result, [0, 5]), IMAGES[[0, 5]])
    np.testing.assert_allclose(result[3], ops.thumbnail(IMAGES, 5)[3], atol=1e-6)


@pytest.mark.parametrize("kind, pair", [(augment.Jpeg, (10, 90)), (augment.Thumbnail, (5, 30))])
def test_drawn_strengths_are_rounded_to_whole_numbers(kind, pair):
    layer = kind(pair, seed=3)
    draws = layer.draw(IMAGES)
    drawn = draws[layer.parameter].numpy()
    assert drawn.min() >= pair[0] and drawn.max() <= pair[1] and len(set(drawn)) == 6
    whole = layer.apply(IMAGES, {**draws, layer.parameter: drawn.round()})
    np.testing.assert_array_equal(layer.apply(IMAGES, draws), whole)
    np.testing.assert_array_equal(kind(pair, seed=3)(IMAGES, training=True), whole)


def test_no_quality_is_the_identity():
    assert augment.Jpeg.identity is None and augment.Jpeg.weakest == 100
    assert augment.Jpeg.weak_and_strong() == (100, 1)
    least = np.abs(augment.Jpeg(100)(IMAGES, training=True) - IMAGES)
    most = np.abs(augment.Jpeg(1)(IMAGES, training=True) - IMAGES)
    assert 0 < least.mean() < most.mean()
    np.testing.assert_array_equal(augment.Jpeg(1)(IMAGES), IMAGES)


def test_sizes_not_below_the_side_are_the_identity():
    for size in (augment.Thumbnail.identity, 150, 32):
        np.testing.assert_array_equal(augment.Thumbnail(size)(IMAGES, training=True), IMAGES)
    assert np.abs(augment.Thumbnail(31)(IMAGES, training=True) - IMAGES).max() > 0.02


@pytest.mark.parametrize("kind", [augment.Jpeg, augment.Thumbnail])
def test_finite_gradient(kind):
    images = np.concatenate([IMAGES[:2], np.zeros_like(IMAGES[:2]), np.ones_like(IMAGES[:2])])
    for strength in (1, 12, 100):
        layer = kind(strength)
        draws = layer.draw(images)
        (slope,) = gradient(lambda x, layer=layer, draws=draws: layer.apply(x, draws), images)
        assert np.isfinite(slope).all()


@pytest.mark.parametrize(
    "kind, wrong, said",
    [
        (augment.Jpeg, 0, r"quality must be .*\[1, 100\]; received 0"),
        (augment.Jpeg, 101, r"quality must be .*\[1, 100\]; received 101"),
        (augment.Jpeg, (90, 10), r"quality must be .*low <= high; received \(90, 10\)"),
        (augment.Thumbnail, 0.5, r"size must be .*\[1, 4096\]; received 0.5"),
        (augment.Thumbnail, (20, 5000), r"size must be .*\[1, 4096\]; received 5000"),
        (augment.Thumbnail, "large", r"size must be .*received 'large'"),
    ],
)
def test_wrong_strengths(kind, wrong, said):
    with pytest.raises(ValueError, match=said):
        kind(wrong)


def test_jpeg_of_four_channels():
    # Keras adds lines of its own to the message.
    with pytest.raises(ValueError, match="received 4 channels"):
        augment.Jpeg()(tf.zeros([1, 8, 8, 4]), training=True)
