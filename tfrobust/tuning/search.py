"""Hyper-parameter search with KerasTuner."""

from __future__ import annotations

import copy
import functools
import gc
import json
import math
import pathlib
import shutil
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Optional, Union

import keras
import tensorflow as tf

from tfrobust import files, saving, trainer, validation
from tfrobust.callbacks import RestoreBest
from tfrobust.datasets import Data
from tfrobust.evaluation import RobustnessMonitor
from tfrobust.evaluation.benchmark import Conditions, Evaluator
from tfrobust.registries import TUNERS
from tfrobust.seeding import seed_everything
from tfrobust.tuning import distributed
from tfrobust.tuning.ranges import Range
from tfrobust.tuning.score import CLEAN, ROBUST, SCORE, FlooredScore, keeps_floor
from tfrobust.tuning.trials import COMPLETED, FAILED, Trial, ranked, read, write

MODEL, TRIALS, SETTINGS_FILE = "model.keras", "trials.jsonl", "tuning.json"
#: What starts and ends, as it happens; a killed search is resumed from it.
LOG = "log.jsonl"

Loaded = Union[Data, tuple[tf.data.Dataset, tf.data.Dataset]]
Say = Callable[[str], Any]


class _StopEarly(keras.callbacks.Callback):
    """Raises an error after the first batch that shows that the logs will lack the objective, and
    at the end of an epoch whose loss is not finite.

    Args:
        objective: Its name; None for one that other callbacks may add.
    """

    def __init__(self, objective: Optional[str]):
        super().__init__()
        self.objective = objective

    def on_train_batch_end(self, batch: int, logs: Optional[dict[str, Any]] = None) -> None:
        name, self.objective = self.objective, None
        if name is not None:
            check_objective(name, logs or {})

    def on_epoch_end(self, epoch: int, logs: Optional[dict[str, Any]] = None) -> None:
        loss = float((logs or {}).get("loss", 0.0))
        if not math.isfinite(loss):
            raise FloatingPointError(f"the loss was {loss} in epoch {epoch + 1}")


