"""Zooming into the centre, and the blur that averages zooms.

Hendrycks and Dietterich 2019 (arXiv:1903.12261); the authors' scripts are the definition. They zoom
with SciPy, bilinearly.
"""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf

from tfrobust.ops.compiled import compiled

#: Shares of zooms are whole multiples of 1 / this: products with 8-bit values are exact, and it
#: does not matter whether the compiler fuses them with sums, which depends on the batch.
_ONE = 65536.0


def zoom_blur(images: tf.Tensor, keys: tf.Tensor, stop: float, step: float) -> tf.Tensor:
    """Averages the image and its zooms into the centre.

    The bilinear zooms are by `numpy.arange(1, stop, step)`; the image itself counts once more.

    Args:
        images: [B, H, W, C], whole numbers from 0 to 255.
        keys: Not used.
        stop: Where the zooms end, above 1.
        step: Between one zoom and the next.

    Returns:
        [B, H, W, C] on the scale to 255, not rounded.

    Example:

    >>> line = tf.constant([0.0, 60.0, 120.0, 180.0, 0.0, 0.0])[None, None, :, None]
    >>> zoom_blur(line, None, 3, 1)[0, 0, :, 0].numpy().round()  # zoomed: 60, 84, ..., 180
    array([ 20.,  68., 116., 164.,  52.,  60.], dtype=float32)
    """
    (height, width, channels), factors = images.shape[1:], np.arange(1, stop, step)
    # With the images innermost, four pixels are blended as whole vectors, both across and down.
    turned = tf.reshape(tf.transpose(images, [1, 2, 0, 3]), [height, width, -1])
    blurred = _mean_of_zooms(turned, _zooms(height, factors), _zooms(width, factors))
    return tf.transpose(tf.reshape(blurred, [height, width, -1, channels]), [2, 0, 1, 3])


def zoom_places(size: int, factor: float) -> tuple[int, np.ndarray, np.ndarray]:
    """Where a zoom into the middle of a line takes its pixels from.

    As the authors' cut of `scipy.ndimage.zoom` of order 1: the middle n = ⌈size / factor⌉ pixels
    become m = round(n · factor), of which i stands at i (n-1) / (m-1), and the middle is kept.

    Args:
        size: Pixels of the line, before and after.
        factor: 1 or more.

    Returns:
        n; for each pixel the one of the n before it, int32 [size], and the share of the one
        behind it, float64 [size].

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
    """Of all zooms: first and second neighbour of each pixel of a line, share of the second."""
    firsts, seconds, shares = [], [], []
    for factor in factors:
        kept, first, share = zoom_places(size, factor)
        start = (size - kept) // 2
        firsts.append(start + first)
        seconds.append(start + np.minimum(first + 1, kept - 1))
        shares.append(np.rint(share * _ONE))
    places = [tf.constant(np.stack(near), tf.int32) for near in (firsts, seconds)]
    return [*places, tf.constant(np.stack(shares), tf.float32)]


@compiled
def _mean_of_zooms(images: tf.Tensor, rows: list[tf.Tensor], columns: list[tf.Tensor]) -> tf.Tensor:
    """Images [H, W, B · C]; neighbours and shares of each zoom, [N, H] and [N, W]."""
    count = rows[0].shape[0]
    total = 2 * _ONE * images  # the image itself, and the first zoom, which is by 1
    for i in range(1, count):
        down, across = rows[2][i, :, None, None], columns[2][i, :, None]
        both = tf.round(down * across / _ONE)
        weights = ((_ONE - down - across + both, across - both), (down - both, both))
        for line, pair in zip((tf.gather(images, side[i], axis=0) for side in rows[:2]), weights):
            for side, weight in zip(columns[:2], pair):
                total += weight * tf.gather(line, side[i], axis=1)
    return total / ((count + 1) * _ONE)
