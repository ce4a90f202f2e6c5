"""Layers that hold a list of other layers."""

from __future__ import annotations

from typing import Any

import keras


class Members:
    """Mixin for layers with a list `augments`; must precede the layer class in the bases.

    The members are notified of each epoch and saved with the layer.
    """

    augments: list[Any]

    def start_epoch(self, epoch: int) -> None:
        """Tells the members that an epoch, counted from 0, begins."""
        for augment in self.augments:
            augment.start_epoch(epoch)

    def get_config(self) -> dict[str, Any]:
        serialize = keras.saving.serialize_keras_object
        config = super().get_config()  # type: ignore[misc]
        return {**config, "augments": [serialize(a) for a in self.augments]}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        deserialize = keras.saving.deserialize_keras_object
        return cls(**{**config, "augments": [deserialize(a) for a in config["augments"]]})
