"""JPEG compression and decompression of batches."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from tfrobust.ops.compiled import compiled
from tfrobust.ops.size import height_and_width, numbers_below

#: The example tables of the JPEG standard (ITU-T T.81, Annex K, Tables K.1 and K.2), the default of
#: every encoder; [vertical, horizontal frequency], quality 50.
LUMINANCE_TABLE = np.array(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ],
    np.float32,
)
CHROMINANCE_TABLE = np.array(
    [
        [17, 18, 24, 47, 99, 99, 99, 99],
        [18, 21, 26, 66, 99, 99, 99, 99],
        [24, 26, 56, 99, 99, 99, 99, 99],
        [47, 66, 99, 99, 99, 99, 99, 99],
        [99, 99, 99, 99, 99, 99, 99, 99],
        [99, 99, 99, 99, 99, 99, 99, 99],
        [99, 99, 99, 99, 99, 99, 99, 99],
        [99, 99, 99, 99, 99, 99, 99, 99],
    ],
    np.float32,
)

# The 8-point DCT times √8, [frequency, place], as in libjpeg's accurate transform: in units of
# 1/8192, with the small deviations that its few multiplications cause. Integers below 2^24 are
# exact in float32, so rounding here agrees with rounding there.
_LEFT_HALF = np.array(
    [
        [8192, 8192, 8192, 8192],
        [11363, 9633, 6437, 2260],
        [10703, 4433, -4433, -10703],
        [9633, -2259, -11362, -6436],
        [8192, -8192, -8192, 8192],
        [6437, -11362, 2261, 9633],
        [4433, -10704, 10704, -4433],
        [2260, -6436, 9633, -11363],
    ],
    np.float32,
)
_SIGN = np.array([1, -1] * 4, np.float32)[
    :, np.newaxis
]  # even waves are symmetric, odd ones antisymmetric
_DCT = np.hstack([_LEFT_HALF, _SIGN * _LEFT_HALF[:, ::-1]]) / 8192
#: Scale of the fixed-point numbers between the two passes of libjpeg's transform.
_PASS_SCALE = 4.0

# JFIF's colour conversion in units of 1/65536, as in libjpeg: integers, so every sum below 2^24 is
# exact in float32.
_UNIT = 65536.0
_TO_Y = np.array([19595, 38470, 7471], np.float32) / _UNIT
_TO_CB = np.array([-11059, -21709, 32768], np.float32) / _UNIT
_TO_CR = np.array([32768, -27439, -5329], np.float32) / _UNIT
_FROM_CB = np.array([0, -22554, 116130], np.float32) / _UNIT
_FROM_CR = np.array([91881, -46802, 0], np.float32) / _UNIT


def quantization_tables(quality: Any) -> tuple[tf.Tensor, tf.Tensor]:
    """Quantization tables of luminance and chrominance at a quality, by libjpeg's rule.

    Each entry t of the standard's table becomes clip(⌊(s·t + 50) / 100⌋, 1, 255), where
    s = ⌊5000 / q⌋ below quality 50 and 200 − 2q otherwise.

    Args:
        quality: q from 1 to 100, scalar or [B]; rounded to a whole number.

    Returns:
        Two float32 tensors of whole numbers, [8, 8] or [B, 8, 8], indexed by vertical and
        horizontal frequency.

    Example:

    >>> luminance, chrominance = quantization_tables(30)
    >>> luminance[0].numpy()
    array([ 27.,  18.,  17.,  27.,  40.,  66.,  85., 101.], dtype=float32)
    """
    quality = tf.clip_by_value(tf.round(tf.cast(quality, tf.float32)), 1.0, 100.0)
    # The extra half keeps quotients of whole numbers away from the discontinuities of floor.
    scale = tf.where(quality < 50, tf.floor(5000.5 / quality), 200 - 2 * quality)
    scale = scale[..., tf.newaxis, tf.newaxis]
    luminance, chrominance = (
        tf.clip_by_value(tf.floor((scale * table + 50.5) / 100), 1.0, 255.0)
        for table in (LUMINANCE_TABLE, CHROMINANCE_TABLE)
    )
    return luminance, chrominance


def jpeg(images: tf.Tensor, quality: Any) -> tf.Tensor:
    """Compresses to JPEG and decompresses (stability training, Table 1).

    Baseline JPEG with Pillow's defaults: 8-bit values, JFIF's YCbCr, 4:2:0 chroma subsampling, 8×8
    DCT, the standard's quantization tables scaled by the quality, rounding, and the way back with
    libjpeg's triangle filter for the chroma. It rounds where libjpeg does, including inside its
    integer DCT: the result equals Pillow's bit for bit, except for at most one value in 10,000
    where float32 lacks precision.

    Args:
        images: [B, H, W, C] in [0, 1], C 3 (RGB) or 1 (luminance).
        quality: 1 (strongest) to 100, scalar or [B]; rounded to a whole number.

    Returns:
        [B, H, W, C], multiples of 1/255. Rounding is piecewise constant, so the gradient is zero.

    Raises:
        ValueError: The number of channels is not 1 or 3.
    """
    channels = images.shape[-1]
    if channels not in (1, 3):
        raise ValueError(
            f"JPEG needs images of 1 (grey) or 3 (RGB) channels; received {channels} channels"
        )

    # Without this the gradient would be None instead of zero, which breaks the caller's
    # backpropagation. `stop_gradient` keeps TensorFlow from tracing a gradient of the inside.
    @tf.custom_gradient
    def flat(images, quality):
        compress = _grey if channels == 1 else _rgb
        result = compress(tf.stop_gradient(images), tf.stop_gradient(quality))
        return result, lambda upstream: (tf.zeros_like(images), tf.zeros_like(quality))

    result = flat(tf.cast(images, tf.float32), tf.cast(quality, tf.float32))
    return tf.cast(result, images.dtype)


def _rgb(images: tf.Tensor, quality: tf.Tensor) -> tf.Tensor:
    height, width = height_and_width(images)
    images = _pad_edge(images, _round_up(height, 16), _round_up(width, 16))
    luma, chroma = _to_planes(images, height)
    luminance, chrominance = quantization_tables(quality)
    luma, chroma = _transform_blocks([luma, chroma], [luminance, chrominance])
    rows, columns = (height + 1) // 2, (width + 1) // 2
    blue, red = _upsample(chroma, rows, columns)
    return _to_rgb(luma[:, : 2 * rows, : 2 * columns], blue, red)[:, :height, :width]


def _grey(images: tf.Tensor, quality: tf.Tensor) -> tf.Tensor:
    height, width = height_and_width(images)
    images = _pad_edge(images, _round_up(height, 8), _round_up(width, 8))
    (luma,) = _transform_blocks([_to_levels(images[..., 0])], [quantization_tables(quality)[0]])
    return _from_levels(luma[:, :height, :width, tf.newaxis])


def _round_up(size: Any, of: int) -> Any:
    """Rounds `size` up to a multiple of `of`."""
    return -(-size // of) * of


def _pad_edge(images: tf.Tensor, height: Any, width: Any) -> tf.Tensor:
    """Pads [B, H, W, ...] to a size by repeating the last row and column."""
    for axis, side, size in zip((1, 2), height_and_width(images), (height, width)):
        if not isinstance(side, int) or side != size:
            images = tf.gather(images, tf.minimum(numbers_below(size), side - 1), axis=axis)
    return images


def _transform_blocks(planes: list[tf.Tensor], tables: list[tf.Tensor]) -> list[tf.Tensor]:
    """DCT, quantization and inverse DCT of planes [B, H, W] in blocks of 8×8, unrounded.

    The transform is a matrix product along the rows and a sum of eight rows along the columns, so
    no blocks have to be extracted.
    """
    sizes = [height_and_width(plane) for plane in planes]
    rows = [
        tf.reshape(
            tf.matmul(tf.reshape(plane, [-1, 8]), _PASS_SCALE * _DCT.T),
            [-1, height // 8, 8, width],
        )
        for plane, (height, width) in zip(planes, sizes)
    ]
    steps = [
        tf.tile(tf.reshape(table, [-1, 1, 8, 8]), [1, 1, 1, width // 8])
        for table, (_, width) in zip(tables, sizes)
    ]
    # The coefficients are 8 times those of the orthonormal transform. Halves must round away from
    # zero, but tf.round rounds them to even; a slightly larger factor avoids that.
    factors = [(1 + 2e-6) / (8 * step) for step in steps]
    # In two steps: in one, the compiler would compute each coefficient eight times.
    rows = _inverse_columns(_quantize(rows, factors, steps))
    return [
        tf.reshape(tf.matmul(tf.reshape(r, [-1, 8]), _DCT / (8 * _PASS_SCALE)), [-1, *size])
        for r, size in zip(rows, sizes)
    ]


@compiled
def _quantize(
    planes: list[tf.Tensor], factors: list[tf.Tensor], steps: list[tf.Tensor]
) -> list[tf.Tensor]:
    """Transforms the columns of [B, H/8, 8, W] and quantizes the coefficients."""
    results = []
    for plane, factor, step in zip(planes, factors, steps):
        coefficients = _columns(tf.floor(plane + 0.5), _DCT / _PASS_SCALE)
        results.append(tf.round(tf.floor(coefficients + 0.5) * factor) * step)
    return results


@compiled
def _inverse_columns(planes: list[tf.Tensor]) -> list[tf.Tensor]:
    """Inverse transform of the columns of coefficients [B, H/8, 8, W]."""
    return [tf.floor(_columns(plane, _PASS_SCALE * _DCT.T) + 0.5) for plane in planes]


def _columns(plane: tf.Tensor, matrix: np.ndarray) -> tf.Tensor:
    """Multiplies each column of eight values of [B, H/8, 8, W] by `matrix`."""
    return tf.add_n([matrix[:, i : i + 1] * plane[:, :, i : i + 1] for i in range(8)])


@compiled
def _to_levels(values: tf.Tensor) -> tf.Tensor:
    """Rounds [0, 1] to 8 bits and shifts the range to −128..127."""
    return tf.floor(values * 255 + 0.5) - 128


@compiled
def _from_levels(levels: tf.Tensor) -> tf.Tensor:
    return (_round_levels(levels) + 128) / 255


def _round_levels(levels: tf.Tensor) -> tf.Tensor:
    """Rounds and clips the result of the inverse DCT, as a decoder does."""
    return tf.clip_by_value(tf.floor(levels + 0.5), -128.0, 127.0)


@compiled
def _to_planes(images: tf.Tensor, height: Any) -> tuple[tf.Tensor, tf.Tensor]:
    """Converts RGB to luma [B, H, W] and subsampled chroma [B, H, W/2], Cb above Cr, all around 0.

    Args:
        images: [B, H, W, 3], H and W multiples of 16.
        height: Rows before padding.
    """
    rgb = [tf.floor(channel * 255 + 0.5) for channel in tf.unstack(images, axis=-1)]

    def mixed(weights, offset):
        return tf.floor(sum(w * c for w, c in zip(weights, rgb)) + offset)

    luma = mixed(_TO_Y, 0.5 - 128)
    rows, columns = (side // 2 for side in height_and_width(images))
    # libjpeg rounds the mean of four down and up alternately.
    bias = tf.where(tf.equal(numbers_below(columns) % 2, 1), 0.5, 0.25)
    halved = []
    for weights in (_TO_CB, _TO_CR):
        plane = tf.reshape(mixed(weights, 0.5 - 1 / _UNIT), [-1, rows, 2, columns, 2])
        four = [plane[:, :, i, :, j] for i in (0, 1) for j in (0, 1)]
        plane = tf.floor(0.25 * (four[0] + four[1] + four[2] + four[3]) + bias)
        # Below the image, libjpeg repeats the last row of the subsampled chroma.
        halved.append(_pad_edge(plane[:, : (height + 1) // 2], rows, columns))
    return luma, tf.concat(halved, axis=1)


@compiled
def _upsample(chroma: tf.Tensor, rows: Any, columns: Any) -> list[tf.Tensor]:
    """Doubles the height and width of Cb and Cr as libjpeg does.

    Each new value is 9/16 of the nearest old value, 3/16 of the next two and 1/16 of the fourth;
    the edge is repeated. With at most two columns, libjpeg repeats values instead.

    Args:
        chroma: [B, 2h, w], unrounded, Cb above Cr.
        rows: Number of the h rows that belong to the image.
        columns: Number of the w columns that belong to the image.

    Returns:
        Two tensors [B, 2 * rows, 2, columns]: even and odd columns, which is faster than
        interleaving them.
    """
    results = []
    for first in (0, height_and_width(chroma)[0] // 2):
        near = _round_levels(chroma[:, first : first + rows, :columns])
        if isinstance(columns, int):
            results.append(_repeated(near) if columns <= 2 else _interpolated(near))
        else:
            branches = [lambda n=near: _repeated(n), lambda n=near: _interpolated(n)]
            results.append(tf.cond(columns <= 2, *branches))
    return results


def _repeated(near: tf.Tensor) -> tf.Tensor:
    """Values [B, rows, columns] to [B, 2 * rows, 2, columns]."""
    return tf.repeat(tf.repeat(near, 2, axis=1)[:, :, tf.newaxis], 2, axis=2)


def _interpolated(near: tf.Tensor) -> tf.Tensor:
    """Values [B, rows, columns] to [B, 2 * rows, 2, columns]."""
    rows, columns = height_and_width(near)
    above = tf.concat([near[:, :1], near[:, :-1]], axis=1)
    below = tf.concat([near[:, 1:], near[:, -1:]], axis=1)
    near = tf.stack([3 * near + above, 3 * near + below], axis=2)  # [B, rows, 2, columns]
    near = tf.reshape(near, [-1, 2 * rows, columns])
    left = tf.concat([near[:, :, :1], near[:, :, :-1]], axis=2)
    right = tf.concat([near[:, :, 1:], near[:, :, -1:]], axis=2)
    # Halves are rounded up in even columns and down in odd ones.
    even, odd = (3 * near + left + 8) / 16, (3 * near + right + 7) / 16
    return tf.floor(tf.stack([even, odd], axis=2))


@compiled
def _to_rgb(luma: tf.Tensor, blue: tf.Tensor, red: tf.Tensor) -> tf.Tensor:
    """Converts unrounded luma [B, H, W] and chroma [B, H, 2, W/2] to RGB."""
    height, width = height_and_width(luma)
    luma = tf.reshape(_round_levels(luma) + 128, [-1, height, width // 2, 2, 1])
    # Broadcast against a last axis of the three colours: faster than stacking them one by one.
    blue, red = (tf.transpose(c, [0, 1, 3, 2])[..., tf.newaxis] for c in (blue, red))
    offset = tf.floor(blue * _FROM_CB + red * _FROM_CR + 0.5)
    images = tf.clip_by_value(luma + offset, 0.0, 255.0) / 255
    return tf.reshape(images, [-1, height, width, 3])
