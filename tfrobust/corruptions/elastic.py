"""Elastic transform: a random affine warp, then a random displacement of every pixel."""

from __future__ import annotations

import functools

import numpy as np
import tensorflow as tf

from tfrobust.corruptions.blur import gaussian_taps, smooth
from tfrobust.ops import fields
from tfrobust.ops.compiled import compiled
from tfrobust.ops.pixels import from_words, pack_whole, to_words, unpack_whole

#: Fractional bits of a coordinate in OpenCV, while it is computed and for interpolation.
_FINE, _COARSE = 10, 5
#: Bits of a channel after the affine map: 8 of the pixel, 5 of the weights along each axis.
_BITS = 8 + 2 * _COARSE
#: Radius of the smoothing kernel in sigmas.
_TRUNCATE = 3
#: Kernels with a larger radius are applied as dense matrices.
_WIDEST_RADIUS = 16


def elastic_transform(
    images: tf.Tensor, keys: tf.Tensor, alpha: float, sigma: float, affine: float
) -> tf.Tensor:
    """Warps by a random affine map, then displaces every pixel by smooth random noise.

    Hendrycks and Dietterich 2019 (arXiv:1903.12261); the authors' script is the definition.

    1. Three points around the centre each move by U(−affine, affine) along both axes. The affine
       map that they define is applied with bilinear interpolation, coordinates in steps of 1/32
       pixel as in OpenCV, and a border mirrored without repeating the edge.
    2. The result is sampled at (x + dx, y + dy), bilinear, mirrored with the edge repeated. dx and
       dy are alpha · gaussian(U(−1, 1), sigma), with the same border, truncated at 3 sigma.

    Args:
        images: float32 [B, H, W, 3], whole numbers 0..255.
        keys: uint32 [B, 2].
        alpha: Factor of the displacement in pixels.
        sigma: Standard deviation of the smoothing in pixels.
        affine: Largest movement of the three points in pixels.

    Returns:
        float32 [B, H, W, 3], whole numbers 0..255, truncated.

    Example:

    >>> images = tf.ones([1, 32, 32, 3]) * 128
    >>> keys = fields.image_keys(0, "elastic_transform", 3, tf.range(1))
    >>> elastic_transform(images, keys, 2.56, 1.92, 1.92)[0, 0, 0].numpy()
    array([128., 128., 128.], dtype=float32)
    """
    size = tuple(images.shape[1:3])
    moves = fields.uniform(fields.fold(keys, 1), (3, 2)) * (2 * affine) - affine
    steps = _affine_steps(moves, size)
    corners = _gather_pixels(pack_whole(images), *_affine_places(*steps))
    if alpha == 0:
        return unpack_whole(_affine_words(*corners, *steps), 3)
    warped = _affine_pixels(*corners, *steps)
    shifts = _smooth(_noise(fields.words(keys, size)), sigma)
    alpha = tf.constant(alpha, tf.float32)
    corners = _gather_pixels(warped, *_displaced_places(shifts, alpha))
    return unpack_whole(_displaced_words(*corners, shifts, alpha), 3)


@compiled
def _noise(words: tf.Tensor) -> tf.Tensor:
    """U(−1, 1) for both axes, [2·B, H, W] in steps of 2⁻¹⁵, from the halves of each word."""
    low = tf.bitwise.bitwise_and(words, tf.constant(2**16 - 1, tf.uint32))
    high = tf.bitwise.right_shift(words, tf.constant(16, tf.uint32))
    halves = tf.bitcast(tf.concat([low, high], axis=0), tf.int32)
    return (tf.cast(halves, tf.float32) + 0.5) / 2**15 - 1


