"""Rotations, shears, shifts, crops and flips of floating-point images.

Every function samples the input at one point per output pixel. Warps interpolate between the four
pixels around the point; shifts, crops and flips copy. The 8-bit warps of AugMix are in `ops.warp`.
"""

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf

from tfrobust import validation
from tfrobust.ops import sampling
from tfrobust.ops.compiled import compiled
from tfrobust.ops.size import height_and_width

#: Interpolations of a warp.
INTERPOLATIONS = ("bilinear", "nearest")
#: Fills outside the image: black, or the image mirrored without repeating the edge.
FILLS = ("black", "mirror")


def rotate(images: tf.Tensor, angle_degrees: Any, interpolation: str = "bilinear") -> tf.Tensor:
    """Rotates counter-clockwise about the centre of the image, as Pillow (stability training).

    With x and y measured from the centre, y downwards, an output pixel samples the input at

        x_in = x·cos θ − y·sin θ,  y_in = x·sin θ + y·cos θ

    The image keeps its size, and everything outside it is black. Within one pixel of the border,
    the interpolation blends into this black, as in tensorflow-addons; Pillow instead repeats the
    border up to half a pixel outside and then turns black at once. Angle 0 is the identity, bit for
    bit. The gradient with respect to images and angles is that of the interpolation itself.

    Args:
        images: [B, H, W, C] in [0, 1].
        angle_degrees: θ in degrees, scalar or [B].
        interpolation: "bilinear" (default), or "nearest" (copies pixels; no gradient with respect
            to the angle).

    Returns:
        [B, H, W, C] in [0, 1].

    Raises:
        ValueError: `interpolation` is not one of these.

    Example:

    >>> image = tf.constant([[0.25, 0.5], [0.75, 1.0]])[tf.newaxis, :, :, tf.newaxis]
    >>> rotate(image, 90.0, "nearest")[0, :, :, 0].numpy()
    array([[0.5 , 1.  ],
           [0.25, 0.75]], dtype=float32)
    """
    images = tf.convert_to_tensor(images)
    validation.check_choice("interpolation", interpolation, INTERPOLATIONS)
    radians = _per_image(angle_degrees, images, tf.float32) * (math.pi / 180.0)
    cosine, sine = tf.cos(radians), tf.sin(radians)
    return _warp(images, cosine, -sine, sine, cosine, interpolation)


def shear(images: tf.Tensor, shear_x: Any, shear_y: Any) -> tf.Tensor:
    """Shears along both axes about the centre of the image, bilinear, black outside.

    With x and y measured from the centre, y downwards, an output pixel samples the input at

        x_in = x + s_x·y,  y_in = y + s_y·x

    The border blends into black as in `rotate`. A shear of 0 is the identity, bit for bit.

    Args:
        images: [B, H, W, C] in [0, 1].
        shear_x: s_x in pixels per row, scalar or [B].
        shear_y: s_y in pixels per column, scalar or [B].

    Returns:
        [B, H, W, C] in [0, 1].

    Example: the row above the centre samples one pixel further left.

    >>> image = tf.reshape(tf.range(9.0) / 8.0, [1, 3, 3, 1])
    >>> shear(image, 1.0, 0.0)[0, 0, :, 0].numpy()
    array([0.   , 0.   , 0.125], dtype=float32)
    """
    images = tf.convert_to_tensor(images)
    shear_x = _per_image(shear_x, images, tf.float32)
    shear_y = _per_image(shear_y, images, tf.float32)
    ones = tf.ones_like(shear_x)
    return _warp(images, ones, shear_x, shear_y, ones, "bilinear")


def translate(images: tf.Tensor, dx: Any, dy: Any, fill: str = "black") -> tf.Tensor:
    """Shifts by whole pixels, which are copied exactly.

    Args:
        images: [B, H, W, C].
        dx: Integer number of pixels to the right, scalar or [B], of any size.
        dy: Integer number of pixels down, scalar or [B], of any size.
        fill: Fill of the uncovered area: "black" (default), or "mirror" for the image mirrored
            without repeating the edge pixel (reflect-101), as often as needed.

    Returns:
        [B, H, W, C].

    Raises:
        TypeError: A shift does not have an integer dtype.
        ValueError: `fill` is not one of these.

    Example:

    >>> image = tf.constant([0.25, 0.5, 1.0])[tf.newaxis, tf.newaxis, :, tf.newaxis]
    >>> translate(image, 1, 0)[0, 0, :, 0].numpy()
    array([0.  , 0.25, 0.5 ], dtype=float32)
    >>> translate(image, 1, 0, fill="mirror")[0, 0, :, 0].numpy()
    array([0.5 , 0.25, 0.5 ], dtype=float32)
    """
    images = tf.convert_to_tensor(images)
    dx, dy = _whole("dx", dx, images), _whole("dy", dy, images)
    return crop(images, -dy, -dx, *height_and_width(images), fill)


