"""Checkpoints from which an interrupted training resumes exactly."""

from __future__ import annotations

import errno
import json
import pathlib
import re
import warnings
import zipfile
from collections.abc import Iterable
from typing import Any, Optional

import keras
import numpy as np
import tensorflow as tf

from tfrobust import files, validation
from tfrobust.compat.optimizers import optimizer_variables
from tfrobust.compat.random_generators import generator_states
from tfrobust.epochs import start_epoch

#: Errors on reading a file that is truncated, changed, or not a checkpoint.
_DAMAGED = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile)

_STATE = "state"


class Checkpoint(keras.callbacks.Callback):
    """Saves the complete state of a training after every epoch, and restores it.

    The state consists of the weights, with draw counters and term weights; the optimizer, with its
    number of steps; the random generators of the layers; and the state of other callbacks. The
    order of the data follows from the epoch. A training that was interrupted at any moment
    therefore ends as it would have ended without interruption: bit-identical on one CPU device if
    TensorFlow is deterministic (`tf.config.experimental.enable_op_determinism`). At most one epoch
    is repeated.

    Files are written atomically. If writing fails, for example because the disk is full, a warning
    is issued and the training continues with the previous file in place. If a file cannot be read,
    a warning is issued and the previous file is used.

    In Keras 2, the random numbers of Dropout continue only if
    `keras.backend.experimental.enable_tf_random_generator()` was called before the net was created.

    Place it last, after the callbacks in `remember`. Under a strategy with several workers, each
    worker has a checkpoint with the same folder, which all can read and only the first writes.

    Args:
        folder: Folder for the files, which is created if it does not exist.
        remember: Callbacks with `get_state()` and `set_state(state)` whose state is also saved,
            such as `RobustnessMonitor` and `RestoreBest`.
        keep: Number of files to keep, 1 or more. Default 2, so that one is left if the last is
            damaged.

    Attributes:
        history: What `fit` reported for all epochs, including those before a restart: a mapping
            from name to list.

    Raises:
        ValueError: `keep` is out of range.
        TypeError: A callback in `remember` has no state to save.

    Example:

    >>> checkpoint = Checkpoint("runs/mine/checkpoints")
    >>> # model.fit(data.train, epochs=30, callbacks=[checkpoint],
    >>> #           initial_epoch=checkpoint.restore(model, data.train))
    """

    def __init__(
        self,
        folder: files.PathLike,
        *,
        remember: Iterable[keras.callbacks.Callback] = (),
        keep: int = 2,
    ):
        super().__init__()
        self.folder = pathlib.Path(folder)
        self.keep = validation.check_whole("keep", keep, 1, 10_000)
        self.history: dict[str, list[float]] = {}
        self._remember = list(remember)
        self._data: Optional[tf.data.Dataset] = None
        for callback in self._remember:
            if not (hasattr(callback, "get_state") and hasattr(callback, "set_state")):
                raise TypeError(
                    "remember takes callbacks with get_state and set_state, such as "
                    f"RobustnessMonitor; received {type(callback).__name__}"
                )

    def restore(self, model: keras.Model, data: Any = None) -> int:
        """Restores a model from the newest readable file.

        Args:
            model: The compiled model, created as it was the first time.
            data: The `tf.data.Dataset` for `fit`, created as it was the first time. Data shuffled
                by `tfrobust.datasets`, or made of such, get the order of each epoch when it begins;
                the order of others is left to them.

        Returns:
            The number of completed epochs, for `initial_epoch`; 0 if there is no file.

        Raises:
            ValueError: The file is from another model, optimizer or set of callbacks, or the model
                is not compiled.
        """
        self._data = data if isinstance(data, tf.data.Dataset) else None
        for path in reversed(self._paths()):
            try:
                with np.load(path, allow_pickle=False) as archive:
                    arrays = {name: archive[name] for name in archive.files}
                state = json.loads(arrays.pop(_STATE).tobytes().decode("utf-8"))
            except _DAMAGED as error:
                warnings.warn(
                    f"{path} cannot be read ({error}); what was before it is taken",
                    RuntimeWarning,
                    stacklevel=2,
                )
                continue
            self._set_callbacks(state, arrays, path)
            with model.distribute_strategy.scope():
                _assign(_variables(model), arrays, path)
            self.history = state["history"]
            done = int(state["epochs"])
            self.on_epoch_begin(done)  # for a `fit` without this callback
            return done
        return 0

    def clear(self) -> None:
        """Removes the files, once they are no longer needed."""
        for path in self._paths():
            path.unlink()
        if self.folder.is_dir() and not any(self.folder.iterdir()):
            self.folder.rmdir()

    def on_epoch_begin(self, epoch: int, logs: Optional[dict[str, Any]] = None) -> None:
        if self._data is not None:
            start_epoch(self._data, epoch)

    def on_epoch_end(self, epoch: int, logs: Optional[dict[str, Any]] = None) -> None:
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(float(value))
        arrays = {name: _read(variable) for name, variable in _variables(self.model).items()}
        if not self.model.distribute_strategy.extended.should_checkpoint:  # another worker does
            return
        callbacks: list[dict[str, Any]] = []
        for callback in self._remember:
            values = callback.get_state()
            arrays_of = {k: v for k, v in values.items() if isinstance(v, np.ndarray)}
            arrays.update({f"callback_{len(callbacks)}_{k}": v for k, v in arrays_of.items()})
            callbacks.append({k: v for k, v in values.items() if k not in arrays_of})
        state = {"epochs": epoch + 1, "history": self.history, "callbacks": callbacks}
        arrays[_STATE] = np.frombuffer(json.dumps(state).encode("utf-8"), np.uint8)
        path = self.folder / f"epoch_{epoch + 1:06d}.npz"
        try:
            with files.replacing(path) as temporary, open(temporary, "wb") as file:
                np.savez(file, **arrays)
        except OSError as error:
            full = " (the disk is full)" if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
            warnings.warn(
                f"the checkpoint of epoch {epoch + 1} could not be written{full}: {error}; "
                f"training goes on, and {self.folder} holds the one before",
                RuntimeWarning,
                stacklevel=2,
            )
            return
        for old in self._paths()[: -self.keep]:
            old.unlink()

    def _paths(self) -> list[pathlib.Path]:
        found = [p for p in self.folder.glob("epoch_*.npz") if re.fullmatch(r"epoch_\d+", p.stem)]
        return sorted(found, key=lambda path: int(path.stem.partition("_")[2]))

    def _set_callbacks(
        self, state: dict[str, Any], arrays: dict[str, np.ndarray], path: pathlib.Path
    ) -> None:
        """Restores the callbacks' states, and removes their arrays from `arrays`."""
        if len(state["callbacks"]) != len(self._remember):
            raise ValueError(
                f"{path} remembers {len(state['callbacks'])} callbacks; received "
                f"{len(self._remember)} with remember="
            )
        for number, (callback, own) in enumerate(zip(self._remember, state["callbacks"])):
            start = f"callback_{number}_"
            theirs = [name for name in arrays if name.startswith(start)]
            callback.set_state({**own, **{k[len(start) :]: arrays.pop(k) for k in theirs}})


