"""Instance norm for some of the channels, batch norm for the others."""

from __future__ import annotations

from typing import Any, ClassVar, Optional

import keras
import tensorflow as tf

from tfrobust import validation
from tfrobust.layers.instance_normalization import InstanceNormalization
from tfrobust.layers.norm_bases import MovingNorm


@keras.saving.register_keras_serializable(package="tfrobust")
class HalfInstanceNorm(MovingNorm):
    """The first channels through instance norm, the others through batch norm (IBN).

    y = [IN(x₁ … xₖ), BN(xₖ₊₁ … x_C)] with k = ⌊f · C⌋, joined in this order (Pan et al.,
    arXiv:1807.09441, IBN-a).

    Args:
        instance_fraction: f, the fraction of the channels for instance norm, between 0 and 1.
            Default 0.5, as in the paper.
        axis: Axis of the channels. Default -1.
        momentum: Share of the moving statistics that stays at each step. Default 0.9.
        epsilon: Added to variances, above 0. Default 1e-5.
        center: Whether there are offsets beta.
        scale: Whether there are scales gamma.
        beta_regularizer: Keras regularizer of the offsets.
        gamma_regularizer: Keras regularizer of the scales.
        synchronized: Whether the batch statistics are those of all replicas together.
        **kwargs: `name` and the like, as for every Keras layer.

    Returns:
        The shape of the input, for example [B, H, W, C].

    Raises:
        ValueError: One of the two parts would have no channel.

    Example:

    >>> layer = HalfInstanceNorm()
    >>> layer(tf.zeros([2, 4, 4, 7])).shape
    TensorShape([2, 4, 4, 7])
    >>> layer.part_sizes(7)
    [3, 4]
    """

    #: What the channels go through that do not go through instance norm.
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
            with tf.name_scope(norm.name):  # Keras 2 names the weights by it
                norm.build(tuple(shape))
        super().build(input_shape)

    def call(
        self, inputs: tf.Tensor, training: Optional[bool] = None, mask: Optional[tf.Tensor] = None
    ) -> tf.Tensor:
        # Keras 3 gives a mask, mostly None, to a layer that stands where a batch norm stood.
        instance, batch = tf.split(inputs, self.part_sizes(inputs.shape[self.axis]), axis=self.axis)
        instance = self.instance_norm(instance)
        batch = self.batch_norm(batch, training=training, mask=mask)
        return tf.concat([instance, batch], axis=self.axis)

    def part_sizes(self, channels: int) -> list[int]:
        """How many of the channels go through instance norm, and how many do not."""
        instance = int(channels * self.instance_fraction)
        return [instance, channels - instance]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "instance_fraction": self.instance_fraction}
