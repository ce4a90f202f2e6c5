"""Layers of nets, and access to the layers inside a net."""

from tfrobust.layers.dual_batch_normalization import DualBatchNormalization, mean_batch_variance
from tfrobust.layers.dubin import DuBIN
from tfrobust.layers.embedding import Embedding
from tfrobust.layers.feature_mixing import feature_mixing, mixing_layers
from tfrobust.layers.feature_taps import recorded_inputs, recorded_outputs, relu_layers
from tfrobust.layers.half_instance_norm import HalfInstanceNorm
from tfrobust.layers.instance_normalization import InstanceNormalization
from tfrobust.layers.norms import norm_layer
from tfrobust.layers.route import current_route, route

__all__ = [
    "DuBIN",
    "DualBatchNormalization",
    "Embedding",
    "HalfInstanceNorm",
    "InstanceNormalization",
    "current_route",
    "feature_mixing",
    "mean_batch_variance",
    "mixing_layers",
    "norm_layer",
    "recorded_inputs",
    "recorded_outputs",
    "relu_layers",
    "route",
]
