"""Searches that are stopped and go on, without training: each trial is a formula."""

import contextlib
import json
import shutil
import types

import keras_tuner
import numpy as np
import pytest

from tfrobust.tuning import Range, oracles

GRID = [Range("gamma", 0.01, 1, 3, "log"), Range("k", 1, 3, 2, whole=True)]
TUNERS = {"grid": None, "random": 6, "hyperband": None, "bayesian": 5}
#: A Gaussian process takes a second a draw; with one parameter it draws from the fourth trial on.
SPACES = {"bayesian": GRID[:1]}


class Killed(BaseException):
    """As a kill, nothing that the code catches."""


def run_search(folder, tuner, *, kill_at=None, ranges=None, fail_at=(), trials="default", seed=0):
    """Runs a search; returns the trials that ran here, (id, values, epochs), and its oracle."""
    ran, ranges = [], SPACES.get(tuner, GRID) if ranges is None else ranges

    def run(name, values, epochs):
        if len(ran) == kill_at:
            raise Killed
        ran.append((name, dict(values), epochs))
        if len(ran) - 1 in fail_at:
            raise FloatingPointError("the loss is NaN")
        return {"score": values["gamma"] * epochs - values.get("k", 0) / 10}

    oracle = oracles.oracle(
        tuner,
        ranges,
        trials=TUNERS[tuner] if trials == "default" else trials,
        epochs=4,
        objective=keras_tuner.Objective("score", "max"),
        seed=seed,
    )
    oracle.verbose = 0
    runner = oracles.Runner(
        oracle, run, ranges=ranges, epochs=4, folder=folder, after=lambda trial: None
    )
    with contextlib.suppress(Killed):
        runner.search()
    return ran, oracle


def test_grid_is_all_points_in_order(tmp_path):
    ran, oracle = run_search(tmp_path, "grid")
    points = [(g, k) for g in (0.01, 0.1, 1.0) for k in (1, 3)]
    assert [(v["gamma"], v["k"]) for _, v, _ in ran] == points
    assert {epochs for _, _, epochs in ran} == {4}
    best = oracle.get_best_trials(1)[0]
    assert best.hyperparameters.values == {"gamma": 1.0, "k": 1}


@pytest.mark.parametrize("tuner", TUNERS)
def test_values_lie_in_their_ranges(tmp_path, tuner):
    ran, _ = run_search(tmp_path, tuner)
    assert len(ran) == {"grid": 6, "random": 6, "bayesian": 5}.get(tuner, len(ran))
    for _, values, epochs in ran:
        assert 0.01 <= values["gamma"] <= 1 and values.get("k", 1) in (1, 2, 3)
        assert type(values.get("k", 1)) is int and 1 <= epochs <= 4
    if tuner == "hyperband":
        assert {epochs for _, _, epochs in ran} == {2, 4}  # ⌈4 / 3⌉ and 4
        final = {tuple(v.items()) for _, v, epochs in ran if epochs == 4}
        assert final & {tuple(v.items()) for _, v, epochs in ran if epochs == 2}


@pytest.mark.parametrize("tuner", TUNERS)
def test_a_killed_search_goes_on_as_if_it_had_not_been(tmp_path, tuner):
    undisturbed, _ = run_search(tmp_path / "whole", tuner)
    folder, parts = tmp_path / "killed", []
    for kill_at in (0, 1, 3, None):
        ran, oracle = run_search(folder, tuner, kill_at=kill_at)
        parts += ran
    assert parts == undisturbed  # none left out, none twice, in the same order
    assert run_search(folder, tuner)[0] == []
    assert [t.status for t in oracle.trials.values()] == ["COMPLETED"] * len(undisturbed)


def test_bayesian_starts_from_the_same_points_after_a_kill(tmp_path, monkeypatch):
    """Its search for the optimum mostly ends in one place; here it stays where it starts."""

    def stay(function, x0, **kwargs):
        value = function(x0)  # with its gradient where the process is fitted
        value = value[0] if isinstance(value, tuple) else value
        return types.SimpleNamespace(x=x0, fun=float(np.squeeze(value)), nit=0, status=0)

    monkeypatch.setattr("scipy.optimize.minimize", stay)
    undisturbed, _ = run_search(tmp_path / "whole", "bayesian")
    parts, _ = run_search(tmp_path / "killed", "bayesian", kill_at=3)
    rest, _ = run_search(tmp_path / "killed", "bayesian")
    assert parts + rest == undisturbed


