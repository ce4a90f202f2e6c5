"""Speckle, uniform and non-uniform noise, Patch Gaussian: values, distributions, bounds."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from tests.reference import noise as reference
from tests.reference.gradients import gradient
from tfrobust import ops
from tfrobust.ops import sampling

SEED = tf.constant([3, 7])
IMAGES = np.random.default_rng(0).random([4, 7, 9, 3], "float32")
#: No drawn grey equals 2, so replaced pixels can be recognised.
TWO = tf.fill([8, 32, 32, 3], 2.0)
PIXELS = 8 * 32 * 32
DEVIATION = np.random.default_rng(1).uniform(0.01, 0.4, [7, 9])


def standard_error_bound(probability, n=PIXELS):
    """Five standard errors of a relative frequency among n values."""
    return 5 * math.sqrt(probability * (1 - probability) / n)


def uniform_numbers(shape):
    """The numbers, uniform in [0, 1), that decide which pixels are replaced and by what."""
    return sampling.uniform(SEED, [*shape, 1]).numpy()[..., 0]


def patch(images, sigma=0.1, size=3, row=3, column=4, seed=SEED, **options):
    return ops.patch_gaussian(images, sigma, size, row, column, seed, **options)


NOISES = {
    "speckle": lambda images, seed=SEED: ops.speckle_noise(images, 0.3, seed),
    "uniform": lambda images, seed=SEED: ops.uniform_noise(images, 0.3, seed),
    "nonuniform": lambda images, seed=SEED: ops.nonuniform_noise(
        images, 0.3, ops.PlacesByDeviation(np.ones(images.shape[1:3])), seed
    ),
    "patch": lambda images, seed=SEED: patch(images, 0.3, 5, 3, 4, seed, largest=5),
}
every = pytest.mark.parametrize("noisy", NOISES.values(), ids=list(NOISES))


# Properties of all noises.


@every
def test_seed_determines_everything(noisy):
    first = noisy(IMAGES).numpy()
    np.testing.assert_array_equal(noisy(IMAGES), first)
    traced = tf.function(noisy, input_signature=[tf.TensorSpec([None, 7, 9, 3])])
    np.testing.assert_allclose(traced(IMAGES), first, atol=1e-6)
    pipeline = tf.data.Dataset.from_tensors(IMAGES).map(noisy)
    np.testing.assert_allclose(next(iter(pipeline)), first, atol=1e-6)
    for other in ([4, 7], [3, 8]):
        assert np.mean(noisy(IMAGES, tf.constant(other)) != first) > 0.1


@every
def test_extreme_images(noisy):
    point = np.zeros([2, 7, 9, 1], "float32")
    point[:, 3, 4] = 1
    for images in (np.zeros_like(IMAGES), np.ones_like(IMAGES), point, point[:1, 3:4, 4:5]):
        result = noisy(images).numpy()
        assert result.shape == images.shape and result.dtype == np.float32
        assert result.min() >= 0 and result.max() <= 1
        (slope,) = gradient(noisy, images)
        assert np.isfinite(slope).all()
    assert noisy(IMAGES[:0]).shape == (0, 7, 9, 3)


@every
def test_images_of_a_batch_differ(noisy):
    rows = noisy(np.full([8, 16, 16, 3], 0.4, "float32")).numpy()
    assert len({row.tobytes() for row in rows}) == 8


# Speckle.


@pytest.mark.parametrize("sigma", [0.15, (0.0, 0.1, 0.5, 3.0)])
def test_speckle_is_the_formula(sigma):
    normal = tf.random.stateless_normal(IMAGES.shape, SEED, alg="philox").numpy()
    expected = np.clip(IMAGES + IMAGES * np.reshape(sigma, [-1, 1, 1, 1]) * normal, 0, 1)
    np.testing.assert_allclose(ops.speckle_noise(IMAGES, sigma, SEED), expected, atol=1e-6)


def test_speckle_grows_with_the_value():
    levels = np.array([0.1, 0.2, 0.5], "float32").reshape(3, 1, 1, 1)
    images = np.broadcast_to(levels, [3, 64, 64, 3])
    noise = ops.speckle_noise(images, 0.1, SEED).numpy() - images
    for image, level in zip(noise, levels.ravel()):
        assert abs(image.mean()) < 5 * 0.1 * level / math.sqrt(image.size)
        assert abs(image.std() - 0.1 * level) < 5 * 0.1 * level / math.sqrt(2 * image.size)


def test_speckle_identity_and_gradient():
    np.testing.assert_array_equal(ops.speckle_noise(IMAGES, 0.0, SEED), IMAGES)
    np.testing.assert_array_equal(ops.speckle_noise(np.zeros_like(IMAGES), 5.0, SEED), 0 * IMAGES)
    middle = 0.4 + 0.2 * IMAGES  # nothing is clipped
    slope, by_sigma = gradient(lambda x, s: ops.speckle_noise(x, s, SEED), middle, 0.01)
    factor = ops.speckle_noise(middle, 0.01, SEED) / middle
    np.testing.assert_allclose(slope, factor, atol=1e-5)
    np.testing.assert_allclose(by_sigma, np.sum((factor - 1) * middle) / 0.01, rtol=1e-3)


# Uniform.


@pytest.mark.parametrize("probability", [0.15, 1.0, (0.0, 0.1, 0.5, 1.0)])
def test_uniform_matches_reference(probability):
    expected = reference.replace_pixels(
        IMAGES, np.reshape(probability, [-1, 1, 1]), uniform_numbers([4, 7, 9])
    )
    result = ops.uniform_noise(IMAGES, probability, SEED)
    np.testing.assert_allclose(result, expected, atol=1e-6)
    kept = expected == IMAGES
    np.testing.assert_array_equal(result.numpy()[kept], IMAGES[kept])


@pytest.mark.parametrize("probability", [0.01, 0.15, 0.6])
def test_uniform_frequency_and_greys(probability):
    result = ops.uniform_noise(TWO, probability, SEED).numpy()
    hit = result[..., 0] != 2
    assert abs(hit.mean() - probability) < standard_error_bound(probability)
    np.testing.assert_array_equal(result, np.repeat(result[..., :1], 3, axis=-1))  # greys
    greys = result[hit][:, 0]
    assert scipy.stats.kstest(greys, "uniform").statistic < 2.5 / math.sqrt(len(greys))
    # Neighbours and images are independent in their positions and greys.
    for one, other in ((hit[:, 1:], hit[:, :-1]), (hit[1:], hit[:-1])):
        assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 5 / math.sqrt(one.size)
    assert abs(np.corrcoef(greys[1:], greys[:-1])[0, 1]) < 5 / math.sqrt(len(greys))


def test_uniform_probability_0_and_1():
    np.testing.assert_array_equal(ops.uniform_noise(IMAGES, 0.0, SEED), IMAGES)
    result = ops.uniform_noise(TWO, [0.0, 1.0] * 4, SEED).numpy()
    assert (result[::2] == 2).all() and (result[1::2] < 1).all()


def test_uniform_gradient():
    """1 where the pixel stays, 0 where it is replaced; none to the probability."""
    (slope,) = gradient(lambda x: ops.uniform_noise(x, 0.3, SEED), TWO)
    np.testing.assert_array_equal(slope, ops.uniform_noise(TWO, 0.3, SEED) == 2)
    assert 0.6 < slope.mean() < 0.8
    with tf.GradientTape() as tape:
        probability = tf.Variable([0.0, 1e-30, 0.5, 1.0])
        result = ops.uniform_noise(IMAGES, probability, SEED)
    assert tape.gradient(result, probability) is None


# Non-uniform.


@pytest.mark.parametrize(
    "probability, expected",
    [
        (0, [[0, 0], [0, 0]]),
        (0.225, [[0.4, 0.2], [0.2, 0.1]]),  # 1/s is 10, 5, 5, 2.5, and c 0.04
        (0.5625, [[1, 0.5], [0.5, 0.25]]),
        (0.75, [[1, 0.8], [0.8, 0.4]]),  # one is clipped to 1, the rest divide 2 as 2 : 2 : 1
        (1, [[1, 1], [1, 1]]),
    ],
)
def test_probability_hand_computed(probability, expected):
    places = ops.PlacesByDeviation([[0.1, 0.2], [0.2, 0.4]])
    np.testing.assert_allclose(places.probability(probability)[0], expected, atol=1e-6)


@pytest.mark.parametrize("dead", [0, 5, 40])
def test_probability_matches_reference(dead):
    deviation = DEVIATION.copy()
    deviation.ravel()[:dead] = 0
    probabilities = np.array([0, 0.001, 0.15, 0.3, 0.62, 0.64, 0.9, 0.999, 1], "float32")
    result = ops.PlacesByDeviation(deviation).probability(probabilities).numpy()
    expected = [reference.replacement_probability(deviation, float(p)) for p in probabilities]
    np.testing.assert_allclose(result, expected, atol=1e-5)
    np.testing.assert_allclose(result.mean(axis=(1, 2)), probabilities, atol=1e-6)
    assert result.min() >= 0 and result.max() <= 1
    assert (np.diff(result, axis=0) > -1e-6).all()  # monotonic in the mean probability


def test_probability_of_deviations_that_do_not_differ():
    for value in (0, 1e-9, 0.3, 1000):
        places = ops.PlacesByDeviation(np.full([3, 4], value))
        result = places.probability([0.0, 0.15, 1.0]).numpy()
        expected = np.reshape([0, 0.15, 1], [3, 1, 1]) * np.ones([3, 4])
        np.testing.assert_allclose(result, expected, atol=1e-6)


def test_one_8_bit_level_is_the_smallest_deviation():
    least = ops.PlacesByDeviation([[1 / 255, 0.1]]).probability(0.3)
    np.testing.assert_array_equal(ops.PlacesByDeviation([[0, 0.1]]).probability(0.3), least)
    above = ops.PlacesByDeviation([[2 / 255, 0.1]]).probability(0.3)
    assert float(above[0, 0, 0]) < float(least[0, 0, 0]) - 0.01


def test_probability_of_a_large_map():
    """float32 look-ups in 50,000 steps still meet the probability."""
    deviation = np.random.default_rng(2).gamma(2, 0.1, [224, 224])
    probabilities = [1e-4, 0.15, 0.5, 0.99]
    result = ops.PlacesByDeviation(deviation).probability(probabilities).numpy()
    np.testing.assert_allclose(result.mean(axis=(1, 2), dtype="float64"), probabilities, rtol=1e-5)


@pytest.mark.parametrize("probability", [0.15, (0.0, 0.1, 0.5, 1.0)])
def test_nonuniform_matches_reference(probability):
    places = ops.PlacesByDeviation(DEVIATION)
    by_pixel = [
        reference.replacement_probability(DEVIATION, p) for p in np.broadcast_to(probability, 4)
    ]
    expected = reference.replace_pixels(IMAGES, by_pixel, uniform_numbers([4, 7, 9]))
    result = ops.nonuniform_noise(IMAGES, probability, places, SEED)
    np.testing.assert_allclose(result, expected, atol=1e-4)
    kept = expected == IMAGES
    np.testing.assert_array_equal(result.numpy()[kept], IMAGES[kept])


def test_nonuniform_frequencies():
    count = 4000
    places = ops.PlacesByDeviation(DEVIATION)
    result = ops.nonuniform_noise(tf.fill([count, 7, 9, 1], 2.0), 0.15, places, SEED).numpy()
    frequency = (result[..., 0] != 2).mean(axis=0)
    expected = reference.replacement_probability(DEVIATION, 0.15)
    error = np.sqrt(expected * (1 - expected) / count)
    assert (np.abs(frequency - expected) <= 5 * error).all()
    assert expected.max() > 5 * expected.min()
    greys = result[result != 2]
    assert scipy.stats.kstest(greys, "uniform").statistic < 2.5 / math.sqrt(len(greys))


def test_nonuniform_probability_0_and_1():
    places = ops.PlacesByDeviation(DEVIATION)
    np.testing.assert_array_equal(ops.nonuniform_noise(IMAGES, 0.0, places, SEED), IMAGES)
    result = ops.nonuniform_noise(IMAGES + 2, [0.0, 1.0, 0.0, 1.0], places, SEED).numpy()
    np.testing.assert_array_equal(result[::2], IMAGES[::2] + 2)
    assert (result[1::2] <= 1).all()


def test_nonuniform_wrong_size():
    for shape in ([1, 9, 7, 3], [1, 7, 8, 3]):
        size = f"{shape[1]}x{shape[2]}"
        with pytest.raises(ValueError, match=f"of 7x9 pixels.*; received images of {size} pixels"):
            places = ops.PlacesByDeviation(DEVIATION)
            ops.nonuniform_noise(tf.zeros(shape), 0.15, places, SEED)


@pytest.mark.parametrize(
    "wrong, said",
    [
        ([0.1, 0.2], r"shape \(2,\)"),
        (np.ones([4, 4, 1]), r"shape \(4, 4, 1\)"),
        (np.ones([0, 4]), r"shape \(0, 4\)"),
        ([["a", "b"]], "dtype <U1"),
        (0.5, r"shape \(\)"),
        ([[0.1, -0.2]], "from -0.2 to 0.1"),
        ([[0.1, float("nan")]], "nan"),
        ([[0.1, float("inf")]], "inf"),
    ],
)
def test_bad_deviation(wrong, said):
    with pytest.raises(ValueError, match=f"deviation must be .*; received .*{said}"):
        ops.PlacesByDeviation(wrong)


# Patch Gaussian.


@pytest.mark.parametrize(
    "size, row, column, rows, columns",
    [
        (1, 3, 4, [3], [4]),
        (2, 3, 4, [2, 3], [3, 4]),  # the centre is the lower right one of the middle four
        (3, 3, 4, [2, 3, 4], [3, 4, 5]),
        (4, 3, 4, [1, 2, 3, 4], [2, 3, 4, 5]),
        (3, 0, 0, [0, 1], [0, 1]),
        (2, 0, 8, [0], [7, 8]),
        (5, 6, 8, [4, 5, 6], [6, 7, 8]),
        (25, 0, 8, range(7), range(9)),
    ],
)
@pytest.mark.parametrize("bounded", [False, True])
def test_patch_hand_computed(size, row, column, rows, columns, bounded):
    grey = tf.fill([2, 7, 9, 3], 0.5)
    largest = size if bounded else None
    changed = patch(grey, 0.01, size, row, column, largest=largest).numpy() != 0.5
    expected = np.zeros([7, 9, 1], bool)
    expected[np.ix_(rows, columns)] = True
    np.testing.assert_array_equal(changed, np.broadcast_to(expected, changed.shape))


@pytest.mark.parametrize("largest", [None, 1, 2, 3, 6, 8, 100])
def test_patch_matches_reference(largest):
    limit = largest or 12
    random = np.random.default_rng(4)
    for sizes in (limit, random.integers(1, limit + 1, 4)):
        row, column = random.integers(0, 7, 4), random.integers(0, 9, 4)
        sigma = np.array([0.0, 0.05, 0.5, 3.0], "float32")
        tall, wide = min(7, largest or 7), min(9, largest or 9)
        noise = tf.random.stateless_normal([4, tall, wide * 3], SEED, alg="philox").numpy()
        expected = reference.patch_gaussian(
            IMAGES, sigma, sizes, row, column, noise.reshape(4, tall, wide, 3)
        )
        result = patch(IMAGES, sigma, sizes, row, column, largest=largest).numpy()
        np.testing.assert_allclose(result, expected, atol=1e-6)
        np.testing.assert_array_equal(result[0], IMAGES[0])
        kept = expected == IMAGES
        np.testing.assert_array_equal(result[kept], IMAGES[kept])


@pytest.mark.parametrize("largest", [None, 16])
def test_patch_noise_is_independent(largest):
    """The repeating field has no number twice in one patch."""
    grey = tf.fill([64, 50, 41, 3], 0.5)
    random = np.random.default_rng(5)
    row, column = random.integers(0, 50, 64), random.integers(0, 41, 64)
    noise = patch(grey, 0.05, 16, row, column, largest=largest).numpy() - 0.5
    values = noise[noise != 0]
    assert abs(values.mean()) < 5 * 0.05 / math.sqrt(len(values))
    assert abs(values.std() - 0.05) < 5 * 0.05 / math.sqrt(2 * len(values))
    for image in noise:
        inside = image[image != 0]
        assert len(set(inside)) > 0.99 * len(inside)  # float32 has few equal numbers near 0.5
    for axis in (0, 1, 2, 3):
        one, other = (
            noise.take(range(1, noise.shape[axis]), axis),
            noise.take(range(noise.shape[axis] - 1), axis),
        )
        both = (one != 0) & (other != 0)
        correlation = np.corrcoef(one[both], other[both])[0, 1]
        assert abs(correlation) < 5 / math.sqrt(both.sum())


def test_patch_gradient():
    middle = 0.4 + 0.2 * IMAGES
    slope, by_sigma = gradient(lambda x, s: patch(x, s), middle, 0.01)
    np.testing.assert_array_equal(slope, np.ones_like(middle))
    change = np.sum(patch(middle, 0.01) - middle)
    np.testing.assert_allclose(by_sigma, change / 0.01, rtol=1e-3)
    for sigma in (0.0, 10.0):
        for slope in gradient(lambda x, s: patch(x, s), IMAGES, sigma):
            assert np.isfinite(slope).all()
