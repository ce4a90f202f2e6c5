"""KerasTuner's oracles, with a log of their trials that a killed search is resumed from.

The log has a line for each trial that starts and for each that ends, and is only ever appended to.
A search replays it into a new oracle: the oracle proposes each trial again, which brings it to the
state that it had; the values are those of the log.

KerasTuner is slow to import, so this module is imported only when a search starts.
"""

from __future__ import annotations

import itertools
import pathlib
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import Any, Optional

import keras_tuner
import tensorflow as tf
from keras_tuner.engine.base_tuner import BaseTuner

from tfrobust import files
from tfrobust.compat.keras_tuner import seed_proposal
from tfrobust.tuning import distributed
from tfrobust.tuning.ranges import Range

#: Prefix of the names under which the trials of a killed search wait for a process.
_KILLED = "killed/"


class _Logged(keras_tuner.Oracle):
    """An oracle that logs its trials."""

    def replay(self, log: pathlib.Path) -> None:
        """Takes up what a log says, and goes on with it.

        Args:
            log: The file; it need not exist. A last line that a kill cut off is removed.
        """
        for event in files.read_log(log):
            if "values" in event:
                trial = super().create_trial(_KILLED + event["trial"])
                trial.hyperparameters.values = event["values"]  # equal, but for other processors
                continue
            trial = self.trials[event["trial"]]
            trial.status, trial.message = event["status"], event["message"]
            if event["metrics"]:
                super().update_trial(trial.trial_id, event["metrics"])
            super().end_trial(trial)
        self.tuner_ids.clear()
        self._log = log

    @keras_tuner.synchronized
    def create_trial(self, tuner_id: str) -> Any:
        killed = [name for name in self.ongoing_trials if name.startswith(_KILLED)]
        if killed and tuner_id not in self.ongoing_trials:
            self.tuner_ids.add(tuner_id)
            self.ongoing_trials[tuner_id] = self.ongoing_trials.pop(killed[0])
        started = len(self.trials)
        trial = super().create_trial(tuner_id)
        if len(self.trials) > started:
            self._append(trial=trial.trial_id, values=trial.hyperparameters.values)
        return trial

    @keras_tuner.synchronized
    def end_trial(self, trial: Any) -> None:
        super().end_trial(trial)
        trial = self.trials[trial.trial_id]
        self._append(
            trial=trial.trial_id,
            status=trial.status,
            metrics={name: trial.metrics.get_last_value(name) for name in trial.metrics.metrics},
            message=trial.message,
        )

    def _append(self, **event: Any) -> None:
        files.append_json(event, self._log)


class GridOracle(_Logged):
    """All points in order, the last hyper-parameter varying fastest."""

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        names = [parameter.name for parameter in self.hyperparameters.space]
        points = itertools.product(*(p.values for p in self.hyperparameters.space))
        for point in itertools.islice(points, int(trial_id), None):
            return {"status": "RUNNING", "values": dict(zip(names, point))}
        # Workers idle while trials are running, so that all of them and the chief stop together.
        return {"status": "IDLE" if self.ongoing_trials else "STOPPED", "values": None}


class RandomOracle(_Logged, keras_tuner.oracles.RandomSearchOracle):
    """Random search."""


class HyperbandOracle(_Logged, keras_tuner.oracles.HyperbandOracle):
    """Hyperband: many short trials, of which the best are rerun for longer."""


class BayesianOracle(_Logged, keras_tuner.oracles.BayesianOptimizationOracle):
    """Bayesian optimization with a Gaussian process fitted to the finished trials."""

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        seed_proposal(self, trial_id)
        found: dict[str, Any] = super().populate_space(trial_id)
        return found


def oracle(
    tuner: str,
    ranges: Sequence[Range],
    *,
    trials: Optional[int],
    epochs: int,
    direction: str,
    seed: int,
) -> Any:
    """Creates the oracle of a tuner, with its search space fixed in advance.

    Args:
        tuner: "grid", "random", "hyperband" or "bayesian".
        ranges: The search space.
        trials: Maximum number of trials; None for the whole grid, all Hyperband brackets, or 10.
        epochs: Epochs per trial; for Hyperband the maximum.
        direction: "max" or "min": whether a larger or a smaller score is better.
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
        "objective": keras_tuner.Objective("score", direction),
        "hyperparameters": space,
        "allow_new_entries": False,
        "seed": seed + 1,  # KerasTuner takes 0 for none
        # Failed trials are part of the results. (KerasTuner's chief would hang at this limit.)
        "max_consecutive_failed_trials": 10**9,
    }
    if tuner == "hyperband":
        made: Any = HyperbandOracle(max_epochs=epochs, **settings)
        made.max_trials = trials
    elif tuner == "grid":
        made = GridOracle(max_trials=trials, **settings)
    else:
        kinds = {"random": RandomOracle, "bayesian": BayesianOracle}
        made = kinds[tuner](max_trials=10 if trials is None else trials, **settings)
    made.verbose = 0
    return made


def run_trials(
    oracle: Any,
    run: Callable[[Any], dict[str, float]],
    after: Callable[[Any], None],
    log: pathlib.Path,
) -> None:
    """Runs the trials of a search that have not ended; the chief waits for those of its workers.

    Args:
        oracle: An oracle created by `oracle`.
        run: Maps a trial to metrics, of which "score" is the objective.
        after: Called after each trial that ended in this process; never in the chief.
        log: The log of the search.
    """
    role = distributed.role()
    with tempfile.TemporaryDirectory() as scratch:  # for KerasTuner's own files
        tuner = BaseTuner(oracle=oracle, directory=scratch)
        if role != "worker":
            oracle.replay(log)
        if role == "chief":
            tuner.search()
            return
        oracle = tuner.oracle  # in a worker that of the chief
        while (trial := oracle.create_trial(tuner.tuner_id)).status != "STOPPED":
            if trial.status == "IDLE":
                time.sleep(0.1)
                continue
            try:
                oracle.update_trial(trial.trial_id, run(trial))
                trial.status = "COMPLETED"
            except (FloatingPointError, tf.errors.ResourceExhaustedError) as error:
                trial.status, trial.message = "FAILED", " ".join(str(error).split())
            oracle.end_trial(trial)
            after(trial)


def settings_of(trial: Any, ranges: Sequence[Range], epochs: int) -> tuple[dict[str, Any], int]:
    """The values of a trial, and its epochs unless Hyperband sets them.

    Args:
        trial: A trial of KerasTuner.
        ranges: The search space.
        epochs: Epochs per trial.
    """
    found = trial.hyperparameters.values
    values = {one.name: one.rounded(found[one.name]) for one in ranges}
    return values, int(found.get("tuner/epochs", epochs))
