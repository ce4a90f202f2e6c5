"""Nets: plain functional Keras models from images in [0, 1] to logits."""

from tfrobust.nets.small_cnn import small_cnn
from tfrobust.registries import NETS

__all__ = ["NETS", "small_cnn"]
