"""Callbacks for `model.fit`.

Order counts: Keras calls them in the order of the list. `RobustnessMonitor` adds to the logs, so it
stands before whatever reads them (RestoreBest, EarlyStopping, ModelCheckpoint). `Checkpoint`
stands last, because it saves what the others remember.
"""

from tfrobust.callbacks.alternate_augmentations import AlternateAugmentations
from tfrobust.callbacks.checkpoint import Checkpoint
from tfrobust.callbacks.picture_log import PictureLog
from tfrobust.callbacks.restore_best import RestoreBest
from tfrobust.callbacks.robustness_monitor import RobustnessMonitor
from tfrobust.callbacks.term_schedule import TermSchedule

__all__ = [
    "AlternateAugmentations",
    "Checkpoint",
    "PictureLog",
    "RestoreBest",
    "RobustnessMonitor",
    "TermSchedule",
]
