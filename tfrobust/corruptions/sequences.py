"""Perturbation sequences: one image after another that differs a little, as in CIFAR-10-P.

Hendrycks and Dietterich 2019 (arXiv:1903.12261), the benchmarks CIFAR-10-P (32 pixels),
Tiny-ImageNet-P (64) and ImageNet-P (224); the authors' scripts are the definition.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, Callable, NamedTuple, Optional

import numpy as np
import tensorflow as tf

from tfrobust import checks
from tfrobust.corruptions import digital, edges, fields, frame_reading, severities, spatter, weather
from tfrobust.corruptions.corrupt import check_batch, to_bytes
from tfrobust.corruptions.perturbations import NOISE, TABLES, frame_count
from tfrobust.ops.compiled import compiled
from tfrobust.registries import CORRUPTIONS


def perturb(
    images: Any,
    name: str,
    seed: int = 0,
    *,
    index: Any = None,
    table: Optional[int] = None,
    crop: Optional[int] = None,
    difficulty: int = 1,
    frames: Optional[Sequence[int]] = None,
) -> tf.Tensor:
    """All frames of a perturbation sequence, for each image of a batch.

    They take as much memory as their number times the images: see `perturbation_frames` for one
    after the other, and for what each sequence is.

    Args:
        images: [B, H, W, 3]: uint8, or floating-point numbers in [0, 1].
        name: One of `PERTURBATIONS` or `HELD_OUT_PERTURBATIONS`.
        seed: Seed of what is random.
        index: Which image each one is, whole numbers [B]. Default 0, 1, ... B-1.
        table: 32, 64 or 224: the benchmark. Needed for frames of another size.
        crop: Height and width of the frames in pixels; default: those of the images.
        difficulty: 1 to 3; the noise sequences come in three strengths.
        frames: Which frames, increasing whole numbers from 0. Default: all.

    Returns:
        [B, F, H, W, 3] of the type of `images`.

    Raises:
        ValueError: As `perturbation_frames`.
        TypeError: Images are neither uint8 nor floating-point.

    Example:

    >>> perturb(np.full([2, 32, 32, 3], 128, "uint8"), "translate").shape
    TensorShape([2, 16, 32, 32, 3])
    """
    made = perturbation_frames(
        images,
        name,
        seed,
        index=index,
        table=table,
        crop=crop,
        difficulty=difficulty,
        frames=frames,
    )
    return tf.stack(list(made), axis=1)


def perturbation_frames(
    images: Any,
    name: str,
    seed: int = 0,
    *,
    index: Any = None,
    table: Optional[int] = None,
    crop: Optional[int] = None,
    difficulty: int = 1,
    frames: Optional[Sequence[int]] = None,
) -> Iterator[tf.Tensor]:
    """Yields the frames of a perturbation sequence, one batch of images each.

    With i = 0, 1, ... the number of the frame, and c the constants of the benchmark (`TABLES`):

    - Noise (Gaussian, shot, speckle): the clean image, then independent draws.
    - `motion_blur`: a blur along a line that turns, at last towards the right.
    - `zoom_blur`: the mean of the image and of i zooms by 1 + 0.004 k, k = 1 ... i.
    - `snow`: the flakes of one draw, blurred along a line that turns by 4° a frame.
    - `brightness`: c (i - 15) is added to the value of HSV.
    - `translate`: whole pixels to the right, first to the left.
    - `rotate`: by i - 15 degrees, clockwise.
    - `tilt`: about both axes by c (i - 15) degrees, seen from a distance of the diagonal. No frame
      is the clean image: the script shrinks by 1 / (1 + 1 / diagonal), in pixels.
    - `scale`: by (c₁ i + c₂) / 100.
    - `gaussian_blur`: with σ = c₁ + c₂ i.
    - `spatter`: drops of one draw that run down.
    - `shear`: by i - 15 degrees.

    The frames have 8 bits, cut off (not rounded) as in the scripts. Moved images are read
    bilinearly and are black outside, as by Pillow and, for `tilt`, by OpenCV. ImageNet-P is
    published as MP4: these are its frames before they are compressed. There the photographs are
    larger (their shorter side 256 pixels) and are cut to 224 after they were moved, so that less
    black comes into sight: give larger images and `crop=224` for that. Tiny-ImageNet-P blurs large
    photographs by motion and shrinks them afterwards, so at 64 pixels there is no `motion_blur`.

    Args:
        images: [B, H, W, 3]: uint8, or floating-point numbers in [0, 1].
        name: One of `PERTURBATIONS` or `HELD_OUT_PERTURBATIONS`.
        seed: Seed of what is random. An image's random numbers depend on (seed, its index, name,
            difficulty) alone, not on the batch it stands in.
        index: Which image each one is, whole numbers [B]. Default 0, 1, ... B-1.
        table: 32, 64 or 224: the benchmark. Needed for frames of another size.
        crop: Height and width of the frames: the middle of the images, in pixels, cut out after
            they were moved. Default: frames as large as the images.
        difficulty: 1 to 3; the noise sequences come in three strengths. (Others are made harder
            by comparing frames that are further apart.)
        frames: Which frames, increasing whole numbers from 0. Default: all.

    Yields:
        [B, H, W, 3] of the type of `images`; floating-point frames are whole multiples of 1/255.

    Raises:
        ValueError: An unknown name or table, a sequence that the table lacks, frames of a size
            without a table, a crop larger than the images, frame numbers that do not exist or do
            not increase, a difficulty above 1 without noise, or images of another number of
            channels or outside [0, 1].
        TypeError: Images are neither uint8 nor floating-point.

    Example:

    >>> image = np.array([9, 6, 3, 0], "uint8").reshape([1, 1, 4, 1]).repeat(3, axis=3)
    >>> for frame in perturbation_frames(image, "translate", table=32, frames=(6, 7, 9)):
    ...     print(frame[0, 0, :, 0].numpy())
    [6 3 0 0]
    [9 6 3 0]
    [0 0 9 6]
    """
    if not tf.is_tensor(images):
        images = np.asarray(images)
    check_batch(images)
    size = _frame_size((images.shape[1], images.shape[2]), crop)
    table = severities.choose_table(size, table)
    count = frame_count(name, table)
    numbers = _frame_numbers(frames, count)
    checks.check_whole("seed", seed, 0, 2**31 - 1)
    checks.check_whole("difficulty", difficulty, 1, 3)
    arguments = TABLES[table][name]
    if name in NOISE:
        arguments = (name, arguments[difficulty - 1])
    elif difficulty > 1:
        raise ValueError(
            f"difficulty must be 1 for {name!r}: only noise ({', '.join(NOISE)}) has others "
            f"(compare frames that are further apart instead); received {difficulty}"
        )

    floating = images.dtype not in (tf.uint8, np.uint8)
    dtype = tf.as_dtype(images.dtype)
    images = tf.convert_to_tensor(images)
    pixels = to_bytes(tf.cast(images, tf.float32)) if floating else images
    pixels = tf.cast(pixels, tf.float32)
    if index is None:
        index = tf.range(tf.shape(images)[0])
    keys = fields.image_keys(seed, f"sequence:{name}", difficulty, index)
    if name not in _MOVED:
        top, left = frame_reading.corner(pixels.shape[1:3], size)
        pixels = pixels[:, top : top + size[0], left : left + size[1]]

    given = _Given(pixels, keys, numbers, size)

    def converted() -> Iterator[tf.Tensor]:
        for frame in _SEQUENCES[name](given, *arguments):
            frame = _cut(frame)
            yield tf.cast(tf.cast(frame, tf.float32) / 255, dtype) if floating else frame

    return converted()


def _frame_size(size: tuple[int, int], crop: Optional[int]) -> tuple[int, int]:
    height, width = size
    if crop is None:
        return height, width
    crop = checks.check_whole("crop", crop, 1, min(height, width))
    return crop, crop


def _frame_numbers(frames: Optional[Sequence[int]], count: int) -> list[int]:
    if frames is None:
        return list(range(count))
    numbers = [checks.check_whole("frames", number, 0, count - 1) for number in frames]
    if not numbers or any(a >= b for a, b in zip(numbers, numbers[1:])):
        raise ValueError(f"frames must be increasing whole numbers; received {list(frames)}")
    return numbers


class _Given(NamedTuple):
    """What every sequence is made of."""

    images: tf.Tensor  #: float32 [B, H, W, 3], whole numbers from 0 to 255
    keys: tf.Tensor  #: uint32 [B, 2]
    numbers: list[int]  #: Which frames, increasing
    size: tuple[int, int]  #: Height and width of the frames


# The sequences: generators of float32 [B, H, W, 3] on the scale to 255, from what is given and
# constants of the benchmark.


def _noise(given: _Given, name: str, strength: float) -> Iterator[tf.Tensor]:
    for i in given.numbers:
        keys = fields.fold(given.keys, i)
        yield CORRUPTIONS[name](given.images, keys, strength) if i else given.images


def _motion_blur(
    given: _Given, count: int, radius: float, sigma: float, step: float
) -> Iterator[tf.Tensor]:
    for i in given.numbers:
        yield frame_reading.along_line(given.images, (i - (count - 1)) * step, radius, sigma)


def _zoom_blur(given: _Given, step: float) -> Iterator[tf.Tensor]:
    total = tf.zeros([])
    for i in range(given.numbers[-1] + 1):
        total += frame_reading.affine(given.images, given.size, scale=1 + step * i)
        if i in given.numbers:
            yield total / (i + 1)


def _snow(
    given: _Given, field: tuple[float, ...], zoom: float, radius: float, sigma: float, mix: float
) -> Iterator[tf.Tensor]:
    (rows, down), (columns, right) = (weather.zoomed(side, zoom) for side in given.size)
    noise = fields.normal(given.keys, (rows, columns))
    flakes = weather.flakes_of(noise, *map(tf.constant, field), down, right)
    flakes = tf.reshape(flakes, [-1, *given.size, 1])
    for i in given.numbers:
        fallen = frame_reading.along_line(flakes, 4 * i - 150, radius, sigma)
        yield weather.whitened(given.images, fallen[..., 0], tf.constant(mix))


def _brightness(given: _Given, step: float) -> Iterator[tf.Tensor]:
    for i in given.numbers:
        yield digital.brightness(given.images, given.keys, (i - 15) * step)


def _translate(given: _Given, count: int, middle: int) -> Iterator[tf.Tensor]:
    for i in given.numbers:
        yield frame_reading.affine(given.images, given.size, shift=i - middle)


def _rotate(given: _Given, step: float) -> Iterator[tf.Tensor]:
    for i in given.numbers:
        yield frame_reading.affine(given.images, given.size, angle=(i - 15) * step)


def _tilt(given: _Given, step: float) -> Iterator[tf.Tensor]:
    height, width = given.images.shape[1:3]
    distance = math.hypot(height, width)
    # Into space at depth 1, turned, away by the distance, and back to pixels.
    plane = np.array([[1, 0, -width / 2], [0, 1, -height / 2], [0, 0, 1]])
    away = np.diag([0, 0, distance])
    view = np.array([[distance, 0, width / 2], [0, distance, height / 2], [0, 0, 1]])
    for i in given.numbers:
        sine, cosine = (turn(math.radians((i - 15) * step)) for turn in (math.sin, math.cos))
        about_x = np.array([[1, 0, 0], [0, cosine, -sine], [0, sine, cosine]])
        about_y = np.array([[cosine, 0, -sine], [0, 1, 0], [sine, 0, cosine]])
        matrix = np.linalg.inv(view @ (about_x @ about_y @ plane + away))
        yield frame_reading.by_perspective(given.images, tf.constant(matrix), given.size)


def _scale(given: _Given, step: float, first: float) -> Iterator[tf.Tensor]:
    for i in given.numbers:
        yield frame_reading.affine(given.images, given.size, scale=(i * step + first) / 100)


def _shear(given: _Given, step: float) -> Iterator[tf.Tensor]:
    for i in given.numbers:
        yield frame_reading.affine(given.images, given.size, shear=(i - 15) * step)


def _gaussian_blur(given: _Given, first: float, step: float, truncate: int) -> Iterator[tf.Tensor]:
    # As many weights in all frames, so that one function is compiled.
    reach = int(truncate * (first + step * 30) + 0.5)
    taps = np.arange(-reach, reach + 1)
    down = tf.constant([taps, 0 * taps], tf.int32)
    for i in given.numbers:
        sigma = first + step * i
        weights = np.exp(-0.5 * (taps / sigma) ** 2) * (np.abs(taps) <= int(truncate * sigma + 0.5))
        weights = tf.constant(weights / weights.sum(), tf.float32)
        blurred = frame_reading.shift_and_add(given.images, down, weights)
        yield frame_reading.shift_and_add(blurred, down[::-1], weights)


def _spatter(
    given: _Given, field: tuple[float, ...], sigma: float, run: tuple[float, ...]
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


_SEQUENCES: dict[str, Callable[..., Iterator[tf.Tensor]]] = {
    **dict.fromkeys(NOISE, _noise),
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
#: These see more of the image than the frame shows.
_MOVED = ("zoom_blur", "translate", "rotate", "tilt", "scale", "shear")


@compiled
def _cut(pixels: tf.Tensor) -> tf.Tensor:
    # A little more, because float32 puts values that are whole numbers a little below them.
    return tf.cast(tf.clip_by_value(pixels + 1e-4, 0, 255), tf.uint8)


@compiled
def _liquid(layer: tf.Tensor) -> tf.Tensor:
    # What is above white begins again at black, as in the script.
    return tf.cast(tf.bitwise.bitwise_and(tf.cast(layer * 255, tf.int32), 255), tf.uint8)


@compiled
def _run_down(layer: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """Each row becomes a mean of the row below, itself, and the two above; 0 outside."""
    padded = tf.pad(layer, [[0, 0], [2, 1], [0, 0]])
    rows = layer.shape[1]
    return tf.add_n([weights[i] * padded[:, 3 - i : 3 - i + rows] for i in range(4)])
