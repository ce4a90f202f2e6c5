"""The fused FMA loss used in training equals the plain equation in value and gradient."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from tests.reference.gradients import gradient
from tfrobust.losses import feature_map_augmentation
from tfrobust.losses.fused_feature_maps import compare_halves, loss_of_means

SHAPES = [(4, 6, 5, 3), (4, 3, 3, 8), (4, 7)]


def relu_maps(shapes=SHAPES, scale=1.0):
    """Clean maps followed by augmented ones, as a net returns them for both in one batch."""
    random = np.random.default_rng(0)
    both = [random.normal(size=(2 * shape[0], *shape[1:])) for shape in shapes]
    return [np.float32(scale) * np.maximum(maps, 0).astype("float32") for maps in both]


def plain(*maps, **options):
    halves = [tf.split(one, 2) for one in maps]
    return feature_map_augmentation([h[0] for h in halves], [h[1] for h in halves], **options)


def fused(*maps, fixed_clean=False, **options):
    compared = [compare_halves(tf.convert_to_tensor(m), fixed_clean=fixed_clean) for m in maps]
    _, means, squares = zip(*compared)
    return loss_of_means(means, squares, **options)


def dead_maps():
    maps = relu_maps()
    maps[0][2] = 0  # the clean map of one image
    maps[1][:4] = 0  # the clean maps of all images
    maps[2][5] = 0  # the augmented map of one image
    return maps


def one_map(clean, augmented):
    return [np.float32([clean, augmented])]


MAPS = {
    "random": relu_maps(),
    "one layer": relu_maps(SHAPES[1:2]),
    "equal": [np.tile(maps[:4], (2,) + (1,) * (maps.ndim - 1)) for maps in relu_maps()],
    "dead": dead_maps(),
    "zeros": [np.zeros_like(maps) for maps in relu_maps()],
    "small": relu_maps(scale=1e-4),
    "large": relu_maps(scale=1e8),
    "large on a dead map": one_map([0.0, 0.0], [1e10, 0.0]),
    "zeros on a large map": one_map([1e10, 1e9], [0.0, 0.0]),
    "large on a map that is nearly dead": one_map([2e-6, 2e-6], [1e3, 0.0]),
}


@pytest.mark.parametrize("maps", MAPS.values(), ids=MAPS)
@pytest.mark.parametrize(
    "options",
    [{}, {"smallest_mean": 0.35}, {"fixed_clean": True}],
    ids=["", "larger mean", "fixed"],
)
def test_equals_the_equation(maps, options):
    expected = plain(*maps, **options)
    # Both sum in float32, but in a different order.
    np.testing.assert_allclose(fused(*maps, **options), expected, rtol=1e-5)
    for slope, wanted in zip(
        gradient(lambda *m: fused(*m, **options), *maps),
        gradient(lambda *m: plain(*m, **options), *maps),
    ):
        assert np.isfinite(wanted).all()
        # Parts of an entry's gradient may cancel, so the tolerance is relative to the image's
        # largest gradient.
        size = np.abs(wanted).max(axis=tuple(range(1, wanted.ndim)), keepdims=True)
        assert np.all(np.abs(slope - wanted) <= 1e-5 * size)


def test_half_precision():
    maps = [maps.astype("float16") for maps in relu_maps(scale=300)]  # 300² overflows float16
    result = fused(*maps)
    assert result.dtype == tf.float32
    np.testing.assert_allclose(result, plain(*maps), rtol=1e-5)
    for slope, wanted in zip(gradient(fused, *maps), gradient(plain, *maps)):
        assert slope.dtype == "float16"
        # Like the fused loss, the plain equation rounds the gradient of each half to float16.
        np.testing.assert_allclose(slope, wanted, rtol=2e-3, atol=1e-6)


def test_map_passes_through_with_both_gradients():
    """The gradient from the later layers is added to the gradient of the loss."""
    maps, upstream = relu_maps()[1], np.random.default_rng(1).normal(size=(8, 3, 3, 8))

    def with_later_layers(feature_map):
        passed, mean, square = compare_halves(feature_map)
        np.testing.assert_array_equal(passed, feature_map)
        loss = loss_of_means([mean], [square])
        return tf.reduce_sum(passed * upstream.astype("float32")) + tf.reduce_sum(loss)

    (slope,) = gradient(with_later_layers, maps)
    np.testing.assert_allclose(slope, gradient(plain, maps)[0] + upstream, rtol=1e-5, atol=1e-6)
