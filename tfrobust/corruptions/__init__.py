"""The common-corruption benchmarks as batched TensorFlow: for measuring, never for training."""

from tfrobust.corruptions.corrupt import corrupt
from tfrobust.corruptions.frost_textures import FrostSource, frost_source
from tfrobust.corruptions.perturb import perturb, perturbation_frames
from tfrobust.corruptions.perturbations import (
    HELD_OUT_PERTURBATIONS,
    PERTURBATIONS,
    frame_count,
)
from tfrobust.corruptions.perturbations import NOISE as NOISE_PERTURBATIONS
from tfrobust.corruptions.severities import GROUPS, HELD_OUT, TEST
from tfrobust.corruptions.write_set import write_set
from tfrobust.registries import CORRUPTIONS

__all__ = [
    "CORRUPTIONS",
    "GROUPS",
    "HELD_OUT",
    "HELD_OUT_PERTURBATIONS",
    "NOISE_PERTURBATIONS",
    "PERTURBATIONS",
    "TEST",
    "FrostSource",
    "corrupt",
    "frame_count",
    "frost_source",
    "perturb",
    "perturbation_frames",
    "write_set",
]