def search(
    build: Callable[[dict[str, Any]], keras.Model],
    data: Callable[[], Loaded],
    space: Sequence[Range],
    out: files.PathLike,
    *,
    tuner: str = "grid",
    trials: Optional[int] = None,
    epochs: int = 6,
    objective: Any = None,
    clean_floor: Optional[float] = None,
    conditions: Optional[Conditions] = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    fit: Optional[Callable[..., keras.callbacks.History]] = None,
    seed: int = 0,
    say: Say = print,
) -> list[Trial]:
    """Trains one model per trial of a KerasTuner search and keeps the best.

    By default the best model has the highest robust accuracy on the validation images among those
    that keep a floor of clean accuracy (`FlooredScore`). Each trial is scored at its best epoch.

    A trial depends only on its values and the seed: each trial reseeds everything and reloads the
    data. A killed search resumes when it is called again with the same settings: finished trials
    are not repeated, and a trial that was running starts over. (The functions passed in are not
    recorded: use another folder after changing them.)

    **Several processes**: run the same script once as KerasTuner's chief, which trains nothing, and
    in any number of workers, with a shared folder: KERASTUNER_ORACLE_IP and KERASTUNER_ORACLE_PORT
    are the address of the chief, KERASTUNER_TUNER_ID is "chief" for the chief and a unique name
    for each worker. Restart a killed worker under the same name; the chief waits for it. The chief
    returns and writes the results.

    Writes into `out`: `tuning.json` (settings), `trials.jsonl` (one line per trial, updated after
    each), `model.keras` (the best trial, at its best epoch), and `log.jsonl`, from which a killed
    search is resumed. `tfrobust.reports.write_report` shows them.

    Args:
        build: Maps hyper-parameter values by name to a model: a tfrobust method, or any Keras
            model with the metric "accuracy". Compiled, unless `fit` does that.
        data: A function without arguments that loads the data: `datasets.Data`, or a pair of
            batched `tf.data.Dataset` objects, train and validation.
        space: The search ranges, such as `space("feature_map_augmentation")`.
        out: Output folder.
        tuner: "grid" (all points of the ranges), "random", "bayesian" (Gaussian process), or
            "hyperband", whose trials start with few epochs; the best are rerun with more, each time
            from scratch, so that a learning-rate schedule always runs to its end.
        trials: Maximum number of trials. Default: the whole grid, all Hyperband brackets, or 10.
        epochs: Epochs per trial; for Hyperband the maximum.
        objective: "val_loss" or another logged metric whose name implies its direction, or a
            `keras_tuner.Objective`. Default: the score described above.
        clean_floor: Minimum clean accuracy on the validation images, in [0, 1]; for the default
            objective only. Default None: no floor.
        conditions: Conditions that robust accuracy is averaged over; see `RobustnessMonitor`.
            Default: the four held-out corruptions of the benchmark, at severity 3.
        callbacks: Further callbacks; copied for each trial.
        fit: `fit(model, data, epochs=..., callbacks=...)`, which returns a Keras history. Default:
            `model.fit`, with the callback that alternating augmentations need.
        seed: Seed of every trial and of the tuner.
        say: Receives one line per trial.

    Returns:
        The trials, best first; an empty list in a worker.

    Raises:
        ValueError: An argument is invalid, the data have no validation images, or all trials
            failed.
        FileExistsError: `out` holds something else, or a search with other settings.

    Example:

    >>> from tfrobust import datasets, methods, nets
    >>> def build(values):
    ...     model = methods.FeatureContrastive(nets.lenet((28, 28, 3), 10), **values)
    ...     model.compile("sgd", metrics=["accuracy"])
    ...     return model
    >>> ranges = [Range("weight", 1e-4, 1e-1, 4, "log"), Range("sigma", 0.1, 0.5, 3)]
    >>> load = lambda: datasets.load("corner_digits")
    >>> search(build, load, ranges, "runs/fcl", trials=0)
    Traceback (most recent call last):
    ...
    ValueError: trials must be a whole number from 1 to 1000000; received 0
    """
    ranges = _check_arguments(build, data, space, tuner, trials, epochs, seed)
    name, direction = objective_of(objective, clean_floor)
    if not (conditions is None or isinstance(conditions, (Mapping, Evaluator))):
        conditions = list(conditions)
    role = distributed.role()
    if role == "worker":
        distributed.wait_for(pathlib.Path(out, SETTINGS_FILE))
    load_data(data)  # fails before anything is written
    folder = _open_folder(
        out,
        {
            "tuner": tuner,
            "trials": trials,
            "epochs": epochs,
            "objective": name,
            "direction": direction,
            "clean_floor": clean_floor,
            "seed": seed,
            "space": [{**vars(one), "values": list(one.values)} for one in ranges],
        },
    )
    if (folder / MODEL).is_file():
        return [] if role == "worker" else ranked(read(folder / TRIALS), direction=direction)

    from tfrobust.tuning import oracles  # KerasTuner takes seconds to import

    def run(trial: Any) -> dict[str, float]:
        values, trial_epochs = oracles.settings_of(trial, ranges, epochs)
        seed_everything(seed)
        loaded = load_data(data)  # after seeding, which tf.data's own seeds depend on
        model = build(values)
        monitor = RobustnessMonitor(
            loaded.validation,
            conditions,
            dataset=f"{loaded.name}/validation",
            seed=seed,
            before_training=False,
        )
        best = RestoreBest(name, direction)
        early = _StopEarly(None if callbacks else name)
        added = [early, monitor, FlooredScore(clean_floor), best]
        train = fit or functools.partial(trainer.fit, learning_rate=None, verbose=0)
        every = [*copy.deepcopy(list(callbacks)), *added]
        history = train(model, loaded, epochs=trial_epochs, callbacks=every).history
        if best.best_epoch is None:
            raise FloatingPointError(f"{name} was NaN in each epoch")
        saving.save_model(model, _model_file(folder, int(trial.trial_id) + 1))
        del model
        gc.collect()  # Keras models contain reference cycles
        at = best.best_epoch - 1
        metrics = {"clean_accuracy": CLEAN, "robust_accuracy": ROBUST, "score": name}
        measured = {ours: float(history[theirs][at]) for ours, theirs in metrics.items()}
        return {**measured, "epoch": float(best.best_epoch)}

    oracle = oracles.oracle(
        tuner, ranges, trials=trials, epochs=epochs, direction=direction, seed=seed
    )

    def ended() -> list[Trial]:
        """The trials that ended, best first; writes them, removes other models than the best."""
        trials = [oracle.trials[trial] for trial in oracle.end_order]
        known = [_to_trial(trial, ranges, epochs, clean_floor) for trial in trials]
        write(sorted(known, key=lambda trial: trial.number), folder / TRIALS)
        known = ranked(known, direction=direction)
        for trial in known[1:]:
            _model_file(folder, trial.number).unlink(missing_ok=True)
        return known

    def after(trial: Any) -> None:
        number = int(trial.trial_id) + 1
        if role == "worker":
            say(f"trial {number} ended")
        else:
            say(_trial_line(next(known for known in ended() if known.number == number)))

    oracles.run_trials(oracle, run, after, folder / LOG)
    if role == "worker":
        return []
    known = ended()
    if not known or known[0].status != COMPLETED:
        why = known[0].message if known else "there was none"
        raise ValueError(f"no trial of {len(known)} could be trained to its end; the first: {why}")
    with files.replacing(folder / MODEL) as temporary:
        shutil.copyfile(_model_file(folder, known[0].number), temporary)
    return known


