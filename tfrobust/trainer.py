"""The one way to train: compile, fit, resume, save."""

from __future__ import annotations

import gc
import pathlib
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import Any, Optional

import keras
import tensorflow as tf

from tfrobust import datasets, devices, files, rows, saving, validation
from tfrobust.augment.combine import alternates, alternating
from tfrobust.callbacks import AlternateAugmentations, Checkpoint, EstimateBatchNorm
from tfrobust.compat.averaged_weights import SwapAverages
from tfrobust.epochs import start_epoch
from tfrobust.evaluation import RobustnessMonitor
from tfrobust.settings import ESTIMATE_BATCH_NORM

#: Seconds without a word.
_SILENCE = 30.0


def fit(
    model: keras.Model,
    data: datasets.Data,
    *,
    epochs: int,
    learning_rate: Optional[float] = 0.05,
    optimizer: Optional[keras.optimizers.Optimizer] = None,
    callbacks: Sequence[Any] = (),
    checkpoint: Optional[Checkpoint] = None,
    estimate_batch_norm: str = "alternation",
    ema: Optional[float] = None,
    verbose: Optional[int] = None,
) -> keras.callbacks.History:
    """Compiles and fits a method with SGD, momentum 0.9 and cosine decay of the learning rate.

    Call `seed_everything` first, before the data are loaded and the net is created or loaded.

    Args:
        model: The method.
        data: The data set.
        epochs: Number of passes over the training images, 1 or more.
        learning_rate: Initial learning rate, above 0; None for a model that is compiled already.
        optimizer: Optimizer to use instead of SGD with `learning_rate`. With `ema` it must have
            the options that `averaging` returns.
        callbacks: Further callbacks; one for alternating augmentations is added where needed.
        checkpoint: Checkpoint to resume from, and to save each epoch to.
        estimate_batch_norm: When to estimate the moving statistics of batch norm anew after the
            last epoch: after a training with an alternating augmentation ("alternation"), "always"
            or "never". See `callbacks.EstimateBatchNorm`; the score is that of the first
            `RobustnessMonitor` among the callbacks, if there is one. Not done here if the model is
            on several devices: `train_to` does it on the copy that it saves.
        ema: Momentum, in (0, 1), of the optimizer's moving average of the weights, which is
            validated, and which the model has in the end. Batch norm is then estimated anew unless
            `estimate_batch_norm` is "never". Default: no average.
        verbose: 0, 1 or 2, as in Keras. Default: a progress bar on a terminal, else one line per
            epoch.

    Returns:
        The Keras history.

    Raises:
        ValueError: `epochs` or `learning_rate` is out of range, or `estimate_batch_norm` unknown.
    """
    validation.check_whole("epochs", epochs, 1, 1_000_000)
    validation.check_choice("estimate_batch_norm", estimate_batch_norm, ESTIMATE_BATCH_NORM)
    if learning_rate is not None:
        validation.check_between("learning_rate", learning_rate, 0, 100)
    average = averaging(ema)
    if average:
        callbacks = [SwapAverages(), *callbacks]
        if estimate_batch_norm != "never":
            estimate_batch_norm = "always"
    if optimizer is not None or learning_rate is not None:
        with model.distribute_strategy.scope():
            if optimizer is None:
                steps = epochs * data.steps
                schedule = keras.optimizers.schedules.CosineDecay(learning_rate, steps)
                optimizer = keras.optimizers.SGD(schedule, momentum=0.9, **average)
            model.compile(optimizer, metrics=["accuracy"])
    order = keras.callbacks.LambdaCallback(lambda epoch, logs: start_epoch(data.train, epoch))
    callbacks = [order, *callbacks]
    if alternates(_augment(model)):
        callbacks.insert(0, AlternateAugmentations())
    done = 0
    if checkpoint is not None:
        done = checkpoint.restore(model, data.train)
        callbacks.append(checkpoint)
    verbose = (1 if sys.stdout.isatty() else 2) if verbose is None else verbose
    if verbose == 2:
        callbacks.append(_LongEpochs())
    history = model.fit(
        data.train,
        validation_data=data.validation,
        epochs=epochs,
        initial_epoch=done,
        callbacks=callbacks,
        shuffle=False,  # the data set shuffles itself; Keras 3 warns without this
        verbose=verbose,
    )
    if model.distribute_strategy.num_replicas_in_sync == 1:
        _estimate_batch_norm(model, data, estimate_batch_norm, callbacks, verbose)
    return history


def averaging(ema: Optional[float]) -> dict[str, Any]:
    """Options of an optimizer that averages the weights with this momentum; none for None."""
    if ema is None:
        return {}
    return {"use_ema": True, "ema_momentum": validation.check_between("ema", ema, 0, 1)}


