"""Mixing of two images as in PixMix."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tfrobust.ops import pixels, sampling
from tfrobust.ops.compiled import compiled
from tfrobust.ops.flat_images import as_list, as_maps

#: The smallest base of a power, as in the released code.
_SMALLEST = 1e-37


def draw_weights(seed: tf.Tensor, shape: Any, beta: float) -> tuple[tf.Tensor, tf.Tensor]:
    """Draws the weights a and b of two images that are mixed.

    One half of the time a ~ Beta(β, 1) and b ~ Beta(1, β), the other half a − 1 ~ Beta(1, β) and
    −b ~ Beta(1, β). A number of Beta(β, 1) is U^(1/β).

    Args:
        seed: int32[2] or [B, 2].
        shape: Shape of each.
        beta: β > 0; the higher, the weaker the second image.

    Returns:
        a in [0, 2] and b in [−1, 1].
    """
    swap, first, second = (sampling.uniform(sampling.fold_in(seed, i), shape) for i in range(3))
    of_beta_1, far = (u ** (1 / beta) for u in (first, second))
    weaker = 1 - far
    within = swap < 0.5
    return tf.where(within, of_beta_1, 2 - of_beta_1), tf.where(within, weaker, -weaker)


def mix(x: Any, y: Any, a: Any, b: Any, multiply: Any) -> tf.Tensor:
    """Mixes images with others, and clips the result to [0, 1]. For use in compiled functions.

    Added, (a·(2x − 1) + b·(2y − 1) + 1)/2; multiplied, (2x)^a · (2y)^b / 2.

    Args:
        x: [B, H, W, C] in [0, 1].
        y: Of the same shape.
        a: [B, 1, 1, 1].
        b: [B, 1, 1, 1].
        multiply: Whether to multiply, bool [B, 1, 1, 1].

    Returns:
        [B, H, W, C].

    Example:

    >>> [float(mix(tf.constant(0.5), tf.constant(0.25), 1.0, 1.0, one)) for one in (False, True)]
    [0.25, 0.25]
    """
    added = (a * (2 * x - 1) + b * (2 * y - 1) + 1) / 2
    powers = a * tf.math.log(2 * x) + b * tf.math.log(tf.maximum(2 * y, _SMALLEST))
    # A black image that is multiplied stays black, with whatever.
    product = tf.where((x > 0) | (a == 0), tf.exp(powers) / 2, 0.0)
    return tf.clip_by_value(tf.where(multiply, product, added), 0.0, 1.0)


def mix_in_rounds(
    images: tf.Tensor,
    words: tf.Tensor,
    pictures: tf.Tensor,
    changed: tf.Tensor,
    count: tf.Tensor,
    a: tf.Tensor,
    b: tf.Tensor,
    multiply: tf.Tensor,
) -> tf.Tensor:
    """Mixes each image several times, in one loop over the pixels.

    Args:
        images: [B, H, W, C], C 1 or 3.
        words: Words of the images after operators, [B, rounds + 1, H, W], as from `ops.chains.run`.
        pictures: Words [B, H, W] of what is mixed in else.
        changed: Whether the start, and what is mixed in each round, is the image after an operator,
            bool [B, rounds + 1].
        count: Number of rounds of each image, int32 [B].
        a: [B, rounds].
        b: [B, rounds].
        multiply: bool [B, rounds].

    Returns:
        [B, H, W, C].
    """
    lists = as_list(images, 1), as_list(words, 2), as_list(pictures, 1)
    return as_maps(_mix_in_rounds(*lists, changed, count, a, b, multiply), 1, images, 1)


@compiled
def _mix_in_rounds(images, words, pictures, changed, count, a, b, multiply):
    def each(values: tf.Tensor) -> tf.Tensor:
        return tf.reshape(values, [-1, 1, 1])

    def unpacked(of: tf.Tensor) -> tf.Tensor:
        return tf.cast(pixels.values(of, images.shape[-1]), tf.float32) / 255.0

    mixed = tf.where(each(changed[:, 0]), unpacked(words[:, 0]), images)
    for i in range(a.shape[1]):
        other = unpacked(tf.where(changed[:, i + 1, tf.newaxis], words[:, i + 1], pictures))
        new = mix(mixed, other, each(a[:, i]), each(b[:, i]), each(multiply[:, i]))
        mixed = tf.where(each(i < count), new, mixed)
    return mixed
