"""Generators of the perturbation sequences' frames, as in the authors' scripts.

Hendrycks and Dietterich 2019 (arXiv:1903.12261), the benchmarks CIFAR-10-P (32 pixels),
Tiny-ImageNet-P (64) and ImageNet-P (224).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Callable, NamedTuple

import numpy as np
import tensorflow as tf

from tfrobust.corruptions import digital, edges, frame_reading, spatter, weather
from tfrobust.corruptions.blur import smooth
from tfrobust.ops import fields
from tfrobust.ops.compiled import compiled
from tfrobust.registries import CORRUPTIONS, NOISE_PERTURBATIONS


class Given(NamedTuple):
    """Inputs of every sequence."""

    images: tf.Tensor  #: float32 [B, H, W, 3], whole numbers from 0 to 255
    keys: tf.Tensor  #: uint32 [B, 2]
    numbers: list[int]  #: Frame numbers, increasing
    size: tuple[int, int]  #: Height and width of the frames


# The sequences are generators of float32 [B, H, W, 3] on the scale 0 to 255. They take the common
# inputs and the constants of the benchmark.


def _noise(given: Given, name: str, strength: float) -> Iterator[tf.Tensor]:
    for i in given.numbers:
        keys = fields.fold(given.keys, i)
        yield CORRUPTIONS[name](given.images, keys, strength) if i else given.images


def _motion_blur(
    given: Given, count: int, radius: float, sigma: float, step: float
) -> Iterator[tf.Tensor]:
    for i in given.numbers:
        yield frame_reading.along_line(given.images, (i - (count - 1)) * step, radius, sigma)


def _zoom_blur(given: Given, step: float) -> Iterator[tf.Tensor]:
    total = tf.zeros([])
    for i in range(given.numbers[-1] + 1):
        total += frame_reading.affine(given.images, given.size, scale=1 + step * i)
        if i in given.numbers:
            yield total / (i + 1)


def _snow(
    given: Given, field: tuple[float, ...], zoom: float, radius: float, sigma: float, mix: float
) -> Iterator[tf.Tensor]:
    (rows, down), (columns, right) = (weather.zoomed(side, zoom) for side in given.size)
    noise = fields.normal(given.keys, (rows, columns))
    flakes = weather.flakes_of(noise, *map(tf.constant, field), down, right)
    flakes = tf.reshape(flakes, [-1, *given.size, 1])
    for i in given.numbers:
        fallen = frame_reading.along_line(flakes, 4 * i - 150, radius, sigma)
        yield weather.whitened(given.images, fallen[..., 0], tf.constant(mix))


def _brightness(given: Given, step: float) -> Iterator[tf.Tensor]:
    for i in given.numbers:
        yield digital.brightness(given.images, given.keys, (i - 15) * step)


def _translate(given: Given, count: int, middle: int) -> Iterator[tf.Tensor]:
    for i in given.numbers:
        yield frame_reading.affine(given.images, given.size, shift=i - middle)


def _rotate(given: Given, step: float) -> Iterator[tf.Tensor]:
    for i in given.numbers:
        yield frame_reading.affine(given.images, given.size, angle=(i - 15) * step)


def _tilt(given: Given, step: float) -> Iterator[tf.Tensor]:
    height, width = given.images.shape[1:3]
    distance = math.hypot(height, width)
    # Place the image in space at depth 1, rotate it, move it away, and project back to pixels.
    plane = np.array([[1, 0, -width / 2], [0, 1, -height / 2], [0, 0, 1]])
    away = np.diag([0, 0, distance])
    view = np.array([[distance, 0, width / 2], [0, distance, height / 2], [0, 0, 1]])
    for i in given.numbers:
        sine, cosine = (turn(math.radians((i - 15) * step)) for turn in (math.sin, math.cos))
        about_x = np.array([[1, 0, 0], [0, cosine, -sine], [0, sine, cosine]])
        about_y = np.array([[cosine, 0, -sine], [0, 1, 0], [sine, 0, cosine]])
        matrix = np.linalg.inv(view @ (about_x @ about_y @ plane + away))
        yield frame_reading.by_perspective(given.images, tf.constant(matrix), given.size)


def _scale(given: Given, step: float, first: float) -> Iterator[tf.Tensor]:
    for i in given.numbers:
        yield frame_reading.affine(given.images, given.size, scale=(i * step + first) / 100)


def _shear(given: Given, step: float) -> Iterator[tf.Tensor]:
    for i in given.numbers:
        yield frame_reading.affine(given.images, given.size, shear=(i - 15) * step)


def _gaussian_blur(given: Given, first: float, step: float, truncate: int) -> Iterator[tf.Tensor]:
    for i in given.numbers:
        yield smooth(given.images, first + step * i, truncate, "edge")


def _spatter(
    given: Given, field: tuple[float, ...], sigma: float, run: tuple[float, ...]
) -> Iterator[tf.Tensor]:
    location, scale, threshold = field
    noise = fields.normal(given.keys, (*given.size, 1))
    layer = location + scale * CORRUPTIONS["gaussian_blur"](noise, given.keys, sigma)[..., 0]
    layer = tf.where(layer < threshold, 0.0, layer)
    weights = tf.constant(run, tf.float32)
    for i in range(given.numbers[-1] + 1):
        if i in given.numbers:
            liquid = _liquid(layer)
            distances = edges.find_distances(edges.find_edges(liquid), given.size[0])
            ripples = tf.cast(spatter.ripples_of(distances), tf.float32)
            water = tf.cast(liquid, tf.float32) * ripples
            yield spatter.wetted(given.images, water, tf.constant(0.6))
        layer = _run_down(layer, weights)


SEQUENCES: dict[str, Callable[..., Iterator[tf.Tensor]]] = {
    **dict.fromkeys(NOISE_PERTURBATIONS, _noise),
    "motion_blur": _motion_blur,
    "zoom_blur": _zoom_blur,
    "snow": _snow,
    "brightness": _brightness,
    "translate": _translate,
    "rotate": _rotate,
    "tilt": _tilt,
    "scale": _scale,
    "gaussian_blur": _gaussian_blur,
    "spatter": _spatter,
    "shear": _shear,
}
#: Sequences that read the image beyond the frame.
MOVED = ("zoom_blur", "translate", "rotate", "tilt", "scale", "shear")


@compiled
def _liquid(layer: tf.Tensor) -> tf.Tensor:
    # Values above white wrap around to black, as in the script.
    return tf.cast(tf.bitwise.bitwise_and(tf.cast(layer * 255, tf.int32), 255), tf.uint8)


@compiled
def _run_down(layer: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """Replaces each row by a weighted sum of the row below, itself and the two above; 0 outside."""
    padded = tf.pad(layer, [[0, 0], [2, 1], [0, 0]])
    rows = layer.shape[1]
    return tf.add_n([weights[i] * padded[:, 3 - i : 3 - i + rows] for i in range(4)])
