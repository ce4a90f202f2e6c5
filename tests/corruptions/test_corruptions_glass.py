"""Glass blur against a loop over the pixels."""

import numpy as np
import pytest
import scipy.ndimage
import tensorflow as tf

from tfrobust.corruptions import glass
from tfrobust.corruptions.glass import glass_blur
from tfrobust.ops import fields


def keys(count, severity=1):
    return fields.image_keys(0, "glass_blur", severity, tf.range(count))


def photographs(count, height, width, seed=0):
    random = np.random.default_rng(seed)
    smooth = scipy.ndimage.gaussian_filter(
        random.normal(size=[count, height, width, 3]), (0, 3, 3, 0)
    )
    smooth = smooth / np.abs(smooth).max() * 100 + 128
    smooth[:, height // 3 :, : width // 2] -= 60  # an edge
    return np.round(smooth).clip(0, 255).astype("float32")


def drawn(image_keys, size, delta, iterations):
    """The offsets drawn by glass_blur: a list of (dx, dy), one per iteration."""
    each = glass._iterations_per_word(delta, iterations)
    pairs = []
    for i in range(iterations):
        first = i // each * each
        bits = glass._bits(
            fields.words(fields.fold(image_keys, first) if first else image_keys, size)
        )
        pairs.append([offset.numpy() for offset in glass._offsets(bits, i % each, delta)])
    return pairs


def copied(image, pairs, delta):
    """The authors' loop, where swapping two NumPy views copies one into both."""
    image = image.copy()
    height, width = image.shape[:2]
    for dx, dy in pairs:
        for h in range(height - delta, delta, -1):
            for w in range(width - delta, delta, -1):
                other = h + dy[h, w], w + dx[h, w]
                image[h, w], image[other] = image[other], image[h, w]
    return image


def test_offsets_down_right_copy_the_last_pixel_of_the_diagonal():
    words = tf.reshape(tf.range(49, dtype=tf.float32), [1, 7, 7])
    ones = tf.fill([1, 7, 7], 2**24 - 1)  # the largest digits: dx = dy = 1
    result = glass._copied(words, ones, 0, 2).numpy()[0]
    expected = words.numpy()[0]
    # Turns go from 5 to 3: (5, 5) takes (6, 6), then (4, 4) takes what (5, 5) has by then, ...
    expected[3:6, 3:6] = [[48, 41, 34], [47, 48, 41], [46, 47, 48]]
    np.testing.assert_array_equal(result, expected)


def test_with_all_offsets_up_left_nothing_is_copied_twice():
    words = tf.reshape(tf.range(16, dtype=tf.float32), [1, 4, 4])
    result = glass._copied(words, tf.zeros([1, 4, 4], tf.int32), 0, 1).numpy()[0]
    np.testing.assert_array_equal(
        result, [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 5, 6], [12, 13, 9, 10]]
    )


@pytest.mark.parametrize("delta", [1, 2, 3, 4])
@pytest.mark.parametrize("iterations", [1, 3])
def test_equals_the_loop_over_the_pixels(delta, iterations):
    images = np.random.default_rng(delta).integers(0, 256, [2, 19, 26, 3]).astype("float32")
    # A sigma this small leaves the image as it is.
    result = glass_blur(tf.constant(images), keys(2), 0.05, delta, iterations).numpy()
    pairs = drawn(keys(2), (19, 26), delta, iterations)
    for i, image in enumerate(images):
        expected = copied(image, [(dx[i], dy[i]) for dx, dy in pairs], delta)
        np.testing.assert_array_equal(result[i], expected)
    assert (result != images).mean() > 0.3


@pytest.mark.parametrize("sigma, delta, iterations", [(0.4, 1, 2), (1, 2, 3)])
def test_equals_the_script(sigma, delta, iterations):
    images = photographs(2, 24, 31)
    result = glass_blur(tf.constant(images), keys(2), sigma, delta, iterations).numpy()

    def blurred(image):
        return scipy.ndimage.gaussian_filter(image, (sigma, sigma, 0), mode="nearest", truncate=4)

    pairs = drawn(keys(2), (24, 31), delta, iterations)
    for i, image in enumerate(images):
        cut = np.uint8(blurred(image / 255.0) * 255 + 1e-3)
        shuffled = copied(cut, [(dx[i], dy[i]) for dx, dy in pairs], delta)
        expected = blurred(shuffled / 255.0) * 255
        # A value near a whole number may be cut off to the one below; a few pixels show it.
        error = np.abs(result[i] - expected)
        assert error.max() < 1.01 and np.mean(error > 0.01) < 0.02


@pytest.mark.parametrize("delta", [1, 2, 3, 4])
def test_offsets_are_uniform_and_independent(delta):
    pairs = drawn(keys(16), (40, 40), delta, 2)
    values = [offset.ravel() + delta for pair in pairs for offset in pair]  # dx, dy, dx, dy
    side = 2 * delta
    for a in range(4):
        for b in range(a):
            counts = np.bincount(values[a] * side + values[b], minlength=side**2)
            assert len(counts) == side**2
            expected = len(values[a]) / side**2
            square = ((counts - expected) ** 2 / expected).sum()
            assert square < side**2 - 1 + 5 * np.sqrt(2 * (side**2 - 1))


def test_long_chains_are_followed_to_their_end():
    # Every pixel copies its right neighbour, whose turn has been: a chain along the whole row.
    bits = tf.fill([1, 5, 40], (1 << 22) * 3 + (1 << 21))  # digits 3, 2: dx = 1, dy = 0
    dx, dy = glass._offsets(bits, 0, 2)
    assert (dx.numpy() == 1).all() and (dy.numpy() == 0).all()
    words = tf.reshape(tf.range(200, dtype=tf.float32), [1, 5, 40])
    result = glass._copied(words, bits, 0, 2).numpy()[0]
    pixels = words.numpy()[0][..., None]  # with channels, so that the loop exchanges views
    expected = copied(pixels, [(dx.numpy()[0], dy.numpy()[0])], 2)[..., 0]
    far = np.arange(40) >= 39 - 2 ** glass._doublings(2)
    np.testing.assert_array_equal(result[:, far], expected[:, far])
    assert (expected[3, 3:39] == 3 * 40 + 39).all()


@pytest.mark.parametrize("size, delta", [((1, 1), 4), ((7, 9), 1), ((7, 9), 4)])
def test_small_images(size, delta):
    images = tf.zeros([2, *size, 3]) + 255
    result = glass_blur(images, keys(2), 1.5, delta, 2).numpy()
    np.testing.assert_allclose(result, images, atol=1e-3)


def test_only_the_blurs_make_new_values():
    images = np.zeros([1, 32, 32, 3], "float32")
    images[:, 10:20, 10:20] = (10, 20, 30)
    result = glass_blur(tf.constant(images), keys(1), 0.05, 2, 3).numpy()
    colours = {tuple(pixel) for pixel in result.reshape(-1, 3)}
    assert colours == {(0, 0, 0), (10, 20, 30)}
