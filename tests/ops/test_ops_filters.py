"""Gaussian blur: hand-computed values, SciPy, tensorflow-addons, properties."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.ndimage
import tensorflow as tf

from tests.parameters import slow_unless
from tests.reference import filters as reference
from tests.reference.gradients import gradient
from tfrobust import ops
from tfrobust.ops.filters import gaussian_kernel

#: exp(−1 / 2σ²) is one half, so that three taps are ¼, ½, ¼.
QUARTERS = 1 / math.sqrt(2 * math.log(2))
SIGMAS = [0.0, 0.1, 0.675, 1.175, 4.0]


def random_images(*shape):
    return np.random.default_rng(0).random(shape, "float32")


def test_blur_hand_computed():
    point = np.zeros([1, 5, 5, 1], "float32")
    point[0, 2, 2] = 1
    result = ops.gaussian_blur(point, QUARTERS, 3)[0, :, :, 0]
    expected = np.pad(np.outer([1, 2, 1], [1, 2, 1]) / 16, 1)
    np.testing.assert_allclose(result, expected, atol=1e-6)


@pytest.mark.parametrize("swap", [False, True])
def test_blur_mirrors_the_border(swap):
    edge = np.tile(np.array([1, 0, 0, 0], "float32"), [3, 1])[None, :, :, None]
    edge = edge.swapaxes(1, 2) if swap else edge
    result = ops.gaussian_blur(edge, QUARTERS, 3).numpy()
    result = result.swapaxes(1, 2) if swap else result
    # Were the edge repeated, the first would be 0.75.
    np.testing.assert_allclose(result[0, :, :, 0], [[0.5, 0.25, 0, 0]] * 3, atol=1e-6)


@pytest.mark.parametrize("size", [1, 3, 5, 13])
@pytest.mark.parametrize("sigma", [*SIGMAS, tuple(SIGMAS)])
def test_blur_matches_scipy(sigma, size):
    images = random_images(5, 9, 12, 3)
    result = ops.gaussian_blur(images, sigma, size)
    assert result.dtype == tf.float32 and result.shape == images.shape
    np.testing.assert_allclose(result, reference.gaussian_blur(images, sigma, size), atol=2e-6)


@pytest.mark.parametrize(
    "sigma", slow_unless([0.0, 2.0, 100.0], [0.0, 0.1, 0.675, 2.0, 5.0, 100.0])
)
def test_the_kernel_follows_sigma(sigma):
    """Also where it is many times as large as the images, and where it is not known in advance."""
    images = random_images(2, 9, 21, 3)
    expected = scipy.ndimage.gaussian_filter(
        images.astype("float64"), (0, sigma, sigma, 0), truncate=4.0, mode="mirror"
    )
    np.testing.assert_allclose(ops.gaussian_blur(images, sigma), expected, atol=1e-5)
    for largest in (None, 100.0):
        traced = tf.function(lambda x, s, most=largest: ops.gaussian_blur(x, s, largest=most))
        result = traced(images, tf.constant([sigma, 0.0]))
        np.testing.assert_allclose(result[0], expected[0], atol=1e-5)
        np.testing.assert_allclose(result[1], images[1], atol=1e-6)
    assert ops.gaussian_blur(images[:0], sigma).shape == (0, 9, 21, 3)
    assert ops.gaussian_blur(np.ones([1, 1, 2, 1], "float32"), sigma).numpy().min() > 1 - 1e-6


def test_sigmas_of_2_5_and_100_differ():
    images = random_images(1, 32, 32, 3)
    blurred = [ops.gaussian_blur(images, sigma).numpy() for sigma in (2.0, 5.0, 100.0)]
    sizes = [
        float(np.abs(result - images.mean((1, 2), keepdims=True)).mean()) for result in blurred
    ]
    assert sizes[0] > 2 * sizes[1] > 4 * sizes[2]


def test_gradients_of_a_kernel_that_follows_sigma():
    images = random_images(1, 6, 6, 3)
    for sigma in (0.0, 0.5, 3.0):
        slope, by_sigma = gradient(lambda x, s: ops.gaussian_blur(x, s), images, [sigma])
        assert np.isfinite(slope).all() and np.isfinite(by_sigma).all()
        assert slope.sum() == pytest.approx(images.size, rel=1e-5)


@pytest.mark.parametrize("size", [3, 5, 13])
@pytest.mark.parametrize("sigma", [0.3, 0.675, 1.175, 4.0])
def test_blur_matches_tensorflow_addons(sigma, size):
    addons = pytest.importorskip("tensorflow_addons")
    images = random_images(2, 9, 12, 3)
    expected = addons.image.gaussian_filter2d(images, (size, size), sigma, "REFLECT")
    np.testing.assert_allclose(ops.gaussian_blur(images, sigma, size), expected, atol=1e-5)


@pytest.mark.parametrize("sigma", [0.0, 0.02, 0.675, 5.0, (0.0, 0.5, 100.0)])
@pytest.mark.parametrize("size", [1, 3, 7])
def test_kernel(sigma, size):
    taps = gaussian_kernel(sigma, size).numpy()
    expected = [reference.gaussian_kernel(s, size) for s in np.atleast_1d(sigma)]
    np.testing.assert_allclose(np.atleast_2d(taps), expected, atol=1e-6)
    # The same, but for a vector's last few, which exp may get from another routine.
    np.testing.assert_allclose(taps, taps[..., ::-1], atol=1e-7)
    np.testing.assert_allclose(taps.sum(axis=-1), np.ones(np.shape(sigma)), atol=1e-6)


def test_blur_0_is_exactly_the_identity():
    images = random_images(2, 9, 12, 3)
    np.testing.assert_array_equal(ops.gaussian_blur(images, 0.0, 5), images)
    np.testing.assert_array_equal(ops.gaussian_blur(images, [0.0, 2.0], 5)[0], images[0])


@pytest.mark.parametrize("sigma", [0.675, 100.0])
@pytest.mark.parametrize("size", [3, 7])
def test_blur_is_a_weighted_mean(sigma, size):
    constant = tf.fill([1, 8, 8, 3], 0.7)
    np.testing.assert_allclose(ops.gaussian_blur(constant, sigma, size), constant, atol=1e-6)
    # With a black frame no value is mirrored: the mean is kept.
    framed = np.pad(random_images(2, 9, 9, 3), [(0, 0), (6, 6), (6, 6), (0, 0)])
    result = ops.gaussian_blur(framed, sigma, size).numpy()
    np.testing.assert_allclose(result.mean((1, 2)), framed.mean((1, 2)), rtol=1e-5)
    assert result.min() >= 0 and result.max() < framed.max()


def test_blur_treats_axes_and_channels_alike():
    images = random_images(2, 9, 12, 3)
    result = ops.gaussian_blur(images, 1.0, 5).numpy()
    turned = ops.gaussian_blur(images.swapaxes(1, 2), 1.0, 5).numpy()
    np.testing.assert_allclose(turned.swapaxes(1, 2), result, atol=1e-6)
    # Not to the bit: a compiled loop rounds a product and its sum once or twice, as the processor
    # and the place in a vector have it.
    reversed_channels = ops.gaussian_blur(images[..., ::-1], 1.0, 5)
    np.testing.assert_allclose(reversed_channels, result[..., ::-1], atol=1e-6)


def test_blur_of_unknown_size():
    """Sizes that are unknown while tracing."""
    images = random_images(2, 9, 12, 3)
    spec = tf.TensorSpec([None, None, None, 3])
    traced = tf.function(lambda x: ops.gaussian_blur(x, 1.0, 5), input_signature=[spec])
    np.testing.assert_allclose(traced(images), ops.gaussian_blur(images, 1.0, 5), atol=1e-6)


@pytest.mark.parametrize("size", [0, 2, 4, -1])
def test_blur_needs_an_odd_kernel(size):
    with pytest.raises(ValueError, match=f"odd number of pixels; received {size}"):
        ops.gaussian_blur(tf.zeros([1, 8, 8, 3]), 1.0, size)


@pytest.mark.parametrize("shape, said", [([1, 2, 8, 3], "height 2"), ([1, 8, 2, 3], "width 2")])
def test_blur_needs_room_to_mirror(shape, said):
    with pytest.raises(ValueError, match=f"received {said}"):
        ops.gaussian_blur(tf.zeros(shape), 1.0, 5)
    assert ops.gaussian_blur(tf.zeros(shape), 1.0, 3).shape == shape


@pytest.mark.parametrize("sigma", [0.0, 1e-30, 1e-4, 0.675, 1e6])
def test_blur_extremes(sigma):
    images = random_images(1, 6, 6, 3)
    assert np.isfinite(ops.gaussian_blur(images, sigma, 5)).all()
    slope, by_sigma = gradient(lambda x, s: ops.gaussian_blur(x, s, 5), images, [sigma])
    assert np.isfinite(slope).all() and np.isfinite(by_sigma).all()
    assert slope.sum() == pytest.approx(images.size, rel=1e-5)  # every weight is used, sum 1
