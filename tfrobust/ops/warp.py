"""Pillow's bilinear warps of 8-bit images: shears, integer shifts and rotations (AugMix).

As in Pillow, each output pixel samples the input at one point. A point up to half a pixel outside
reads the border, one further out reads black, and the result is truncated to 8 bits. Images are
words of `ops.pixels`; `rows` selects the images to read, so that none has to be copied first.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tfrobust.ops.compiled import compiled
from tfrobust.ops.pixels import from_words, to_words
from tfrobust.ops.size import height_and_width


def shift_rows(words: tf.Tensor, rows: tf.Tensor, shifts: tf.Tensor, channels: int) -> tf.Tensor:
    """Samples each row of pixels `shifts` to the right: shear_x.

    Args:
        words: [N, H, W] words.
        rows: int32 [K], indices of the images to read.
        shifts: float32 [K, H] in pixels.
        channels: Number of channels in a word.

    Returns:
        [K, H, W] words.
    """
    whole = tf.floor(shifts)
    return _shift(words, rows, tf.cast(whole, tf.int32), shifts - whole, channels, 2)


def shift_columns(words: tf.Tensor, rows: tf.Tensor, shifts: tf.Tensor, channels: int) -> tf.Tensor:
    """Samples each column of pixels `shifts` further down: shear_y.

    Args:
        words: [N, H, W] words.
        rows: int32 [K], indices of the images to read.
        shifts: float32 [K, W] in pixels.
        channels: Number of channels in a word.

    Returns:
        [K, H, W] words.
    """
    whole = tf.floor(shifts)
    return _shift(words, rows, tf.cast(whole, tf.int32), shifts - whole, channels, 1)


@compiled
def translate(words: tf.Tensor, rows: tf.Tensor, right: tf.Tensor, down: tf.Tensor) -> tf.Tensor:
    """Samples whole pixels to the right and down: translate_x and translate_y.

    Args:
        words: [N, H, W] words.
        rows: int32 [K], indices of the images to read.
        right: int32 [K] pixels.
        down: int32 [K] pixels.

    Returns:
        [K, H, W] words.
    """
    height, width = height_and_width(words)
    first, right, down = (tf.reshape(t, [-1, 1, 1]) for t in (rows * (height * width), right, down))
    row = tf.range(height)[:, tf.newaxis] + down
    column = tf.range(width) + right
    inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
    # A point outside reads any valid pixel, which is then replaced by black.
    place = tf.where(inside, first + row * width + column, first)
    black = tf.zeros([], words.dtype)
    return tf.where(inside, tf.gather(tf.reshape(words, [-1]), place), black)


def rotate(words: tf.Tensor, rows: tf.Tensor, degrees: tf.Tensor, channels: int) -> tf.Tensor:
    """Rotates counter-clockwise about the centre of the image.

    Args:
        words: [N, H, W] words.
        rows: int32 [K], indices of the images to read.
        degrees: float32 [K].
        channels: Number of channels in a word.

    Returns:
        [K, H, W] words.
    """
    radians = degrees * (3.141592653589793 / 180.0)
    cosine, sine = tf.cos(radians), tf.sin(radians)
    # Two compiled functions: in one, the compiler would repeat the gathers for every channel.
    return _blend(*_corners(words, rows, cosine, sine), cosine, sine, channels)


@compiled
def _shift(
    words: tf.Tensor,
    rows: tf.Tensor,
    whole: tf.Tensor,
    fraction: tf.Tensor,
    channels: int,
    axis: int,
) -> tf.Tensor:
    height, width = height_and_width(words)
    side = height if axis == 1 else width
    # [K, H, 1] for rows, [K, 1, W] for columns.
    whole, fraction = (tf.expand_dims(t, axis) for t in (whole, fraction))
    place = tf.range(side)[tf.newaxis, :, tf.newaxis] if axis == 1 else tf.range(side)
    place = place + whole
    line = tf.range(width) if axis == 1 else tf.range(height)[:, tf.newaxis] * width
    line = line + (rows * (height * width))[:, tf.newaxis, tf.newaxis]
    step = width if axis == 1 else 1
    flat = tf.reshape(words, [-1])

    def read(offset):
        return tf.gather(flat, line + step * tf.clip_by_value(place + offset, 0, side - 1))

    near, far = from_words(read(0), channels), from_words(read(1), channels)
    values = [_to_8_bits(_lerp(a, b, fraction)) for a, b in zip(near, far)]
    point = tf.cast(place, tf.float32) + fraction
    inside = tf.logical_and(point >= -0.5, point < _as_float(side) - 0.5)
    return to_words([tf.where(inside, value, 0) for value in values])


def _points(
    height: Any, width: Any, cosine: tf.Tensor, sine: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Column and row where each output pixel samples the input, [K, H, W] each."""
    middle_x, middle_y = (_as_float(side - 1) / 2 for side in (width, height))
    row = _as_float(tf.range(height))[:, tf.newaxis] - middle_y
    column = _as_float(tf.range(width)) - middle_x
    cosine, sine = (tf.reshape(t, [-1, 1, 1]) for t in (cosine, sine))
    return (
        cosine * column - sine * row + middle_x,
        sine * column + cosine * row + middle_y,
    )


@compiled
def _corners(
    words: tf.Tensor, rows: tf.Tensor, cosine: tf.Tensor, sine: tf.Tensor
) -> list[tf.Tensor]:
    """The four pixels around each sampled point, [K, H, W] words each."""
    height, width = height_and_width(words)
    column, row = (tf.cast(tf.floor(p), tf.int32) for p in _points(height, width, cosine, sine))
    left, right = (tf.clip_by_value(column + i, 0, width - 1) for i in (0, 1))
    first = (rows * (height * width))[:, tf.newaxis, tf.newaxis]
    top, bottom = (tf.clip_by_value(row + i, 0, height - 1) * width + first for i in (0, 1))
    flat = tf.reshape(words, [-1])
    return [tf.gather(flat, y + x) for y in (top, bottom) for x in (left, right)]


@compiled
def _blend(
    top_left: tf.Tensor,
    top_right: tf.Tensor,
    bottom_left: tf.Tensor,
    bottom_right: tf.Tensor,
    cosine: tf.Tensor,
    sine: tf.Tensor,
    channels: int,
) -> tf.Tensor:
    height, width = height_and_width(top_left)
    column, row = _points(height, width, cosine, sine)
    right, down = column - tf.floor(column), row - tf.floor(row)
    corners = (top_left, top_right, bottom_left, bottom_right)
    values = [
        _to_8_bits(_lerp_float(_lerp(a, b, right), _lerp(c, d, right), down))
        for a, b, c, d in zip(*(from_words(words, channels) for words in corners))
    ]
    right_end, lower_end = _as_float(width) - 0.5, _as_float(height) - 0.5
    inside = (column >= -0.5) & (column < right_end) & (row >= -0.5) & (row < lower_end)
    return to_words([tf.where(inside, value, 0) for value in values])


def _as_float(numbers: Any) -> tf.Tensor:
    return tf.cast(numbers, tf.float32)


def _lerp(near: tf.Tensor, far: tf.Tensor, fraction: tf.Tensor) -> tf.Tensor:
    return _lerp_float(tf.cast(near, tf.float32), tf.cast(far, tf.float32), fraction)


def _lerp_float(near: tf.Tensor, far: tf.Tensor, fraction: tf.Tensor) -> tf.Tensor:
    return near + (far - near) * fraction


def _to_8_bits(values: tf.Tensor) -> tf.Tensor:
    return tf.cast(values, tf.int32)  # truncated, not rounded, as in Pillow
