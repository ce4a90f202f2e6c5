"""Spatial attack."""

from __future__ import annotations

import math
from typing import Any, Optional

import keras
import tensorflow as tf

from tfrobust import validation
from tfrobust.attacks.base import Attack
from tfrobust.attacks.worst_of_k import worst_of
from tfrobust.ops import geometry, sampling


@keras.saving.register_keras_serializable(package="tfrobust")
class Spatial(Attack):
    """Spatial attack (STA): the worst of k random rotations and shifts of each image.

    The angle is uniform in [−ρ, ρ]. The shifts along both axes are uniform in ±(max_shift·side),
    rounded to whole pixels, so that the largest is half as likely as the others. The image is
    rotated about its centre and then shifted with nearest-neighbour interpolation; pixels that
    rotate out of the image can be shifted back in. Uncovered areas are black. The image itself is
    not among the k candidates.

    The defaults are those of AugMax's CIFAR-10-STA, whose code evaluates the first 1,000 test
    images only.

    Args:
        k: Number of draws, 1 or more. Default 10.
        max_degrees: ρ in [0, 180] degrees. Default 30.
        max_shift: Largest shift as a fraction of the height and the width, in [0, 1]. Default 3/32,
            3 of 32 pixels.
        seed: Integer seed. Default 0.

    Raises:
        ValueError: An argument is out of range.

    Example:

    >>> from tfrobust import nets
    >>> images = tf.ones([2, 32, 32, 3])
    >>> moved = Spatial(k=2).perturb(nets.small_cnn(), images, tf.constant([0, 1]))
    >>> sorted(set(moved.numpy().ravel().tolist()))  # pixels are copied, or black
    [0.0, 1.0]

    Reference: Engstrom et al., "Exploring the Landscape of Spatial Robustness", ICML 2019; AugMax
    paper, section 4.4 and Table 11.
    """

    def __init__(
        self,
        k: int = 10,
        *,
        max_degrees: float = 30.0,
        max_shift: float = 3 / 32,
        seed: int = 0,
        **kwargs: Any,
    ):
        super().__init__(seed=seed, **kwargs)
        self.k = validation.check_whole("k", k, 1, 10**6)
        self.max_degrees = validation.check_in_range("max_degrees", max_degrees, 0, 180)
        self.max_shift = validation.check_in_range("max_shift", max_shift, 0, 1)

    uses_gradients = False

    def search(
        self, net: Any, images: tf.Tensor, labels: tf.Tensor, seed: Optional[tf.Tensor] = None
    ) -> tf.Tensor:
        images = tf.stop_gradient(images)
        height, width = images.shape[1:3]
        seed = sampling.fold_in(self.seed_of(seed), "spatial")
        # Rotated inside a black frame as wide as the shifts, so that pixels that leave the image
        # can be shifted back in.
        frame = [math.ceil(self.max_shift * side) for side in (height, width)]
        framed = tf.pad(images, [[0, 0], [frame[0]] * 2, [frame[1]] * 2, [0, 0]])

        def draw(i: tf.Tensor) -> tf.Tensor:
            seeds = [sampling.fold_in(sampling.fold_in(seed, i), j) for j in range(3)]
            batch = [tf.shape(images)[0]]
            degrees = sampling.uniform(seeds[0], batch, -self.max_degrees, self.max_degrees)
            down, right = (
                tf.cast(tf.round(sampling.uniform(s, batch, -most, most)), tf.int32)
                for s, most in zip(seeds[1:], (self.max_shift * height, self.max_shift * width))
            )
            turned = geometry.rotate(framed, degrees, "nearest")
            return geometry.crop(turned, frame[0] - down, frame[1] - right, height, width)

        return worst_of(net, labels, draw, self.k, images.shape[1:])

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "k": self.k,
            "max_degrees": self.max_degrees,
            "max_shift": self.max_shift,
        }
