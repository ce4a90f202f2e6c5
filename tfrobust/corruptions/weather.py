"""Snow, frost and fog."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Optional

import tensorflow as tf

from tfrobust.corruptions.frost_textures import frost_source, textures
from tfrobust.corruptions.motion import draw_angles, shift_and_add, taps
from tfrobust.corruptions.plasma import plasma_fractal
from tfrobust.corruptions.zoom import zoom_places
from tfrobust.files import PathLike
from tfrobust.ops import fields
from tfrobust.ops.compiled import compiled, multiply_add, sum_of_products


def snow(
    images: tf.Tensor,
    keys: tf.Tensor,
    location: float,
    scale: float,
    zoom: float,
    threshold: float,
    radius: float,
    sigma: float,
    mix: float,
) -> tf.Tensor:
    """Whitens images and adds snowflakes that fall within 45° of vertical.

    With x in [0, 1], as in the authors' script (Hendrycks and Dietterich 2019, arXiv:1903.12261):

        flakes = motion blur of 8 bits([n]),  n = zoom of N(location, scale²), 0 below threshold
        result = mix x + (1 - mix) max(x, 1.5 grey + 0.5) + flakes + flakes rotated by 180°

    The zoom enlarges the middle of the field bilinearly; only this middle is drawn. The authors'
    images are square; here, height and width are cropped independently.

    Args:
        images: float32 [B, H, W, 3], whole numbers from 0 to 255.
        keys: uint32 [B, 2], one per image.
        location: Mean of the field.
        scale: Standard deviation of the field.
        zoom: Enlargement of the flakes, 1 or more.
        threshold: Values of the field below this have no flake.
        radius: Reach of the motion blur in pixels.
        sigma: Standard deviation of the motion blur in pixels.
        mix: Weight of the image in the blend with the whitened image.

    Returns:
        float32 [B, H, W, 3], not clipped.

    Example:

    >>> images, keys = tf.zeros([1, 8, 8, 3]), tf.zeros([1, 2], tf.uint32)
    >>> snow(images, keys, 0.1, 0.2, 1, 9, 8, 3, 0.75)[0, 0, 0].numpy()  # no flake
    array([31.875, 31.875, 31.875], dtype=float32)
    """
    height, width = images.shape[1:3]
    crop, rows = zoomed(height, zoom)
    crop_width, columns = zoomed(width, zoom)
    # The field is transposed and flipped, because the motion blur needs lines along the motion.
    rows = [tf.reverse(part, [0]) for part in rows]
    noise = fields.normal(keys, (crop_width, crop))
    flakes = flakes_of(noise, _number(location), _number(scale), _number(threshold), columns, rows)
    down, right, weights = taps(draw_angles(keys, -135, -45), radius, sigma)
    flakes = shift_and_add(flakes, -down, right, weights, channels=1)
    flakes = tf.reverse(tf.transpose(flakes, [0, 2, 1]), [1])
    return whitened(images, flakes, _number(mix))


def frost(
    images: tf.Tensor,
    keys: tf.Tensor,
    image_weight: float,
    frost_weight: float,
    scale: float,
    *,
    folder: Optional[PathLike] = None,
) -> tf.Tensor:
    """Adds a random crop of one of five photographs of frost.

    Hendrycks and Dietterich 2019 (arXiv:1903.12261): image_weight · image + frost_weight · crop, on
    the scale 0 to 255. The crop has the image's size; its first row is drawn from 0 to the
    photograph's height - H - 1, its first column likewise, as in the authors' script. For the
    photographs, see `frost_source`.

    Args:
        images: float32 [B, H, W, 3], whole numbers from 0 to 255.
        keys: uint32 [B, 2], one per image.
        image_weight: Weight of the image.
        frost_weight: Weight of the frost.
        scale: Factor by which the photographs are shrunk.
        folder: Folder with the photographs `frost1` to `frost5`.

    Returns:
        float32 [B, H, W, 3], not clipped.

    Raises:
        FileNotFoundError: `folder` lacks some of the photographs.
        ValueError: A photograph, after shrinking, is not larger than the images.

    Example:

    >>> images, keys = tf.fill([1, 8, 8, 3], 200.0), tf.zeros([1, 2], tf.uint32)
    >>> frost(images, keys, 0.75, 0.0, 0.2)[0, 0, 0].numpy()
    array([150., 150., 150.], dtype=float32)
    """
    height, width = images.shape[1:3]
    frosts = textures(frost_source(folder), float(scale))
    if min(frosts.heights) <= height or min(frosts.widths) <= width:
        raise ValueError(
            f"images must be smaller than each texture of frost, at this scale ({scale:g}) at most "
            f"{min(frosts.heights) - 1}x{min(frosts.widths) - 1} pixels (height x width); received "
            f"images of {height}x{width}: name a table of larger images, or larger photographs"
        )
    starts, widths = _places(
        fields.uniform(keys, (3,)),
        tf.constant(frosts.starts),
        tf.constant(frosts.heights),
        tf.constant(frosts.widths),
        (height, width),
    )
    pixels = tf.constant(frosts.pixels)
    return _add_frost(images, pixels, starts, widths, _number(image_weight), _number(frost_weight))


def fog(
    images: tf.Tensor, keys: tf.Tensor, strength: float, decay: float, map_size: int
) -> tf.Tensor:
    """Adds a plasma fractal.

    Hendrycks and Dietterich 2019 (arXiv:1903.12261). With x in [0, 1] and plasma p in [0, 1],

        result = (x + strength p) max(x) / (max(x) + strength).

    The plasma (see `plasma_fractal`) is scaled to [0, 1]; its upper left part is added.

    Args:
        images: float32 [B, H, W, 3], whole numbers from 0 to 255.
        keys: uint32 [B, 2], one per image.
        strength: Weight of the plasma, above 0.
        decay: Divisor of w per level, see `plasma_fractal`; smaller is rougher.
        map_size: Height and width of the map, a power of two. If the image is larger, the next
            power of two that covers it is used.

    Returns:
        float32 [B, H, W, 3], not clipped.

    Example:

    >>> images, keys = tf.zeros([1, 8, 8, 3]), tf.zeros([1, 2], tf.uint32)
    >>> float(tf.reduce_max(fog(images, keys, 1.5, 2, 32)))  # nothing is brighter than the image
    0.0
    """
    size = max(map_size, 2 ** math.ceil(math.log2(max(images.shape[1:3]))))
    plasma = plasma_fractal(keys, size, decay)
    lowest = tf.reduce_min(plasma, axis=[1, 2])
    span = tf.reduce_max(plasma, axis=[1, 2]) - lowest
    brightest = tf.reduce_max(tf.reshape(images, [-1, math.prod(images.shape[1:])]), axis=1)
    return _add_fog(images, plasma, lowest, span, brightest, _number(strength) * 255)


def _number(value: Any) -> tf.Tensor:
    # A tensor, so that severities that differ only in this value fraction a compiled function.
    return tf.constant(value, tf.float32)


def zoomed(size: int, zoom: float) -> tuple[int, list[tf.Tensor]]:
    """Length of the middle; for each pixel, the sample before it and the weight of the next."""
    kept, first, fraction = zoom_places(size, zoom)
    return kept, [tf.constant(first), tf.constant(fraction, tf.float32)]


@compiled
def flakes_of(
    noise: tf.Tensor,
    location: tf.Tensor,
    scale: tf.Tensor,
    threshold: tf.Tensor,
    rows: Sequence[tf.Tensor],
    columns: Sequence[tf.Tensor],
) -> tf.Tensor:
    def sample(field: tf.Tensor, places: Sequence[tf.Tensor], axis: int) -> tf.Tensor:
        low, fraction = places
        behind = tf.minimum(low + 1, field.shape[axis] - 1)
        fraction = fraction[:, None] if axis == 1 else fraction
        first = tf.gather(field, low, axis=axis)
        return multiply_add(fraction, tf.gather(field, behind, axis=axis) - first, first)

    field = sample(sample(multiply_add(scale, noise, location), rows, 1), columns, 2)
    field = tf.where(field < threshold, tf.zeros_like(field), tf.clip_by_value(field, 0.0, 1.0))
    return tf.floor(field * 255)


@compiled
def whitened(images: tf.Tensor, flakes: tf.Tensor, mix: tf.Tensor) -> tf.Tensor:
    red, green, blue = tf.unstack(images, axis=-1)
    grey = sum_of_products([(0.299, red), (0.587, green), (0.114, blue)])
    white = (1.5 * grey + 127.5)[..., None]
    pale = sum_of_products([(mix, images), (1 - mix, tf.maximum(images, white))])
    return pale + (flakes + tf.reverse(flakes, [1, 2]))[..., None]


@compiled
def _places(
    draws: tf.Tensor,
    starts: tf.Tensor,
    heights: tf.Tensor,
    widths: tf.Tensor,
    size: tuple[int, int],
) -> tuple[tf.Tensor, tf.Tensor]:
    """First pixel of each image's crop and width of its texture, int32 [B]."""

    def below(count: Any, draw: tf.Tensor) -> tf.Tensor:
        return tf.cast(draw * tf.cast(count, tf.float32), tf.int32)

    texture = below(starts.shape[0], draws[:, 0])
    width = tf.gather(widths, texture)
    row = below(tf.gather(heights, texture) - size[0], draws[:, 1])
    column = below(width - size[1], draws[:, 2])
    return tf.gather(starts, texture) + row * width + column, width


@compiled
def _add_frost(
    images: tf.Tensor,
    pixels: tf.Tensor,
    starts: tf.Tensor,
    widths: tf.Tensor,
    image_weight: tf.Tensor,
    frost_weight: tf.Tensor,
) -> tf.Tensor:
    height, width = images.shape[1:3]
    rows = starts[:, None] + widths[:, None] * tf.range(height)  # [B, H]
    part = tf.gather(pixels, rows[:, :, None] + tf.range(width))
    return sum_of_products([(image_weight, images), (frost_weight, tf.cast(part, tf.float32))])


@compiled
def _add_fog(
    images: tf.Tensor,
    plasma: tf.Tensor,
    lowest: tf.Tensor,
    span: tf.Tensor,
    brightest: tf.Tensor,
    strength: tf.Tensor,
) -> tf.Tensor:
    height, width = images.shape[1:3]
    brightest = brightest[:, None, None, None]
    haze = (plasma[:, :height, :width] - lowest[:, None, None]) / span[:, None, None]
    return (images + strength * haze[..., None]) * (brightest / (brightest + strength))
