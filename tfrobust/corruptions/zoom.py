"""Zooms into the centre, and the blur that averages them.

Hendrycks and Dietterich 2019 (arXiv:1903.12261); the authors' scripts, which zoom bilinearly with
SciPy, are the definition.
"""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf

from tfrobust.ops.compiled import compiled

#: Interpolation weights are multiples of 1 / this. Their products with 8-bit values are exact, so
#: it does not matter whether the compiler fuses them with sums, which depends on the batch.
_ONE = 65536.0


def zoom_blur(images: tf.Tensor, keys: tf.Tensor, stop: float, step: float) -> tf.Tensor:
    """Averages the image and its zooms into the centre.

    The factors of the bilinear zooms are `numpy.arange(1, stop, step)`; the image itself is added
    once more.

    Args:
        images: [B, H, W, C], whole numbers from 0 to 255.
        keys: Unused.
        stop: Upper end of the factors (exclusive), above 1.
        step: Step between factors.

    Returns:
        [B, H, W, C] on the scale 0 to 255, not rounded.

    Example:

    >>> line = tf.constant([0.0, 60.0, 120.0, 180.0, 0.0, 0.0])[None, None, :, None]
    >>> zoom_blur(line, None, 3, 1)[0, 0, :, 0].numpy().round()  # zoomed: 60, 84, ..., 180
    array([ 20.,  68., 116., 164.,  52.,  60.], dtype=float32)
    """
    (height, width, channels), factors = images.shape[1:], np.arange(1, stop, step)
    # With the batch innermost, pixels are interpolated as whole vectors along both axes.
    transposed = tf.reshape(tf.transpose(images, [1, 2, 0, 3]), [height, width, -1])
    blurred = _mean_of_zooms(transposed, _zooms(height, factors), _zooms(width, factors))
    return tf.transpose(tf.reshape(blurred, [height, width, -1, channels]), [2, 0, 1, 3])


def zoom_places(size: int, factor: float) -> tuple[int, np.ndarray, np.ndarray]:
    """Sampling positions of a zoom into the middle of a line.

    As in the authors' crop of `scipy.ndimage.zoom` of order 1: the middle n = ⌈size / factor⌉
    pixels are resampled to m = round(n · factor), pixel i at position i (n-1) / (m-1), and cropped
    to the middle.

    Args:
        size: Length of the line in pixels, before and after.
        factor: Zoom factor, 1 or more.

    Returns:
        n; for each output pixel, the index among the n of the pixel before it, int32 [size]; and
        the weight of the pixel after it, float64 [size].

    Example:

    >>> zoom_places(4, 2.0)
    (2, array([0, 0, 0, 1], dtype=int32), array([0.        , 0.33333333, 0.66666667, 0.        ]))
    """
    kept = math.ceil(size / factor)
    zoomed = round(kept * factor)
    scale = (kept - 1) / max(zoomed - 1, 1)
    places = np.minimum((np.arange(size) + (zoomed - size) // 2) * scale, kept - 1)
    first = np.floor(places)
    return kept, first.astype("int32"), places - first


def _zooms(size: int, factors: np.ndarray) -> list[tf.Tensor]:
    """For all zooms: both neighbours of each pixel of a line, and the weight of the second."""
    firsts, seconds, fractions = [], [], []
    for factor in factors:
        kept, first, fraction = zoom_places(size, factor)
        start = (size - kept) // 2
        firsts.append(start + first)
        seconds.append(start + np.minimum(first + 1, kept - 1))
        fractions.append(np.rint(fraction * _ONE))
    places = [tf.constant(np.stack(near), tf.int32) for near in (firsts, seconds)]
    return [*places, tf.constant(np.stack(fractions), tf.float32)]


@compiled
def _mean_of_zooms(images: tf.Tensor, rows: list[tf.Tensor], columns: list[tf.Tensor]) -> tf.Tensor:
    """Averages zooms of images [H, W, B · C]; `rows` and `columns` are those of `_zooms`."""
    count = rows[0].shape[0]
    total = 2 * _ONE * images  # the image itself, and the first zoom, whose factor is 1
    for i in range(1, count):
        down, across = rows[2][i, :, None, None], columns[2][i, :, None]
        both = tf.round(down * across / _ONE)
        weights = ((_ONE - down - across + both, across - both), (down - both, both))
        for line, pair in zip((tf.gather(images, side[i], axis=0) for side in rows[:2]), weights):
            for side, weight in zip(columns[:2], pair):
                total += weight * tf.gather(line, side[i], axis=1)
    return total * (np.float32(1) / np.float32((count + 1) * _ONE))
