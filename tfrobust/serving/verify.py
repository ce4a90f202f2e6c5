"""Verification of an exported SavedModel."""

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
    """Result of a successful `verify`.

    Args:
        folder: The SavedModel.
        files: Number of files whose hashes were compared with the manifest.
        examples: Number of recorded images that were served.
        difference: Largest difference between served and recorded outputs, divided by the largest
            recorded output if that is above 1.
    """

    folder: pathlib.Path
    files: int
    examples: int
    difference: float


def verify(path: files.PathLike, tolerance: float = 1e-4) -> Verified:
    """Checks the files of an exported SavedModel, loads it, and serves its recorded examples.

    The hashes are checked before anything is loaded; a SavedModel is a program, so load only those
    that you trust. It is loaded with plain TensorFlow, in this process.

    Args:
        path: The folder that `export` wrote, or a folder of versions, whose newest is taken.
        tolerance: Largest allowed difference between a served and a recorded output, multiplied by
            the largest recorded output if that is above 1. Default 1e-4; nets in half precision
            may need more on another kind of processor.

    Returns:
        What was checked, and the largest difference.

    Raises:
        FileNotFoundError: There is no SavedModel.
        ValueError: A file was changed, is missing or is extra, the model cannot be loaded, or its
            outputs differ from the recorded ones.

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
        inputs = recorded.get("inputs", examples.as_floats(images))
        served = {"serving_default": _serve(signatures, "serving_default", inputs)}
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
    return {k: v.numpy() for k, v in signatures[name](images=tf.constant(images)).items()}


def _difference(served: Any, recorded: np.ndarray) -> float:
    """The relative difference: infinite for another shape, NaN if an output is NaN."""
    if served is None or served.shape != recorded.shape:
        return float("inf")
    scale = max(1.0, float(np.abs(recorded).max()))
    return float(np.abs(served.astype("float64") - recorded).max()) / scale
