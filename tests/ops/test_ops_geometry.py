"""Warps, crops and flips: hand-computed values, SciPy, Pillow and others, properties, extremes."""

from __future__ import annotations

import math

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tests.parameters import slow_unless
from tests.reference import geometry as reference
from tests.reference.gradients import gradient
from tfrobust import ops
from tfrobust.ops import geometry

ANGLES = [0.0, 30.0, -7.5, 90.0, 135.0, -180.0]
SHAPES = [(6, 8, 8, 3), (6, 7, 9, 3), (6, 1, 1, 1), (6, 1, 5, 2)]
SHAPE = SHAPES[1]
shapes = pytest.mark.parametrize("shape", SHAPES)
fills = pytest.mark.parametrize("fill", geometry.FILLS)

#: Functions (images, parameter) -> images by name; parameters are integers, 0 is the identity.
OPS = {
    "rotate": lambda x, p: ops.rotate(x, 8.0 * tf.cast(p, tf.float32)),
    "rotate_nearest": lambda x, p: ops.rotate(x, 8.0 * tf.cast(p, tf.float32), "nearest"),
    "shear": lambda x, p: ops.shear(x, 0.1 * tf.cast(p, tf.float32), -0.2 * tf.cast(p, tf.float32)),
    "translate": lambda x, p: ops.translate(x, p, tf.multiply(2, p)),
    "mirror": lambda x, p: ops.translate(x, p, tf.multiply(2, p), "mirror"),
    "flip": lambda x, p: ops.flip(x, tf.not_equal(p, 0)),
}
every = pytest.mark.parametrize("name", OPS)
PARAMETERS = [1, -2, 3, 0, 2, -1]
EXTREME = [0, 1, -2, 5, 40, -80]


def random_images(*shape, seed=0):
    return np.random.default_rng(seed).random(shape, "float32")


def picture(rows):
    """[1, H, W, 1] of a nested list."""
    return np.array(rows, "float32")[np.newaxis, :, :, np.newaxis]


def points(shape, angle):
    """Column and row that each output pixel of a rotation reads, [H, W] each."""
    height, width = shape
    y, x = np.mgrid[:height, :width] - np.array([(height - 1) / 2, (width - 1) / 2])[:, None, None]
    cosine, sine = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    return (
        cosine * x - sine * y + (width - 1) / 2,
        sine * x + cosine * y + (height - 1) / 2,
    )


@pytest.mark.parametrize("interpolation", geometry.INTERPOLATIONS)
def test_rotation_hand_computed(interpolation):
    image = picture([[1, 2, 3], [4, 5, 6], [7, 8, 9]]) / 16
    expected = picture([[3, 6, 9], [2, 5, 8], [1, 4, 7]]) / 16  # a quarter, counter-clockwise
    np.testing.assert_allclose(ops.rotate(image, 90, interpolation), expected, atol=1e-6)
    np.testing.assert_allclose(ops.rotate(image, -270, interpolation), expected, atol=1e-6)


def test_rotation_blends_hand_computed():
    # By 45 degrees the point to the right of the middle reads (√½, √½) away from it: √½ of the
    # way in x and in y between 0 (the middle) and the corner's 1.
    image = picture([[0, 0, 0], [0, 0, 0], [0, 0, 1]])
    assert abs(ops.rotate(image, 45.0)[0, 1, 2, 0] - 0.5) < 1e-6
    # The corner reads √2 away along the edge's normal: √2 − 1 outside, where black comes in.
    white = ops.rotate(np.ones([1, 3, 3, 1], "float32"), 45.0)
    assert abs(white[0, 2, 2, 0] - (2 - math.sqrt(2))) < 1e-6


@shapes
@pytest.mark.parametrize("angle", [*ANGLES, tuple(ANGLES)])
def test_bilinear_rotation_matches_reference(shape, angle):
    images = random_images(*shape)
    result = ops.rotate(images, angle)
    assert result.dtype == tf.float32 and result.shape == shape
    np.testing.assert_allclose(result, reference.rotate(images, angle), atol=1e-5)


@shapes
def test_nearest_rotation_matches_reference(shape):
    images = random_images(*shape)
    # At 30 and 45 degrees about a middle on the grid, points lie just between two pixels.
    angles = [1.0, 29.0, -7.5, 90.0, 133.0, -180.0]
    result = ops.rotate(images, angles, "nearest")
    np.testing.assert_array_equal(
        result, reference.rotate(images, angles, order=0).astype("float32")
    )


