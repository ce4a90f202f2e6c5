"""A training that was killed goes on where its last epoch ended."""

from __future__ import annotations

import errno
import json
import pathlib
import re
import warnings
import zipfile
from collections.abc import Iterable
from concurrent import futures
from typing import Any, Optional

import keras
import numpy as np
import tensorflow as tf

from tfrobust import files, validation
from tfrobust.compat.epochs import iterators_an_epoch
from tfrobust.compat.optimizers import optimizer_variables
from tfrobust.compat.random_generators import generator_states

#: What cannot be read is damaged: a file that was cut off, changed or is something else.
_DAMAGED = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile)

_STATE = "state"


class Checkpoint(keras.callbacks.Callback):
    """Writes all that a training depends on after every epoch, and takes it up again.

    That is: the weights, with the counters of draws and the weights of the terms; the optimizer,
    with the number of its steps; the generators of random numbers of the layers; the order of the
    data; and what other callbacks remember. So a training that was killed at any moment ends as it
    would have ended undisturbed, on one CPU device to the bit where TensorFlow is deterministic
    (`tf.config.experimental.enable_op_determinism`). At most one epoch is trained again.

    A file is there whole or not at all. Where writing fails, as on a full disk, a warning says so
    and the training goes on: the file before is still there. Where a file cannot be read, a warning
    names it and the one before is taken.

    In Keras 2 the numbers of Dropout go on only after
    `keras.backend.experimental.enable_tf_random_generator()`, called before the net is made.

    Put it last, after the callbacks that it shall `remember`. Under a strategy of several workers
    each worker has one, with the same folder, which all of them can read; the first one writes.

    Args:
        folder: Where the files go; made if it does not exist.
        remember: Callbacks with `get_state()` and `set_state(state)`, whose state is saved along,
            such as `RobustnessMonitor` and `RestoreBest`.
        keep: Number of the last files that are kept, 1 or more. Default 2: one and one to go
            back to.

    Attributes:
        history: What `fit` reported of all epochs, also of those before a restart: name to list.

    Raises:
        ValueError: `keep` is out of range.
        TypeError: A callback of `remember` has no state to save.

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
        for callback in self._remember:
            if not (hasattr(callback, "get_state") and hasattr(callback, "set_state")):
                raise TypeError(
                    "remember takes callbacks with get_state and set_state, such as "
                    f"RobustnessMonitor; received {type(callback).__name__}"
                )

    def restore(self, model: keras.Model, data: Any = None) -> int:
        """Gives a model the state of the newest file that can be read.

        Args:
            model: The compiled model, made as it was made the first time.
            data: The `tf.data.Dataset` that will be given to `fit`, made as the first time and not
                read since. It is advanced to the order that the next epoch would have had. It must
                know its number of batches, which one that skips damaged images does not.

        Returns:
            The number of epochs that are done, for `initial_epoch`; 0 where there is no file.

        Raises:
            ValueError: The file is of another model, optimizer or set of callbacks; or the model is
                not compiled.
        """
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
            if isinstance(data, tf.data.Dataset):
                with futures.ThreadPoolExecutor(1) as outside:  # of a strategy's scope
                    each = outside.submit(iterators_an_epoch).result()
                for _ in range(state["epochs"] * each):
                    iter(data)  # each draws an order
            return int(state["epochs"])
        return 0

    def clear(self) -> None:
        """Removes the files, when what they are good for is done."""
        for path in self._paths():
            path.unlink()
        if self.folder.is_dir() and not any(self.folder.iterdir()):
            self.folder.rmdir()

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
        """Gives the callbacks their states, whose arrays are taken out of `arrays`."""
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
    # NumPy's files have no bfloat16; float32 holds each of its numbers.
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
