"""Switching of alternating augmentations between epochs."""

from __future__ import annotations

from typing import Any, Optional

import keras

from tfrobust.augment.combine import alternates


class AlternateAugmentations(keras.callbacks.Callback):
    """Drives `augment.Alternating`: Combined+ and Combined− in turn (FMA paper, section 4.3.2).

    It also finds alternating augmentations inside sequences and other combinations. The choice
    depends only on the epoch, so that a run resumed with `initial_epoch` continues the pattern.

    Raises:
        ValueError: At the start of training, if the model's augmentation neither is nor contains
            an `Alternating`.
    """

    def _layer(self) -> Any:
        layer: Any = getattr(self.model, "augment", None)
        if not alternates(layer):
            raise ValueError(
                "AlternateAugmentations needs a model whose augment is, or holds, "
                f"augment.Alternating; received {type(layer).__name__}"
            )
        return layer

    def on_train_begin(self, logs: Optional[dict[str, Any]] = None) -> None:
        self._layer()

    def on_epoch_begin(self, epoch: int, logs: Optional[dict[str, Any]] = None) -> None:
        self._layer().start_epoch(epoch)
