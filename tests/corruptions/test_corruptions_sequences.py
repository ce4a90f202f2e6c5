"""Perturbation sequences: hand-computed frames, and NumPy, SciPy and Pillow frame by frame."""

from __future__ import annotations

import colorsys
import math

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf
from scipy import ndimage

from tests.parameters import slow_unless
from tfrobust.corruptions import perturb, perturbation_frames, spatter
from tfrobust.corruptions.perturbations import TABLES, frame_count
from tfrobust.corruptions.sequences import _run_down
from tfrobust.ops import fields
from tfrobust.registries import HELD_OUT_PERTURBATIONS, NOISE_PERTURBATIONS, PERTURBATIONS

ALL = PERTURBATIONS + HELD_OUT_PERTURBATIONS
CASES = [(name, table) for table in TABLES for name in ALL if name in TABLES[table]]
#: Height and width of the images: what is upright must not be taken for what is across. One size
#: for nearly all tests, because what has run for a size and a number of images is compiled.
SIZE = (24, 29)
#: First and middle frames, and some between them; the last one is added. At the second and third
#: size the functions are the same, with other numbers.
SOME = {32: (0, 1, 7, 15), 64: (1,), 224: (1,)}
#: frame i -> angle in degrees, and so on, by table; written down apart from the module.
MOTION = {32: (6, 1.8, lambda i: (i - 20) * 9), 224: (10, 3, lambda i: (i - 30) * 4)}
SNOW = {32: (0.3, 2, 10, 2), 64: (0.28, 2, 10, 2.5), 224: (0.3, 3, 14, 4)}
BRIGHTNESS = {32: 0.015, 64: 0.02, 224: 0.02}
MIDDLE_OF_TRANSLATE = {32: 7, 64: 15, 224: 20}
TILT = {32: 0.75, 64: 1, 224: 1}
SCALE = {32: lambda i: (70 + 2 * i) / 100, 64: lambda i: (40 + 2.5 * i) / 100}
SCALE[224] = SCALE[64]
BLUR = {
    32: (lambda i: 0.3 + 0.015 * i, 7),
    64: (lambda i: 0.35 + 0.014 * i, 7),
    224: (lambda i: 0.25 + 0.035 * i, 6),
}


def photographs(height, width, count=2):
    """Smooth fields with edges and some noise, uint8."""
    random = np.random.default_rng(height * width)
    rows, columns = np.meshgrid(*(np.linspace(0, 1, n) for n in (height, width)), indexing="ij")
    images = []
    for _ in range(count):
        waves = random.normal(size=[3, 2, 1, 1]) * 6
        field = np.cos(waves[:, 0] * rows + waves[:, 1] * columns + random.random()) * 90 + 128
        field += random.normal(size=field.shape) * 5
        field[:, height // 3 : height // 2 + 1, width // 4 : width // 2 + 1] += 70
        images.append(field.transpose(1, 2, 0))
    return np.clip(np.stack(images), 0, 255).astype("uint8")


def numbers(name, table):
    return sorted({*SOME[table], frame_count(name, table) - 1})


# The scripts' operations on a single image.


def truncated(x):
    # As in the package, what is a whole number but for 1e-4 is one: in the scripts the rounding
    # errors decide.
    return np.uint8(np.clip(x * 255 + 1e-4, 0, 255))


def by_pillow(image, angle=0.0, shift=0, scale=1.0, shear=0.0):
    """The affine map of torchvision 0.2.1 for Pillow: what it reads, from what it writes."""
    picture = PIL.Image.fromarray(image)
    turn = math.radians(angle)
    slant = math.radians(shear)
    centre = [0.5 * side + 0.5 for side in picture.size]
    forward = scale * np.array(
        [[math.cos(turn), -math.sin(turn + slant)], [math.sin(turn), math.cos(turn + slant)]]
    )
    inverse = np.linalg.inv(forward)
    start = centre - inverse @ np.add(centre, [shift, 0])
    data = (*inverse[0], start[0], *inverse[1], start[1])
    bilinear = PIL.Image.Resampling.BILINEAR
    return np.asarray(picture.transform(picture.size, PIL.Image.Transform.AFFINE, data, bilinear))


def by_projection(image, degrees):
    """Pixels as points in space, turned about y and then x, moved away, and seen from 0."""
    height, width = image.shape[:2]
    focal = math.sqrt(height**2 + width**2)
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))

    def seen(x, y):
        x, y, z = x - width / 2, y - height / 2, 1.0
        x, z = cosine * x - sine * z, sine * x + cosine * z
        y, z = cosine * y - sine * z, sine * y + cosine * z + focal
        return focal * x / z + width / 2, focal * y / z + height / 2

    # The homography through the four corners, backwards.
    corners = [(0, 0), (width, 0), (width, height), (0, height)]
    equations, values = [], []
    for x, y in corners:
        u, v = seen(x, y)
        equations += [[u, v, 1, 0, 0, 0, -x * u, -x * v], [0, 0, 0, u, v, 1, -y * u, -y * v]]
        values += [x, y]
    matrix = np.append(np.linalg.solve(equations, values), 1).reshape(3, 3)
    rows, columns = np.indices((height, width))
    x, y, z = np.einsum("ij,jhw->ihw", matrix, np.stack([columns, rows, np.ones_like(rows)]))
    places = [np.round(32 * part / z) / 32 for part in (y, x)]
    channels = [
        ndimage.map_coordinates(channel.astype(float), places, order=1, mode="grid-constant")
        for channel in np.moveaxis(image, -1, 0)
    ]
    return np.floor(np.stack(channels, axis=-1) + 0.5).astype("uint8")


