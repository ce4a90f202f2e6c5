"""Turns the alternating augmentations of a model to the next at each period."""

from __future__ import annotations

from typing import Any, Optional

import keras

from tfrobust.augment.combine import alternates


class AlternateAugmentations(keras.callbacks.Callback):
    """Drives `augment.Alternating`: Combined+ and Combined− by turns (FMA paper, section 4.3.2).

    It finds alternating augmentations inside sequences and other combinations too.
    The choice follows from the number of the epoch alone, so that a run continued with
    `initial_epoch` goes on where it was.

    Raises:
        ValueError: When training begins: the model's augmentation is not `Alternating` and holds
            none.
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
