"""Nets: plain functional Keras models that map images in [0, 1] to logits."""

from tfrobust.nets import slim_checkpoint
from tfrobust.nets.adapt import adapt, find_input_range, stated_input_range
from tfrobust.nets.batch_norm_adaptation import BatchNormAdapter
from tfrobust.nets.cifar_resnet import (
    cifar_resnet,
    resnet_20,
    resnet_32,
    resnet_44,
    resnet_56,
)
from tfrobust.nets.convert_norms import convert_norms
from tfrobust.nets.freezing import freeze
from tfrobust.nets.input_adapter import InputAdapter
from tfrobust.nets.input_ranges import INPUT_RANGES
from tfrobust.nets.keras_weights import load_keras_vgg_16
from tfrobust.nets.lenet import lenet
from tfrobust.nets.logits import to_logits
from tfrobust.nets.mlp import mlp
from tfrobust.nets.new_head import new_head
from tfrobust.nets.preact_resnet import preact_resnet_18
from tfrobust.nets.resnet import resnet_18, resnet_50
from tfrobust.nets.resnet_v2 import resnet_v2_50
from tfrobust.nets.resnext import resnext_29
from tfrobust.nets.restore import restore
from tfrobust.nets.scale_logits import scale_logits
from tfrobust.nets.small_cnn import small_cnn
from tfrobust.nets.torch_layers import load_torch_weights
from tfrobust.nets.torch_weights import import_torch_resnet
from tfrobust.nets.vgg import vgg_16
from tfrobust.nets.weight_averaging import average_weights, greedy_soup, interpolate_weights
from tfrobust.nets.wide_resnet import wide_resnet, wrn_28_2, wrn_28_4, wrn_40_2
from tfrobust.registries import NETS

__all__ = [
    "INPUT_RANGES",
    "NETS",
    "BatchNormAdapter",
    "InputAdapter",
    "adapt",
    "average_weights",
    "cifar_resnet",
    "convert_norms",
    "find_input_range",
    "freeze",
    "greedy_soup",
    "import_torch_resnet",
    "interpolate_weights",
    "lenet",
    "load_keras_vgg_16",
    "load_torch_weights",
    "mlp",
    "new_head",
    "preact_resnet_18",
    "resnet_18",
    "resnet_20",
    "resnet_32",
    "resnet_44",
    "resnet_50",
    "resnet_56",
    "resnet_v2_50",
    "resnext_29",
    "restore",
    "scale_logits",
    "slim_checkpoint",
    "small_cnn",
    "stated_input_range",
    "to_logits",
    "vgg_16",
    "wide_resnet",
    "wrn_28_2",
    "wrn_28_4",
    "wrn_40_2",
]
