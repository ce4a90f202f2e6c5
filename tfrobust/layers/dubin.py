"""Dual batch and instance normalization."""

from __future__ import annotations

from typing import Any, ClassVar

import keras

from tfrobust.layers.dual_batch_normalization import DualBatchNormalization
from tfrobust.layers.half_instance_norm import HalfInstanceNorm


@keras.saving.register_keras_serializable(package="tfrobust")
class DuBIN(HalfInstanceNorm):
    """Instance norm for the first channels, dual batch norm for the others (DuBIN).

    y = [IN(x₁ … xₖ), DuBN(xₖ₊₁ … x_C)] with k = ⌊f · C⌋, concatenated in this order (AugMax,
    section 3.3 and Figure 3). Both routes share the instance norm, including its scale and offset;
    `route` selects one of the two batch norms, by default "clean".

    Args:
        instance_fraction: f, the fraction of the channels for instance norm, between 0 and 1.
            Default 0.5, as in the paper.
        **kwargs: As for `HalfInstanceNorm`: axis, momentum, epsilon, center, scale,
            beta_regularizer, gamma_regularizer, synchronized, name.

    Returns:
        The shape of the input, for example [B, H, W, C].

    Raises:
        ValueError: One of the two parts would have no channels.

    Example:

    >>> layer = DuBIN()
    >>> layer.build([None, 8, 8, 6])
    >>> [part.gamma.shape[0] for part in (layer.instance_norm, layer.batch_norm.auxiliary)]
    [3, 3]
    """

    batch_norm_class: ClassVar[Any] = DualBatchNormalization