def by_line(image, radius, sigma, degrees):
    """ImageMagick's motion blur of an image with channels, whole numbers."""
    height, width = image.shape[:2]
    weights = np.exp(-(np.arange(2 * radius + 1) ** 2) / (2 * sigma**2))
    # Half pixels occur, so the divisions must be exactly ImageMagick's.
    point = [len(weights) * turn(math.pi * degrees / 180) for turn in (math.sin, math.cos)]
    total = 0
    for i, weight in enumerate(weights / weights.sum()):
        down, right = (math.ceil(i * part / math.hypot(*point) - 0.5) for part in point)
        rows, columns = np.arange(height) + down, np.arange(width) + right
        rows, columns = rows.clip(0, height - 1), columns.clip(0, width - 1)
        total = total + weight * image[rows][:, columns].astype(float)
    return np.floor(total + 0.5).astype("uint8")


def translate(image, i, table, key):
    return by_pillow(image, shift=i - MIDDLE_OF_TRANSLATE[table])


def rotate(image, i, table, key):
    return by_pillow(image, angle=i - 15)


def shear(image, i, table, key):
    return by_pillow(image, shear=i - 15)


def scale(image, i, table, key):
    return by_pillow(image, scale=SCALE[table](i))


def tilt(image, i, table, key):
    return by_projection(image, TILT[table] * (i - 15))


def zoom_blur(image, i, table, key):
    zooms = [image / 255]
    zooms += [by_pillow(image, scale=1 + 0.004 * k) / 255 for k in range(1, i + 1)]
    return truncated(np.mean(zooms, axis=0))


def gaussian_blur(image, i, table, key):
    sigma, truncate = BLUR[table]
    options = {"mode": "nearest", "truncate": truncate}
    return truncated(ndimage.gaussian_filter(image / 255, (sigma(i), sigma(i), 0), **options))


def motion_blur(image, i, table, key):
    radius, sigma, degrees = MOTION[table]
    return by_line(image, radius, sigma, degrees(i))


def brightness(image, i, table, key):
    result = np.empty(image.shape)
    for place in np.ndindex(*image.shape[:2]):
        hue, saturation, value = colorsys.rgb_to_hsv(*image[place] / 255)
        value = min(max(value + BRIGHTNESS[table] * (i - 15), 0), 1)
        result[place] = colorsys.hsv_to_rgb(hue, saturation, value)
    return truncated(result)


