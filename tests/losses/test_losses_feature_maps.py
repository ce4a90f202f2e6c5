"""The FMA loss: hand-computed values, the printed formula, and properties of the normalisation."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from tests.reference import fma as reference
from tests.reference.gradients import central_differences, gradient
from tfrobust.losses import feature_map_augmentation

SHAPES = [(4, 6, 5, 3), (4, 3, 3, 8), (4, 7), (4, 2, 3)]


def relu_maps(seed, shapes=SHAPES):
    random = np.random.default_rng(seed)
    return [np.maximum(random.normal(size=shape), 0).astype("float32") for shape in shapes]


def one_layer(clean, augmented):
    return feature_map_augmentation([clean], [augmented])


def test_hand_computed_values():
    clean = [tf.constant([[1.0, 3.0], [2.0, 2.0]]), tf.constant([[[4.0]], [[1.0]]])]
    augmented = [tf.constant([[1.0, 1.0], [2.0, 2.0]]), tf.constant([[[2.0]], [[4.0]]])]
    # First image: (0² + 1²)/2 = 0.5 and 0.5² = 0.25; second: 0 and 3² = 9; each over two layers.
    np.testing.assert_allclose(feature_map_augmentation(clean, augmented), [0.375, 4.5])


@pytest.mark.parametrize("layers", [[0], [2], [0, 1, 2, 3]])
def test_matches_the_printed_formula(layers):
    shapes = [SHAPES[i] for i in layers]
    clean, augmented = relu_maps(0, shapes), relu_maps(1, shapes)
    result = feature_map_augmentation(clean, augmented)
    assert result.shape == [4] and result.dtype == tf.float32
    expected = reference.feature_map_augmentation(clean, augmented)
    np.testing.assert_allclose(result, expected, rtol=1e-4)


def test_half_precision_is_computed_in_float32():
    # 300² overflows float16.
    clean = [tf.cast(300 * m, "float16") for m in relu_maps(0)]
    augmented = [tf.cast(300 * m, "float16") for m in relu_maps(1)]
    result = feature_map_augmentation(clean, augmented)
    assert result.dtype == tf.float32
    expected = reference.feature_map_augmentation(clean, augmented)
    np.testing.assert_allclose(result, expected, rtol=1e-4)


def test_zero_for_equal_maps_and_positive_otherwise():
    maps = relu_maps(0)
    np.testing.assert_array_equal(feature_map_augmentation(maps, maps), np.zeros(4))
    assert np.min(feature_map_augmentation(maps, relu_maps(1))) > 0.1


@pytest.mark.parametrize("scale", [1e-3, 1e8])
def test_invariant_to_the_scale_of_a_layer(scale):
    clean, augmented = relu_maps(0), relu_maps(1)
    scaled_clean, scaled_augmented = list(clean), list(augmented)
    scaled_clean[1], scaled_augmented[1] = scale * clean[1], scale * augmented[1]
    result = feature_map_augmentation(scaled_clean, scaled_augmented)
    np.testing.assert_allclose(result, feature_map_augmentation(clean, augmented), rtol=1e-4)


def test_normalised_by_the_clean_map_of_each_image():
    clean, augmented = relu_maps(0), relu_maps(1)
    swapped = feature_map_augmentation(augmented, clean).numpy()
    result = feature_map_augmentation(clean, augmented).numpy()
    assert np.abs(swapped - result).min() > 1e-3
    single = [
        feature_map_augmentation([m[i : i + 1] for m in clean], [m[i : i + 1] for m in augmented])
        for i in range(4)
    ]
    np.testing.assert_allclose(np.concatenate(single), result, rtol=1e-6)


def test_dead_layer_contributes_0():
    clean, augmented = relu_maps(0), relu_maps(1)
    clean[1][2] = 0  # dead on one image
    clean[2][:] = 0  # dead on all
    result = feature_map_augmentation(clean, augmented)
    expected = reference.feature_map_augmentation(clean, augmented)
    np.testing.assert_allclose(result, expected, rtol=1e-4)
    slopes = gradient(lambda *m: feature_map_augmentation(m[:4], m[4:]), *clean, *augmented)
    assert all(np.isfinite(slope).all() for slope in slopes)
    np.testing.assert_array_equal(slopes[1][2], 0)
    np.testing.assert_array_equal(slopes[6], 0)
    assert np.abs(slopes[1][3]).max() > 0


def test_smallest_mean():
    clean, augmented = tf.constant([[0.5, 0.5], [0.75, 0.75]]), tf.zeros([2, 2])
    result = feature_map_augmentation([clean], [augmented], smallest_mean=0.5)
    np.testing.assert_allclose(result, [0, 1])  # "not above" is dead
    np.testing.assert_allclose(one_layer([[1e-7]], [[1.0]]), [0])


@pytest.mark.parametrize(
    "clean, augmented",
    [([[0.0, 0.0]], [[1e10, 0.0]]), ([[1e10, 1e9]], [[0.0, 0.0]]), ([[2e-6, 2e-6]], [[1e3, 0.0]])],
)
def test_extremes(clean, augmented):
    clean, augmented = np.float32(clean), np.float32(augmented)
    expected = reference.feature_map_augmentation([clean], [augmented])
    np.testing.assert_allclose(one_layer(clean, augmented), expected, rtol=1e-4)
    for slope in gradient(one_layer, clean, augmented):
        assert np.isfinite(slope).all()


@pytest.mark.parametrize("shape", [(2, 3, 2, 2), (3, 5)])
def test_gradient_flows_through_maps_and_mean(shape):
    clean, augmented = (
        m[0] + np.float32(0.1) for m in (relu_maps(0, [shape]), relu_maps(1, [shape]))
    )
    by_clean, by_augmented = gradient(one_layer, clean, augmented)

    def naive(x, y):
        return reference.feature_map_augmentation([x], [y])

    expected = central_differences(lambda x: naive(x, augmented), clean)
    np.testing.assert_allclose(by_clean, expected, rtol=1e-3, atol=1e-5)
    expected = central_differences(lambda y: naive(clean, y), augmented)
    np.testing.assert_allclose(by_augmented, expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("clean, augmented", [(0, 0), (1, 2), (2, 1), (0, 1)])
def test_rejects_different_numbers_of_maps(clean, augmented):
    maps = [tf.ones([1, 2])] * 2
    with pytest.raises(ValueError, match=f"received {clean} and {augmented}"):
        feature_map_augmentation(maps[:clean], maps[:augmented])