@pytest.mark.parametrize("tuner", ["grid", "random", "hyperband"])
@pytest.mark.parametrize("lost", ["oracle.json", "trial.json"])
def test_a_kill_between_the_two_files(tmp_path, tuner, lost):
    """The file of the oracle, or that of the newest trial, was not written any more."""
    undisturbed, _ = run_search(tmp_path / "whole", tuner)
    folder = tmp_path / "killed"
    parts, _ = run_search(folder, tuner, kill_at=2)
    before = (folder / "tuner" / "oracle.json").read_bytes()
    newest = max((folder / "tuner").glob("trial_*"))
    more, _ = run_search(folder, tuner, kill_at=1)  # the third is finished, the fourth is begun
    assert len(more) == 1
    if lost == "oracle.json":
        (folder / "tuner" / "oracle.json").write_bytes(before)
        parts += more  # what is finished stays so, although the oracle has not noted it
    else:
        state = json.loads((newest / "trial.json").read_text())
        state.update(status="RUNNING", score=None)
        (newest / "trial.json").write_text(json.dumps(state))
    rest, _ = run_search(folder, tuner)
    assert parts + rest == undisturbed


def test_the_same_name_measured_twice_takes_the_second_number(tmp_path):
    """A trial that told its numbers and was not finished is run again; they are replaced."""
    run_search(tmp_path, "grid", kill_at=1)
    path = tmp_path / "tuner" / "trial_0001" / "trial.json"
    state = json.loads(path.read_text())
    wrong = [{"value": [99.0], "step": 0}]
    state["metrics"] = {"metrics": {"score": {"direction": "max", "observations": wrong}}}
    path.write_text(json.dumps(state))
    _, oracle = run_search(tmp_path, "grid")
    assert max(trial.score for trial in oracle.trials.values()) < 99


def test_other_seeds_draw_other_values_and_zero_is_one(tmp_path):
    first, _ = run_search(tmp_path / "a", "random", seed=0)
    assert run_search(tmp_path / "b", "random", seed=0)[0] == first
    assert run_search(tmp_path / "c", "random", seed=1)[0] != first


def test_failed_trials_do_not_stop_a_search(tmp_path):
    ran, oracle = run_search(tmp_path, "grid", fail_at=range(5))
    assert len(ran) == 6
    statuses = [trial.status for trial in oracle.trials.values()]
    assert statuses == ["FAILED"] * 5 + ["COMPLETED"]
    assert "the loss is NaN" in oracle.trials["0000"].message
    assert run_search(tmp_path, "grid")[0] == []  # they are not tried again


def test_a_mistake_stops_a_search(tmp_path):
    def run(name, values, epochs):
        raise TypeError("build takes no gamma")

    objective = keras_tuner.Objective("score", "max")
    oracle = oracles.oracle("grid", GRID, trials=None, epochs=1, objective=objective, seed=0)
    oracle.verbose = 0
    runner = oracles.Runner(oracle, run, ranges=GRID, epochs=1, folder=tmp_path, after=print)
    with pytest.raises(keras_tuner.errors.FatalError, match="build takes no gamma"):
        runner.search()


def test_most_trials_and_single_points(tmp_path):
    assert len(run_search(tmp_path / "a", "grid", trials=2)[0]) == 2
    assert len(run_search(tmp_path / "b", "hyperband", trials=3)[0]) == 3
    ranges = [Range("gamma", 0.01, 1, 1), Range("k", 1, 3, 3, whole=True)]
    for tuner in ("grid", "random", "hyperband"):
        ran, _ = run_search(tmp_path / tuner, tuner, ranges=ranges, trials=3)
        assert {values["gamma"] for _, values, _ in ran} == {0.01}
        shutil.rmtree(tmp_path / tuner)
