"""Searches that are stopped and go on, without training: each trial is a formula."""

import contextlib
import json
import shutil
import types

import numpy as np
import pytest
from keras_tuner.engine.base_tuner import BaseTuner

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

    def run(trial):
        if len(ran) == kill_at:
            raise Killed
        values, epochs = oracles.settings_of(trial, ranges, 4)
        ran.append((trial.trial_id, values, epochs))
        if len(ran) - 1 in fail_at:
            raise FloatingPointError("the loss is NaN")
        return {"score": values["gamma"] * epochs - values.get("k", 0) / 10}

    trials = TUNERS[tuner] if trials == "default" else trials
    oracle = oracles.oracle(tuner, ranges, trials=trials, epochs=4, direction="max", seed=seed)
    folder.mkdir(exist_ok=True)
    with contextlib.suppress(Killed):
        oracles.run_trials(oracle, run, lambda trial: None, folder / "log.jsonl")
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
def test_a_kill_at_any_byte_of_the_log(tmp_path, tuner):
    """Whatever of the log was written, what it says is not run again, and the rest is the same."""
    undisturbed, _ = run_search(tmp_path / "whole", tuner)
    content = (tmp_path / "whole" / "log.jsonl").read_bytes()
    path = tmp_path / "killed" / "log.jsonl"
    path.parent.mkdir()
    for size in (0, 1, *range(100, len(content), len(content) // 12), len(content) - 1):
        path.write_bytes(content[:size])
        ended = content[:size].count(b'"status"') - (b'"status"' in content[:size].split(b"\n")[-1])
        assert run_search(path.parent, tuner)[0] == undisturbed[ended:]
        assert path.read_bytes() == content


def test_the_log_says_which_values_were_tried(tmp_path):
    """Where another processor would propose others in the last digits."""
    run_search(tmp_path, "random", kill_at=2)
    path = tmp_path / "log.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    lines[0]["values"]["gamma"] = lines[4]["values"]["gamma"] = 0.5
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    ran, oracle = run_search(tmp_path, "random")
    assert ran[0][1]["gamma"] == oracle.trials["0"].hyperparameters.values["gamma"] == 0.5


def test_a_damaged_log_is_named(tmp_path):
    run_search(tmp_path, "grid", kill_at=2)
    path = tmp_path / "log.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([lines[0], "~\n", *lines[1:]]))
    with pytest.raises(ValueError, match=r"log\.jsonl must hold .*line 2 is damaged"):
        run_search(tmp_path, "grid")


def test_what_several_processes_ran_is_taken_up_by_one(tmp_path):
    """Two trials were running, and the later one ended first."""
    oracle = oracles.oracle("hyperband", GRID, trials=None, epochs=4, direction="max", seed=0)
    BaseTuner(oracle=oracle, directory=tmp_path)  # tells it where to write
    oracle.replay(tmp_path / "log.jsonl")
    for worker in ("worker-1", "worker-2"):
        trial = oracle.create_trial(worker)
    assert oracle.create_trial("worker-2") is trial  # it was killed and started again
    oracle.update_trial(trial.trial_id, {"score": 1.0})
    trial.status = "COMPLETED"
    oracle.end_trial(trial)
    assert [trial for trial, *_ in run_search(tmp_path, "hyperband")[0]][:2] == ["0000", "0002"]


def test_other_seeds_draw_other_values_and_zero_is_one(tmp_path):
    first, _ = run_search(tmp_path / "a", "random", seed=0)
    assert run_search(tmp_path / "b", "random", seed=0)[0] == first
    assert run_search(tmp_path / "c", "random", seed=1)[0] != first


def test_failed_trials_do_not_stop_a_search(tmp_path):
    ran, oracle = run_search(tmp_path, "grid", fail_at=range(5))
    assert len(ran) == 6
    statuses = [trial.status for trial in oracle.trials.values()]
    assert statuses == ["FAILED"] * 5 + ["COMPLETED"]
    assert oracle.trials["0000"].message == "the loss is NaN"
    assert run_search(tmp_path, "grid")[0] == []  # they are not tried again


def test_a_mistake_stops_a_search(tmp_path):
    def run(trial):
        raise TypeError("build takes no gamma")

    oracle = oracles.oracle("grid", GRID, trials=None, epochs=1, direction="max", seed=0)
    with pytest.raises(TypeError, match="build takes no gamma"):
        oracles.run_trials(oracle, run, print, tmp_path / "log.jsonl")


def test_most_trials_and_single_points(tmp_path):
    assert len(run_search(tmp_path / "a", "grid", trials=2)[0]) == 2
    assert len(run_search(tmp_path / "b", "hyperband", trials=3)[0]) == 3
    ranges = [Range("gamma", 0.01, 1, 1), Range("k", 1, 3, 3, whole=True)]
    for tuner in ("grid", "random", "hyperband"):
        ran, _ = run_search(tmp_path / tuner, tuner, ranges=ranges, trials=3)
        assert {values["gamma"] for _, values, _ in ran} == {0.01}
        shutil.rmtree(tmp_path / tuner)
