"""Random noise, drawn from a given seed."""

from __future__ import annotations

from typing import Any, Optional

import numpy as np
import tensorflow as tf

from tfrobust.ops import sampling
from tfrobust.ops.compiled import compiled
from tfrobust.ops.size import height_and_width


def gaussian_noise(images: tf.Tensor, sigma: Any, seed: tf.Tensor) -> tf.Tensor:
    """Adds N(0, σ²) to every value: clip(x + σ·n) (FMA and stability training, Table 1).

    Args:
        images: [B, H, W, C] in [0, 1].
        sigma: Standard deviation σ ≥ 0, scalar or [B].
        seed: int32[2]; the same seed gives the same noise.

    Returns:
        [B, H, W, C], clipped to [0, 1].
    """
    noise = tf.cast(sampling.normal(seed, tf.shape(images)), images.dtype)
    return tf.clip_by_value(images + sampling.per_image(sigma, images) * noise, 0.0, 1.0)


def salt_and_pepper(
    images: tf.Tensor, probability: Any, salt_fraction: Any, amplitude: Any, seed: tf.Tensor
) -> tf.Tensor:
    """Additive salt-and-pepper noise (FMA paper, section 4.2.2).

    Each value (pixel and channel) is hit with probability p. A hit adds +ρ with probability q
    (salt) or −ρ with probability 1 − q (pepper); the result is clipped.

    Args:
        images: [B, H, W, C] in [0, 1].
        probability: p in [0, 1], scalar or [B].
        salt_fraction: q in [0, 1], scalar or [B].
        amplitude: ρ ≥ 0, scalar or [B].
        seed: int32[2]; the same seed gives the same noise.

    Returns:
        [B, H, W, C], clipped to [0, 1].
    """
    # One uniform number decides: [0, pq) is salt, [pq, p) is pepper, the rest does not change.
    draw = tf.cast(sampling.uniform(seed, tf.shape(images)), images.dtype)
    hit = sampling.per_image(probability, images)
    salt = hit * sampling.per_image(salt_fraction, images)
    return _add_sign(images, draw, salt, hit, sampling.per_image(amplitude, images))


@compiled
def _add_sign(
    images: tf.Tensor, draw: tf.Tensor, salt: tf.Tensor, hit: tf.Tensor, amplitude: tf.Tensor
) -> tf.Tensor:
    # 2 - 1 = +1 below salt, 0 - 1 = -1 between salt and hit, 0 above hit.
    sign = 2.0 * tf.cast(draw < salt, images.dtype) - tf.cast(draw < hit, images.dtype)
    return tf.clip_by_value(images + amplitude * sign, 0.0, 1.0)


def speckle_noise(images: tf.Tensor, sigma: Any, seed: tf.Tensor) -> tf.Tensor:
    """Adds Gaussian noise proportional to the value: clip(x + x·n), n ~ N(0, σ²).

    Args:
        images: [B, H, W, C] in [0, 1].
        sigma: Standard deviation σ ≥ 0 relative to the value, scalar or [B].
        seed: int32[2]; the same seed gives the same noise.

    Returns:
        [B, H, W, C], clipped to [0, 1]; black stays black.
    """
    noise = tf.cast(sampling.normal(seed, tf.shape(images)), images.dtype)
    return tf.clip_by_value(images * (1.0 + sampling.per_image(sigma, images) * noise), 0.0, 1.0)


def uniform_noise(images: tf.Tensor, probability: Any, seed: tf.Tensor) -> tf.Tensor:
    """Replaces random pixels by random greys (FCL paper, section 4.1; UN).

    Each pixel is replaced independently with probability p by a grey, the same in all channels,
    uniform in [0, 1). The paper says "15% of the pixels"; here that is the mean, and the number
    varies between images.

    Args:
        images: [B, H, W, C] in [0, 1].
        probability: p in [0, 1], scalar or [B]. The greys have steps of 2⁻²³/p, so they are no
            longer uniform for p of a millionth or less.
        seed: int32[2]; the same seed gives the same noise.

    Returns:
        [B, H, W, C] in [0, 1]. The other pixels do not change.
    """
    return _replace_pixels(images, sampling.per_image(probability, images), seed)


