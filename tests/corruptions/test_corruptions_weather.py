"""Snow, frost and fog: against NumPy and SciPy, given the same random numbers."""

import importlib.util
import math
import warnings

import numpy as np
import PIL.Image
import pytest
import scipy.ndimage
import tensorflow as tf

from tests.corruptions.test_corruptions_motion import blurred, photographs
from tfrobust.corruptions import frost_textures, motion, severities, weather
from tfrobust.corruptions.frost_textures import textures
from tfrobust.corruptions.plasma import plasma_fractal
from tfrobust.ops import fields


def keys(count, name="snow", seed=1):
    return fields.image_keys(seed, name, 3, tf.range(count))


# Snow.


def flakes_of(noise, angle, height, width, location, scale, zoom, threshold, radius, sigma):
    """The layer of flakes from its transposed field."""
    layer = (location + scale * noise.astype(float)).T
    layer = scipy.ndimage.zoom(layer, zoom, order=1)
    top, left = (layer.shape[0] - height) // 2, (layer.shape[1] - width) // 2
    layer = layer[top : top + height, left : left + width]
    layer = np.where(layer < threshold, 0, layer).clip(0, 1)
    return blurred(np.floor(layer * 255)[..., None], angle, radius, sigma)[0][..., 0]


@pytest.mark.parametrize(
    "size, table, severity",
    [((33, 47), 32, 1), ((70, 96), 224, 4)],
)
def test_snow_equals_numpy_and_scipy(size, table, severity):
    numbers = severities.parameters("snow", severity, table)
    images = photographs(4, *size)
    result = weather.snow(tf.constant(images), keys(4), *numbers).numpy()
    crop = [math.ceil(side / numbers[2]) for side in size]
    noise = fields.normal(keys(4), crop[::-1]).numpy()
    angles = motion.draw_angles(keys(4), -135, -45).numpy()
    x = images / 255.0
    grey = (x @ [0.299, 0.587, 0.114])[..., None]
    whitened = numbers[6] * x + (1 - numbers[6]) * np.maximum(x, grey * 1.5 + 0.5)
    for i in range(4):
        flakes = flakes_of(noise[i], angles[i], *size, *numbers[:6])[..., None] / 255
        expected = 255 * (whitened[i] + flakes + np.rot90(flakes, 2))
        error = abs(result[i] - expected)
        assert error.max() < 2.1  # each of two layers may round the other way
        assert np.mean(error > 0.02) < 0.06
        assert flakes.max() > 0.05  # it does snow


def test_snow_golden_value():
    # Nothing below the threshold 9 stays: only the whitening, of 60, 120, 180 with mix 0.8.
    images = tf.reshape([60.0, 120.0, 180.0], [1, 1, 1, 3]) + tf.zeros([1, 5, 4, 3])
    grey = 1.5 * (0.299 * 60 + 0.587 * 120 + 0.114 * 180) + 127.5  # 290.85
    expected = [0.8 * value + 0.2 * grey for value in (60, 120, 180)]
    result = weather.snow(images, keys(1), 0.1, 0.2, 1.5, 9, 8, 3, 0.8)
    np.testing.assert_allclose(result[0, 2, 1], expected, atol=1e-3)


def test_snow_falls_and_is_symmetric():
    black = tf.zeros([64, 32, 32, 3])
    flakes = weather.snow(black, keys(64), 0.1, 0.2, 1, 0.5, 10, 4, 1.0).numpy()[..., 0]
    np.testing.assert_array_equal(flakes, np.rot90(flakes, 2, axes=(1, 2)))
    # Streaks are steeper than 45°: neighbours above each other are more alike than side by side.
    vertical = abs(np.diff(flakes, axis=1)).mean()
    horizontal = abs(np.diff(flakes, axis=2)).mean()
    assert vertical < 0.8 * horizontal


# Fog.


def plasma_of(noise, size, decay):
    """Diamond-square point by point on a periodic map, in double precision."""
    plasma = np.zeros([size, size])
    step, wibble, used = size, 1.0, 0
    while step > 1:
        half, points = step // 2, size // step
        middle, top, left = (noise[used : used + 3 * points**2] * 2.0 - 1).reshape(
            3, points, points
        )

        def fill(row, column, neighbours, value, wibble=wibble):
            mean = sum(plasma[r % size, c % size] for r, c in neighbours) / 4
            plasma[row, column] = mean + wibble**2 * value

        for i in range(points):
            for j in range(points):
                y, x = i * step, j * step
                corners = [(y, x), (y + step, x), (y, x + step), (y + step, x + step)]
                fill(y + half, x + half, corners, middle[i, j])
        for i in range(points):
            for j in range(points):
                y, x = i * step, j * step
                beside = [(y, x), (y, x + step), (y - half, x + half), (y + half, x + half)]
                fill(y, x + half, beside, top[i, j])
                beside = [(y, x), (y + step, x), (y + half, x - half), (y + half, x + half)]
                fill(y + half, x, beside, left[i, j])
        used += 3 * points**2
        step, wibble = half, wibble / decay
    return plasma


