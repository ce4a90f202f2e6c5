"""Random resized cropping."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Optional

import keras
import tensorflow as tf

from tfrobust import validation
from tfrobust.augment.base import Augment
from tfrobust.ops import random_boxes


@keras.saving.register_keras_serializable(package="tfrobust")
class RandomResizedCrop(Augment):
    """Resizes a random box of each image, as is usual for ImageNet.

    The area of the box is uniform between the bounds of `scale`, its width divided by its height
    log-uniform between those of `ratio`. The first of 10 boxes that fits into the image is taken;
    if none fits, the largest central box of an allowed shape. Resizing is bilinear with
    antialiasing, as torchvision's on Pillow images. For photographs in files,
    `datasets.load(random_crops=True)` is faster: it decodes only what the box shows.

    Args:
        scale: Smallest and largest area, as fractions of the image's, above 0 and at most 1.
            Default (0.08, 1).
        ratio: Smallest and largest width/height, from 0.01 to 100. Default (3/4, 4/3).
        size: (height, width) of the result in pixels. Outside training, the layer resizes the
            largest central box of the same shape. Default None: the size of the images, and
            outside training the layer returns them.
        seed: Integer seed. Default 0.

    Raises:
        ValueError: A pair is not in order or out of range, or `size` is not a pair of whole numbers
            from 1.

    Example:

    >>> RandomResizedCrop(size=(24, 24))(tf.ones([2, 32, 40, 3]), training=True).shape
    TensorShape([2, 24, 24, 3])
    """

    def __init__(
        self,
        scale: Sequence[float] = (0.08, 1.0),
        *,
        ratio: Sequence[float] = (3 / 4, 4 / 3),
        size: Optional[Sequence[int]] = None,
        seed: int = 0,
        **kwargs: Any,
    ):
        super().__init__(seed=seed, **kwargs)
        self.scale = check_pair("scale", scale, 1e-6, 1)
        self.ratio = check_pair("ratio", ratio, 0.01, 100)
        self.size = validation.check_size("size", size)

    def at_inference(self, images: tf.Tensor) -> tf.Tensor:
        """Returns the largest central box, resized; without `size` the images."""
        if self.size is None:
            return images
        validation.check_image_spec(images.shape, images.dtype, f"images given to {self.name}")
        height, width = (tf.cast(side, tf.float32) for side in tf.unstack(tf.shape(images)[1:3]))
        high = tf.minimum(height, tf.round(width * self.size[0] / self.size[1]))
        wide = tf.minimum(width, tf.round(height * self.size[1] / self.size[0]))
        box = (tf.floor((height - high) / 2), tf.floor((width - wide) / 2), high, wide)
        names = ("top", "left", "height", "width")
        return self.apply(
            images, {name: tf.repeat(x, tf.shape(images)[0]) for name, x in zip(names, box)}
        )

    def draw(self, images: tf.Tensor, seed: Optional[tf.Tensor] = None) -> dict[str, Any]:
        batch, height, width, _ = tf.unstack(tf.shape(images))
        boxes = random_boxes.draw_boxes(
            self._own_seed(seed), batch, height, width, self.scale, self.ratio
        )
        return dict(zip(("top", "left", "height", "width"), boxes))

    def apply(self, images: tf.Tensor, draws: dict[str, Any]) -> tf.Tensor:
        images = tf.convert_to_tensor(images)
        boxes = tuple(draws[name] for name in ("top", "left", "height", "width"))
        height, width = self.size or tf.unstack(tf.shape(images)[1:3])
        result = random_boxes.resize_boxes(images, boxes, height, width)
        return tf.ensure_shape(result, self.compute_output_shape(images.shape))

    def compute_output_shape(self, input_shape: Any) -> Any:
        if self.size is None:
            return input_shape
        batch, _, _, channels = tuple(input_shape)
        return (batch, *self.size, channels)

    def get_config(self) -> dict[str, Any]:
        own = {"scale": self.scale, "ratio": self.ratio, "size": self.size}
        return {**super().get_config(), **own}


def check_pair(name: str, ends: Any, lowest: float, highest: float) -> tuple[float, float]:
    """A (low, high) pair within limits, or a ValueError."""
    if not isinstance(ends, (tuple, list)) or len(ends) != 2:
        raise ValueError(f"{name} must be a (low, high) pair; received {ends!r}")
    low, high = (validation.check_in_range(name, end, lowest, highest) for end in ends)
    if low > high:
        raise ValueError(
            f"{name} must be a (low, high) pair with low <= high; received ({low:g}, {high:g})"
        )
    return low, high
