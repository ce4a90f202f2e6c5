"""Spatter: drops of water or mud on the lens.

All steps but the last depend only on the random layer. For water, the authors' script calls OpenCV;
its functions are reimplemented here for batches, with the same results.
"""

from __future__ import annotations

import tensorflow as tf

from tfrobust.corruptions.blur import gaussian_blur
from tfrobust.corruptions.edges import FARTHEST, find_distances, find_edges, shifted, widened
from tfrobust.ops import fields
from tfrobust.ops.compiled import compiled, multiply_add

#: Red, green and blue of water (pale turquoise) and of mud.
_WATER, _MUD = (175, 238, 238), (63, 42, 20)


def spatter(
    images: tf.Tensor,
    keys: tf.Tensor,
    location: float,
    scale: float,
    sigma: float,
    threshold: float,
    intensity: float,
    mode: int,
) -> tf.Tensor:
    """Adds drops of water, or covers spots with mud.

    Hendrycks and Dietterich 2019 (arXiv:1903.12261); the authors' script is the definition. A layer
    N(location, scale) is smoothed by a Gaussian of sigma; values below the threshold become 0.

    - Water: the distance to the edges of the layer (Canny, thresholds 50 and 150; chamfer 5×5, at
      most 20) is smoothed, equalized and sharpened into ripples. Then layer · ripples, scaled to
      the maximum `intensity`, times the colour of water is added to the image.
    - Mud: the mask of the layer is smoothed by a Gaussian of sigma = intensity. Where at least 0.8
      remains, it is the weight with which the colour of mud is blended into the image.

    An image whose water is 0 everywhere does not change (in the script: 0 / 0).

    Args:
        images: float32 [B, H, W, 3], whole numbers 0..255.
        keys: uint32 [B, 2].
        location: Mean of the layer; 1 is white.
        scale: Standard deviation of the layer before smoothing.
        sigma: Standard deviation of the smoothing in pixels.
        threshold: Values of the layer below this are dry.
        intensity: For water, its maximum; for mud, the smoothing of the mask in pixels.
        mode: 0 for water, 1 for mud.

    Returns:
        float32 [B, H, W, 3] on the scale 0..255, not clipped.

    Example:

    >>> keys = fields.image_keys(0, "spatter", 5, tf.range(1))
    >>> spattered = spatter(tf.zeros([1, 32, 32, 3]), keys, 0.65, 0.1, 0.5, 0.68, 0.6, 1)
    >>> bool(tf.reduce_all(spattered <= tf.constant([63.0, 42.0, 20.0]) + 0.01))  # mud on black
    True
    """
    noise = fields.normal(keys, (*images.shape[1:3], 1))
    numbers = [tf.constant(value, tf.float32) for value in (location, scale, threshold)]
    layer = gaussian_blur(noise, keys, sigma)[..., 0]
    if mode == 1:
        mask = gaussian_blur(_mask(layer, *numbers), keys, intensity)
        return _add_mud(images, mask[..., 0])
    liquid = _liquid(layer, *numbers)
    distances = find_distances(find_edges(liquid), images.shape[1])
    water = _multiply(liquid, ripples_of(distances))
    return wetted(images, water, tf.constant(intensity, tf.float32))


def _layer(
    smoothed: tf.Tensor, location: tf.Tensor, scale: tf.Tensor, threshold: tf.Tensor
) -> tf.Tensor:
    layer = multiply_add(scale, smoothed, location)
    return tf.where(layer < threshold, tf.zeros([], layer.dtype), layer)


@compiled
def _mask(
    smoothed: tf.Tensor, location: tf.Tensor, scale: tf.Tensor, threshold: tf.Tensor
) -> tf.Tensor:
    layer = _layer(smoothed, location, scale, threshold)
    return tf.cast(layer > threshold, tf.float32)[..., tf.newaxis]


