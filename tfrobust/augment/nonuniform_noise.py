"""Non-uniform noise."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfrobust import validation
from tfrobust.augment.base import Strength, StrengthAugment
from tfrobust.ops import noise

_SMALLEST = noise.PlacesByDeviation.SMALLEST


@keras.saving.register_keras_serializable(package="tfrobust")
class NonuniformNoise(StrengthAugment):
    """Replaces pixels by random greys, rarely where images vary (FCL paper, section 4.1; NUN).

    A pixel is replaced with a probability inversely proportional to its standard deviation over
    the training images, p = min(1, c/s), by one grey in all channels, uniform from black to white.
    c is such that the mean of p over the image is `probability`.

    Args:
        probability: Mean probability in [0, 1], or a (low, high) pair to draw from for each image.
            Default 0.15, as in the paper.
        deviation: [H, W] standard deviation s ≥ 0 of each pixel; `from_images` measures it. None,
            the default, is the same for all pixels: uniform noise.
        smallest_deviation: Deviations below it count as it, from 1e-6 to 1; the paper does not say
            what happens at 0. Where many pixels hardly vary, as at the border of digits, it
            decides how the noise is shared out: the smaller it is, the more of it they get.
            Default 1/255, one level of 8 bits.
        seed: Whole number.

    Raises:
        ValueError: `probability` is not in [0, 1], `smallest_deviation` out of range, or
            `deviation` not of this form; when called: the images have another height or width.

    Example:

    >>> layer = NonuniformNoise(probability=0.5, deviation=[[0.1, 0.4], [0.0, 0.4]])
    >>> noisy = layer(tf.fill([1000, 2, 2, 1], 0.5), training=True).numpy()
    >>> np.mean(noisy != 0.5, axis=0)[..., 0].round(1)
    array([[0.6, 0.2], [1. , 0.2]])
    """

    parameter = "probability"
    limits = (0.0, 1.0)

    def __init__(
        self,
        probability: Strength = 0.15,
        *,
        deviation: Any = None,
        smallest_deviation: float = _SMALLEST,
        seed: int = 0,
        **kwargs: Any,
    ):
        super().__init__(probability, seed=seed, **kwargs)
        self.smallest_deviation = validation.check_in_range(
            "smallest_deviation", smallest_deviation, 1e-6, 1
        )
        self._places = self.deviation = None
        if deviation is not None:
            noise.PlacesByDeviation(deviation)  # checks it
            # An array, not a list: Keras would wrap each row of a list.
            self.deviation = np.array(deviation, "float64")
            # Only ratios count, so the smallest becomes what is the smallest there.
            scale = _SMALLEST / self.smallest_deviation
            kept = np.maximum(self.deviation, self.smallest_deviation)
            self._places = noise.PlacesByDeviation(scale * kept)

    @classmethod
    def from_images(
        cls, images: Any, probability: Strength = 0.15, *, seed: int = 0, **kwargs: Any
    ) -> NonuniformNoise:
        """A layer for images like these.

        Args:
            images: The training images, as for `measure`.
            probability: As for the layer.
            seed: As for the layer.
            **kwargs: As for the layer, `smallest_deviation` among them.

        Returns:
            A layer with their standard deviations.
        """
        return cls(probability, deviation=cls.measure(images), seed=seed, **kwargs)

    @staticmethod
    def measure(images: Any) -> np.ndarray:
        """The standard deviation of each pixel's grey value, the mean over its channels.

        Args:
            images: [N, H, W, C] in [0, 1], or an iterable of such batches, or of (images, ...)
                tuples, such as a `tf.data.Dataset`: it is read once, batch by batch.

        Returns:
            [H, W] float64.

        Raises:
            ValueError: There is no image, or the batches differ in height or width, or an array
                has not four axes.
            TypeError: The images are not floating-point numbers.

        Example:

        >>> NonuniformNoise.measure(np.array([0.0, 1.0], "float32").reshape(2, 1, 1, 1))
        array([[0.5]])
        """
        count, mean, squares = 0, np.zeros([]), np.zeros([])
        for grey in _grey_values(images):
            if count and grey.shape[1:] != mean.shape:
                raise ValueError(
                    "images must all have the same height and width; received "
                    f"{mean.shape[0]}x{mean.shape[1]} and {grey.shape[1]}x{grey.shape[2]} pixels"
                )
            # Batches are joined by their means and sums of squared deviations, which loses no
            # digits, as sums of squares would.
            more, batch_mean = len(grey), grey.mean(axis=0)
            step = batch_mean - mean
            squares = squares + np.square(grey - batch_mean).sum(axis=0)
            squares = squares + np.square(step) * (count * more / (count + more))
            mean = mean + step * (more / (count + more))
            count += more
        if not count:
            raise ValueError("the standard deviation needs one image or more; received none")
        return np.sqrt(squares / count)

    def distort(self, images: tf.Tensor, strengths: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        if self._places is None:
            return noise.uniform_noise(images, strengths, seed)
        return noise.nonuniform_noise(images, strengths, self._places, seed)

    def get_config(self) -> dict[str, Any]:
        deviation = None if self.deviation is None else self.deviation.tolist()
        own = {"deviation": deviation, "smallest_deviation": self.smallest_deviation}
        return {**super().get_config(), **own}


def _grey_values(images: Any) -> Iterator[np.ndarray]:
    """float64 [n, H, W] for some images at a time."""
    batches: Iterable[Any] = [images] if hasattr(images, "shape") else images
    for batch in batches:
        batch = np.asarray(batch[0] if isinstance(batch, tuple) else batch)
        validation.check_image_spec(batch.shape, batch.dtype)
        for start in range(0, len(batch), 1000):
            yield batch[start : start + 1000].mean(axis=-1, dtype="float64")