@compiled
def _affine_steps(moves: tf.Tensor, size: tuple[int, int]) -> tuple[tf.Tensor, tf.Tensor]:
    """Contributions of column and row to each sampling position, in steps of 2⁻¹⁰ pixel.

    Returns:
        int32 [B, 2, W] and [B, 2, H], x before y.
    """
    height, width = size
    side = max(min(height, width) // 3, 1)
    # As in the script, the centre is (H, W) // 2 although the points are (x, y).
    centre = np.array([height // 2, width // 2])
    points = centre + side * np.array([[1, 1], [1, -1], [-1, -1]])
    moved = tf.cast(points.astype(np.float32) + moves, tf.float64)
    corner, moved_corner = points[1], moved[:, 1]
    # The images of the triangle's legs (2·side, 0) and (0, 2·side), divided by 2·side.
    a, c = tf.unstack((moved[:, 1] - moved[:, 2]) / (2 * side), axis=-1)
    b, d = tf.unstack((moved[:, 0] - moved[:, 1]) / (2 * side), axis=-1)
    scale = tf.math.divide_no_nan(tf.ones_like(a), a * d - b * c)
    by_column = tf.stack([d, -c], -1) * scale[:, tf.newaxis]
    by_row = tf.stack([-b, a], -1) * scale[:, tf.newaxis]
    start = corner - by_column * moved_corner[:, :1] - by_row * moved_corner[:, 1:]

    def steps(values: tf.Tensor) -> tf.Tensor:
        bound = 2.0**29  # far outside the image, and small enough for sums in int32
        return tf.cast(tf.clip_by_value(tf.round(values * 2**_FINE), -bound, bound), tf.int32)

    along = steps(by_column[..., tf.newaxis] * np.arange(width, dtype=np.float64))
    down = by_row[..., tf.newaxis] * np.arange(height, dtype=np.float64) + start[..., tf.newaxis]
    return along, steps(down) + 2 ** (_FINE - _COARSE - 1)


def _read_points(along: tf.Tensor, down: tf.Tensor) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
    """For x and y: the pixel before each point, and the weight of the next one in 1/32."""
    points = tf.bitwise.right_shift(
        along[:, :, tf.newaxis] + down[..., tf.newaxis], _FINE - _COARSE
    )
    whole = tf.bitwise.right_shift(points, _COARSE)
    fraction = tf.bitwise.bitwise_and(points, 2**_COARSE - 1)
    return tf.unstack(whole, axis=1), tf.unstack(fraction, axis=1)


@compiled
def _affine_places(along: tf.Tensor, down: tf.Tensor) -> list[tf.Tensor]:
    (x, y), _ = _read_points(along, down)
    columns = [_mirrored(tf.cast(x + i, tf.float32), along.shape[2], 0) for i in (0, 1)]
    rows = [_mirrored(tf.cast(y + i, tf.float32), down.shape[2], 0) for i in (0, 1)]
    return _flat_indices(rows, columns)


def _mirrored(places: tf.Tensor, side: int, edge: int) -> tf.Tensor:
    """Mirrors integral positions into 0..side − 1; `edge` is 1 to repeat the edge pixel, else 0."""
    period = max(2 * side - 2 + 2 * edge, 1)
    places = places - period * tf.floor(places / period)
    places = tf.minimum(places, period - edge - places)
    return tf.cast(tf.clip_by_value(places, 0, side - 1), tf.int32)


def _flat_indices(rows: list[tf.Tensor], columns: list[tf.Tensor]) -> list[tf.Tensor]:
    """Flat indices of the four pixels around each point, int32 [B, H, W]."""
    height, width = rows[0].shape[1:]
    first = tf.reshape(tf.range(tf.shape(rows[0])[0]) * (height * width), [-1, 1, 1])
    return [first + row * width + column for row in rows for column in columns]


@compiled
def _gather_pixels(pixels: tf.Tensor, *places: tf.Tensor) -> list[tf.Tensor]:
    flat = tf.reshape(pixels, [-1])
    # The condition is always true, but it makes the compiler load one pixel at a time, which is
    # twice as fast as the processor's gather instructions.
    return [tf.where(place >= 0, tf.gather(flat, tf.maximum(place, 0)), pixels) for place in places]


def _affine_channels(
    corners: list[tf.Tensor], along: tf.Tensor, down: tf.Tensor
) -> list[tf.Tensor]:
    """int32 [B, H, W] for each channel, in steps of 2⁻¹⁰."""
    _, (x, y) = _read_points(along, down)
    full = 2**_COARSE
    weights = [v * u for v in (full - y, y) for u in (full - x, x)]
    channels = zip(*(from_words(corner, 3) for corner in corners))
    return [sum(w * value for w, value in zip(weights, channel)) for channel in channels]


@compiled
def _affine_words(*arguments: tf.Tensor) -> tf.Tensor:
    *corners, along, down = arguments
    channels = _affine_channels(corners, along, down)
    return to_words([tf.bitwise.right_shift(channel, 2 * _COARSE) for channel in channels])


@compiled
def _affine_pixels(*arguments: tf.Tensor) -> tf.Tensor:
    """Packs the three channels, integers of 18 bits, into one int64 without loss."""
    *corners, along, down = arguments
    red, green, blue = (
        tf.cast(channel, tf.int64) for channel in _affine_channels(corners, along, down)
    )
    return red + tf.bitwise.left_shift(green, _BITS) + tf.bitwise.left_shift(blue, 2 * _BITS)


@compiled
def _displaced_places(shifts: tf.Tensor, alpha: tf.Tensor) -> list[tf.Tensor]:
    height, width = shifts.shape[1:]
    right, lower = (tf.floor(shift) for shift in tf.split(shifts * alpha, 2))
    x = right + tf.range(width, dtype=tf.float32)
    y = lower + tf.range(height, dtype=tf.float32)[:, tf.newaxis]
    columns = [_mirrored(x + i, width, 1) for i in (0, 1)]
    return _flat_indices([_mirrored(y + i, height, 1) for i in (0, 1)], columns)


@compiled
def _displaced_words(*arguments: tf.Tensor) -> tf.Tensor:
    *corners, shifts, alpha = arguments
    x, y = (shift - tf.floor(shift) for shift in tf.split(shifts * alpha, 2))
    channels = []
    for channel in range(3):
        a, b, c, d = (_warped_channel(corner, channel) for corner in corners)
        upper = a + (b - a) * x
        lower = c + (d - c) * x
        value = (upper + (lower - upper) * y) / 2 ** (2 * _COARSE)
        # Truncated to 8 bits; the offset makes up for whole numbers rounded down in float32.
        channels.append(tf.cast(value + 2.0**-12, tf.int32))
    return to_words(channels)


def _warped_channel(pixels: tf.Tensor, channel: int) -> tf.Tensor:
    bits = tf.cast(tf.bitwise.right_shift(pixels, channel * _BITS), tf.int32)
    return tf.cast(tf.bitwise.bitwise_and(bits, 2**_BITS - 1), tf.float32)


def _smooth(maps: tf.Tensor, sigma: float) -> tf.Tensor:
    """Smooths [B, H, W] by a Gaussian truncated at 3 sigma, mirrored with the edge repeated."""
    height, width = maps.shape[1:]
    if int(_TRUNCATE * sigma + 0.5) > min(_WIDEST_RADIUS, height, width):
        across, upright = (tf.constant(_matrix(side, sigma)) for side in (width, height))
        return tf.matmul(upright, tf.matmul(maps, across, transpose_b=True))
    return smooth(maps[..., tf.newaxis], sigma, _TRUNCATE, "symmetric")[..., 0]


@functools.lru_cache(maxsize=16)
def _matrix(side: int, sigma: float) -> np.ndarray:
    """Smoothing of a line of pixels as a matrix, including the borders, for any kernel width."""
    taps = gaussian_taps(sigma, int(_TRUNCATE * sigma + 0.5))
    lines = np.arange(side)[:, np.newaxis]
    places = np.mod(lines + np.arange(len(taps)) - len(taps) // 2, 2 * side)
    matrix = np.zeros([side, side])
    np.add.at(matrix, (lines, np.minimum(places, 2 * side - 1 - places)), taps)
    return matrix.astype(np.float32)
