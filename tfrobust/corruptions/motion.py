"""Motion blur, as in ImageMagick."""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf

from tfrobust.ops import fields
from tfrobust.ops.compiled import compiled, multiply_add

#: Total weight of the far taps that may be dropped: at most 0.026 of one of 255 levels.
_DROPPED = 1e-4
#: Number of the angle's random field; smaller numbers are free for callers that draw more.
_ANGLE = 100


def motion_blur(images: tf.Tensor, keys: tf.Tensor, radius: float, sigma: float) -> tf.Tensor:
    """Blurs along a random direction within 45° of horizontal.

    The authors' script calls ImageMagick's motion blur with an angle a ~ U(-45°, 45°) per image
    (Hendrycks and Dietterich 2019, arXiv:1903.12261). The kernel is one-sided with 2⌈radius⌉ + 1
    taps: tap i = 0, 1, ... has a weight proportional to exp(-i²/2σ²) and reads the pixel
    ⌈i cos a - ½⌉ to the right and ⌈i sin a - ½⌉ down; edge pixels are repeated. The result is
    rounded to 8 bits. Far taps with a total weight below 1/10,000 are dropped, which changes a sum
    by at most 0.026 before rounding.

    Args:
        images: float32 [B, H, W, 3], whole numbers from 0 to 255.
        keys: uint32 [B, 2], one per image.
        radius: ImageMagick's radius in pixels; the one-sided kernel reaches twice as far.
        sigma: Standard deviation of the weights in pixels, above 0.

    Returns:
        float32 [B, H, W, 3], whole numbers from 0 to 255.

    Example:

    >>> images = tf.reshape([9.0, 0.0, 0.0, 0.0, 90.0], [1, 1, 5, 1]) + tf.zeros([3])
    >>> motion_blur(images, tf.zeros([1, 2], tf.uint32), 6, 1)[0, 0, :, 0].numpy()
    array([ 5.,  1.,  8., 39., 90.], dtype=float32)
    """
    height, width, channels = images.shape[1:]
    down, right, weights = taps(draw_angles(keys, -45, 45), radius, sigma)
    lines = tf.reshape(images, [-1, height, width * channels])
    return tf.reshape(shift_and_add(lines, right, down, weights, channels), tf.shape(images))


def draw_angles(keys: tf.Tensor, low: float, high: float) -> tf.Tensor:
    """Draws a uniform angle for each image.

    Args:
        keys: uint32 [B, 2].
        low: Smallest angle in degrees.
        high: Largest angle in degrees.

    Returns:
        float32 [B], degrees.
    """
    share = fields.uniform(fields.fold(keys, _ANGLE), (1,))[:, 0]
    return low + (high - low) * share


def weights_of(radius: float, sigma: float) -> np.ndarray:
    """Weights of the taps that are not dropped, summing to 1.

    Args:
        radius: ImageMagick's radius in pixels.
        sigma: Standard deviation in pixels.

    Returns:
        float32 [T].

    Example:

    >>> weights_of(6, 1).round(3)
    array([0.57 , 0.346, 0.077, 0.006, 0.   ], dtype=float32)
    """
    weights = np.exp(-(np.arange(2 * math.ceil(radius) + 1.0) ** 2) / (2 * sigma**2))
    tails = np.cumsum(weights[::-1])[::-1] / weights.sum()  # weight of each tap and those after
    kept = weights[tails >= _DROPPED]
    return (kept / kept.sum()).astype("float32")


def taps(angles: tf.Tensor, radius: float, sigma: float) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Offsets and weights of the taps of each image.

    Args:
        angles: float32 [B] in degrees: 0 is to the right, 90 down.
        radius: ImageMagick's radius in pixels.
        sigma: Standard deviation in pixels.

    Returns:
        Offsets down and to the right in pixels, int32 [B, T] each; weights, float32 [T].
    """
    weights = tf.constant(weights_of(radius, sigma))
    return (*_offsets(angles, weights), weights)


def shift_and_add(
    lines: tf.Tensor, along: tf.Tensor, across: tf.Tensor, weights: tf.Tensor, channels: int
) -> tf.Tensor:
    """Weighted sum of shifted images, with different shifts per image, rounded to whole numbers.

    A loop over one line with a constant shift reads contiguous memory, which is several times
    faster than gathering single pixels. So the shifts along the lines are constants, 0, 1, ...
    T - 1, and images differ in which line is read at each shift, and with what weight. A direction
    within 45° of the lines has one or two taps at each of these shifts, or none at the last ones.

    Args:
        lines: float32 [B, lines, length·channels]. (With channels as the innermost axis, the inner
            loops would be short.)
        along: Shift of each tap along the lines in pixels, int32 [B, T]; starts at 0 and increases
            by 0 or 1, never twice in a row by 0.
        across: Shift of each tap across the lines, in lines, int32 [B, T].
        weights: float32 [T].
        channels: Number of channels.

    Returns:
        float32 [B, lines, length·channels], whole numbers.
    """
    reach = weights.shape[0] - 1
    edge = tf.tile(lines[:, :, -channels:], [1, 1, reach])
    rows, slot_weights = _slots(along, across, weights, lines.shape[1])
    return _add_slots(tf.concat([lines, edge], axis=2), rows, slot_weights, channels)


@compiled
def _offsets(angles: tf.Tensor, weights: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    radians = angles[:, None] * (math.pi / 180)
    distances = tf.range(weights.shape[0], dtype=tf.float32)

    def whole(distances: tf.Tensor) -> tf.Tensor:
        return tf.cast(tf.math.ceil(distances - 0.5), tf.int32)

    return whole(distances * tf.sin(radians)), whole(distances * tf.cos(radians))


@compiled
def _slots(
    along: tf.Tensor, across: tf.Tensor, weights: tf.Tensor, count: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """For each shift along the lines, two taps: the lines that they read and their weights.

    Returns:
        int32 [2T, B, count] and float32 [2T, B].
    """
    reach = weights.shape[0] - 1
    shift = tf.range(reach + 1)[:, None]  # [T, 1]
    first = tf.reduce_sum(tf.cast(along[None] < shift[:, :, None], tf.int32), axis=2)  # [T, B]
    tap = tf.stack([first, first + 1], axis=1)  # [T, 2, B]
    tap = tf.transpose(tf.reshape(tap, [2 * (reach + 1), -1]))  # [B, 2T]
    there = tf.minimum(tap, reach)
    used = (tap <= reach) & (tf.gather(along, there, batch_dims=1) == tf.repeat(shift[:, 0], 2))
    slot_weights = tf.where(used, tf.gather(weights, there), 0.0)
    offset = tf.transpose(tf.gather(across, there, batch_dims=1))  # [2T, B]
    rows = tf.clip_by_value(offset[:, :, None] + tf.range(count), 0, count - 1)
    return rows, tf.transpose(slot_weights)


@compiled
def _add_slots(
    padded: tf.Tensor, rows: tf.Tensor, slot_weights: tf.Tensor, channels: int
) -> tf.Tensor:
    slots = rows.shape[0]
    length = padded.shape[2] - (slots // 2 - 1) * channels
    total = tf.zeros([])
    for slot in range(slots):
        start = slot // 2 * channels
        line = tf.gather(padded, rows[slot], batch_dims=1)[:, :, start : start + length]
        total = multiply_add(slot_weights[slot][:, None, None], line, total)
    return tf.floor(total + 0.5)