def _variables(model: keras.Model) -> dict[str, Any]:
    """All variables of a training, by their place: names count on in one process."""
    optimizer = getattr(model, "optimizer", None)
    if optimizer is None or not hasattr(optimizer, "build"):
        raise ValueError(
            "a checkpoint needs a model compiled with one of Keras' optimizers; received "
            f"{type(optimizer).__name__ if optimizer is not None else 'a model not compiled'}"
        )
    if not getattr(optimizer, "built", False):  # in Keras 2 it can be built again
        optimizer.build(model.trainable_variables)
    states, random = optimizer_variables(optimizer), generator_states(model)
    groups = {"model": model.variables, "optimizer": states, "random": random}
    return {f"{name}_{i}": v for name, group in groups.items() for i, v in enumerate(group)}


def _read(variable: Any) -> np.ndarray:
    array = np.asarray(tf.convert_to_tensor(variable))
    # NumPy's files do not support bfloat16, whose values float32 represents exactly.
    return array.astype("float32") if array.dtype.name == "bfloat16" else array


def _assign(variables: dict[str, Any], arrays: dict[str, np.ndarray], path: pathlib.Path) -> None:
    def shapes(found: dict[str, Any]) -> dict[str, tuple[int, ...]]:
        return {name: tuple(value.shape) for name, value in found.items()}

    wanted, there = shapes(variables), shapes(arrays)
    for name in [*wanted, *there]:
        if wanted.get(name) != there.get(name):
            raise ValueError(
                f"{path} is of another model or optimizer: the shape of {name} is "
                f"{there.get(name, 'missing')} there and {wanted.get(name, 'missing')} here; give "
                "another folder"
            )
    for name, variable in variables.items():
        variable.assign(tf.cast(arrays[name], variable.dtype))