def crop(
    images: tf.Tensor, top: Any, left: Any, height: Any, width: Any, fill: str = "black"
) -> tf.Tensor:
    """Crops a window from each image; the window may extend beyond the image.

    Args:
        images: [B, H, W, C].
        top: First row of the window, integer, scalar or [B]; may be negative.
        left: First column of the window, integer, scalar or [B]; may be negative.
        height: Height of the window in pixels, an int or int32 scalar.
        width: Width of the window in pixels, an int or int32 scalar.
        fill: Fill outside the image, "black" (default) or "mirror", as in `translate`.

    Returns:
        [B, height, width, C].

    Raises:
        TypeError: `top` or `left` does not have an integer dtype.
        ValueError: `fill` is not one of these.

    Example:

    >>> image = tf.constant([0.25, 0.5, 1.0])[tf.newaxis, tf.newaxis, :, tf.newaxis]
    >>> crop(image, 0, 1, 1, 2)[0, 0, :, 0].numpy()
    array([0.5, 1. ], dtype=float32)
    """
    images = tf.convert_to_tensor(images)
    validation.check_choice("fill", fill, FILLS)
    # Computed here because the compiled loop would recompute the indices for every pixel.
    sides = height_and_width(images)
    rows = _places(_whole("top", top, images), height, sides[0], fill)
    columns = _places(_whole("left", left, images), width, sides[1], fill)
    return _read(images, rows, columns, fill)


def flip(images: tf.Tensor, flipped: Any) -> tf.Tensor:
    """Mirrors images left to right.

    Args:
        images: [B, H, W, C].
        flipped: bool, scalar or [B], the images to mirror.

    Returns:
        [B, H, W, C].

    Example:

    >>> image = tf.constant([0.25, 0.5, 1.0])[tf.newaxis, tf.newaxis, :, tf.newaxis]
    >>> flip(image, [True])[0, 0, :, 0].numpy()
    array([1.  , 0.5 , 0.25], dtype=float32)
    """
    images = tf.convert_to_tensor(images)
    return _flip(images, _per_image(flipped, images, tf.bool))


def draw_shifts(seed: tf.Tensor, most: tf.Tensor) -> tf.Tensor:
    """Draws integers uniformly from −s to s.

    Args:
        seed: int32[2].
        most: s ≥ 0, float32 [B]; rounded down.

    Returns:
        int32 [B].
    """
    most = tf.floor(most)
    draw = sampling.uniform(seed, tf.shape(most))
    # The minimum guards against a product rounded up to 2s + 1.
    shift = tf.minimum(tf.floor(draw * (2.0 * most + 1.0)), 2.0 * most) - most
    return tf.cast(shift, tf.int32)


