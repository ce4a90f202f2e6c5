"""Parts of nets, and looking into nets."""

from tfrobust.layers.feature_taps import recorded_outputs, relu_layers

__all__ = ["recorded_outputs", "relu_layers"]