@pytest.mark.parametrize("size, decay", [(32, 3), (64, 1.75)])
def test_plasma_equals_the_sequential_one(size, decay):
    result = plasma_fractal(keys(3), size, decay).numpy()
    noise = fields.uniform(keys(3), [size * size]).numpy()
    for i in range(3):
        np.testing.assert_allclose(result[i], plasma_of(noise[i, 1:], size, decay), atol=2e-6)


def test_plasma_golden_value():
    # Two by two: every new point has the first as all neighbours but for the middle.
    u = fields.uniform(keys(1), [4]).numpy()[0].astype(float) * 2 - 1
    plasma = plasma_fractal(keys(1), 2, 3.0).numpy()[0]
    middle = u[1]
    expected = [[0, middle / 2 + u[2]], [middle / 2 + u[3], middle]]
    np.testing.assert_allclose(plasma, expected, atol=1e-6)


@pytest.mark.parametrize(
    "size, map_size, whole",
    [((32, 32), 32, 32), ((33, 47), 32, 64)],
)
def test_fog_equals_numpy(size, map_size, whole):
    images = photographs(3, *size) // 2
    result = weather.fog(tf.constant(images), keys(3), 0.75, 2.5, map_size).numpy()
    plasma = plasma_fractal(keys(3), whole, 2.5).numpy().astype(float)
    for i in range(3):
        haze = (plasma[i] - plasma[i].min()) / np.ptp(plasma[i])
        x = images[i] / 255.0
        bright = x.max()
        expected = (x + 0.75 * haze[: size[0], : size[1], None]) * bright / (bright + 0.75)
        np.testing.assert_allclose(result[i], 255 * expected, atol=0.01)


def test_plasma_is_a_fractal_of_the_decay():
    """The amplitude falls by decay² per level, within five standard errors."""
    size, decay = 32, 2.0
    plasma = plasma_fractal(keys(400), size, decay).numpy().astype(float)
    deviations = []
    for step in (8, 4, 2):
        half = step // 2
        old = plasma[:, ::step, ::step]
        mean = (
            sum(np.roll(old, shift, (1, 2)) for shift in ((0, 0), (-1, 0), (0, -1), (-1, -1))) / 4
        )
        added = plasma[:, half::step, half::step] - mean
        level = math.log2(size / step)
        expected = decay ** (-2 * level) / math.sqrt(3)  # of U(-a, a)
        # The square of a uniform number has a relative standard error of √0.8.
        assert abs(added.var() / expected**2 - 1) < 5 * math.sqrt(0.8 / added.size)
        assert abs(added.mean()) < 5 * expected / math.sqrt(added.size)
        deviations.append(added.std())
    np.testing.assert_allclose(np.divide(deviations[:-1], deviations[1:]), decay**2, rtol=0.1)


def test_fog_of_black_is_black_and_of_white_at_most_white():
    assert not weather.fog(tf.zeros([2, 8, 8, 3]), keys(2), 1.5, 2, 32).numpy().any()
    white = weather.fog(tf.fill([2, 8, 8, 3], 255.0), keys(2), 1.5, 2, 32).numpy()
    assert white.min() > 100 and white.max() <= 255.001


# Frost.


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Five smooth photographs of different sizes, the last two JPEG, one with transparency."""
    place = tmp_path_factory.mktemp("frost")
    for number, (height, width) in enumerate([(60, 90), (50, 70), (41, 64), (44, 83), (70, 48)], 1):
        y, x = np.mgrid[:height, :width]
        photo = np.stack([2 * y + number, 2 * x, 20 * number + 0 * x], -1).clip(0, 255)
        image = PIL.Image.fromarray(photo.astype("uint8"))
        if number == 1:
            image.putalpha(7)  # must not matter
        image.save(place / f"frost{number}.{'png' if number < 4 else 'jpg'}")
    return place


def opened(folder):
    return [
        np.asarray(PIL.Image.open(path).convert("RGB"), float) for path in sorted(folder.iterdir())
    ]


@pytest.mark.parametrize("size", [(32, 32), (7, 9), (33, 47)])
def test_frost_is_a_window_of_one_photograph(folder, size):
    photos = opened(folder)
    images = photographs(12, *size)
    result = weather.frost(tf.constant(images), keys(12), 0.9, 0.4, 1, folder=folder).numpy()
    draws = fields.uniform(keys(12), [3]).numpy()
    chosen = set()
    for image, received, draw in zip(images, result, draws):
        number = int(draw[0] * 5)
        photo = photos[number]
        row = int(draw[1] * (photo.shape[0] - size[0]))
        column = int(draw[2] * (photo.shape[1] - size[1]))
        part = photo[row : row + size[0], column : column + size[1]]
        # JPEG decoders differ by one step here and there.
        expected = 0.9 * image + 0.4 * part
        assert abs(received - expected).max() < (0.9 if number > 2 else 1e-3)
        chosen.add(number)
    assert len(chosen) >= 4


def test_frost_golden_value(folder):
    """The second photograph's blue is 40; 0.5·200 + 0.25·40 = 110."""
    images = tf.fill([40, 9, 9, 3], 200.0)
    result = weather.frost(images, keys(40), 0.5, 0.25, 1, folder=folder).numpy()
    number = np.floor(np.asarray(fields.uniform(keys(40), [3]))[:, 0] * 5)
    assert np.sum(number == 1)
    np.testing.assert_allclose(result[number == 1][..., 2], 110, atol=1e-3)


