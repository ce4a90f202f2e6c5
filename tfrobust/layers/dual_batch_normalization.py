"""Dual batch normalization."""

from __future__ import annotations

from typing import Any, Optional

import keras
import tensorflow as tf

from tfrobust.layers.inner_layers import inner_layers
from tfrobust.layers.norm_bases import MovingNorm
from tfrobust.layers.route import ROUTES, current_route


@keras.saving.register_keras_serializable(package="tfrobust")
class DualBatchNormalization(MovingNorm):
    """Dual batch norm (DuBN): separate batch norms for clean and for adversarial images.

    Each has its own scale, offset and moving statistics. `route` selects the one that a forward
    pass uses, by default "clean"; the other is not affected. (Xie et al., arXiv:1911.09665; AugMax,
    section 3.3.)

    Args:
        axis: Axis of the channels. Default -1.
        momentum: Momentum of the moving statistics. Default 0.9, as in
            AugMax's code.
        epsilon: Added to the variance, above 0. Default 1e-5, as in AugMax's code.
        center: Whether to add offsets beta. Default True.
        scale: Whether to multiply by scales gamma. Default True.
        beta_regularizer: Keras regularizer of the offsets of both.
        gamma_regularizer: Keras regularizer of the scales of both.
        synchronized: Whether batch statistics are computed over all replicas. Default False.
        **kwargs: Keras layer arguments such as `name`.

    Returns:
        The shape of the input, for example [B, H, W, C].

    Raises:
        ValueError: The number of channels of the input is unknown.

    Example:

    >>> from tfrobust.layers.route import route
    >>> layer = DualBatchNormalization()
    >>> with route("auxiliary"):
    ...     normalised = layer(tf.fill([2, 4, 4, 3], 5.0), training=True)
    >>> [float(norm.moving_mean[0]) for norm in (layer.clean, layer.auxiliary)]
    [0.0, 0.5]
    """

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self.clean, self.auxiliary = (
            keras.layers.BatchNormalization(name=name, **self._options(), **self._moving())
            for name in ROUTES
        )

    def build(self, input_shape: Any) -> None:
        self._check_axis(input_shape)
        for norm in (self.clean, self.auxiliary):
            with tf.name_scope(norm.name):  # Keras 2 takes the weights' names from it
                norm.build(input_shape)
        super().build(input_shape)

    def call(
        self, inputs: tf.Tensor, training: Optional[bool] = None, mask: Optional[tf.Tensor] = None
    ) -> tf.Tensor:
        # Keras 3 passes a mask, mostly None, to a layer that replaces a batch norm.
        norm = {"clean": self.clean, "auxiliary": self.auxiliary}[current_route()]
        return norm(inputs, training=training, mask=mask)


def mean_batch_variance(net: keras.layers.Layer) -> dict[str, float]:
    """Mean batch variance σ̄² of the dual norms on each route (AugMax, Table 1).

    For a batch norm, σ̄² is the mean of its moving variance over the channels; for a net, the mean
    of that over its dual norms, each counted once. The table lists single layers: pass a layer for
    its entries.

    Args:
        net: A net with dual norms, or one of them (`DualBatchNormalization`, `DuBIN`).

    Returns:
        σ̄² by route: `{"clean": σ̄²_c, "auxiliary": σ̄²_a}`.

    Raises:
        ValueError: The net has no dual norms.

    Example:

    >>> net = keras.Sequential([keras.Input([8, 8, 3]), DualBatchNormalization()])
    >>> mean_batch_variance(net)
    {'clean': 1.0, 'auxiliary': 1.0}
    """
    duals = [x for x in (net, *inner_layers(net)) if isinstance(x, DualBatchNormalization)]
    if not duals:
        raise ValueError(
            f"{net.name} has no dual norms; build it with norm='dubn' or 'dubin', or convert it "
            "with convert_norms"
        )
    return {
        name: sum(_mean_variance(getattr(dual, name)) for dual in duals) / len(duals)
        for name in ROUTES
    }


def _mean_variance(norm: keras.layers.BatchNormalization) -> float:
    return float(tf.reduce_mean(tf.convert_to_tensor(norm.moving_variance)))