@pytest.mark.parametrize("angle", [16.0, 29.0, -100.0])
def test_rotation_matches_pillow(angle):
    """Pillow differs within a pixel of the border: it blends with the border pixel, not black."""
    image = random_images(1, 12, 17, 1)
    x, y = points((12, 17), angle)
    for interpolation, filter_ in (("bilinear", "BILINEAR"), ("nearest", "NEAREST")):
        result = ops.rotate(image, angle, interpolation)[0, :, :, 0].numpy()
        pillow = Image.fromarray(image[0, :, :, 0])
        pillow = np.asarray(pillow.rotate(angle, getattr(Image.Resampling, filter_)))
        inside = (x > 0) & (x < 16) & (y > 0) & (y < 11)
        outside = (x < -1) | (x > 17) | (y < -1) | (y > 12)
        assert inside.sum() > 60 and outside.sum() > 3
        if interpolation == "nearest":  # Pillow rounds the point to 1/65536 of a pixel
            tied = np.minimum(abs(x % 1 - 0.5), abs(y % 1 - 0.5)) < 1e-3
            assert tied.sum() < 10
            np.testing.assert_array_equal(result[~tied], pillow[~tied])
        else:
            np.testing.assert_allclose(result[inside], pillow[inside], atol=1e-5)
            between = ~inside & ~outside
            assert np.abs(result - pillow)[between].max() > 0.05
        assert not result[outside].any() and not pillow[outside].any()


def test_rotation_matches_tensorflow_addons():
    addons = pytest.importorskip("tensorflow_addons")
    images = random_images(6, 8, 14, 3)
    for interpolation in geometry.INTERPOLATIONS:
        angles = np.array([1.0, 29.0, -7.5, 90.0, 133.0, -170.0], "float32")
        expected = addons.image.rotate(images, np.radians(angles), interpolation)
        np.testing.assert_allclose(ops.rotate(images, angles, interpolation), expected, atol=1e-5)


def test_shear_matches_the_native_operation():
    images = random_images(3, 9, 14, 3)
    x, y = np.array([[0.3, -0.5, 1.0], [0.2, 0.0, 1.0]], "float32")
    one, zero = np.ones(3), np.zeros(3)
    rows = [one, x, -x * 4, y, one, -y * 6.5, zero, zero]  # the middle is (6.5, 4)
    expected = tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=np.stack(rows, 1).astype("float32"),
        output_shape=[9, 14],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
    )
    np.testing.assert_allclose(ops.shear(images, x, y), expected, atol=1e-5)


def test_shear_hand_computed():
    image = picture([[1, 2, 3], [4, 5, 6], [7, 8, 9]]) / 16
    # The row above the middle reads half a pixel further left, the one below further right.
    expected = picture([[0.5, 1.5, 2.5], [4, 5, 6], [7.5, 8.5, 4.5]]) / 16
    np.testing.assert_array_equal(ops.shear(image, 0.5, 0.0), expected)
    expected = picture([[0, 2, 6], [1, 5, 9], [4, 8, 0]]) / 16
    np.testing.assert_array_equal(ops.shear(image, 0, 1), expected)


@shapes
@pytest.mark.parametrize("x, y", [(0.3, 0), (0, -0.7), (1, 1), ((0.1, 0, 1, -1, 2, 5), 0.25)])
def test_shear_matches_reference(shape, x, y):
    images = random_images(*shape)
    np.testing.assert_allclose(ops.shear(images, x, y), reference.shear(images, x, y), atol=1e-5)


@pytest.mark.parametrize(
    "dx, fill, expected",
    [
        (0, "black", [1, 2, 3, 4]),
        (1, "black", [0, 1, 2, 3]),
        (-3, "black", [4, 0, 0, 0]),
        (4, "black", [0, 0, 0, 0]),
        (1, "mirror", [2, 1, 2, 3]),
        (-2, "mirror", [3, 4, 3, 2]),
        (5, "mirror", [2, 3, 4, 3]),
        (6, "mirror", [1, 2, 3, 4]),
    ],
)
def test_translation_hand_computed(dx, fill, expected):
    row = picture([[1, 2, 3, 4]])
    np.testing.assert_array_equal(ops.translate(row, dx, 0, fill), picture([expected]))
    column = np.swapaxes(row, 1, 2)
    np.testing.assert_array_equal(
        ops.translate(column, 0, [dx], fill), np.swapaxes(picture([expected]), 1, 2)
    )


