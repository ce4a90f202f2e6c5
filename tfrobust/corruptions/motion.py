"""Blurring along a line, as ImageMagick does."""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf

from tfrobust.corruptions import fields
from tfrobust.ops.compiled import compiled

#: Share of the weights that the dropped far taps may have: at most 0.026 of one of 255 steps.
_DROPPED = 1e-4
#: The field of the angle; those below it are free for a caller that draws more.
_ANGLE = 100


def motion_blur(images: tf.Tensor, keys: tf.Tensor, radius: float, sigma: float) -> tf.Tensor:
    """Blurs along a random direction within 45° of horizontal.

    The authors' script calls ImageMagick's motion blur with an angle U(-45°, 45°) for each image
    (Hendrycks and Dietterich 2019, arXiv:1903.12261). It looks to one side only: of 2⌈radius⌉ + 1
    taps, tap i = 0, 1, ... has the weight exp(-i²/2σ²) over the sum of all, and is the pixel
    ⌈i cos a - ½⌉ to the right and ⌈i sin a - ½⌉ down; beyond the edge, the pixel at the edge. The
    result has 8 bits. Far taps that together weigh less than 1/10,000 are left out, which changes
    a sum by 0.026 at most before it is rounded.

    Args:
        images: float32 [B, H, W, 3], whole numbers from 0 to 255.
        keys: uint32 [B, 2], one per image.
        radius: Reach in pixels; half of what it says, because ImageMagick means a two-sided one.
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
    """An angle for each image.

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
    """The weights of the taps that count, of sum 1.

    Args:
        radius: Reach in pixels.
        sigma: Standard deviation in pixels.

    Returns:
        float32 [T].

    Example:

    >>> weights_of(6, 1).round(3)
    array([0.57 , 0.346, 0.077, 0.006, 0.   ], dtype=float32)
    """
    weights = np.exp(-(np.arange(2 * math.ceil(radius) + 1.0) ** 2) / (2 * sigma**2))
    tails = np.cumsum(weights[::-1])[::-1] / weights.sum()  # the share of a tap and those behind
    kept = weights[tails >= _DROPPED]
    return (kept / kept.sum()).astype("float32")


def taps(angles: tf.Tensor, radius: float, sigma: float) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Where the taps of each image lie, and what they weigh.

    Args:
        angles: float32 [B], degrees: 0 is to the right, 90 down.
        radius: Reach in pixels.
        sigma: Standard deviation in pixels.

    Returns:
        Pixels down and to the right, int32 [B, T]; weights, float32 [T].
    """
    weights = tf.constant(weights_of(radius, sigma))
    return (*_offsets(angles, weights), weights)


def shift_and_add(
    lines: tf.Tensor, along: tf.Tensor, across: tf.Tensor, weights: tf.Tensor, channels: int
) -> tf.Tensor:
    """Weighted sum of shifted images, each image by its own shifts, rounded to whole numbers.

    A loop over one line with one shift is fast, because it reads neighbours: several times faster
    than fetching each pixel. So shifts along the line are those of the program, 0, 1, ... T - 1,
    and what differs between images is which line each of them reads, and its weight. A direction
    within 45° of the lines has one or two taps at each of these shifts, or none at the last ones.

    Args:
        lines: float32 [B, lines, length·channels]. (With an innermost axis of channels the loops
            would be of that length.)
        along: Shift of each tap along the lines in pixels, int32 [B, T]: from 0, growing by 0 or
            1, by 0 not twice running.
        across: Shift across, in lines, int32 [B, T].
        weights: float32 [T].
        channels: Values of a pixel.

    Returns:
        float32 [B, lines, length·channels], whole numbers.
    """
    reach = weights.shape[0] - 1
    edge = tf.tile(lines[:, :, -channels:], [1, 1, reach])
    rows, shares = _slots(along, across, weights, lines.shape[1])
    return _add(tf.concat([lines, edge], axis=2), rows, shares, channels)


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
    """Two taps of each shift along the lines: the lines they read and their weights.

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
    shares = tf.where(used, tf.gather(weights, there), 0.0)
    offset = tf.transpose(tf.gather(across, there, batch_dims=1))  # [2T, B]
    rows = tf.clip_by_value(offset[:, :, None] + tf.range(count), 0, count - 1)
    return rows, tf.transpose(shares)


@compiled
def _add(padded: tf.Tensor, rows: tf.Tensor, shares: tf.Tensor, channels: int) -> tf.Tensor:
    slots = rows.shape[0]
    length = padded.shape[2] - (slots // 2 - 1) * channels
    total = tf.zeros([])
    for slot in range(slots):
        start = slot // 2 * channels
        line = tf.gather(padded, rows[slot], batch_dims=1)[:, :, start : start + length]
        total += shares[slot][:, None, None] * line
    return tf.floor(total + 0.5)