def load_data(load: Callable[[], Loaded]) -> Any:
    """Calls a loading function and checks that there are training and validation images.

    Args:
        load: The function.

    Returns:
        An object with `name`, `train` and `validation`.

    Raises:
        ValueError: There are no validation images, or the result is of another type.
    """
    found = load()
    if isinstance(found, (tuple, list)) and len(found) == 2:
        if not all(isinstance(part, tf.data.Dataset) for part in found):
            kinds = " and ".join(type(part).__name__ for part in found)
            raise ValueError(
                "data must load batched tf.data.Datasets, train and validation (validation is "
                f"what the settings are chosen by); received {kinds}"
            )
        return types.SimpleNamespace(name="data", train=found[0], validation=found[1])
    if not isinstance(found, Data):
        raise ValueError(
            "data must load a datasets.Data or a pair of tf.data.Datasets, train and validation; "
            f"received {type(found).__name__}"
        )
    for split in ("train", "validation"):
        found.split(split)
    return found


def _check_arguments(
    build: Any, data: Any, space: Any, tuner: str, trials: Any, epochs: Any, seed: Any
) -> list[Range]:
    validation.check_choice("tuner", tuner, TUNERS)
    if trials is not None:
        validation.check_whole("trials", trials, 1, 1_000_000)
    validation.check_whole("epochs", epochs, 1, 1_000_000)
    validation.check_whole("seed", seed, 0, 2**31 - 2)
    for what, thing in (("build", build), ("data", data)):
        if not callable(thing):
            raise ValueError(
                f"{what} must be a function, which is called for each trial; received "
                f"{type(thing).__name__}"
            )
    ranges = list(space)
    names = [one.name for one in ranges]
    if not ranges or len(set(names)) < len(names):
        raise ValueError(
            "a search needs one range or more, each of another hyper-parameter; received "
            f"{', '.join(names) or 'none'}"
        )
    return ranges


def check_objective(name: str, logs: Iterable[str]) -> None:
    """Raises a ValueError unless the objective is among what is logged in training, `logs`, or of
    the validation."""
    known = [*logs, *(f"val_{one}" for one in logs), ROBUST, SCORE]
    if name not in known:
        hint = validation.nearest(name, known)
        raise ValueError(
            f"objective must be in the logs; received {name!r}{hint}; they have {', '.join(known)}"
        )


