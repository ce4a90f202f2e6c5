"""Callbacks for `model.fit` that training alone needs.

The one that measures is `tfrobust.evaluation.RobustnessMonitor`, the one that draws
`tfrobust.reports.ImageLogger`. Order counts: Keras calls callbacks in the order of the list.
`RobustnessMonitor` adds to the logs, so it comes before whatever reads them (RestoreBest,
EarlyStopping, ModelCheckpoint). `Checkpoint` comes last, because it saves the state of the others.
"""

from tfrobust.callbacks.alternate_augmentations import AlternateAugmentations
from tfrobust.callbacks.checkpoint import Checkpoint
from tfrobust.callbacks.loss_weight_schedule import LossWeightSchedule
from tfrobust.callbacks.restore_best import RestoreBest

__all__ = [
    "AlternateAugmentations",
    "Checkpoint",
    "LossWeightSchedule",
    "RestoreBest",
]