def nonuniform_noise(
    images: tf.Tensor, probability: Any, places: PlacesByDeviation, seed: tf.Tensor
) -> tf.Tensor:
    """Replaces pixels by random greys, less often where images vary (FCL, section 4.1; NUN).

    A pixel is replaced with a probability inversely proportional to its standard deviation s over
    the training images, p = min(1, c/s), where c makes the mean of p over the image equal to
    `probability`.

    Args:
        images: [B, H, W, C] in [0, 1].
        probability: Mean probability in [0, 1], scalar or [B].
        places: The `PlacesByDeviation` of the standard deviations.
        seed: int32[2]; the same seed gives the same noise.

    Returns:
        [B, H, W, C] in [0, 1]. The other pixels do not change.

    Raises:
        ValueError: The height or width of the images is not that of the standard deviations.
    """
    height, width = places.inverse.shape
    if tuple(images.shape[1:3]) != (height, width):
        raise ValueError(
            f"the standard deviations are those of {height}x{width} pixels, and the images must "
            f"be as large; received images of {images.shape[1]}x{images.shape[2]} pixels"
        )
    probability = places.probability(probability)[..., tf.newaxis]  # [B, H, W, 1]
    return _replace_pixels(images, tf.cast(probability, images.dtype), seed)


class PlacesByDeviation:
    """Per-pixel probabilities of the non-uniform noise, p = min(1, c/s), for any mean.

    The mean of p over the pixels is a concave, piecewise linear function of c, with a knot wherever
    another pixel reaches 1. The inverse, c as a function of the mean, is computed once in float64;
    after that, any mean costs a look-up, even one per image.

    Args:
        deviation: [H, W], standard deviation s ≥ 0 of each pixel. Values below `SMALLEST` count as
            `SMALLEST`; otherwise a pixel that never varies would attract all of the noise.

    Raises:
        ValueError: `deviation` is not a matrix of finite numbers ≥ 0.

    Example:

    >>> places = PlacesByDeviation([[0.1, 0.2], [0.2, 0.4]])
    >>> places.probability(0.25).numpy().round(3)  # 4 : 2 : 2 : 1, the mean is 0.25
    array([[[0.444, 0.222], [0.222, 0.111]]], dtype=float32)
    """

    #: One level of an 8-bit image. The paper does not specify what happens at 0.
    SMALLEST = 1 / 255

    def __init__(self, deviation: Any):
        deviation = np.asarray(deviation)
        if deviation.ndim != 2 or deviation.size == 0 or deviation.dtype.kind not in "fiu":
            raise ValueError(
                "deviation must be an array of numbers, one per pixel, of shape [height, width]; "
                f"received shape {deviation.shape} and dtype {deviation.dtype}"
            )
        deviation = deviation.astype("float64")
        if not (np.isfinite(deviation).all() and deviation.min() >= 0):
            raise ValueError(
                "deviation must be finite numbers of 0 or more; received values from "
                f"{deviation.min():g} to {deviation.max():g}"
            )
        deviation = np.maximum(deviation, self.SMALLEST)
        inverse = deviation.min() / deviation  # in (0, 1], so that c starts to clip at 1
        steps, counts = np.unique(inverse, return_counts=True)
        steps, counts = steps[::-1], counts[::-1]  # in the order in which they reach 1
        # At the knot where pixels of inverse r reach 1, c = 1/r: pixels before them have
        # probability 1, they and those after them c times their inverse.
        before = np.cumsum(counts) - counts
        remaining = np.cumsum((steps * counts)[::-1])[::-1]
        means = np.append(0, (before + remaining / steps) / inverse.size)
        scales = np.append(0, 1 / steps)
        slopes = inverse.size / remaining
        self.inverse = inverse.astype("float32")
        #: Upper ends of the pieces; the last is infinite, so that it includes a probability of 1.
        self.ends = np.append(means[1:-1], np.inf).astype("float32")
        #: For each piece, the probability and the c where it starts, and the slope of c.
        self.pieces = np.stack([means[:-1], scales[:-1], slopes], axis=1).astype("float32")

    def probability(self, probability: Any) -> tf.Tensor:
        """Probability of each pixel.

        Args:
            probability: Mean probability in [0, 1], scalar or [B].

        Returns:
            [B, H, W], or [1, H, W] for a scalar.
        """
        probability = tf.reshape(tf.cast(probability, tf.float32), [-1])
        piece = tf.gather(self.pieces, tf.searchsorted(self.ends, probability, side="right"))
        low, start, slope = tf.unstack(piece, axis=1)
        scale = tf.reshape(start + (probability - low) * slope, [-1, 1, 1])
        return tf.minimum(scale * self.inverse, 1.0)