@shapes
@fills
@pytest.mark.parametrize("dx, dy", [(0, 0), (2, -3), (-50, 33), ((0, 1, -2, 7, 40, -9), 1)])
def test_translation_matches_reference(shape, fill, dx, dy):
    images = random_images(*shape)
    expected = reference.translate(images, dx, dy, fill)
    np.testing.assert_array_equal(ops.translate(images, dx, dy, fill), expected)


@fills
def test_largest_shifts(fill):
    images = random_images(2, 5, 6, 1)
    shift = np.array([2**31 - 1, -(2**31) + 1])
    # Whole periods of the mirrored image (8 rows, 10 columns) change nothing.
    small = [np.where(fill == "mirror", np.fmod(shift, side), shift // 2**20) for side in (10, 8)]
    expected = reference.translate(images, *small, fill)
    np.testing.assert_array_equal(ops.translate(images, shift, shift, fill), expected)


@fills
@pytest.mark.parametrize("height, width", [(3, 5), (7, 9), (1, 1), (20, 30)])
def test_crop_matches_reference(fill, height, width):
    images = random_images(4, 7, 9, 3)
    for top, left in ((0, 0), (2, 3), (-1, 8), ((0, 4, -3, -30), (5, 1, 12, 0))):
        result = ops.crop(images, top, left, height, width, fill)
        expected = reference.crop(images, top, left, height, width, fill)
        np.testing.assert_array_equal(result, expected)


@shapes
def test_flip_matches_numpy(shape):
    images, flipped = random_images(*shape), np.array([1, 0, 0, 1, 1, 0], bool)
    expected = np.where(flipped[:, None, None, None], images[:, :, ::-1], images)
    np.testing.assert_array_equal(ops.flip(images, flipped), expected)
    np.testing.assert_array_equal(ops.flip(images, True), images[:, :, ::-1])


@every
@shapes
def test_parameter_0_is_exactly_the_identity(name, shape):
    """Even in a batch with images that change."""
    images = random_images(*shape)
    np.testing.assert_array_equal(OPS[name](images, 0), images)
    result = OPS[name](images, [0, 1, 0, 2, 0, 3]).numpy()
    np.testing.assert_array_equal(result[::2], images[::2])
    if shape[1] > 1:
        assert (np.abs(result - images)[1::2].max((1, 2, 3)) > 0.1).all()


@every
def test_images_do_not_affect_each_other(name):
    images = random_images(*SHAPE)
    result = OPS[name](images, PARAMETERS).numpy()
    for i, parameter in enumerate(PARAMETERS):
        np.testing.assert_allclose(OPS[name](images[i : i + 1], parameter)[0], result[i], atol=1e-6)


@pytest.mark.parametrize("name", slow_unless(["rotate", "translate"], OPS))
def test_eager_graph_and_pipeline_agree(name):
    images, parameters = random_images(*SHAPE), tf.constant(PARAMETERS)
    eager = OPS[name](images, parameters).numpy()
    call = tf.function(
        OPS[name],
        input_signature=[
            tf.TensorSpec([None, 7, 9, 3], tf.float32),
            tf.TensorSpec([None], tf.int32),
        ],
    )
    assert call.get_concrete_function().output_shapes.as_list() == [None, 7, 9, 3]
    np.testing.assert_allclose(call(images, parameters), eager, atol=1e-6)
    data = tf.data.Dataset.from_tensor_slices((images, parameters)).batch(6).map(OPS[name])
    np.testing.assert_allclose(next(iter(data)), eager, atol=1e-6)
    assert call(images[:0], parameters[:0]).shape == (0, 7, 9, 3)
    assert OPS[name](images[:0], parameters[:0]).shape == (0, 7, 9, 3)


@every
@pytest.mark.parametrize("value", [0.0, 0.3, 1.0])
def test_constant_images(name, value):
    images = np.full(SHAPE, value, "float32")
    result = OPS[name](images, EXTREME).numpy()
    assert np.isfinite(result).all() and result.min() >= 0
    assert result.max() <= min(value + 1e-6, 1)  # a blend may round up, but never leaves [0, 1]
    slope = gradient(lambda x: OPS[name](x, EXTREME), images)[0]
    assert np.isfinite(slope).all()


@every
def test_gradient_is_the_adjoint(name):
    """The operations are linear in the image, so their values determine the gradient."""
    images, weights, other = (random_images(*SHAPE, seed=s) for s in range(3))
    (slope,) = gradient(lambda x: weights * OPS[name](x, PARAMETERS), images)
    expected = np.sum(weights * OPS[name](other, PARAMETERS), (1, 2, 3))
    np.testing.assert_allclose(np.sum(slope * other, (1, 2, 3)), expected, rtol=1e-5)


def test_gradient_by_angle_and_shear():
    images, weights = random_images(*SHAPE), random_images(*SHAPE, seed=1)
    step = 1e-6
    angles = np.array([10.0, -35.0, 160.0, 0.1, -91.0, 44.0])
    slope = gradient(lambda a: weights * ops.rotate(images, a), angles.astype("float32"))[0]
    ends = [weights * reference.rotate(images, angles + s) for s in (step, -step)]
    expected = np.sum(ends[0] - ends[1], (1, 2, 3)) / (2 * step)
    np.testing.assert_allclose(slope, expected, rtol=1e-3, atol=1e-4)
    x, y = np.array([[0.31, -0.2, 0.77, 0.03, 1.3, -0.93], [0.1, 0.55, -0.9, 0.01, 0.2, 0.99]])
    slopes = gradient(
        lambda x, y: weights * ops.shear(images, x, y), x.astype("float32"), y.astype("float32")
    )
    for slope, (by_x, by_y) in zip(slopes, ((step, 0), (0, step))):
        ends = [weights * reference.shear(images, x + s * by_x, y + s * by_y) for s in (1, -1)]
        expected = np.sum(ends[0] - ends[1], (1, 2, 3)) / (2 * step)
        np.testing.assert_allclose(slope, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("degrees", [0.0, 45.0, 90.0, 180.0, 1e6])
def test_gradient_is_finite(degrees):
    """Even on the grid, where the interpolation has a kink, and for a singular shear."""
    image = np.zeros(SHAPE, "float32")
    image[:, 3, 4] = 1
    for images in (image, 1 - image, image * 0, np.ones([6, 1, 1, 1], "float32")):
        for slope in gradient(ops.rotate, images, degrees):
            assert np.isfinite(slope).all()
        for slope in gradient(ops.shear, images, 1.0, 1.0):
            assert np.isfinite(slope).all()


def test_rotation_forward_backward():
    """A smooth image is recovered away from the corners."""
    y, x = np.mgrid[:33, :33] / 32.0
    image = (0.5 + 0.25 * np.sin(5 * x) * np.cos(4 * y))[None, :, :, None].astype("float32")
    back = ops.rotate(ops.rotate(image, 25.0), -25.0)
    np.testing.assert_allclose(back[:, 8:-8, 8:-8], image[:, 8:-8, 8:-8], atol=4e-3)


def test_drawn_shifts_are_equally_likely():
    most, n = np.array([0.0, 0.9, 1.0, 3.0, 3.7], "float32"), 20000
    draws = geometry.draw_shifts(tf.constant([1, 2]), tf.constant(np.repeat(most, n)))
    assert draws.dtype == tf.int32
    for drawn, s in zip(draws.numpy().reshape(5, n), (0, 0, 1, 3, 3)):
        values, counts = np.unique(drawn, return_counts=True)
        np.testing.assert_array_equal(values, np.arange(-s, s + 1))
        share = 1 / (2 * s + 1)
        assert np.abs(counts / n - share).max() <= 5 * math.sqrt(share * (1 - share) / n)


def test_drawn_shifts_of_the_largest_range():
    draws = geometry.draw_shifts(tf.constant([1, 2]), tf.fill([200000], 4096.0)).numpy()
    assert draws.min() == -4096 and draws.max() == 4096
    assert abs(draws.mean()) < 5 * 8193 / math.sqrt(12 * 200000)


@pytest.mark.parametrize(
    "call",
    [
        lambda x: ops.translate(x, 0.5, 0),
        lambda x: ops.translate(x, 0, np.ones(2, "float32")),
        lambda x: ops.crop(x, 1.0, 0, 2, 2),
    ],
)
def test_fractions_of_pixels_are_refused(call):
    with pytest.raises(TypeError, match=r"must be whole pixels.*received float32"):
        call(random_images(2, 4, 4, 3))


def test_unknown_words_are_refused():
    images = random_images(2, 4, 4, 3)
    with pytest.raises(ValueError, match="one of bilinear, nearest; received 'cubic'"):
        ops.rotate(images, 1.0, "cubic")
    with pytest.raises(ValueError, match="fill must be one of black, mirror; received 'white'"):
        ops.translate(images, 1, 1, "white")