def objective_of(objective: Any, clean_floor: Optional[float]) -> tuple[str, str]:
    """Name and direction of the objective.

    Args:
        objective: As for `search`.
        clean_floor: As for `search`.

    Returns:
        The name of a logged metric; "max" or "min".

    Raises:
        ValueError: One of them is invalid, or a floor is given with another objective.
    """
    if objective is None:
        FlooredScore(clean_floor)
        return SCORE, "max"
    if clean_floor is not None:
        raise ValueError(
            "clean_floor belongs to the default objective; received "
            f"clean_floor={clean_floor:g} with another objective"
        )
    if isinstance(objective, str):
        try:
            return objective, RestoreBest(objective).mode
        except ValueError:
            raise ValueError(
                f"objective {objective!r} does not say whether more or less of it is better; in "
                "Python give keras_tuner.Objective(name, 'max' or 'min')"
            ) from None
    name, direction = getattr(objective, "name", ""), getattr(objective, "direction", "")
    if not isinstance(name, str) or not name or hasattr(objective, "objectives"):
        raise ValueError(
            "objective must be the name of one number of the logs or one keras_tuner.Objective; "
            f"received {objective!r}"
        )
    return name, validation.check_choice("direction of the objective", direction, ("max", "min"))


def _open_folder(out: files.PathLike, settings: dict[str, Any]) -> pathlib.Path:
    """Creates the folder with the settings, or checks them against those of an earlier call."""
    folder = pathlib.Path(out)
    files.check_writable(folder)
    path = folder / SETTINGS_FILE
    if not path.is_file():
        if any((folder / name).exists() for name in (TRIALS, MODEL, LOG)):
            raise FileExistsError(f"{folder} holds another run; give another output folder")
        files.write_json(settings, path)
        return folder
    known = files.read_json(path)
    wanted = json.loads(json.dumps(settings))
    other = [name for name in wanted if known.get(name) != wanted[name]]
    if other:
        raise FileExistsError(
            f"{folder} holds a search with {other[0]} {known.get(other[0])!r}, not "
            f"{wanted[other[0]]!r}; give another output folder"
        )
    return folder


def _to_trial(
    trial: Any, ranges: Sequence[Range], epochs: int, clean_floor: Optional[float]
) -> Trial:
    """Converts a KerasTuner trial that ended to the record that is written."""
    from tfrobust.tuning.oracles import settings_of

    values, trial_epochs = settings_of(trial, ranges, epochs)
    found: dict[str, Any] = {"status": FAILED, "message": trial.message or ""}
    if trial.status == "COMPLETED":
        names = ("clean_accuracy", "robust_accuracy", "score")
        found = {n: round(float(trial.metrics.get_last_value(n)), 6) for n in names}
        found["keeps_floor"] = keeps_floor(found["clean_accuracy"], clean_floor)
        found["epoch"] = int(trial.metrics.get_last_value("epoch"))
        found["status"] = COMPLETED
    return Trial(int(trial.trial_id) + 1, values, epochs=trial_epochs, **found)


def _model_file(folder: pathlib.Path, number: int) -> pathlib.Path:
    return folder / "models" / f"trial_{number}.keras"


def _trial_line(trial: Trial) -> str:
    values = ", ".join(f"{name} {value:g}" for name, value in trial.values.items())
    start = f"trial {trial.number}: {values}"
    if trial.status != COMPLETED:
        return f"{start}: failed: {trial.message}"
    assert trial.clean_accuracy is not None and trial.robust_accuracy is not None
    below = "" if trial.keeps_floor else ", below the floor"
    return (
        f"{start}: clean {100 * trial.clean_accuracy:.2f}%{below}, robust "
        f"{100 * trial.robust_accuracy:.2f}%"
    )
