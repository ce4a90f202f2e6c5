"""Model files: of the other generation of Keras, and of subclassed models."""

from __future__ import annotations

import json
import os
import zipfile
from typing import Any

import keras

from tfrobust import files
from tfrobust.compat.stack import KERAS_2


def check_generation(path: files.PathLike) -> None:
    """Checks that a `.keras` file is of the installed generation of Keras.

    Keras 3 cannot read the functional models of Keras 2 files, nor the other way round, and without
    this says so with the whole configuration of the model.

    Args:
        path: The file.

    Raises:
        ValueError: It is not a `.keras` file, or one of another major version of Keras.
    """
    saved = str(_inside(path, "metadata.json").get("keras_version"))
    if saved.split(".")[0] != keras.__version__.split(".")[0]:
        raise ValueError(
            f"{os.fspath(path)} was saved with Keras {saved} and cannot be read by Keras "
            f"{keras.__version__}; load it where it was made, or serve its SavedModel"
        )


def config_of(path: files.PathLike) -> dict[str, Any]:
    """The configuration of the model in a `.keras` file, of which nothing is made.

    Without it what a file refers to is only known when Keras has made it.

    Args:
        path: The file.

    Raises:
        ValueError: It has no configuration.
    """
    return _inside(path, "config.json")


def remember_inputs(model: Any, net: keras.Model) -> None:
    """Tells Keras 2 the inputs of a subclassed model, which else only its first call does.

    Without it `tf.saved_model.save` and TFLite's `from_keras_model` refuse a model that was trained
    and never called. In Keras 3, `model.export` is the way.

    Args:
        model: The model.
        net: The functional or Sequential model inside, which takes the same inputs.
    """
    if KERAS_2:
        model._set_save_spec(net.inputs)


def _inside(path: files.PathLike, name: str) -> dict[str, Any]:
    try:
        with zipfile.ZipFile(path) as archive:
            return dict(json.loads(archive.read(name)))
    except (zipfile.BadZipFile, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{os.fspath(path)} is not a .keras file: {error}") from error
