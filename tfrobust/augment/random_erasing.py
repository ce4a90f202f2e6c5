"""Random erasing."""

from __future__ import annotations

from typing import Any, Optional

import keras
import tensorflow as tf

from tfrobust.augment.base import Strength, StrengthAugment
from tfrobust.augment.random_resized_crop import check_pair
from tfrobust.ops import random_boxes, sampling
from tfrobust.ops.size import height_and_width


@keras.saving.register_keras_serializable(package="tfrobust")
class RandomErasing(StrengthAugment):
    """Replaces a random box of some images by random values (Zhong et al., 2020, Algorithm 1).

    Each value in the box is uniform in [0, 1), the paper's RE-R. The box's area is uniform, as a
    fraction of the image's; its shape is log-uniform, as in torchvision (the paper draws the ratio
    uniformly, which prefers high boxes).

    Args:
        probability: Probability that an image has a box, in [0, 1], or a (low, high) pair to draw
            it from for each image. Default 0.5, as in the paper.
        scale: Smallest and largest area, as fractions of the image's. Default (0.02, 0.4), as in
            the paper.
        ratio: Smallest and largest width/height. Default (0.3, 1/0.3), as in the paper.
        seed: Integer seed. Default 0.

    Raises:
        ValueError: An argument is out of range.

    Example:

    >>> layer = RandomErasing(1.0, scale=(0.25, 0.25), ratio=(1, 1))
    >>> erased = layer(tf.fill([1, 8, 8, 1], 2 / 3), training=True)
    >>> int(tf.math.count_nonzero(erased != 2 / 3))
    16

    Reference: Zhong et al., "Random Erasing Data Augmentation", AAAI 2020.
    """

    parameter = "probability"
    limits = (0.0, 1.0)

    def __init__(
        self,
        probability: Strength = 0.5,
        *,
        scale: Any = (0.02, 0.4),
        ratio: Any = (0.3, 1 / 0.3),
        seed: int = 0,
        **kwargs: Any,
    ):
        super().__init__(probability, seed=seed, **kwargs)
        self.scale = check_pair("scale", scale, 1e-6, 1)
        self.ratio = check_pair("ratio", ratio, 0.01, 100)

    def draw(self, images: tf.Tensor, seed: Optional[tf.Tensor] = None) -> dict[str, Any]:
        """Draws the boxes.

        Returns:
            "probability", [B]; "top", "left", "height", "width" of the box in pixels, [B], a height
            of 0 where there is none; "seed", of its values.
        """
        draws = super().draw(images, seed)
        seed = draws["seed"]
        batch, height, width, _ = tf.unstack(tf.shape(images))
        boxes = random_boxes.draw_boxes(
            sampling.fold_in(seed, 0), batch, height, width, self.scale, self.ratio
        )
        there = sampling.uniform(sampling.fold_in(seed, 1), [batch]) < draws["probability"]
        top, left, high, wide = boxes
        box = {"top": top, "left": left, "height": tf.where(there, high, 0.0), "width": wide}
        return {**draws, **box, "seed": sampling.fold_in(seed, 2)}

    def apply(self, images: tf.Tensor, draws: dict[str, Any]) -> tf.Tensor:
        inside = random_boxes.inside(
            [draws[name] for name in ("top", "left", "height", "width")], *height_and_width(images)
        )
        values = sampling.uniform(draws["seed"], tf.shape(images))
        return tf.where(inside, tf.cast(values, images.dtype), images)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "scale": self.scale, "ratio": self.ratio}
