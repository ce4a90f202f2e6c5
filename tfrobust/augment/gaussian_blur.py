"""Gaussian blur."""

from __future__ import annotations

from typing import Any, Optional

import keras
import tensorflow as tf

from tfrobust.augment.base import Strength, StrengthAugment
from tfrobust.ops import filters


@keras.saving.register_keras_serializable(package="tfrobust")
class GaussianBlur(StrengthAugment):
    """Convolves with a Gaussian (FMA paper, section 4.2.2; GB).

    The kernel follows σ and ends 4σ from its middle. A `kernel_size` limits the blur: for a σ far
    above it the kernel is a box. The paper's has 3×3 pixels (`table_1`).

    Args:
        sigma: σ in [0, 100] pixels, or a (low, high) pair to draw from for each image. Default
            0.675, the CIFAR-10 strength of the FMA paper's Table 1.
        kernel_size: Odd side of the kernel in pixels, such as 3, as in Table 1. Default None: it
            follows σ.
        seed: Integer seed; only a drawn σ is random. Default 0.

    Raises:
        ValueError: `sigma` is not in [0, 100], or `kernel_size` is even.

    Example:

    >>> point = tf.pad(tf.ones([1, 1, 1, 1]), [[0, 0], [2, 2], [2, 2], [0, 0]])  # 5x5
    >>> wide = GaussianBlur(100.0, kernel_size=3)(point, training=True)  # nearly a 3x3 box
    >>> round(float(wide[0, 2, 2, 0]), 2), round(float(wide[0, 1, 1, 0]), 2)
    (0.11, 0.11)
    """

    parameter = "sigma"
    limits = (0.0, 100.0)

    def __init__(
        self,
        sigma: Strength = 0.675,
        *,
        kernel_size: Optional[int] = None,
        seed: int = 0,
        **kwargs: Any,
    ):
        super().__init__(sigma, seed=seed, **kwargs)
        if kernel_size is not None and kernel_size not in range(1, 1000, 2):
            raise ValueError(
                f"kernel_size must be an odd whole number of pixels; received {kernel_size!r}"
            )
        self.kernel_size = None if kernel_size is None else int(kernel_size)

    def distort(self, images: tf.Tensor, strengths: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        largest = self.strength[1] if isinstance(self.strength, tuple) else self.strength
        return filters.gaussian_blur(images, strengths, self.kernel_size, largest=largest)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "kernel_size": self.kernel_size}
