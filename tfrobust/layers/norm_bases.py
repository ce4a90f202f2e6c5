"""Base classes of the norms: their arguments and configuration."""

from __future__ import annotations

from typing import Any

import keras

from tfrobust import validation


class AffineNorm(keras.layers.Layer):
    """Base class of norms with a scale gamma and an offset beta per channel.

    Args:
        axis: Axis of the channels. Default -1.
        epsilon: Added to the variance, above 0. Default 1e-5, as in the papers' code.
        center: Whether to add an offset. Default True.
        scale: Whether to multiply by a scale. Default True.
        beta_regularizer: Keras regularizer of the offsets.
        gamma_regularizer: Keras regularizer of the scales.
        **kwargs: Keras layer arguments such as `name`.
    """

    def __init__(
        self,
        *,
        axis: int = -1,
        epsilon: float = 1e-5,
        center: bool = True,
        scale: bool = True,
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.axis = validation.check_whole("axis", axis, -4, 4)
        self.epsilon = validation.check_in_range("epsilon", epsilon, 1e-12, 1)
        self.center = bool(center)
        self.scale = bool(scale)
        self.beta_regularizer = keras.regularizers.get(beta_regularizer)
        self.gamma_regularizer = keras.regularizers.get(gamma_regularizer)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        serialize = keras.regularizers.serialize
        regularizers = {
            name: None if value is None else serialize(value)
            for name, value in self._regularizers().items()
        }
        return {**super().get_config(), **self._numbers(), **regularizers}

    def _options(self) -> dict[str, Any]:
        """Arguments for an inner layer that normalises some of the channels in the same way."""
        return {
            **self._numbers(),
            **self._regularizers(),
            "dtype": self.dtype_policy,
            "trainable": self.trainable,
        }

    def _numbers(self) -> dict[str, Any]:
        names = ("axis", "epsilon", "center", "scale")
        return {name: getattr(self, name) for name in names}

    def _regularizers(self) -> dict[str, Any]:
        names = ("beta_regularizer", "gamma_regularizer")
        return {name: getattr(self, name) for name in names}

    def _check_axis(self, input_shape: Any) -> int:
        """Returns the number of channels; it must be known, and the axis not that of the batch."""
        rank = len(input_shape)
        if not -rank <= self.axis < rank or self.axis % rank == 0:
            raise ValueError(
                f"axis of {self.name} must be an axis of the input other than the batch; received "
                f"axis {self.axis} for input shape {tuple(input_shape)}"
            )
        channels = input_shape[self.axis]
        if channels is None:
            raise ValueError(
                f"{self.name} needs a known number of channels; received input shape "
                f"{tuple(input_shape)}"
            )
        return int(channels)


class MovingNorm(AffineNorm):
    """Base class of norms that contain batch norms with moving statistics.

    Args:
        momentum: Momentum of the moving statistics. Default 0.9, as in the
            papers' code (0.1 as PyTorch counts).
        synchronized: Whether batch statistics are computed over all replicas. Default False.
        **kwargs: As for `AffineNorm`.
    """

    def __init__(self, *, momentum: float = 0.9, synchronized: bool = False, **kwargs: Any):
        super().__init__(**kwargs)
        self.momentum = validation.check_in_range("momentum", momentum, 0, 1)
        self.synchronized = bool(synchronized)
        self.supports_masking = True

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **self._moving()}

    def _moving(self) -> dict[str, Any]:
        return {"momentum": self.momentum, "synchronized": self.synchronized}
