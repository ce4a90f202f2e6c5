"""Saving and loading `.keras` files."""

from __future__ import annotations

import os
import pathlib

import keras

from tfrobust import augment, files, methods  # noqa: F401  (registers their classes with Keras)
from tfrobust.compat.model_files import check_generation


def save_model(model: keras.Model, path: files.PathLike) -> None:
    """Writes a model as a `.keras` file, whole or not at all.

    Args:
        model: Any Keras model; a tfrobust method is saved with its net, augmentation and optimizer.
        path: File name that ends in `.keras`.

    Raises:
        ValueError: The name ends otherwise.
    """
    _check_name(path)
    with files.replacing(path) as temporary:
        model.save(temporary)


def load_model(path: files.PathLike) -> keras.Model:
    """Loads a `.keras` file, of tfrobust or of any other Keras model.

    Loads in Keras' safe mode: nothing that the file brings along is executed.

    Args:
        path: A `.keras` file.

    Returns:
        The model, compiled if it was saved so.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is not a `.keras` file, or one of another major version of Keras.
    """
    if not os.path.isfile(path):
        raise FileNotFoundError(f"no model file at {os.fspath(path)!r}; expected a .keras file")
    _check_name(path)
    check_generation(path)
    return keras.models.load_model(path, safe_mode=True)


def _check_name(path: files.PathLike) -> None:
    if pathlib.Path(path).suffix != ".keras":
        raise ValueError(f"a model file must end in .keras; received {os.fspath(path)!r}")
