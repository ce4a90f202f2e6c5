"""Hyper-parameter search with KerasTuner."""

from tfrobust.tuning.ranges import Range
from tfrobust.tuning.score import FlooredScore
from tfrobust.tuning.search import search
from tfrobust.tuning.spaces import space, strength_range
from tfrobust.tuning.trials import Trial, ranked

__all__ = ["FlooredScore", "Range", "Trial", "ranked", "search", "space", "strength_range"]
