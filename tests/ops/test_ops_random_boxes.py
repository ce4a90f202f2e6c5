"""Boxes of random resized crops, and resizing them, against plain Python and Pillow."""

import math

import numpy as np
import pytest
import tensorflow as tf

from tests.reference import random_boxes as reference
from tfrobust.ops import sampling
from tfrobust.ops.random_boxes import ATTEMPTS, draw_boxes, resize_boxes

SCALE, RATIO = (0.08, 1.0), (3 / 4, 4 / 3)


@pytest.mark.parametrize(
    "height, width, scale",
    [(240, 320, SCALE), (33, 21, SCALE), (1, 1, SCALE), (10, 400, (0.5, 1.0)), (90, 8, (0.7, 1.0))],
)
def test_boxes_are_those_of_plain_python(height, width, scale):
    seed = tf.constant([3, 4])
    found = np.stack(draw_boxes(seed, 200, height, width, scale, RATIO), axis=1)
    seeds = [sampling.fold_in(seed, i) for i in range(4)]
    areas = sampling.uniform(seeds[0], [200, ATTEMPTS], *scale).numpy()
    shapes = sampling.uniform(seeds[1], [200, ATTEMPTS], *map(math.log, RATIO)).numpy()
    corners = [sampling.uniform(one, [200]).numpy() for one in seeds[2:]]
    expected = [
        reference.box(height, width, *drawn, RATIO) for drawn in zip(areas, shapes, *corners)
    ]
    # A product that falls on a half may be rounded either way.
    assert (np.abs(found - expected).max(axis=1) > 0).mean() < 0.02
    top, left, high, wide = found.T
    assert (found >= 0).all() and (top + high <= height).all() and (left + wide <= width).all()


def test_area_is_uniform_and_shape_log_uniform():
    _, _, high, wide = draw_boxes(tf.constant([1, 2]), 20_000, 4000, 4000, (0.1, 0.5), (0.5, 2.0))
    area, shape = high * wide / 4000**2, np.log2(wide / high)
    # Means and spreads within five standard errors.
    assert abs(np.mean(area) - 0.3) < 5 * 0.4 / np.sqrt(12 * 20_000)
    assert abs(np.std(area) - 0.4 / np.sqrt(12)) < 0.005
    assert abs(np.mean(shape)) < 5 * 2 / np.sqrt(12 * 20_000)
    assert abs(np.std(shape) - 2 / np.sqrt(12)) < 0.02
    assert abs(np.corrcoef(area, shape)[0, 1]) < 5 / np.sqrt(20_000)


@pytest.mark.parametrize("size", [(7, 5), (24, 40), (1, 1)])
def test_resized_as_by_pillow(size):
    images = np.random.default_rng(0).random([30, 23, 31, 3], "float32")
    boxes = draw_boxes(tf.constant([5, 6]), 30, 23, 31, SCALE, RATIO)
    found = resize_boxes(tf.constant(images), boxes, *size)
    for image, result, place in zip(images, found, np.stack(boxes, axis=1)):
        np.testing.assert_allclose(result, reference.crop(image, place, size), atol=2e-6)


def test_the_whole_image_is_the_image():
    images = np.random.default_rng(0).random([2, 9, 8, 3], "float32")
    boxes = tuple(tf.fill([2], float(x)) for x in (0, 0, 9, 8))
    np.testing.assert_allclose(resize_boxes(images, boxes, 9, 8), images, atol=1e-7)