def patch_gaussian(
    images: tf.Tensor,
    sigma: Any,
    size: Any,
    row: Any,
    column: Any,
    seed: tf.Tensor,
    *,
    largest: Optional[int] = None,
) -> tf.Tensor:
    """Adds Gaussian noise in a square patch: clip(x + σ·n) (Patch Gaussian, Lopes et al., 2019).

    The patch covers `size` rows starting at row − ⌊size/2⌋, and columns likewise; it is clipped at
    the border.

    Args:
        images: [B, H, W, C] in [0, 1].
        sigma: Standard deviation σ ≥ 0, scalar or [B].
        size: Side of the patch in whole pixels, scalar or [B].
        row: Row of the centre, a whole number, scalar or [B].
        column: Column of the centre, a whole number, scalar or [B].
        seed: int32[2]; the same seed gives the same noise.
        largest: Upper bound of `size`. If given, only as many random numbers are drawn as the
            largest patch needs, which saves most of the cost.

    Returns:
        [B, H, W, C], clipped to [0, 1]. Pixels outside the patch do not change.
    """
    (height, width), channels = height_and_width(images), images.shape[3]
    # Integers below 2²⁴ are exact in float32, and every device has float32 comparisons.
    rows = _span(row, size, height)[:, :, tf.newaxis]  # [B, H, 1]
    columns = tf.repeat(_span(column, size, width), channels, axis=1)[:, tf.newaxis]  # [B, 1, W*C]
    # The noise repeats with a period of `largest`, so a patch covers every row and column of the
    # period at most once: its values are as independent as those of a full field.
    tall, wide = (tf.minimum(side, largest or side) for side in (height, width))
    noise = sampling.normal(seed, [tf.shape(images)[0], tall, wide * channels])
    noise = tf.tile(noise, [1, -(-height // tall), -(-width // wide)])
    noise = noise[:, :height, : width * channels]
    strength = tf.reshape(tf.cast(sigma, tf.float32), [-1, 1, 1])
    noise = tf.cast(noise * (strength * rows) * columns, images.dtype)
    return tf.clip_by_value(images + tf.reshape(noise, tf.shape(images)), 0.0, 1.0)


def _span(centre: Any, size: Any, length: Any) -> tf.Tensor:
    """Float32 mask [B, length] or [1, length] of the `size` positions around `centre`."""
    centre = tf.reshape(tf.cast(centre, tf.float32), [-1, 1])
    size = tf.reshape(tf.cast(size, tf.float32), [-1, 1])
    first = centre - tf.floor(0.5 * size)
    places = tf.cast(tf.range(length), tf.float32)
    return tf.cast((places >= first) & (places < first + size), tf.float32)


def _replace_pixels(images: tf.Tensor, probability: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Replaces each pixel by a random grey with its probability (broadcast to [B, H, W, 1])."""
    batch, height, width, _ = tf.unstack(tf.shape(images))
    draw = tf.cast(sampling.uniform(seed, [batch, height, width, 1]), images.dtype)
    return _replace(images, draw, tf.convert_to_tensor(probability))


@compiled
def _replace(images: tf.Tensor, draw: tf.Tensor, probability: tf.Tensor) -> tf.Tensor:
    # One uniform number u decides both: u < p is a hit, given which u/p is uniform again. Without a
    # hit the quotient is at least 1 and the minimum 0.
    hit = tf.cast(draw < probability, images.dtype)
    grey = tf.minimum(draw / tf.maximum(probability, 1e-6), hit)
    # The position and the grey are random draws: no gradient flows to the probability.
    return images * (1.0 - hit) + tf.stop_gradient(grey)
