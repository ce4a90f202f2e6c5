"""KerasTuner's oracles, so that a search that was killed goes on where it was.

What KerasTuner 1.4 does not do, and this module does:

- GridSearch loses its place when it is loaded again, and ends. Here the next point of the grid is
  the first that was not begun.
- Its files are written in place, so that a kill may leave half of one. Here they are whole.
- A kill between its two files leaves a trial that is finished in one and running in the other, and
  is run again, or one that is in one of them only and never run. Here the file of the trial counts.
- It loads the search again only if the first trial was finished.
- BayesianOptimization draws other numbers when it is loaded again. Here they follow from the seed
  and the number of the trial.
- An oracle without a seed other than 0 takes one by chance.

KerasTuner is slow to import: this module is imported when a search begins.
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
#: Hyper-parameters that Hyperband adds for itself.
_OWN = "tuner/"


class _Resumable:
    """What all oracles are given: whole files, and order after a kill."""

    def save(self) -> None:
        _write(self.get_state(), self._get_oracle_fname())  # type: ignore[attr-defined]

    def _save_trial(self, trial: Any) -> None:
        folder = self._get_trial_dir(trial.trial_id)  # type: ignore[attr-defined]
        _write(trial.get_state(), os.path.join(folder, "trial.json"))

    def reload(self) -> None:
        super().reload()  # type: ignore[misc]
        oracle: Any = self
        # A trial that the oracle's own file does not know was killed while it was begun: it is
        # begun again, from the same state, and so the same.
        oracle.trials = {name: oracle.trials[name] for name in oracle.start_order}
        unfinished = []
        for name, trial in oracle.trials.items():
            if trial.status in (COMPLETED, FAILED):
                if name not in oracle.end_order:
                    oracle.end_order.append(name)
            else:
                trial.metrics = type(trial.metrics)()  # else what it measures now is not taken
                unfinished.append(name)
        oracle._retry_queue = unfinished[::-1]  # served from its end


class GridOracle(_Resumable, keras_tuner.oracles.GridSearchOracle):
    """All points of the grid, in order, the last hyper-parameter fastest."""

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        parameters = self.hyperparameters.space
        for point in itertools.product(*(parameter.values for parameter in parameters)):
            values = {parameter.name: value for parameter, value in zip(parameters, point)}
            if not self._duplicate(values):
                return {"status": RUNNING, "values": values}
        # While others run, a worker waits: so all end at once, and the chief with them.
        return {"status": IDLE if self.ongoing_trials else STOPPED, "values": None}


class RandomOracle(_Resumable, keras_tuner.oracles.RandomSearchOracle):
    """Draws of their own."""


class HyperbandOracle(_Resumable, keras_tuner.oracles.HyperbandOracle):
    """Many short trials, of which the best are run again for longer."""


class BayesianOracle(_Resumable, keras_tuner.oracles.BayesianOptimizationOracle):
    """Where a Gaussian process through the finished trials expects most."""

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
    """An oracle that knows its space from the start.

    Args:
        tuner: "grid", "random", "hyperband" or "bayesian".
        ranges: The space.
        trials: Most trials; None for the whole grid, all brackets of Hyperband, or ten.
        epochs: Epochs of a trial; of Hyperband the most.
        objective: What is compared.
        seed: Whole number.

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
        # Failures are rows of the table. (And KerasTuner's chief hangs when it is to stop there.)
        "max_consecutive_failed_trials": 10**9,
    }
    if tuner == "hyperband":
        made = HyperbandOracle(max_epochs=epochs, **settings)
        made.max_trials = trials
        return made
    if tuner != "grid":
        trials = 10 if trials is None else trials
    kinds = {"grid": GridOracle, "random": RandomOracle, "bayesian": BayesianOracle}
    return kinds[tuner](max_trials=trials, **settings)


class Runner(BaseTuner):
    """KerasTuner's loop, chief and worker around a function that runs one trial.

    Args:
        oracle: What `oracle` gave.
        run: Name of the trial, values and epochs to metrics.
        epochs: Epochs of a trial, where the oracle does not say it.
        folder: The folder of the search.
        after: Called after each trial that ended in this process; the chief has none.
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
        with contextlib.redirect_stdout(io.StringIO()):  # it tells what it loads
            super().__init__(oracle=oracle, directory=str(folder), project_name=FOLDER)

    # The state is the oracle's alone; it is there from the first trial on.
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
            time.sleep(0.1)  # an idle worker asks again and again

    def run_trial(self, trial: Any) -> dict[str, float]:
        values, epochs = settings_of(trial, self._ranges, self._epochs)
        try:
            return self._run(trial.trial_id, values, epochs)
        except (FloatingPointError, tf.errors.ResourceExhaustedError) as error:
            raise keras_tuner.errors.FailedTrialError(" ".join(str(error).split())) from error
        except Exception as error:  # a mistake, not a bad setting: KerasTuner would swallow it
            raise keras_tuner.errors.FatalError(str(error)) from error

    def on_trial_end(self, trial: Any) -> None:
        super().on_trial_end(trial)
        self._after(trial)


def settings_of(trial: Any, ranges: Sequence[Range], epochs: int) -> tuple[dict[str, Any], int]:
    """The values of a trial and its epochs."""
    found = trial.hyperparameters.values
    values = {one.name: one.rounded(found[one.name]) for one in ranges}
    return values, int(found.get(f"{_OWN}epochs", epochs))


def _write(state: Mapping[str, Any], path: str) -> None:
    with files.replacing(path) as temporary:
        temporary.write_text(json.dumps(state), encoding="utf-8")
