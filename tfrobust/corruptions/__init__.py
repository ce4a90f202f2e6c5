"""The common-corruption benchmarks in batched TensorFlow, for evaluation and never for training."""

from tfrobust.corruptions.corrupt import corrupt
from tfrobust.corruptions.frost_textures import FrostSource, frost_source
from tfrobust.corruptions.perturb import perturb, perturbation_frames
from tfrobust.corruptions.perturbations import frame_count
from tfrobust.corruptions.write_set import write_set
from tfrobust.registries import (
    CORRUPTION_GROUPS,
    CORRUPTIONS,
    HELD_OUT_CORRUPTIONS,
    HELD_OUT_PERTURBATIONS,
    NOISE_PERTURBATIONS,
    PERTURBATIONS,
    TEST_CORRUPTIONS,
)

__all__ = [
    "CORRUPTIONS",
    "CORRUPTION_GROUPS",
    "HELD_OUT_CORRUPTIONS",
    "HELD_OUT_PERTURBATIONS",
    "NOISE_PERTURBATIONS",
    "PERTURBATIONS",
    "TEST_CORRUPTIONS",
    "FrostSource",
    "corrupt",
    "frame_count",
    "frost_source",
    "perturb",
    "perturbation_frames",
    "write_set",
]
