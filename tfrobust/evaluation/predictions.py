"""The predictions of a model, which are all that is kept for each image."""

from __future__ import annotations

import dataclasses
import functools
import zipfile
from collections.abc import Sequence

import numpy as np

from tfrobust import files
from tfrobust.evaluation import calibration_error

#: The metrics, in the order of the rows of a condition.
METRICS = ("accuracy", "expected_calibration_error", "rms_calibration_error", "aurra")


@dataclasses.dataclass(frozen=True)
class Predictions:
    """The predictions of a model: 12 bytes per image for any number of classes.

    Args:
        labels: [N] true classes, int32.
        predicted: [N] predicted classes, int32.
        uncertainty: [N] 1 − the probability of the predicted class, float32 in [0, 1].
    """

    labels: np.ndarray
    predicted: np.ndarray
    uncertainty: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def right(self) -> np.ndarray:
        """Which images are classified correctly, [N] bool."""
        equal: np.ndarray = self.labels == self.predicted
        return equal

    @property
    def confidence(self) -> np.ndarray:
        """The probability of the predicted class, [N] float64."""
        return 1 - self.uncertainty.astype(np.float64)

    @functools.cached_property
    def curve(self) -> calibration_error.ReliabilityCurve:
        """The reliability curve with 15 bins."""
        return calibration_error.curve_of(self.confidence, self.right)

    def metric(self, name: str) -> float:
        """Computes one of `METRICS`."""
        if name == "accuracy":
            return float(np.mean(self.right))
        if name == "expected_calibration_error":
            return calibration_error.gap_of(self.curve)
        measure = {
            "rms_calibration_error": calibration_error.rms_of,
            "aurra": calibration_error.aurra_of,
        }[name]
        return float(measure(self.confidence, self.right.astype(np.float64)))

    @classmethod
    def joined(cls, several: Sequence[Predictions]) -> Predictions:
        """Concatenates several predictions."""
        names = [field.name for field in dataclasses.fields(cls)]
        return cls(**{name: np.concatenate([getattr(a, name) for a in several]) for name in names})

    def write(self, path: files.PathLike) -> None:
        """Writes an `.npz` file, atomically."""
        with files.replacing(path) as temporary:
            np.savez_compressed(temporary, **dataclasses.asdict(self))

    @classmethod
    def read(cls, path: files.PathLike) -> Predictions:
        """Reads a file that `write` wrote.

        Raises:
            ValueError: The file is damaged.
        """
        try:
            with np.load(path, allow_pickle=False) as stored:
                return cls(**{field.name: stored[field.name] for field in dataclasses.fields(cls)})
        except (zipfile.BadZipFile, KeyError, OSError, EOFError) as error:
            raise ValueError(
                f"{path} must hold a model's answers; it is damaged ({error}); remove it, and "
                "they are made again"
            ) from error
