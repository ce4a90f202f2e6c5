"""Spatter against OpenCV's algorithms, reimplemented in NumPy with loops over neighbours."""

import itertools

import numpy as np
import pytest
import scipy.ndimage
import tensorflow as tf

from tfrobust.corruptions import edges as edges_of
from tfrobust.corruptions import spatter
from tfrobust.corruptions.severities import TABLES
from tfrobust.ops import fields

AROUND = [place for place in itertools.product((-1, 0, 1), repeat=2) if place != (0, 0)]


def keys(count, severity=1):
    return fields.image_keys(0, "spatter", severity, tf.range(count))


def photographs(count, height, width, seed=0):
    random = np.random.default_rng(seed)
    smooth = scipy.ndimage.gaussian_filter(
        random.normal(size=[count, height, width, 3]), (0, 3, 3, 0)
    )
    return np.round(smooth / np.abs(smooth).max() * 100 + 128).astype("float32")


def moved(padded, down, right):
    """The neighbours of all pixels in a direction; padded by one pixel."""
    height, width = padded.shape[0] - 2, padded.shape[1] - 2
    return padded[1 + down : 1 + down + height, 1 + right : 1 + right + width]


def canny(liquid):
    """Edges of one 8-bit map, thresholds 50 and 150, the L1 norm of 3×3 Sobel gradients."""
    around = np.pad(liquid.astype(int), 1, mode="edge")
    gx = sum(w * (moved(around, i, 1) - moved(around, i, -1)) for i, w in ((-1, 1), (0, 2), (1, 1)))
    gy = sum(w * (moved(around, 1, i) - moved(around, -1, i)) for i, w in ((-1, 1), (0, 2), (1, 1)))
    size = np.pad(abs(gx) + abs(gy), 1)
    crest = np.zeros(liquid.shape, int)
    for h, w in np.ndindex(*liquid.shape):
        x, y, here = abs(gx[h, w]), abs(gy[h, w]), size[1 + h, 1 + w]
        straight = True
        if y << 15 < x * 13573:
            down, right = 0, 1
        elif y << 15 > x * (13573 + (1 << 16)):
            down, right = 1, 0
        else:
            down, right = 1, 1 if (gx[h, w] < 0) == (gy[h, w] < 0) else -1
            straight = False
        before, after = size[1 + h - down, 1 + w - right], size[1 + h + down, 1 + w + right]
        if here > before and (here > after or (straight and here == after)) and here > 50:
            crest[h, w] = 2 if here > 150 else 1
    edges = np.zeros(liquid.shape, bool)
    found = list(np.argwhere(crest == 2))
    while found:
        h, w = found.pop()
        if not edges[h, w]:
            edges[h, w] = True
            for i, j in AROUND:
                if 0 <= h + i < len(crest) and 0 <= w + j < len(crest[0]) and crest[h + i, w + j]:
                    found.append((h + i, w + j))
    return edges


def chamfer(edges):
    """Shortest paths of straight, diagonal and knight's steps, relaxed until convergence."""
    steps = {}
    for i, j in itertools.product(range(-2, 3), repeat=2):
        length = {1: 1.0, 2: 1.4, 5: 2.1969}.get(i * i + j * j)
        if length:
            steps[i, j] = length
    height, width = edges.shape
    distance = np.where(edges, 0.0, 1e3)
    while True:
        around = np.pad(distance, 2, constant_values=1e3)
        ways = [
            around[2 + i : 2 + i + height, 2 + j : 2 + j + width] + length
            for (i, j), length in steps.items()
        ]
        shorter = np.minimum(distance, np.min(ways, axis=0))
        if np.array_equal(shorter, distance):
            return np.minimum(distance, 20)
        distance = shorter


