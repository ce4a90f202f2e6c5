"""Elastic transform against SciPy, and against an affine warp in NumPy with OpenCV's steps."""

import numpy as np
import pytest
import scipy.ndimage
import tensorflow as tf

from tfrobust.corruptions import elastic
from tfrobust.corruptions.elastic import elastic_transform
from tfrobust.corruptions.severities import TABLES
from tfrobust.ops import fields, pixels

#: Height and width, for nearly all tests: what has run for a size and a number is compiled.
SIZE = (33, 47)


def keys(count):
    return fields.image_keys(0, "elastic_transform", 1, tf.range(count))


def photographs(count, height, width, seed=0):
    random = np.random.default_rng(seed)
    smooth = scipy.ndimage.gaussian_filter(
        random.normal(size=[count, height, width, 3]), (0, 3, 3, 0)
    )
    smooth = smooth / np.abs(smooth).max() * 100 + 128
    smooth[:, height // 3 :, : width // 2] -= 60  # an edge
    return np.round(smooth).clip(0, 255).astype("float32")


def read(image, rows, columns, mode):
    """Bilinear; mode as scipy.ndimage names it."""
    planes = [
        scipy.ndimage.map_coordinates(image[..., c], [rows, columns], order=1, mode=mode)
        for c in range(3)
    ]
    return np.stack(planes, -1)


def affine_warp(image, moves):
    """The map of three points by solving linear equations; positions in steps of 1/32."""
    height, width = image.shape[:2]
    side = min(height, width) // 3
    centre = np.array([height // 2, width // 2])
    points = centre + np.array([[side, side], [side, -side], [-side, -side]])
    moved = (points.astype("float32") + moves.astype("float32")).astype(float)
    # What takes the moved points (x, y, 1) back to the points.
    back = np.linalg.solve(np.c_[moved, np.ones(3)], points)
    y, x = np.mgrid[:height, :width]
    steps = []
    for axis in (1, 0):  # rows, then columns
        a, b, c = back[:, axis]
        fine = np.rint(a * x * 1024).astype(int) + np.rint((b * y + c) * 1024).astype(int)
        steps.append(((fine + 16) >> 5) / 32)
    return read(image, *steps, "mirror")


def drawn(image_keys, size, affine):
    moves = fields.uniform(fields.fold(image_keys, 1), (3, 2)).numpy() * (2 * affine) - affine
    noise = elastic._noise(fields.words(image_keys, size)).numpy().astype(float)
    count = len(moves)
    return moves, noise[:count], noise[count:]


@pytest.mark.parametrize("table, severity", [(32, 1), (32, 2), (224, 1), (224, 3)])
def test_equals_the_script(table, severity):
    """Without waves, with waves wider than what is smoothed tap by tap, and with narrow ones."""
    alpha, sigma, affine = TABLES[table]["elastic_transform"][severity - 1]
    size = SIZE
    images = photographs(4, *size)
    result = elastic_transform(tf.constant(images), keys(4), alpha, sigma, affine).numpy()
    y, x = np.mgrid[: size[0], : size[1]]
    for i, (moves, *noise) in enumerate(zip(*drawn(keys(4), size, affine))):
        warped = affine_warp(images[i].astype(float), moves)
        dx, dy = (
            scipy.ndimage.gaussian_filter(n, sigma, mode="reflect", truncate=3) * alpha
            for n in noise
        )
        expected = read(warped, y + dy, x + dx, "reflect")
        # The result is cut off; steps of 2⁻¹² are counted up.
        below = expected - result[i]
        assert below.min() > -0.01 and below.max() < 1.01
        assert ((below > -0.0005) & (below < 1)).mean() > 0.999
    assert (result != images).mean() > 0.3


def test_moving_all_three_points_shifts_the_image():
    moves = tf.tile(tf.constant([[[2.0, -1.0]]]), [1, 3, 1])  # 2 to the right, 1 up
    steps = elastic._affine_steps(moves, (12, 15))
    image = tf.constant(photographs(1, 12, 15))
    corners = elastic._gather_pixels(pixels.pack_whole(image), *elastic._affine_places(*steps))
    result = pixels.unpack_whole(elastic._affine_words(*corners, *steps), 3).numpy()[0]
    mirrored = np.pad(image.numpy()[0], [[0, 1], [2, 0], [0, 0]], mode="reflect")
    np.testing.assert_array_equal(result, mirrored[1:, :-2])


def test_without_moves_nothing_changes():
    image = tf.constant(photographs(4, *SIZE))
    np.testing.assert_array_equal(elastic_transform(image, keys(4), 0, 0, 0), image)
    np.testing.assert_array_equal(elastic_transform(image, keys(4), 1e-6, 2, 0), image)


@pytest.mark.parametrize(
    "places, edge, expected",
    [
        ([-3, -2, -1, 0, 3, 4, 5, 6, 7], 0, [3, 2, 1, 0, 3, 2, 1, 0, 1]),
        ([-5, -2, -1, 0, 3, 4, 5, 8, 9], 1, [3, 1, 0, 0, 3, 3, 2, 0, 1]),
    ],
)
def test_mirrors_as_often_as_needed(places, edge, expected):
    places = tf.constant(places, tf.float32)
    np.testing.assert_array_equal(elastic._mirrored(places, 4, edge), expected)
    assert elastic._mirrored(places, 1, edge).numpy().max() == 0


@pytest.mark.parametrize("sigma", [0, 0.3, 2.44, 5, 19.5, 171])
def test_smoothing_matches_scipy(sigma):
    maps = np.random.default_rng(0).uniform(-1, 1, [2, 9, 50])
    result = elastic._smooth(tf.constant(maps, tf.float32), sigma).numpy()
    for i in range(2):
        expected = scipy.ndimage.gaussian_filter(maps[i], sigma, mode="reflect", truncate=3)
        np.testing.assert_allclose(result[i], expected, atol=2e-6)


def test_moments_of_the_noise():
    values = elastic._noise(fields.words(keys(16), (64, 64))).numpy().astype(float)
    count = values.size
    assert np.abs(values).max() < 1
    assert abs(values.mean()) < 5 * np.sqrt(1 / 3 / count)
    assert abs((values**2).mean() - 1 / 3) < 5 * np.sqrt(4 / 45 / count)
    x, y = values[:16], values[16:]
    assert abs((x * y).mean()) < 5 / 3 / np.sqrt(x.size)


def test_wide_waves_do_not_depend_on_the_batch():
    """Other settings are covered by the contract tests of all corruptions."""
    images, image_keys = tf.constant(photographs(4, *SIZE)), keys(4)
    whole = elastic_transform(images, image_keys, 50.0, 9.0, 2.0).numpy()
    chosen = [2, 0]
    part = [tf.gather(t, chosen) for t in (images, image_keys)]
    difference = abs(elastic_transform(*part, 50.0, 9.0, 2.0).numpy() - whole[chosen])
    # These waves are a product of matrices, which may be summed in another order for another number
    # of images; a value near a whole number may then be cut off to the one below.
    assert difference.max() <= 1 and np.mean(difference > 0) < 1e-3


@pytest.mark.parametrize(
    "size, settings",
    [((1, 1), (29.28, 2.44, 4.88)), ((7, 9), (0, 0, 2.56)), ((7, 9), (488.0, 171.0, 49.0))],
)
def test_small_images(size, settings):
    images = tf.zeros([2, *size, 3]) + 200
    result = elastic_transform(images, keys(2), *settings).numpy()
    np.testing.assert_array_equal(result, images)


def test_black_and_white_stay_within_the_bytes():
    images = np.zeros([4, *SIZE, 3], "float32")
    images[0, :8], images[1] = 255, 255
    result = elastic_transform(tf.constant(images), keys(4), 3.0, 1.0, 1.0).numpy()
    assert result[0].min() == 0 and result[0].max() == 255
    assert (result[1] == 255).all() and (result[2:] == 0).all()
