"""Motion blur: against a sum over pixels in double precision."""

import math

import numpy as np
import pytest
import tensorflow as tf

from tfrobust.corruptions import motion
from tfrobust.ops import fields


def photographs(count, height, width, seed=0):
    """Whole numbers 0..255: noise, a bright square on black, and a plain image."""
    images = np.random.default_rng(seed).integers(0, 256, [count, height, width, 3])
    if count > 2:
        images[1] = 0
        images[1, height // 3 : height // 2 + 1, width // 3 : width // 2 + 1] = 255
        images[2] = 128
    return images.astype("float32")


def keys(count, seed=1):
    return fields.image_keys(seed, "motion_blur", 3, tf.range(count))


def blurred(image, angle_degrees, radius, sigma):
    """ImageMagick's sum: every tap, every pixel, in double precision, rounded half up."""
    count = 2 * math.ceil(radius) + 1
    weights = [math.exp(-i * i / (2 * sigma**2)) for i in range(count)]
    radians = math.radians(float(angle_degrees))
    height, width = image.shape[:2]
    total = np.zeros(image.shape)
    for i, weight in enumerate(weights):
        x = np.arange(width) + math.ceil(i * math.cos(radians) - 0.5)
        y = np.arange(height) + math.ceil(i * math.sin(radians) - 0.5)
        x, y = x.clip(0, width - 1), y.clip(0, height - 1)
        total += weight / sum(weights) * image[y[:, None], x]
    return np.floor(total + 0.5), total


def blur_exactly_at(angle_degrees, images, radius, sigma):
    """`motion_blur` with a given angle."""
    images = tf.constant(images)
    count, height, width, channels = images.shape
    angles = tf.fill([count], tf.constant(angle_degrees, tf.float32))
    down, right, weights = motion.taps(angles, radius, sigma)
    lines = tf.reshape(images, [count, height, width * channels])
    result = motion.shift_and_add(lines, right, down, weights, channels)
    return tf.reshape(result, images.shape).numpy()


def test_golden_value():
    # radius 1: three taps of weights 1, e^-1/2, e^-2 over their sum 1.741866.
    image = np.array([100.0, 0, 0, 0], "float32").reshape(1, 1, 4, 1)
    np.testing.assert_array_equal(blur_exactly_at(0.0, image, 1, 1).ravel(), [57, 0, 0, 0])
    image = np.array([0, 0, 0, 100.0], "float32").reshape(1, 1, 4, 1)
    # Pixel 1 sees it through its last tap, pixel 2 also through the replicated edge.
    np.testing.assert_array_equal(blur_exactly_at(0.0, image, 1, 1).ravel(), [0, 8, 43, 100])


def test_taps_look_right_and_down():
    image = np.zeros([1, 9, 9, 3], "float32")
    image[0, 4, 4] = 255
    lit = blur_exactly_at(30.0, image, 3, 3)[0, :, :, 0] > 0
    rows, columns = np.nonzero(lit)
    # A pixel sees what is to its right and below, so the trail is to the left and above.
    assert lit[4, 4] and columns.max() == 4 and rows.max() == 4
    assert columns.min() < 2 and rows.min() < 4


@pytest.mark.parametrize(
    "radius, sigma, size",
    [(9, 2.5, (33, 47)), (20, 15, (40, 21))],
)
def test_equals_the_sum_over_pixels(radius, sigma, size):
    images = photographs(7, *size)
    angles = motion.draw_angles(keys(7), -45, 45).numpy()
    result = motion.motion_blur(tf.constant(images), keys(7), radius, sigma).numpy()
    for image, angle, received in zip(images, angles, result):
        expected, total = blurred(image, angle, radius, sigma)
        assert abs(received - total).max() < 0.53  # rounding, and the taps left out
        assert np.mean(received != expected) < 0.03
        assert abs(received - expected).max() <= 1


@pytest.mark.parametrize("angle", [-45.0, -44.99, -20.0, 0.0, 0.5, 30.0, 45.0])
def test_every_direction(angle):
    images = photographs(1, 24, 29)
    expected = blurred(images[0], angle, 8, 5)[0]
    result = blur_exactly_at(angle, images, 8, 5)[0]
    assert abs(result - expected).max() <= 1 and np.mean(result != expected) < 0.03


@pytest.mark.parametrize("radius, sigma", [(6, 1), (8, 2), (12, 3), (15, 8), (20, 15)])
def test_weights_left_out_weigh_nothing(radius, sigma):
    kept = motion.weights_of(radius, sigma).astype(float)
    full = np.exp(-(np.arange(2 * radius + 1) ** 2) / (2 * sigma**2))
    full /= full.sum()
    assert abs(kept.sum() - 1) < 1e-6
    assert full[len(kept) :].sum() < 1e-4
    assert abs(kept - full[: len(kept)]).max() < 1e-4


def test_angles_are_uniform():
    angles = motion.draw_angles(keys(4000), -45, 45).numpy()
    assert angles.min() >= -45 and angles.max() < 45
    assert abs(angles.mean()) < 5 * 90 / math.sqrt(12 * 4000)  # five standard errors
    counts = np.histogram(angles, 10, (-45, 45))[0]
    assert abs(counts - 400).max() < 5 * math.sqrt(4000 * 0.1 * 0.9)


def test_plain_images_stay_and_nothing_leaves_the_range():
    for value in (0.0, 17.0, 255.0):
        images = tf.fill([2, 16, 16, 3], value)
        np.testing.assert_array_equal(motion.motion_blur(images, keys(2), 5, 2), images)


def test_one_pixel():
    image = tf.fill([2, 1, 1, 3], 200.0)
    np.testing.assert_array_equal(motion.motion_blur(image, keys(2), 3, 1), image)
