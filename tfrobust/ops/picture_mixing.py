"""Mixing of two images as in PixMix."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tfrobust.ops import sampling
from tfrobust.ops.compiled import compiled

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


@compiled
def mix(
    images: tf.Tensor, others: tf.Tensor, a: tf.Tensor, b: tf.Tensor, multiply: tf.Tensor
) -> tf.Tensor:
    """Mixes each image with another one, and clips the result to [0, 1].

    Added, (a·(2x − 1) + b·(2y − 1) + 1)/2; multiplied, (2x)^a · (2y)^b / 2.

    Args:
        images: x, [B, H, W, C] in [0, 1].
        others: y, of the same shape.
        a: [B].
        b: [B].
        multiply: Whether to multiply, bool [B].

    Returns:
        [B, H, W, C].

    Example:

    >>> x, y = tf.fill([1, 1, 1, 1], 0.5), tf.fill([1, 1, 1, 1], 0.25)
    >>> [float(tf.squeeze(mix(x, y, [1.0], [1.0], [one]))) for one in (False, True)]
    [0.25, 0.25]
    """
    a, b, multiply = (tf.reshape(x, [-1, 1, 1, 1]) for x in (a, b, multiply))
    added = (a * (2 * images - 1) + b * (2 * others - 1) + 1) / 2
    product = (2 * images) ** a * tf.maximum(2 * others, _SMALLEST) ** b / 2
    # 0 times an overflow; a black image that is multiplied stays black.
    product = tf.where(images > 0, product, tf.where(a > 0, 0.0, product))
    return tf.clip_by_value(tf.where(multiply, product, added), 0.0, 1.0)