def ripples(distance):
    def box(values):
        around = np.pad(values, 1, mode="reflect")
        return sum(moved(around, *place) for place in (*AROUND, (0, 0)))

    levels = np.floor(box(distance) / 9 + 1e-5).astype(int)
    counts = np.bincount(levels.ravel(), minlength=256)
    first = np.flatnonzero(counts)[0]
    if counts[first] < levels.size:
        scale = np.float32(255) / np.float32(levels.size - counts[first])
        sums = (np.cumsum(counts) - counts[first]).astype(np.float32)
        levels = np.rint(sums * scale).astype(int)[levels]
    around = np.pad(levels, 1, mode="reflect")
    kernel = np.array([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]])
    sharp = sum(w * moved(around, i - 1, j - 1) for (i, j), w in np.ndenumerate(kernel))
    return (2 * box(sharp.clip(0, 255)) + 9) // 18  # to the nearest whole number


def blurred(layer, sigma):
    return scipy.ndimage.gaussian_filter(layer, sigma, mode="nearest", truncate=4)


def script(image, noise, location, scale, sigma, threshold, intensity, mode):
    layer = blurred(location + scale * noise, sigma)
    layer[layer < threshold] = 0
    if mode == 1:
        share = blurred((layer > threshold).astype(float), intensity)[..., None]
        share[share < 0.8] = 0
        return image * (1 - share) + share * np.array([63, 42, 20])
    liquid = (layer * 255).astype(int) % 256
    water = liquid * ripples(chamfer(canny(liquid)))
    return image + water[..., None] / max(water.max(), 1) * intensity * np.array([175, 238, 238])


@pytest.mark.parametrize("table, severity", [(32, 3), (224, 1), (224, 5)])
def test_equals_the_script(table, severity):
    size = (33, 47)
    arguments = TABLES[table]["spatter"][severity - 1]
    images = photographs(4, *size)
    image_keys = keys(4, severity)
    noise = fields.normal(image_keys, size).numpy().astype(float)
    result = spatter.spatter(tf.constant(images), image_keys, *arguments).numpy()
    for i in range(4):
        expected = script(images[i].astype(float), noise[i], *arguments)
        near = np.abs(result[i] - expected) < 0.01
        assert near.mean() > 0.998  # a mask of 0.8 up to rounding may fall on either side
    assert 0.001 < (np.abs(result - images) > 1).mean() < 0.5


def bits(edges):
    """Maps of edges as the words that the module works on."""
    edges = tf.pad(tf.constant(edges), [[0, 0], [0, -edges.shape[1] % 32], [0, 0]])
    return edges_of._words(tf.cast(edges, tf.uint8) * 3)[1]


def unpacked(words, height):
    rows = (words.numpy()[:, :, None] >> np.arange(32)[:, None]) & 1
    return rows.reshape(len(rows), -1, rows.shape[-1])[:, :height].astype(bool)