def snow(image, i, table, key):
    deviation, zoom, radius, sigma = SNOW[table]
    height, width = image.shape[:2]
    crop = [math.ceil(side / zoom) for side in (height, width)]
    noise = fields.normal(key[np.newaxis], crop)[0].numpy().astype(float)
    flakes = ndimage.zoom(0.05 + deviation * noise, zoom, order=1)
    top, left = ((large - side) // 2 for large, side in zip(flakes.shape, image.shape))
    flakes = flakes[top : top + height, left : left + width]
    flakes[flakes < 0.5] = 0
    flakes = by_line(truncated(flakes)[..., np.newaxis], radius, sigma, 4 * i - 150) / 255
    x = image / 255
    grey = x @ [0.299, 0.587, 0.114]
    white = 0.85 * x + 0.15 * np.maximum(x, 1.5 * grey[..., np.newaxis] + 0.5)
    return truncated(white + flakes + flakes[::-1, ::-1])


REFERENCES = [translate, rotate, shear, scale, tilt, zoom_blur, gaussian_blur]
REFERENCES += [motion_blur, brightness, snow]


@pytest.mark.parametrize("table", slow_unless([32], TABLES))
@pytest.mark.parametrize("reference", REFERENCES, ids=lambda function: function.__name__)
def test_frames_are_those_of_the_script(reference, table):
    name = reference.__name__
    if name not in TABLES[table]:
        pytest.skip("the benchmark has none")
    images = photographs(*SIZE)
    wanted = numbers(name, table)
    keys = fields.image_keys(3, f"sequence:{name}", 1, tf.range(len(images)))
    frames = perturb(images, name, 3, table=table, frames=wanted).numpy()
    expected = np.stack(
        [[reference(im, i, table, key) for i in wanted] for im, key in zip(images, keys)]
    )
    assert frames.shape == expected.shape and frames.dtype == expected.dtype
    difference = np.abs(frames.astype(int) - expected)
    assert difference.max() <= 1
    # What is a whole number before it is cut off may fall to either side: in Pillow's bilinear
    # reading too, where the matrices differ in their last bits.
    assert np.mean(difference > 0) < (0.01 if name in ("shear", "scale") else 0.002)


@pytest.mark.parametrize("name", ["translate", "rotate", "shear", "scale", "tilt", "zoom_blur"])
def test_moved_images_of_odd_sizes_are_cut_afterwards(name):
    images = photographs(30, 41)
    reference = {function.__name__: function for function in REFERENCES}[name]
    for image, frame in zip(images, perturb(images, name, crop=21, table=32, frames=[3])):
        expected = reference(image, 3, 32, None)
        top, left = round((30 - 21) / 2), round((41 - 21) / 2)
        expected = expected[top : top + 21, left : left + 21]
        difference = np.abs(frame[0].numpy().astype(int) - expected)
        assert difference.max() <= 1 and np.mean(difference > 0) < 0.01


def test_by_hand():
    image = np.array([90, 60, 30, 0], "uint8").reshape([1, 1, 4, 1]).repeat(3, axis=3)

    def first_row(name, **options):
        return perturb(image, name, table=32, **options)[0, :, 0, :, 0].numpy().tolist()

    assert first_row("translate", frames=[5, 7, 8]) == [
        [30, 0, 0, 0],
        [90, 60, 30, 0],
        [0, 90, 60, 30],
    ]
    # 255 · 0.015 = 3.825 is added to V; black is then grey.
    assert first_row("brightness", frames=[14, 15, 16]) == [
        [86, 56, 26, 0],
        [90, 60, 30, 0],
        [93, 63, 33, 3],
    ]
    # About 2.5 instead of the middle 2, by 0.8: centres 0.5, 1.5, ... are read at 0, 1.25, 2.5 and
    # 3.75, which is at the edge, at a quarter of the second and at centres.
    assert first_row("scale", frames=[5]) == [[90, 67, 30, 0]]


@pytest.mark.parametrize("table", TABLES)
def test_numbers_of_frames(table):
    counts = {name: frame_count(name, table) for name in ALL if name in TABLES[table]}
    others = {
        32: {"motion_blur": 21, "translate": 16},
        64: {},
        224: {"translate": 41},
    }
    expected = {name: others[table].get(name, 31) for name in counts}
    assert counts == expected
    assert len(ALL) == 14 and len(counts) == (13 if table == 64 else 14)
    image = photographs(8, 8, 1)
    for name in ("translate", "brightness"):
        assert perturb(image, name, table=table).shape == (1, counts[name], 8, 8, 3)


@pytest.mark.parametrize(
    ("name", "clean"),
    [
        *((name, 0) for name in (*NOISE_PERTURBATIONS, "zoom_blur")),
        *((name, 15) for name in ("brightness", "rotate", "scale", "shear")),
        ("translate", 7),
    ],
)
def test_one_frame_is_the_clean_image(name, clean):
    images = photographs(*SIZE)
    count = frame_count(name, 32)
    near = [i for i in (clean - 1, clean, clean + 1) if 0 <= i < count]
    for i, frame in zip(near, perturbation_frames(images, name, table=32, frames=near)):
        assert np.array_equal(frame, images) == (i == clean)


@pytest.mark.parametrize("name", ["motion_blur", "snow", "tilt", "gaussian_blur"])
def test_no_frame_is_the_clean_image(name):
    images = photographs(*SIZE)
    for frame in perturbation_frames(images, name, table=32, frames=range(0, 21, 5)):
        assert not np.array_equal(frame, images)


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("difficulty", [1, 2, 3])
def test_noise_has_its_strength_and_is_independent(table, difficulty):
    images = np.full([2, 48, 48, 3], 120, "uint8")
    values = images.size
    for name in NOISE_PERTURBATIONS:
        strength = TABLES[table][name][difficulty - 1]
        frames = perturb(
            images, name, table=table, difficulty=difficulty, frames=[0, 1, 30]
        ).numpy()
        noise = (frames[:, 1:].astype(float) - 120) / 255
        x = 120 / 255
        deviation = {
            "gaussian_noise": strength,
            "speckle_noise": strength * x,
            "shot_noise": math.sqrt(x / strength),
        }[name]
        # Cutting off to 8 bits: half a step less, and a variance of a twelfth of a step.
        expected = math.hypot(deviation, 1 / 255 / math.sqrt(12))
        assert np.array_equal(frames[:, 0], images)
        for draw in (noise[:, 0], noise[:, 1]):
            # 5 standard errors; the counts of shot noise lie on few levels, so a step more.
            assert abs(draw.mean() + 0.5 / 255) < 5 * expected / math.sqrt(values) + 0.2 / 255
            assert abs(draw.std() / expected - 1) < 5 / math.sqrt(2 * values) + 0.02
        correlation = np.corrcoef(noise[:, 0].ravel(), noise[:, 1].ravel())[0, 1]
        assert abs(correlation) < 5 / math.sqrt(values)


def test_strengths_of_noise():
    assert [TABLES[table]["gaussian_noise"] for table in TABLES] == [
        (0.02, 0.04, 0.06),
        (0.025, 0.05, 0.075),
        (0.03, 0.05, 0.08),
    ]
    assert [TABLES[table]["shot_noise"] for table in TABLES] == [
        (700, 400, 200),
        (500, 250, 125),
        (300, 120, 60),
    ]
    assert [TABLES[table]["speckle_noise"] for table in TABLES] == [
        (0.05, 0.07, 0.1),
        (0.05, 0.1, 0.15),
        (0.05, 0.1, 0.15),
    ]


@pytest.mark.parametrize(
    ("table", "arguments"),
    [
        pytest.param(32, (0.6, 0.265, 1.75, 0.7), marks=pytest.mark.slow),
        (64, (0.6, 0.25, 1.75, 0.7)),
        pytest.param(224, (0.65, 0.27, 3.7, 0.69), marks=pytest.mark.slow),
    ],
)
def test_spatter_begins_as_the_corruption_and_runs_down(table, arguments):
    images = photographs(*SIZE)
    frames = perturb(images, "spatter", 5, table=table, frames=[0, 2]).numpy()
    keys = fields.image_keys(5, "sequence:spatter", 1, tf.range(2))
    first = spatter.spatter(tf.cast(images, tf.float32), keys, *arguments, 0.6, 0)
    # The layer is rounded once more here, so that a pixel of it may fall to the next whole number.
    expected = np.clip(first.numpy() + 1e-4, 0, 255).astype("uint8")
    assert np.mean(frames[:, 0] != expected) < 0.01
    assert not np.array_equal(frames[:, 0], frames[:, 1])


@pytest.mark.parametrize("kernel", [(0.2, 0.8), (0.05, 0.1, 0.15, 0.7)])
def test_running_down_is_numpys_convolution(kernel):
    layer = np.random.default_rng(0).random([2, 11, 5])
    weights = kernel if len(kernel) == 4 else (0, *kernel, 0)
    expected = np.apply_along_axis(lambda line: np.convolve(line, kernel, "same"), 1, layer)
    result = _run_down(tf.constant(layer, tf.float32), tf.constant(weights, tf.float32))
    np.testing.assert_allclose(result, expected, atol=1e-6)
    rows = [TABLES[table]["spatter"][2] for table in (32, 64, 224)]
    assert weights in rows


@pytest.mark.parametrize("name", slow_unless(["shot_noise", "motion_blur", "snow", "tilt"], ALL))
def test_an_image_has_the_same_frames_in_any_batch(name):
    images, options = photographs(*SIZE, 5), {"table": 32, "frames": [1, 3]}
    beside, swapped, alone = (
        perturb(images[chosen], name, 7, index=chosen, **options).numpy()
        for chosen in ([0, 4], [4, 0], [4])
    )
    np.testing.assert_array_equal(swapped[::-1], beside)
    np.testing.assert_array_equal(alone[0], beside[1])


@pytest.mark.parametrize("name", slow_unless(["tilt"], ["gaussian_noise", "zoom_blur", "tilt"]))
def test_in_a_data_pipeline(name):
    images, options = photographs(*SIZE), {"table": 32, "frames": [1, 3]}
    data = tf.data.Dataset.from_tensor_slices((images, [0, 1])).batch(2)
    data = data.map(lambda batch, index: perturb(batch, name, 2, index=index, **options))
    (frames,) = data
    np.testing.assert_array_equal(frames, perturb(images, name, 2, **options))


@pytest.mark.parametrize("name", ["gaussian_noise", "motion_blur", "tilt"])
def test_no_image(name):
    frames = perturb(photographs(*SIZE)[:0], name, table=32, frames=[1, 3])
    assert frames.shape == (0, 2, *SIZE, 3) and frames.dtype == tf.uint8


@pytest.mark.parametrize("name", ["gaussian_noise", "zoom_blur", "spatter"])
def test_chosen_frames_are_those_of_the_whole_sequence(name):
    images = photographs(*SIZE)
    whole = perturb(images, name, table=32).numpy()
    np.testing.assert_array_equal(
        perturb(images, name, table=32, frames=(2, 9, 30)), whole[:, [2, 9, 30]]
    )


def test_seeds():
    images = photographs(*SIZE)

    def frame(name, seed=0, **options):
        return perturb(images, name, seed, table=32, frames=[4], **options).numpy()

    for name in (*NOISE_PERTURBATIONS, "snow", "spatter"):
        assert np.array_equal(frame(name), frame(name))
        assert not np.array_equal(frame(name), frame(name, 1))
        assert not np.array_equal(frame(name), frame(name, index=[2, 3]))
    assert np.array_equal(frame("rotate"), frame("rotate", 1))


def test_floating_point_images():
    images = photographs(*SIZE)
    for name in ("rotate", "gaussian_noise", "motion_blur"):
        bytes_ = perturb(images, name, table=32, frames=[2, 5]).numpy()
        floats = perturb(images.astype("float32") / 255, name, table=32, frames=[2, 5])
        assert floats.dtype == tf.float32
        np.testing.assert_array_equal(np.rint(floats.numpy() * 255), bytes_)
        np.testing.assert_allclose(floats, bytes_ / 255, atol=1e-7)


@pytest.mark.parametrize(
    "name", ["zoom_blur", "snow", "tilt", "scale", "gaussian_blur", "motion_blur"]
)
def test_small_and_extreme_images(name):
    constant = np.array([77, 255], "uint8").reshape([2, 1, 1, 1])
    for images in (np.zeros([2, 1, 1, 3], "uint8"), np.zeros([2, *SIZE, 3], "uint8")):
        images += constant
        frames = perturb(images, name, table=32, frames=[2, 15]).numpy()
        assert frames.shape == (2, 2, *images.shape[1:])
        if name in ("motion_blur", "gaussian_blur"):  # a constant image stays as it is
            assert np.all(frames == images[:, np.newaxis])


def test_frames_come_one_after_the_other():
    frames = perturbation_frames(photographs(8, 8), "rotate", table=32)
    assert iter(frames) is frames
    assert next(frames).shape == (2, 8, 8, 3)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("fog", {"table": 32}, "name must be one of.*received 'fog'"),
        ("rotate", {}, "images of 8x8 pixels have no severities of their own"),
        ("rotate", {"table": 31}, "table must be 32, 64 or 224"),
        ("rotate", {"crop": 4}, "images of 4x4 pixels"),
        ("rotate", {"table": 32, "crop": 9}, "crop must be .*received 9"),
        ("motion_blur", {"table": 64}, "'motion_blur' has no sequence at 64 pixels"),
        ("rotate", {"table": 32, "difficulty": 2}, "difficulty must be 1 for 'rotate'"),
        ("shot_noise", {"table": 32, "difficulty": 4}, "difficulty must be .*received 4"),
        ("translate", {"table": 32, "frames": [16]}, "frames must be .*received 16"),
        ("translate", {"table": 32, "frames": [3, 3]}, "frames must be increasing"),
        ("translate", {"table": 32, "frames": []}, "frames must be increasing"),
        ("rotate", {"table": 32, "seed": -1}, "seed must be .*received -1"),
    ],
)
def test_errors_come_before_the_first_frame(name, options, message):
    with pytest.raises(ValueError, match=message):
        perturbation_frames(photographs(8, 8), name, **options)


def test_wrong_images():
    images = photographs(8, 8)
    with pytest.raises(ValueError, match="3 channels"):
        perturbation_frames(images[..., :1], "rotate", table=32)
    with pytest.raises(ValueError, match="must lie in"):
        perturbation_frames(images.astype("float32"), "rotate", table=32)
    with pytest.raises(ValueError, match="batch, height, width"):
        perturbation_frames(images[0], "rotate", table=32)
    with pytest.raises(TypeError, match="floating-point"):
        perturbation_frames(images.astype("int32"), "rotate", table=32)


@pytest.mark.parametrize("name", ["rotate", "tilt"])
def test_images_of_two_sizes_in_one_process(name):
    """A graph traced for one size must not be used for another."""
    for side in (32, 40):
        images = np.random.default_rng(side).integers(0, 256, [2, side, side, 3]).astype("uint8")
        together = perturb(images, name, crop=24, table=32, frames=[3, 20])
        alone = perturb(images[1:], name, crop=24, table=32, frames=[3, 20], index=[1])
        assert together.shape[2:] == (24, 24, 3)
        np.testing.assert_array_equal(together[1:], alone)