def _per_image(value: Any, images: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    return tf.broadcast_to(tf.cast(value, dtype), [tf.shape(images)[0]])


def _whole(name: str, value: Any, images: tf.Tensor) -> tf.Tensor:
    value = tf.convert_to_tensor(value)
    if not value.dtype.is_integer:
        raise TypeError(
            f"{name} must be whole pixels, of a whole-number type; received {value.dtype.name}"
        )
    return _per_image(value, images, tf.int32)


def _places(first: tf.Tensor, count: Any, side: Any, fill: str) -> tf.Tensor:
    """Rows or columns that a window reads, [B, count]; with "black" some may lie outside."""
    if fill == "black":
        first = tf.clip_by_value(first, -count, side)  # keeps the sums in int32
        return first[:, tf.newaxis] + tf.range(count)
    period = tf.maximum(2 * (side - 1), 1)  # there and back: 0 1 2 3 2 1 | 0 1 2 ...
    first = tf.math.floormod(first, period)
    place = tf.math.floormod(first[:, tf.newaxis] + tf.range(count), period)
    return tf.minimum(place, period - place)


@compiled
def _read(images: tf.Tensor, rows: tf.Tensor, columns: tf.Tensor, fill: str) -> tf.Tensor:
    """Copies pixel (rows[i], columns[j]) of each image to pixel (i, j)."""
    height, width = height_and_width(images)
    row = tf.clip_by_value(rows, 0, height - 1)
    column = tf.clip_by_value(columns, 0, width - 1)
    result = tf.gather(images, row, axis=1, batch_dims=1)
    result = tf.gather(result, column, axis=2, batch_dims=1)
    if fill == "mirror":
        return result
    inside = tf.equal(row, rows)[:, :, tf.newaxis] & tf.equal(column, columns)[:, tf.newaxis]
    return tf.where(inside[..., tf.newaxis], result, tf.zeros([], images.dtype))


@compiled
def _flip(images: tf.Tensor, flipped: tf.Tensor) -> tf.Tensor:
    flipped = flipped[:, tf.newaxis, tf.newaxis, tf.newaxis]
    return tf.where(flipped, tf.reverse(images, [2]), images)


@compiled
def _warp(
    images: tf.Tensor,
    x_from_x: tf.Tensor,
    x_from_y: tf.Tensor,
    y_from_x: tf.Tensor,
    y_from_y: tf.Tensor,
    interpolation: str,
) -> tf.Tensor:
    """Warps each image by its 2×2 matrix about the centre.

    `tf.raw_ops.ImageProjectiveTransformV3` gives the same values but is slower than compiled
    gathers. Its gradient warps by the inverse matrix, which is not the derivative of the
    interpolation, does not exist for every shear, and ignores the matrix itself.
    """
    (height, width), channels = height_and_width(images), images.shape[3]
    middle_x, middle_y = (tf.cast(side - 1, tf.float32) / 2 for side in (width, height))
    x = tf.cast(tf.range(width), tf.float32) - middle_x
    y = tf.cast(tf.range(height), tf.float32)[:, tf.newaxis] - middle_y
    xx, xy, yx, yy = (tf.reshape(t, [-1, 1, 1]) for t in (x_from_x, x_from_y, y_from_x, y_from_y))
    column = xx * x + xy * y + middle_x  # [B, H, W]
    row = yx * x + yy * y + middle_y
    flat = tf.reshape(images, [-1, channels])
    first = tf.reshape(tf.range(tf.shape(images)[0]) * (height * width), [-1, 1, 1])

    if interpolation == "nearest":
        column, inside_x = _inside(tf.floor(column + 0.5), width)
        row, inside_y = _inside(tf.floor(row + 0.5), height)
        inside = tf.logical_and(inside_x, inside_y)[..., tf.newaxis]
        return tf.where(
            inside, tf.gather(flat, first + row * width + column), tf.zeros([], images.dtype)
        )

    (left, left_weight), (right, right_weight) = _neighbours(column, width, images.dtype)
    lines = [
        weight
        * (
            left_weight * tf.gather(flat, first + place * width + left)
            + right_weight * tf.gather(flat, first + place * width + right)
        )
        for place, weight in _neighbours(row, height, images.dtype)
    ]
    return lines[0] + lines[1]


def _neighbours(points: tf.Tensor, side: Any, dtype: tf.DType) -> list[tuple[tf.Tensor, tf.Tensor]]:
    """Indices and weights of the pixels before and after each point; weights are 0 outside.

    The two weights never sum to more than 1, so the interpolation needs no clipping.
    """
    before = tf.floor(points)
    fraction = points - before
    pairs = []
    for place, weight in ((before, 1.0 - fraction), (before + 1.0, fraction)):
        place, inside = _inside(place, side)
        weight = tf.cast(tf.where(inside, weight, 0.0), dtype)
        pairs.append((place, weight[..., tf.newaxis]))
    return pairs


def _inside(places: tf.Tensor, side: Any) -> tuple[tf.Tensor, tf.Tensor]:
    """Clips integral float32 indices into the image; also returns which were inside."""
    within = tf.clip_by_value(places, 0.0, tf.cast(side - 1, tf.float32))
    return tf.cast(within, tf.int32), tf.equal(within, places)