def train_to(
    file: files.PathLike,
    net: Callable[[], keras.Model],
    method: Callable[[keras.Model], keras.Model],
    data: datasets.Data,
    *,
    epochs: int,
    learning_rate: float = 0.05,
    optimizer: Optional[Callable[[], keras.optimizers.Optimizer]] = None,
    callbacks: Sequence[Any] = (),
    history: Optional[files.PathLike] = None,
    estimate_batch_norm: str = "alternation",
    ema: Optional[float] = None,
    precision: str = "float32",
    strategy: Optional[tf.distribute.Strategy] = None,
) -> keras.Model:
    """Trains a model and saves it; a killed training resumes after its last completed epoch.

    Call `seed_everything` first, before the data are loaded. If the file exists, it is loaded and
    nothing is trained. Until then, checkpoints are beside it, in a folder that is named after it.
    Under a strategy of several workers each of them calls this with the same file; one writes.

    Args:
        file: The `.keras` file to write.
        net: Creates or loads the net.
        method: Builds the method on that net, or on a copy whose variables belong to `strategy`.
        data: The data set.
        epochs: As for `fit`.
        learning_rate: As for `fit`.
        optimizer: Creates the optimizer to use instead.
        callbacks: Callbacks; the state of those with `get_state` is part of the checkpoints.
        history: File for the `rows` of the callbacks, such as those of `RobustnessMonitor`.
        estimate_batch_norm: As for `fit`.
        ema: As for `fit`.
        precision: Keras dtype policy during the training.
        strategy: What `devices.strategy` returned. Default: one device.

    Returns:
        The trained model, on one device.

    Raises:
        ValueError: An argument is out of range.
        ConnectionError: Another worker was lost.
    """
    file = pathlib.Path(file)
    strategy = strategy or devices.strategy("none")
    distributed = devices.is_distributed(strategy)
    checkpoint = Checkpoint(
        file.with_name(f"{file.stem}_checkpoints"),
        remember=[callback for callback in callbacks if hasattr(callback, "get_state")],
    )
    if file.exists():
        if devices.is_chief(strategy):
            checkpoint.clear()  # what a kill after the last epoch has left
        return saving.load_model(file)
    with devices.computing_in(precision):
        # Created outside the scope: Keras 2 cannot load a model inside.
        created = net()
        with strategy.scope():
            model = method(_made_anew(created) if distributed else created)
            chosen = None if optimizer is None else optimizer()
        with devices.others_alive():
            fit(
                model,
                data,
                epochs=epochs,
                learning_rate=learning_rate,
                optimizer=chosen,
                callbacks=callbacks,
                checkpoint=checkpoint,
                estimate_batch_norm=estimate_batch_norm,
                ema=ema,
            )
            several = model.distribute_strategy.num_replicas_in_sync > 1
            if distributed:  # all workers take part, to aggregate the statistics of batch norm
                model = _on_one_device(model)
        if several:
            _estimate_batch_norm(model, data, estimate_batch_norm, callbacks, verbose=2)
    if devices.is_chief(strategy):
        measured = [row for callback in callbacks for row in getattr(callback, "rows", [])]
        if history is not None and measured:
            rows.write(measured, history)
        saving.save_model(model, file)
        checkpoint.clear()
    gc.collect()  # Keras models contain reference cycles
    return model


class _LongEpochs(keras.callbacks.Callback):
    """Tells how far an epoch is, each half a minute, where there is no progress bar."""

    def on_epoch_begin(self, epoch: int, logs: Optional[dict[str, Any]] = None) -> None:
        self._began = self._told = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: Optional[dict[str, Any]] = None) -> None:
        now, steps = time.monotonic(), self.params["steps"]
        if now - self._told > _SILENCE and steps and batch + 1 < steps:
            left = (now - self._began) * (steps - batch - 1) / (batch + 1)
            print(f"step {batch + 1} of {steps}, {left:.0f} s left in this epoch", flush=True)
            self._told = now


def _estimate_batch_norm(
    model: keras.Model, data: datasets.Data, when: str, callbacks: Sequence[Any], verbose: int
) -> None:
    if when == "never" or (when == "alternation" and not alternating(_augment(model))):
        return
    monitors = [callback for callback in callbacks if isinstance(callback, RobustnessMonitor)]
    if not monitors and data.validation is None:
        return  # nothing tells whether it is better
    score = monitors[0].robust_accuracy if monitors else None
    estimation = EstimateBatchNorm(data.train, data.validation, score=score)
    kept = estimation.estimate(model)
    if verbose and estimation.before is not None and estimation.after is not None:
        print(
            f"batch norm estimated anew: {100 * estimation.before:.2f}% on validation images, then "
            f"{100 * estimation.after:.2f}%{'' if kept else '; not kept'}"
        )


def _augment(model: keras.Model) -> Any:
    return getattr(model, "augment", None)


def _made_anew(net: keras.Model) -> keras.Model:
    """A copy of a net whose variables belong to the strategy of the current scope."""
    copy = type(net).from_config(net.get_config())
    copy.set_weights(net.get_weights())
    return copy


def _on_one_device(model: keras.Model) -> keras.Model:
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "model.keras")
        saving.save_model(model, path)
        return saving.load_model(path)