def test_edges_of_a_step():
    liquid = np.zeros([1, 5, 8], "uint8")
    liquid[:, :, 4:] = 200
    edges = unpacked(edges_of.find_edges(tf.constant(liquid)), 5)
    # Both columns at the step have the same gradient: the first one counts.
    np.testing.assert_array_equal(edges, np.broadcast_to(np.arange(8) == 3, [1, 5, 8]))
    low = unpacked(edges_of.find_edges(tf.constant(liquid // 200 * 37)), 5)
    assert not low.any()  # 4 · 37 = 148 is weak, and nothing strong touches it


@pytest.mark.parametrize("size", [(32, 32), (70, 41)])
def test_edges_equal_the_loop(size):
    random = np.random.default_rng(0)
    maps = blurred(random.normal(0.6, 0.5, [3, *size]), (0, 1.2, 1.2))
    liquid = (np.where(maps < 0.55, 0, maps).clip(0, 1) * 255).astype("uint8")
    liquid[2] = random.integers(0, 256, size)
    edges = unpacked(edges_of.find_edges(tf.constant(liquid)), size[0])
    for i in range(3):
        np.testing.assert_array_equal(edges[i], canny(liquid[i]))


def test_weak_crests_are_followed_through_words_and_columns():
    weak = np.zeros([2, 96, 40], "uint8")
    weak[:, 1::2, 1:39] = 1  # a snake through the whole map
    weak[:, 2:90:4, 38] = weak[:, 4:90:4, 1] = 1
    weak[0, 1, 1] = 3
    edges = unpacked(edges_of._connected(*edges_of._words(tf.constant(weak))), 96)
    expected = weak[0] > 0
    assert edges[0].sum() > 1500 and not edges[1].any()
    labels, _ = scipy.ndimage.label(expected, np.ones([3, 3]))
    np.testing.assert_array_equal(edges[0], labels == labels[1, 1])


def test_distances_from_one_edge():
    edges = np.zeros([3, 40, 40], bool)
    edges[0, 20, 20] = True
    distances = edges_of.find_distances(bits(edges), 40).numpy()[..., 1:-1]
    for (h, w), expected in {
        (20, 20): 0,
        (20, 21): 1,
        (21, 21): 1.4,
        (19, 22): 2.1969,
        (22, 19): 2.1969,
        (24, 20): 4,
        (15, 25): 7,
        (27, 17): 3 * 2.1969 + 1,
        (33, 20): 13,
        (20, 39): 19,
        (39, 39): 20,
        (0, 0): 20,
    }.items():
        np.testing.assert_allclose(distances[0, h, w], expected, atol=1e-5)
    assert (distances[1] == 20).all()


@pytest.mark.parametrize("size", [(40, 40), (65, 12)])
def test_distances_equal_relaxation(size):
    edges = np.random.default_rng(1).uniform(size=[3, *size]) < [[[0.003]], [[0.03]], [[0.3]]]
    distances = edges_of.find_distances(bits(edges), size[0]).numpy()
    for i in range(3):
        mirrored = np.pad(chamfer(edges[i]), [[0, 0], [1, 1]], mode="reflect")
        np.testing.assert_allclose(distances[i], mirrored, atol=1e-5)


def test_ripples_equal_the_loop():
    random = np.random.default_rng(2)
    distances = np.stack(
        [blurred(random.uniform(0, 60, [30, 23]), 2).clip(0, 20), np.full([30, 23], 20.0)]
    )
    padded = np.pad(distances, [[0, 0], [0, 0], [1, 1]], mode="reflect")
    result = spatter.ripples_of(tf.constant(padded, tf.float32)).numpy()
    for i in range(2):
        np.testing.assert_array_equal(result[i], ripples(distances[i]))
    assert (result[1] == 20).all()  # a single level stays


def test_values_above_white_wrap_around():
    layer = tf.constant([[[0.4, 0.5, 1.0, 1.02]]])
    result = spatter._liquid(layer, tf.constant(0.0), tf.constant(1.0), tf.constant(0.45))
    assert result.numpy().tolist() == [[[0, 127, 255, 4]]]


def test_colours():
    for severity, colour in ((1, (175, 238, 238)), (5, (63, 42, 20))):
        arguments = TABLES[32]["spatter"][severity - 1]
        result = spatter.spatter(tf.zeros([4, 32, 32, 3]), keys(4), *arguments).numpy()
        shares = result / np.array(colour)
        np.testing.assert_allclose(shares, np.repeat(shares[..., :1], 3, -1), atol=1e-6)
        most = shares.max(axis=(1, 2, 3))
        if severity == 1:
            np.testing.assert_allclose(most, 0.5, rtol=1e-5)
        else:
            assert (most >= 0.8).all() and shares[shares > 0].min() >= 0.8


def test_dry_images_stay():
    images = tf.constant(photographs(4, 32, 32))
    for mode in (0, 1):
        result = spatter.spatter(images, keys(4), 0.1, 0.01, 0.7, 0.9, 0.6, mode)
        np.testing.assert_array_equal(result, images)


@pytest.mark.parametrize("severity", [3, 5])
def test_one_pixel(severity):
    images = tf.zeros([2, 1, 1, 3]) + 255
    arguments = TABLES[32]["spatter"][severity - 1]
    result = spatter.spatter(images, keys(2), *arguments).numpy()
    assert result.shape == images.shape and np.isfinite(result).all()
    assert (result <= 255 + 0.5 * 238).all() and (result >= 20).all()