@pytest.mark.parametrize("scale", [0.2, 0.3, 0.5])
def test_textures_are_sampled_at_the_centres(folder, scale):
    source = frost_textures.frost_source(folder)
    kept = textures(source, scale)
    for i, photo in enumerate(opened(folder)[:3]):
        height, width = kept.heights[i], kept.widths[i]
        assert (height, width) == (round(photo.shape[0] * scale), round(photo.shape[1] * scale))
        start = kept.starts[i]
        texture = kept.pixels[start : start + height * width].reshape(height, width, 3)
        y, x = ((np.arange(n) + 0.5) / scale - 0.5 for n in (height, width))
        places = np.meshgrid(y, x, indexing="ij")
        for channel in range(3):
            expected = scipy.ndimage.map_coordinates(
                photo[..., channel], places, order=1, mode="nearest"
            )
            assert abs(texture[..., channel] - expected).max() <= 0.51


def test_choices_of_frost_are_uniform(folder):
    images = tf.zeros([2000, 2, 2, 3])
    result = weather.frost(images, keys(2000), 0, 1, 1, folder=folder).numpy()
    number = np.round(result[:, 0, 0, 2] / 20)  # blue is 20 times the number
    counts = [np.sum(number == k) for k in range(1, 6)]
    assert sum(counts) == 2000
    assert max(abs(count - 400) for count in counts) < 5 * math.sqrt(2000 * 0.2 * 0.8)
    rows = (result[number == 2][:, 0, 0, 0] - 2) / 2  # red is twice the row, and the number
    assert rows.min() == 0 and rows.max() == 50 - 2 - 1


def test_frost_source_says_where(folder, monkeypatch, tmp_path):
    assert frost_textures.frost_source(folder) == frost_textures.FrostSource(
        "photographs", str(folder)
    )
    package = tmp_path / "imagecorruptions"
    (package / "frost").mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('must not be imported')")
    for path in folder.iterdir():
        (package / "frost" / path.name).write_bytes(path.read_bytes())
    monkeypatch.syspath_prepend(tmp_path)
    source = frost_textures.frost_source()
    assert source.label == "photographs" and source.where == str(package / "frost")


def test_without_photographs_a_formula_and_a_warning(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    textures.cache_clear()
    images = tf.fill([4, 32, 32, 3], 100.0)
    with pytest.warns(UserWarning, match="not comparable"):
        first = weather.frost(images, keys(4), 0.9, 0.4, 0.2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # once is enough
        second = weather.frost(images, keys(4), 0.9, 0.4, 0.2)
    np.testing.assert_array_equal(first, second)
    assert frost_textures.frost_source().label == "procedural"
    kept = textures(frost_textures.frost_source(), 0.2)
    # As bright and as varied as the second photograph: 205 and 22, less what is clipped.
    green = kept.pixels[kept.starts[1] : kept.starts[2], 1]
    assert abs(green.mean() - 205) < 5 and 15 < green.std() < 25
    textures.cache_clear()


def test_frost_errors(folder, tmp_path):
    images = tf.zeros([1, 41, 30, 3])
    with pytest.raises(ValueError, match=r"at most 40x47 pixels .*received images of 41x30"):
        weather.frost(images, keys(1), 1, 0.2, 1, folder=folder)
    with pytest.raises(FileNotFoundError, match="frost1, frost2, frost3, frost4, frost5 missing"):
        weather.frost(images, keys(1), 1, 0.2, 1, folder=tmp_path)
    (tmp_path / "frost1.png").write_bytes((folder / "frost1.png").read_bytes())
    with pytest.raises(FileNotFoundError, match="jpeg; frost2, frost3, frost4, frost5 missing"):
        weather.frost(images, keys(1), 1, 0.2, 1, folder=tmp_path)


# All three.


def runs(folder):
    return {
        "snow": lambda x, k: weather.snow(x, k, 0.25, 0.3, 2.25, 0.6, 3, 2, 0.85),
        "frost": lambda x, k: weather.frost(x, k, 0.9, 0.4, 1, folder=folder),
        "fog": lambda x, k: weather.fog(x, k, 0.75, 2.5, 16),
    }


def test_photographs_are_read_while_a_pipeline_is_traced(folder):
    textures.cache_clear()
    run = runs(folder)["frost"]
    images, k = tf.constant(photographs(2, 13, 11)), keys(2)
    data = tf.data.Dataset.from_tensor_slices((images, k)).batch(2)
    (frosted,) = data.map(run)
    np.testing.assert_allclose(frosted, run(images, k), atol=1e-4)


@pytest.mark.parametrize("name", ["snow", "frost", "fog"])
def test_one_pixel(name, folder):
    result = runs(folder)[name](tf.constant(photographs(2, 1, 1)), keys(2)).numpy()
    assert result.shape == (2, 1, 1, 3) and np.isfinite(result).all()
