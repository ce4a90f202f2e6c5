"""Model files: of the other generation of Keras, and of subclassed models."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import zipfile
from collections.abc import Iterator
from typing import Any

import h5py
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


@contextlib.contextmanager
def readable_weights(path: files.PathLike, model: Any) -> Iterator[files.PathLike]:
    """A weights file of a subclassed model in the form that the installed Keras reads.

    Keras 3 files the net under `layers` and the augmentation under its attribute's name, Keras 2
    the other way round, and wants the model's metrics too. Keras 3 reads both; without this Keras 2
    stops at the first layer of a file of Keras 3.

    Args:
        path: The file. Only a `.weights.h5` file of Keras 3 is changed, in a copy.
        model: The model, whose net is its attribute `net`.

    Yields:
        The file to read. The state of an optimizer is not taken over from Keras 3.
    """
    with contextlib.ExitStack() as stack:
        if KERAS_2 and os.path.isfile(path) and h5py.is_hdf5(path):
            given = stack.enter_context(h5py.File(path, "r"))
            if "net" not in given and len(given.get("layers", {})) == 1:
                folder = stack.enter_context(tempfile.TemporaryDirectory())
                path = os.path.join(folder, "copy.weights.h5")
                keras.Model.save_weights(model, path)
                with h5py.File(path, "a") as copy:
                    places = {"vars": "vars", "net": _only(given)}
                    if "augment" in given and len(copy.get("layers", {})) == 1:
                        places[_only(copy)] = "augment"
                    for place, there in places.items():
                        del copy[place]
                        given.copy(there, copy, place)
        yield path


def _only(file: h5py.File) -> str:
    (name,) = file["layers"]
    return f"layers/{name}"


def remember_inputs(model: Any, net: keras.Model) -> None:
    """Tells Keras the inputs of a subclassed model, which else only its first call does.

    Without it `tf.saved_model.save` and TFLite's `from_keras_model` refuse a model that was trained
    and never called, or write no signature. `build` would tell Keras 3, and then refuses the
    variables that subclasses add.

    Args:
        model: The model.
        net: The functional or Sequential model inside, which takes the same inputs.
    """
    if KERAS_2:
        model._set_save_spec(net.inputs)
    else:
        model._build_shapes_dict = {"input_shape": net.input_shape}


def _inside(path: files.PathLike, name: str) -> dict[str, Any]:
    try:
        with zipfile.ZipFile(path) as archive:
            return dict(json.loads(archive.read(name)))
    except (zipfile.BadZipFile, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{os.fspath(path)} is not a .keras file: {error}") from error