@compiled
def _add_mud(images: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    weight = tf.where(mask < 0.8, 0.0, mask)[..., tf.newaxis]
    return multiply_add(weight, tf.constant(_MUD, tf.float32) - images, images)


@compiled
def _liquid(
    smoothed: tf.Tensor, location: tf.Tensor, scale: tf.Tensor, threshold: tf.Tensor
) -> tf.Tensor:
    """The layer in 8 bits; values above white wrap around to black, as in the script."""
    layer = _layer(smoothed, location, scale, threshold)
    return tf.cast(tf.bitwise.bitwise_and(tf.cast(layer * 255, tf.int32), 255), tf.uint8)


def ripples_of(distances: tf.Tensor) -> tf.Tensor:
    """Smooths, equalizes and sharpens distances in 8 bits, as OpenCV does."""
    levels = _levels(distances)
    size = FARTHEST + 1
    counts = tf.math.bincount(_flat(levels), minlength=size, maxlength=size, axis=-1)
    equal = _look_up(levels, _equalization_table(counts))
    return _mean(widened(_sharpen(widened(equal, "reflect")), "reflect"))


@compiled
def _levels(distances: tf.Tensor) -> tf.Tensor:
    """3×3 means, truncated to whole numbers, uint8 [B, H, W]."""
    inside = min(1, distances.shape[1] - 1)
    rows = [distances[:, inside : inside + 1], distances, distances[:, -1 - inside :][:, :1]]
    column = tf.concat(rows, axis=1)
    column = column[:, :-2] + column[:, 1:-1] + column[:, 2:]
    total = column[..., :-2] + column[..., 1:-1] + column[..., 2:]
    # The offset makes up for whole numbers rounded down in float32.
    return tf.cast(total * (1 / 9) + 1e-5, tf.uint8)


@compiled
def _flat(levels: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.reshape(levels, [-1, levels.shape[1] * levels.shape[2]]), tf.int32)


@compiled
def _equalization_table(counts: tf.Tensor) -> tf.Tensor:
    """Look-up table that equalizes a histogram, as `cv2.equalizeHist`, int32 [B, 21]."""
    up_to = tf.cumsum(counts, axis=1)
    total = up_to[:, -1:]
    first = tf.reduce_min(tf.where(up_to > 0, up_to, total), axis=1, keepdims=True)
    scale = 255 / tf.cast(tf.maximum(total - first, 1), tf.float32)
    table = tf.cast(tf.round(tf.cast(tf.maximum(up_to - first, 0), tf.float32) * scale), tf.int32)
    return tf.where(total > first, table, tf.range(FARTHEST + 1))


@compiled
def _look_up(levels: tf.Tensor, tables: tf.Tensor) -> tf.Tensor:
    # One tf.where per level: on 8-bit values, that is five times faster than a gather.
    tables = tf.cast(tables, tf.uint8)[..., tf.newaxis, tf.newaxis]
    result = tf.zeros([], tf.uint8)
    for level in range(FARTHEST + 1):
        result = tf.where(tf.equal(levels, level), tables[:, level], result)
    return result


@compiled
def _sharpen(widened: tf.Tensor) -> tf.Tensor:
    values = tf.cast(widened, tf.int16)
    total = shifted(values, 0, 0)
    for weight, down, right in ((2, 1, 1), (1, 0, 1), (1, 1, 0)):
        total += weight * (shifted(values, down, right) - shifted(values, -down, -right))
    return tf.cast(tf.clip_by_value(total, 0, 255), tf.uint8)


@compiled
def _mean(widened: tf.Tensor) -> tf.Tensor:
    """3×3 means, rounded."""
    values = tf.cast(widened, tf.int16)
    total = tf.add_n([shifted(values, i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)])
    return tf.cast((tf.cast(total, tf.float32) + 4.5) * (1 / 9), tf.uint8)


@compiled
def _multiply(liquid: tf.Tensor, ripples: tf.Tensor) -> tf.Tensor:
    return tf.cast(liquid, tf.float32) * tf.cast(ripples, tf.float32)


def wetted(images: tf.Tensor, water: tf.Tensor, intensity: tf.Tensor) -> tf.Tensor:
    return _add_water(images, water, tf.math.divide_no_nan(intensity, tf.reduce_max(water, [1, 2])))


@compiled
def _add_water(images: tf.Tensor, water: tf.Tensor, factors: tf.Tensor) -> tf.Tensor:
    water = water * factors[:, tf.newaxis, tf.newaxis]
    return multiply_add(water[..., tf.newaxis], tf.constant(_WATER, tf.float32), images)
