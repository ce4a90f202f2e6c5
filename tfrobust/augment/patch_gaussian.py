"""Patch Gaussian."""

from __future__ import annotations

from typing import Any, Union

import keras
import tensorflow as tf

from tfrobust import validation
from tfrobust.augment.base import Strength, StrengthAugment
from tfrobust.ops import noise, sampling
from tfrobust.ops.size import height_and_width


@keras.saving.register_keras_serializable(package="tfrobust")
class PatchGaussian(StrengthAugment):
    """Adds Gaussian noise in a random square (Patch Gaussian, Lopes et al., 2019).

    The centre is uniform over all pixels; the square is clipped at the border. Inside, N(0, σ²) is
    added to every value and the result is clipped; pixels outside do not change. A square of even
    side extends one pixel further up and left of its centre.

    Args:
        sigma: σ in [0, 10], or a (low, high) pair to draw from for each image; "σ ≤ s" is (0, s).
            Default 0.1, as in the FCL paper for CIFAR-10.
        size: Side in pixels from 1 to 10000, or a (low, high) pair of integers to draw from,
            inclusive; "W ≤ 25" is (1, 25). Default 25, as in the FCL paper for CIFAR-10. It may
            exceed the images.
        seed: Integer seed. Default 0.

    Raises:
        ValueError: `sigma` or `size` is out of range.

    Example:

    >>> noisy = PatchGaussian(sigma=0.1, size=3)(tf.fill([1, 9, 9, 1], 0.5), training=True)
    >>> int(tf.math.count_nonzero(noisy != 0.5)) <= 9
    True
    """

    parameter = "sigma"
    limits = (0.0, 10.0)

    def __init__(
        self,
        sigma: Strength = 0.1,
        *,
        size: Union[int, tuple[int, int]] = 25,
        seed: int = 0,
        **kwargs: Any,
    ):
        super().__init__(sigma, seed=seed, **kwargs)
        pair = isinstance(size, (tuple, list))
        ends = tuple(size) if isinstance(size, (tuple, list)) else (size, size)
        if len(ends) != 2:
            raise ValueError(
                f"size must be a whole number or a (low, high) pair of them; received {size!r}"
            )
        low, high = (validation.check_whole("size", end, 1, 10000) for end in ends)
        if low > high:
            raise ValueError(
                f"size must be a (low, high) pair with low <= high; received ({low}, {high})"
            )
        self.size: Union[int, tuple[int, int]] = (low, high) if pair else low

    def distort(self, images: tf.Tensor, strengths: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        low, high = self.size if isinstance(self.size, tuple) else (self.size, self.size)
        batch = tf.shape(images)[0]

        def whole(index: int, count: Any) -> tf.Tensor:
            """Draws [B] whole numbers from 0 to count - 1."""
            count = tf.cast(count, tf.float32)
            return tf.floor(count * sampling.uniform(sampling.fold_in(seed, index), [batch]))

        height, width = height_and_width(images)
        return noise.patch_gaussian(
            images,
            strengths,
            low + whole(0, high - low + 1),
            whole(1, height),
            whole(2, width),
            sampling.fold_in(seed, 3),
            largest=high,
        )

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "size": self.size}
