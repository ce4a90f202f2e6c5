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
    """Replaces pixels by random greys, less often where images vary (FCL, section 4.1; NUN).

    A pixel is replaced with a probability inversely proportional to its standard deviation s over
    the training images, p = min(1, c/s), by a grey, the same in all channels, uniform from black to
    white. c makes the mean of p over the image equal to `probability`.

    Args:
        probability: Mean probability in [0, 1], or a (low, high) pair to draw from for each image.
            Default 0.15, as in the paper.
        deviation: [H, W], standard deviation s ≥ 0 of each pixel; `from_images` measures it.
            Default None: the same for all pixels, which gives uniform noise.
        smallest_deviation: Lower bound of the standard deviations, from 1e-6 to 1; the paper does
            not specify what happens at 0. If many pixels hardly vary, as at the border of digits, a
            smaller bound concentrates the noise on them. Default 1/255, one level of 8 bits.
        seed: Integer seed. Default 0.

    Raises:
        ValueError: `probability` is not in [0, 1], `smallest_deviation` is out of range,
            `deviation` is not a matrix of finite numbers ≥ 0, or, when called, the images have
            another height or width.

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
            noise.PlacesByDeviation(deviation)  # validates it
            # An array, not a list: Keras would wrap each row of a list.
            self.deviation = np.array(deviation, "float64")
            # Only ratios matter, so the deviations are scaled to the lower bound of that class.
            scale = _SMALLEST / self.smallest_deviation
            kept = np.maximum(self.deviation, self.smallest_deviation)
            self._places = noise.PlacesByDeviation(scale * kept)

    @classmethod
    def from_images(
        cls, images: Any, probability: Strength = 0.15, *, seed: int = 0, **kwargs: Any
    ) -> NonuniformNoise:
        """Creates a layer with the standard deviations of given images.

        Args:
            images: The training images, as for `measure`.
            probability: As for the layer.
            seed: As for the layer.
            **kwargs: Further arguments of the layer, such as `smallest_deviation`.

        Returns:
            The layer.
        """
        return cls(probability, deviation=cls.measure(images), seed=seed, **kwargs)

    @staticmethod
    def measure(images: Any) -> np.ndarray:
        """Measures the standard deviation of each pixel's grey value (the mean of its channels).

        Args:
            images: [N, H, W, C] in [0, 1], or an iterable of such batches or of (images, ...)
                tuples, such as a `tf.data.Dataset`, which is read once, batch by batch.

        Returns:
            [H, W] float64.

        Raises:
            ValueError: There are no images, the batches differ in height or width, or an array does
                not have four axes.
            TypeError: The images are not floating point.

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
            # Combining means and sums of squared deviations is numerically stable, unlike summing
            # squares.
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
    """Yields grey values, float64 [n, H, W], for up to 1000 images at a time."""
    batches: Iterable[Any] = [images] if hasattr(images, "shape") else images
    for batch in batches:
        batch = np.asarray(batch[0] if isinstance(batch, tuple) else batch)
        validation.check_image_spec(batch.shape, batch.dtype)
        for start in range(0, len(batch), 1000):
            yield batch[start : start + 1000].mean(axis=-1, dtype="float64")
