"""The common-corruption benchmarks as batched TensorFlow: for measuring, never for training."""

from tfrobust.corruptions.corrupt import corrupt
from tfrobust.corruptions.frost_textures import FrostSource, frost_source
from tfrobust.corruptions.severities import GROUPS, HELD_OUT, TEST
from tfrobust.registries import CORRUPTIONS

__all__ = ["CORRUPTIONS", "GROUPS", "HELD_OUT", "TEST", "FrostSource", "corrupt", "frost_source"]
