"""Instance normalization."""

from __future__ import annotations

from typing import Any, Optional

import keras
import tensorflow as tf

from tfrobust.compat.variables import WITHOUT_AUTOCAST
from tfrobust.layers.norm_bases import AffineNorm


@keras.saving.register_keras_serializable(package="tfrobust")
class InstanceNormalization(AffineNorm):
    """Instance norm: normalises every channel of every image over its pixels.

    y = gamma · (x − mean) / sqrt(variance + epsilon) + beta, with mean and variance over height and
    width (Ulyanov et al., arXiv:1607.08022; the instance half of DuBIN, AugMax, section 3.3). There
    are no moving statistics: training and inference are the same. Statistics are computed in
    float32 even if the net uses half precision.

    Args:
        axis: Axis of the channels. Default -1.
        epsilon: Added to the variance, above 0. Default 1e-5, as in AugMax's code.
        center: Whether to add an offset beta. Default True.
        scale: Whether to multiply by a scale gamma. Default True.
        beta_regularizer: Keras regularizer of the offsets.
        gamma_regularizer: Keras regularizer of the scales.
        **kwargs: Keras layer arguments such as `name`.

    Returns:
        The shape of the input, for example [B, H, W, C].

    Raises:
        ValueError: The input has no spatial axes ([B, C]), or an unknown number of channels.

    Example:

    >>> layer = InstanceNormalization(epsilon=1e-12)
    >>> image = tf.reshape([1.0, 3.0, 5.0, 7.0], [1, 2, 2, 1])
    >>> [round(float(value), 3) for value in tf.reshape(layer(image), [-1])]
    [-1.342, -0.447, 0.447, 1.342]
    """

    def build(self, input_shape: Any) -> None:
        channels = self._check_axis(input_shape)
        if len(input_shape) < 3:
            raise ValueError(
                f"{self.name} normalises over pixels, so its input must be [batch, height, width, "
                f"channels] or the like; received input shape {tuple(input_shape)}"
            )
        # As in Keras' batch norm, float32 also where the net computes in 16 bits.
        self.gamma = self.beta = None
        if self.scale:
            self.gamma = self.add_weight(
                name="gamma",
                shape=(channels,),
                initializer="ones",
                regularizer=self.gamma_regularizer,
                **WITHOUT_AUTOCAST,
            )
        if self.center:
            self.beta = self.add_weight(
                name="beta",
                shape=(channels,),
                initializer="zeros",
                regularizer=self.beta_regularizer,
                **WITHOUT_AUTOCAST,
            )
        super().build(input_shape)

    def call(self, inputs: tf.Tensor, training: Optional[bool] = None) -> tf.Tensor:
        x = tf.cast(inputs, tf.float32) if inputs.dtype.size < 4 else inputs
        rank = x.shape.rank
        channel_axis = self.axis % rank
        pixels = [axis for axis in range(1, rank) if axis != channel_axis]
        mean, variance = tf.nn.moments(x, pixels, keepdims=True)
        shape = [-1 if axis == channel_axis else 1 for axis in range(rank)]
        gamma, beta = (
            None if weight is None else tf.reshape(tf.cast(weight, x.dtype), shape)
            for weight in (self.gamma, self.beta)
        )
        outputs = tf.nn.batch_normalization(x, mean, variance, beta, gamma, self.epsilon)
        return tf.cast(outputs, inputs.dtype)
