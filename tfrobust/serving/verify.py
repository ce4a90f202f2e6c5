"""Whether a SavedModel is what was exported."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Any

import numpy as np
import tensorflow as tf

from tfrobust import files, validation
from tfrobust.files import latest_version
from tfrobust.serving import examples, manifest


@dataclasses.dataclass(frozen=True)
class Verified:
    """What `verify` found good.

    Args:
        folder: The SavedModel.
        files: How many files have the hash of the manifest.
        examples: How many recorded images were served.
        difference: The largest difference between what is served and what was recorded, divided
            by the largest recorded number where that is above 1.
    """

    folder: pathlib.Path
    files: int
    examples: int
    difference: float


def verify(path: files.PathLike, tolerance: float = 1e-4) -> Verified:
    """Checks the files of an export, loads it, and serves the images that were recorded with it.

    The hashes are checked before anything is loaded; a SavedModel is a program, so load none that
    you do not trust. It is loaded by plain TensorFlow, in this process.

    Args:
        path: The folder that `export` wrote; of a folder of versions the newest is taken.
        tolerance: How far a served number may be from the recorded one, where the recorded ones
            are at most 1; otherwise it is multiplied by the largest of them. Default 1e-4; nets in
            half precision may need more on another kind of processor.

    Returns:
        What was checked, and the largest difference.

    Raises:
        FileNotFoundError: There is no SavedModel.
        ValueError: A file was changed, is missing or is extra, the model cannot be loaded, or it
            does not give what was recorded.

    Example:

    >>> import tempfile
    >>> from tfrobust import nets, serving
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     serving.export(nets.small_cnn(), f"{folder}/net")
    ...     verify(f"{folder}/net").difference < 1e-4
    True
    """
    tolerance = validation.check_in_range("tolerance", tolerance, 0, 1e6)
    folder = latest_version(path)
    count = manifest.check_manifest(folder)
    recorded = examples.read(folder)
    images = recorded["images"]
    try:
        signatures = dict(tf.saved_model.load(str(folder)).signatures)
        served = {"serving_default": _serve(signatures, "serving_default", images)}
        if images.dtype == np.uint8:
            served["uint8"] = _serve(signatures, "uint8", images)
    except (OSError, KeyError, TypeError, ValueError, tf.errors.OpError) as error:
        first = (str(error).splitlines() or [""])[0]
        raise ValueError(
            f"{folder} must load and serve its examples; it fails: {type(error).__name__} {first}"
        ) from error
    difference = 0.0
    for signature, outputs in served.items():
        for name in (name for name in examples.OUTPUTS if name in recorded):
            found = _difference(outputs.get(name), recorded[name])
            if not found <= tolerance:
                raise ValueError(
                    f"{folder} must give the recorded {name} within {tolerance:g}; {signature} "
                    f"differs by {found:.2e}"
                )
            difference = max(difference, found)
    return Verified(folder, count, len(images), difference)


def _serve(signatures: dict[str, Any], name: str, images: np.ndarray) -> dict[str, np.ndarray]:
    given = images if name == "uint8" else examples.as_floats(images)
    return {k: v.numpy() for k, v in signatures[name](images=tf.constant(given)).items()}


def _difference(served: Any, recorded: np.ndarray) -> float:
    """Infinite where they cannot be compared, NaN where a served number is none."""
    if served is None or served.shape != recorded.shape:
        return float("inf")
    scale = max(1.0, float(np.abs(recorded).max()))
    return float(np.abs(served.astype("float64") - recorded).max()) / scale
