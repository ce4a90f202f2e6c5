"""Base class of the conditions of a benchmark."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any, Optional

import numpy as np
import tensorflow as tf

from tfrobust.evaluation.predictor import Predictor
from tfrobust.rows import CLEAN

#: Version of how augmentations and attacks draw, for the protocol of their rows. 2: by the index of
#: each image. Rows that give a batch size in its place were measured with draws by batch.
DRAWS = 2


@dataclasses.dataclass(frozen=True)
class Batch:
    """A batch of the data, unchanged.

    Args:
        images: [B, H, W, C] float32 in [0, 1].
        labels: [B] or [B, classes].
        index: Index of each image in the data, int64 [B], from which its draws are seeded.
        full: Size of a full batch; the last batch may be smaller.
    """

    images: tf.Tensor
    labels: np.ndarray
    index: np.ndarray
    full: int

    @functools.cached_property
    def pixels(self) -> tf.Tensor:
        """The images as uint8, padded to a full batch by repeating the last one."""
        pixels = np.rint(np.clip(self.images, 0, 1) * np.float32(255)).astype("uint8")
        missing = max(self.full - len(pixels), 0)
        return tf.constant(np.pad(pixels, [(0, missing), (0, 0), (0, 0), (0, 0)], mode="edge"))


class Condition:
    """What is done to all images before a model is measured, and its name in tables.

    Args:
        name: Value of the column `corruption` of the rows.
        severity: Its strength; None if no single number describes it.
    """

    def __init__(self, name: str, severity: Optional[float] = None):
        self.name, self.severity = name, severity

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.label}>"

    @property
    def label(self) -> str:
        """Name and severity, for messages."""
        return (
            self.name
            if self.severity is None or self.name == CLEAN
            else f"{self.name} {self.severity:g}"
        )

    def data(self, clean: Any) -> Any:
        """The batches of (images, labels) to measure on; by default the clean ones."""
        return clean

    def change(self, batch: Batch, predictor: Predictor, seed: int) -> tf.Tensor:
        """The images as the model is to see them, [B, H, W, C] float32 in [0, 1]."""
        raise NotImplementedError

    def protocol(self, batch: Batch) -> dict[str, Any]:
        """What must agree for two rows of this condition to be comparable."""
        return {}

    def check(self, predictor: Predictor, image_shape: Sequence[int]) -> None:
        """Raises an error if it cannot be measured, before time is spent."""


class Clean(Condition):
    """The images as they are."""

    def __init__(self) -> None:
        super().__init__(CLEAN, 0.0)

    def change(self, batch: Batch, predictor: Predictor, seed: int) -> tf.Tensor:
        return batch.images
