"""Off-centre cropping."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Optional

import keras
import tensorflow as tf

from tfrobust import validation
from tfrobust.augment.base import Strength, StrengthAugment
from tfrobust.layers.entry import entry
from tfrobust.ops import geometry, sampling
from tfrobust.ops.size import height_and_width


@keras.saving.register_keras_serializable(package="tfrobust")
class ShiftedCrop(StrengthAugment):
    """Moves the crop window away from the centre (stability training, Table 1).

    Both displacements are drawn uniformly and independently from −C, ..., C pixels. The paper crops
    224 of 256 pixels, so that the window stays inside the photograph; pass `size` for that. Without
    `size`, the images count as already cropped: the window keeps their size, and the area beyond
    their edges is mirrored.

    Args:
        max_shift_pixels: C in [0, 4096] pixels, or a (low, high) pair to draw from for each
            image; rounded down. Default 3, the strength of stability training's Table 1.
        size: (height, width) of the window in pixels. The window stays inside the image:
            displacements are clipped to the margin. Outside training the layer returns the centre
            crop. Default None: the window has the size of the images, and outside training the
            layer returns them.
        seed: Integer seed. Default 0.

    Raises:
        ValueError: `max_shift_pixels` is not in [0, 4096], or `size` is not a pair of whole
            numbers from 1, or, when called, the images are smaller than `size`.

    Example:

    >>> layer = ShiftedCrop(max_shift_pixels=3, size=(224, 224))
    >>> layer(tf.zeros([1, 256, 256, 3]), training=True).shape
    TensorShape([1, 224, 224, 3])
    """

    parameter = "max_shift_pixels"
    limits = (0.0, 4096.0)

    def __init__(
        self,
        max_shift_pixels: Strength = 3,
        *,
        size: Optional[Sequence[int]] = None,
        seed: int = 0,
        **kwargs: Any,
    ):
        super().__init__(max_shift_pixels, seed=seed, **kwargs)
        self.size = validation.check_size("size", size)

    def at_inference(self, images: tf.Tensor) -> tf.Tensor:
        if self.size is None:
            return images
        images = entry(images, f"images given to {self.name}")
        height, width = self.size
        top, left = (margin // 2 for margin in _margins(images, height, width))
        return images[:, top : top + height, left : left + width]

    def distort(self, images: tf.Tensor, strengths: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        # First column and row of the window, relative to the centre crop.
        left, top = (geometry.draw_shifts(sampling.fold_in(seed, i), strengths) for i in (0, 1))
        height, width = self.size or height_and_width(images)
        if self.size is not None:
            rows, columns = _margins(images, height, width)
            top = tf.clip_by_value(rows // 2 + top, 0, rows)
            left = tf.clip_by_value(columns // 2 + left, 0, columns)
        return geometry.crop(images, top, left, height, width, fill="mirror")

    def compute_output_shape(self, input_shape: Any) -> Any:
        if self.size is None:
            return input_shape
        batch, _, _, channels = tuple(input_shape)
        return (batch, *self.size, channels)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "size": self.size}


def _margins(images: tf.Tensor, height: int, width: int) -> tuple[Any, Any]:
    """Number of rows and columns by which the images exceed the window."""
    sides = height_and_width(images)
    small = [isinstance(s, int) and s < wanted for s, wanted in zip(sides, (height, width))]
    if any(small):
        raise ValueError(
            f"size must fit into the images, which are {sides[0]}×{sides[1]} pixels; "
            f"received {height}×{width}"
        )
    return sides[0] - height, sides[1] - width
