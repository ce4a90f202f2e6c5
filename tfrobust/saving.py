"""Saving and loading of `.keras` files."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Mapping
from typing import Any, Optional

import keras

from tfrobust import augment, files, methods, nets  # noqa: F401  (registers classes with Keras)
from tfrobust.compat.model_files import check_generation, config_of
from tfrobust.compat.safe_config import check_config


def save_model(model: keras.Model, path: files.PathLike) -> None:
    """Saves a model as a `.keras` file, atomically.

    Args:
        model: Any Keras model; a tfrobust method is saved with its net, augmentation and optimizer.
        path: File to write, ending in `.keras`.

    Raises:
        ValueError: The path does not end in `.keras`.
    """
    _check_name(path)
    with files.replacing(path) as temporary:
        model.save(temporary)


def load_model(
    path: files.PathLike, custom_objects: Optional[Mapping[str, Any]] = None
) -> keras.Model:
    """Loads a `.keras` file of tfrobust or of any other Keras model.

    Nothing in the file is executed: it may refer to classes of Keras and tfrobust, to classes and
    functions that are registered with Keras or given, and to operations on tensors.

    Args:
        path: A `.keras` file.
        custom_objects: Your own classes and functions, by name, if not registered with Keras.

    Returns:
        The model, compiled if it was compiled when it was saved.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: It is not a `.keras` file, from another major version of Keras, or refers to
            something else.
    """
    if not os.path.isfile(path):
        raise FileNotFoundError(f"no model file at {os.fspath(path)!r}; expected a .keras file")
    _check_name(path)
    check_generation(path)
    check_config(config_of(path), os.fspath(path), dict(custom_objects or {}))
    try:
        return keras.models.load_model(path, custom_objects=custom_objects, safe_mode=True)
    except (KeyError, OSError, TypeError, ValueError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ValueError(f"{os.fspath(path)} cannot be loaded: {reason}") from error


def _check_name(path: files.PathLike) -> None:
    if pathlib.Path(path).suffix != ".keras":
        raise ValueError(f"a model file must end in .keras; received {os.fspath(path)!r}")
