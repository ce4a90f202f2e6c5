"""Norms of nets, by name."""

from __future__ import annotations

from typing import Any, Optional

import keras

from tfrobust import validation
from tfrobust.layers.dual_batch_normalization import DualBatchNormalization
from tfrobust.layers.dubin import DuBIN
from tfrobust.layers.half_instance_norm import HalfInstanceNorm

#: Names of the norms: batch norm; half instance, half batch norm; dual batch norm; half instance,
#: half dual batch norm.
NORMS = ("bn", "ibn", "dubn", "dubin")


def norm_layer(
    norm: str,
    *,
    mixed: bool = False,
    epsilon: float = 1e-5,
    regularizer: Any = None,
    name: Optional[str] = None,
) -> Any:
    """Creates the norm for one position in a net.

    Args:
        norm: One of `NORMS`.
        mixed: Whether "ibn" and "dubin" use instance norm at this position; elsewhere, "ibn" is
            batch norm and "dubin" dual batch norm. Default False.
        epsilon: Added to the variance. Default 1e-5, as in the papers' code.
        regularizer: Keras regularizer of scales and offsets. Default None.
        name: Name of the layer.

    Returns:
        A Keras layer whose moving statistics have momentum 0.9.

    Raises:
        ValueError: The norm is unknown.

    Example:

    >>> norm_layer("dubin", mixed=True, name="norm1").name
    'norm1'
    >>> [type(norm_layer(norm)).__name__ for norm in ("ibn", "dubin")]
    ['BatchNormalization', 'DualBatchNormalization']
    """
    return norm_class(norm, mixed=mixed)(
        momentum=0.9,
        epsilon=epsilon,
        gamma_regularizer=regularizer,
        beta_regularizer=regularizer,
        name=name,
    )


def norm_class(norm: str, *, mixed: bool = False) -> Any:
    """Returns the layer class of the norm for one position in a net.

    Args:
        norm: One of `NORMS`.
        mixed: As for `norm_layer`.

    Returns:
        A Keras layer class. All of them accept the main arguments of Keras' BatchNormalization.

    Raises:
        ValueError: The norm is unknown.
    """
    validation.check_choice("norm", norm, NORMS)
    batch_norm, with_instance_norm = {
        "bn": (keras.layers.BatchNormalization,) * 2,
        "ibn": (keras.layers.BatchNormalization, HalfInstanceNorm),
        "dubn": (DualBatchNormalization,) * 2,
        "dubin": (DualBatchNormalization, DuBIN),
    }[norm]
    return with_instance_norm if mixed else batch_norm
