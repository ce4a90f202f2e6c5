"""KerasTuner's oracles, made resumable after a killed search.

Works around the following in KerasTuner 1.4:

- GridSearch loses its position on reload and stops. Here the next grid point is the first that was
  not started.
- Its files are written in place, so that a kill may truncate one. Here they are written atomically.
- A kill between writing its two files leaves a trial that is finished in one and running in the
  other, which is rerun, or one that is in only one of them and never run. Here the trial's file is
  authoritative.
- It reloads a search only if the first trial was finished.
- BayesianOptimization draws other random numbers after a reload. Here they depend only on the seed
  and the trial number.
- An oracle whose seed is 0 draws a random seed.

KerasTuner is slow to import, so this module is imported only when a search starts.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import os
import pathlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Optional

import keras_tuner
import numpy as np
import tensorflow as tf
from keras_tuner.engine.base_tuner import BaseTuner

from tfrobust import files
from tfrobust.tuning.ranges import Range

RUNNING, IDLE, STOPPED = "RUNNING", "IDLE", "STOPPED"
COMPLETED, FAILED = "COMPLETED", "FAILED"
FOLDER = "tuner"
#: Prefix of the hyper-parameters that Hyperband adds itself.
_TUNER_PREFIX = "tuner/"


class _Resumable:
    """Mixin for all oracles: atomic writes, and a consistent state after a kill."""

    def save(self) -> None:
        _write(self.get_state(), self._get_oracle_fname())  # type: ignore[attr-defined]

    def _save_trial(self, trial: Any) -> None:
        folder = self._get_trial_dir(trial.trial_id)  # type: ignore[attr-defined]
        _write(trial.get_state(), os.path.join(folder, "trial.json"))

    def reload(self) -> None:
        super().reload()  # type: ignore[misc]
        oracle: Any = self
        # A trial that is missing in the oracle's own file was killed while it was being created: it
        # is created again from the same state, and so is identical.
        oracle.trials = {name: oracle.trials[name] for name in oracle.start_order}
        unfinished = []
        for name, trial in oracle.trials.items():
            if trial.status in (COMPLETED, FAILED):
                if name not in oracle.end_order:
                    oracle.end_order.append(name)
            else:
                trial.metrics = type(trial.metrics)()  # else its new measurements are ignored
                unfinished.append(name)
        oracle._retry_queue = unfinished[::-1]  # popped from the end


class GridOracle(_Resumable, keras_tuner.oracles.GridSearchOracle):
    """Grid search in order, the last hyper-parameter varying fastest."""

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        parameters = self.hyperparameters.space
        for point in itertools.product(*(parameter.values for parameter in parameters)):
            values = {parameter.name: value for parameter, value in zip(parameters, point)}
            if not self._duplicate(values):
                return {"status": RUNNING, "values": values}
        # Workers idle while trials are running, so that all of them and the chief stop together.
        return {"status": IDLE if self.ongoing_trials else STOPPED, "values": None}


class RandomOracle(_Resumable, keras_tuner.oracles.RandomSearchOracle):
    """Random search."""


class HyperbandOracle(_Resumable, keras_tuner.oracles.HyperbandOracle):
    """Hyperband: many short trials, of which the best are rerun for longer."""


class BayesianOracle(_Resumable, keras_tuner.oracles.BayesianOptimizationOracle):
    """Bayesian optimization with a Gaussian process fitted to the finished trials."""

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        self._random_state = np.random.RandomState((self.seed + int(trial_id)) % 2**32)
        found: dict[str, Any] = super().populate_space(trial_id)
        return found


def oracle(
    tuner: str,
    ranges: Sequence[Range],
    *,
    trials: Optional[int],
    epochs: int,
    objective: keras_tuner.Objective,
    seed: int,
) -> Any:
    """Creates the oracle of a tuner, with its search space fixed in advance.

    Args:
        tuner: "grid", "random", "hyperband" or "bayesian".
        ranges: The search space.
        trials: Maximum number of trials; None for the whole grid, all Hyperband brackets, or 10.
        epochs: Epochs per trial; for Hyperband the maximum.
        objective: The objective.
        seed: Integer seed.

    Returns:
        The oracle.
    """
    space = keras_tuner.HyperParameters()
    for one in ranges:
        kind = space.Int if one.whole else space.Float
        if one.points == 1:
            space.Fixed(one.name, one.values[0])
        elif tuner == "grid":
            space.Choice(one.name, list(one.values))
        else:
            kind(one.name, one.start, one.end, sampling=one.scale)
    settings: dict[str, Any] = {
        "objective": objective,
        "hyperparameters": space,
        "allow_new_entries": False,
        "seed": seed + 1,
        # Failed trials are part of the results. (KerasTuner's chief would hang at this limit.)
        "max_consecutive_failed_trials": 10**9,
    }
    if tuner == "hyperband":
        hyperband = HyperbandOracle(max_epochs=epochs, **settings)
        hyperband.max_trials = trials
        return hyperband
    if tuner != "grid":
        trials = 10 if trials is None else trials
    kinds = {"grid": GridOracle, "random": RandomOracle, "bayesian": BayesianOracle}
    return kinds[tuner](max_trials=trials, **settings)


class Runner(BaseTuner):
    """KerasTuner's search loop, for chief and workers, around a function that runs one trial.

    Args:
        oracle: An oracle created by `oracle`.
        run: Maps trial name, values and epochs to metrics.
        ranges: The search space.
        epochs: Epochs per trial, unless the oracle sets them.
        folder: Folder of the search.
        after: Called after each trial that ended in this process; never in the chief.
    """

    def __init__(
        self,
        oracle: Any,
        run: Callable[[str, Mapping[str, Any], int], dict[str, float]],
        *,
        ranges: Sequence[Range],
        epochs: int,
        folder: pathlib.Path,
        after: Callable[[Any], None],
    ):
        self._run, self._epochs, self._after = run, epochs, after
        self._ranges = ranges
        with contextlib.redirect_stdout(io.StringIO()):  # it prints what it loads
            super().__init__(oracle=oracle, directory=str(folder), project_name=FOLDER)

    # The oracle holds all of the state, in a file that exists from the first trial on.
    def _get_tuner_fname(self) -> str:
        return os.path.join(str(self.project_dir), "oracle.json")

    def save(self) -> None:
        if not self._is_worker():
            self.oracle.save()

    def reload(self) -> None:
        if not self._is_worker():
            self.oracle.reload()

    def pre_create_trial(self) -> None:
        if self._is_worker():
            time.sleep(0.1)  # an idle worker polls

    def run_trial(self, trial: Any) -> dict[str, float]:
        values, epochs = settings_of(trial, self._ranges, self._epochs)
        try:
            return self._run(trial.trial_id, values, epochs)
        except (FloatingPointError, tf.errors.ResourceExhaustedError) as error:
            raise keras_tuner.errors.FailedTrialError(" ".join(str(error).split())) from error
        except Exception as error:  # a bug, not a bad setting: KerasTuner would swallow it
            raise keras_tuner.errors.FatalError(str(error)) from error

    def on_trial_end(self, trial: Any) -> None:
        super().on_trial_end(trial)
        self._after(trial)


def settings_of(trial: Any, ranges: Sequence[Range], epochs: int) -> tuple[dict[str, Any], int]:
    """The values and epochs of a trial."""
    found = trial.hyperparameters.values
    values = {one.name: one.rounded(found[one.name]) for one in ranges}
    return values, int(found.get(f"{_TUNER_PREFIX}epochs", epochs))


def _write(state: Mapping[str, Any], path: str) -> None:
    with files.replacing(path) as temporary:
        temporary.write_text(json.dumps(state), encoding="utf-8")
