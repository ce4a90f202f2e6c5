"""Instance norm for some channels, batch norm for the others."""

from __future__ import annotations

from typing import Any, ClassVar, Optional

import keras
import tensorflow as tf

from tfrobust import validation
from tfrobust.layers.instance_normalization import InstanceNormalization
from tfrobust.layers.norm_bases import MovingNorm


@keras.saving.register_keras_serializable(package="tfrobust")
class HalfInstanceNorm(MovingNorm):
    """Instance norm for the first channels, batch norm for the others (IBN).

    y = [IN(x₁ … xₖ), BN(xₖ₊₁ … x_C)] with k = ⌊f · C⌋, concatenated in this order (Pan et al.,
    arXiv:1807.09441, IBN-a).

    Args:
        instance_fraction: f, the fraction of the channels for instance norm, between 0 and 1.
            Default 0.5, as in the paper.
        axis: Axis of the channels. Default -1.
        momentum: Momentum of the moving statistics. Default 0.9.
        epsilon: Added to the variance, above 0. Default 1e-5.
        center: Whether to add offsets beta. Default True.
        scale: Whether to multiply by scales gamma. Default True.
        beta_regularizer: Keras regularizer of the offsets.
        gamma_regularizer: Keras regularizer of the scales.
        synchronized: Whether batch statistics are computed over all replicas. Default False.
        **kwargs: Keras layer arguments such as `name`.

    Returns:
        The shape of the input, for example [B, H, W, C].

    Raises:
        ValueError: One of the two parts would have no channels.

    Example:

    >>> layer = HalfInstanceNorm()
    >>> layer(tf.zeros([2, 4, 4, 7])).shape
    TensorShape([2, 4, 4, 7])
    >>> layer.part_sizes(7)
    [3, 4]
    """

    #: Layer for the channels without instance norm.
    batch_norm_class: ClassVar[Any] = keras.layers.BatchNormalization

    def __init__(self, *, instance_fraction: float = 0.5, **kwargs: Any):
        super().__init__(**kwargs)
        self.instance_fraction = validation.check_in_range(
            "instance_fraction", instance_fraction, 0, 1
        )
        self.instance_norm = InstanceNormalization(name="instance_norm", **self._options())
        self.batch_norm = self.batch_norm_class(
            name="batch_norm", **self._options(), **self._moving()
        )

    def build(self, input_shape: Any) -> None:
        channels = self._check_axis(input_shape)
        sizes = self.part_sizes(channels)
        if min(sizes) < 1:
            raise ValueError(
                f"{self.name} needs a channel or more for each of its two parts; received "
                f"{channels} channels with instance_fraction {self.instance_fraction:g}, of which "
                f"instance norm gets {sizes[0]}"
            )
        for norm, size in zip((self.instance_norm, self.batch_norm), sizes):
            shape = list(input_shape)
            shape[self.axis] = size
            with tf.name_scope(norm.name):  # Keras 2 takes the weights' names from it
                norm.build(tuple(shape))
        super().build(input_shape)

    def call(
        self, inputs: tf.Tensor, training: Optional[bool] = None, mask: Optional[tf.Tensor] = None
    ) -> tf.Tensor:
        # Keras 3 passes a mask, mostly None, to a layer that replaces a batch norm.
        instance, batch = tf.split(inputs, self.part_sizes(inputs.shape[self.axis]), axis=self.axis)
        instance = self.instance_norm(instance)
        batch = self.batch_norm(batch, training=training, mask=mask)
        return tf.concat([instance, batch], axis=self.axis)

    def part_sizes(self, channels: int) -> list[int]:
        """Number of channels with instance norm and with batch norm."""
        instance = int(channels * self.instance_fraction)
        return [instance, channels - instance]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "instance_fraction": self.instance_fraction}
