"""Callbacks for `model.fit` that are used only in training.

`tfrobust.evaluation.RobustnessMonitor` measures during training, and `tfrobust.reports.ImageLogger`
draws. The order matters, because Keras calls callbacks in the order of the list:
`RobustnessMonitor` adds to the logs, so it comes before the callbacks that read them (RestoreBest,
EarlyStopping, ModelCheckpoint). `EstimateBatchNorm` comes after `RestoreBest`, whose weights it
needs. `Checkpoint` comes last, because it saves the state of the others.
"""

from tfrobust.callbacks.alternate_augmentations import AlternateAugmentations
from tfrobust.callbacks.checkpoint import Checkpoint
from tfrobust.callbacks.deadline import Deadline
from tfrobust.callbacks.estimate_batch_norm import EstimateBatchNorm
from tfrobust.callbacks.loss_weight_schedule import LossWeightSchedule
from tfrobust.callbacks.restore_best import RestoreBest

__all__ = [
    "AlternateAugmentations",
    "Checkpoint",
    "Deadline",
    "EstimateBatchNorm",
    "LossWeightSchedule",
    "RestoreBest",
]
