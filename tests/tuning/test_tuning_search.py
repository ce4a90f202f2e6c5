"""Searches that train: what they write, how they rank, kills, and several processes."""

import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

import keras
import numpy as np
import pytest

from tests.tuning import tiny_search
from tfrobust import reports, saving, tuning
from tfrobust.tuning import trials

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The folder of a search that nothing came in the way of, what it returned and said."""
    folder, said = tmp_path_factory.mktemp("search") / "run", []
    return folder, tiny_search.search(folder, say=said.append), said


def start(folder, **environment):
    """The same search in another process."""
    inherited = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
    inherited.update(PYTHONPATH=str(ROOT), TF_CPP_MIN_LOG_LEVEL="3", **environment)
    script = [sys.executable, "-m", "tests.tuning.tiny_search", str(folder)]
    return subprocess.Popen(script, cwd=ROOT, env=inherited, stdout=subprocess.PIPE, text=True)


def test_what_a_search_writes(undisturbed):
    folder, found, said = undisturbed
    assert [t.number for t in sorted(found, key=lambda t: t.number)] == [1, 2, 3, 4]
    by_number = sorted(found, key=lambda t: t.number)
    assert [t.values["gamma"] for t in by_number] == [0.01, 0.0464159, 0.215443, 1.0]
    assert found == tuning.ranked(found) and found[0].score == max(t.score for t in found)
    assert trials.read(folder / "trials.jsonl") == by_number
    for trial in found:
        assert trial.status == "completed" and trial.score == trial.robust_accuracy
        assert 0 < trial.clean_accuracy <= 1 and trial.epoch in (1, 2) and trial.epochs == 2
    assert len({t.clean_accuracy for t in found} | {t.robust_accuracy for t in found}) > 1
    assert [line.split(":")[0] for line in said] == [f"trial {i}" for i in (1, 2, 3, 4)]
    about = json.loads((folder / "tuning.json").read_text())
    assert about["tuner"] == "grid" and about["space"][0]["scale"] == "log"
    # Of the models the best is kept.
    assert [p.name for p in (folder / "models").iterdir()] == [f"trial_{found[0].number}.keras"]


def test_the_model_is_the_best_trials(undisturbed):
    folder, found, _ = undisturbed
    model = saving.load_model(folder / "model.keras")
    assert model.gamma == found[0].values["gamma"]
    images, labels = zip(*tiny_search.load()[1].as_numpy_iterator())
    logits = model.predict(np.concatenate(images), verbose=0)
    accuracy = np.mean(np.argmax(logits, axis=1) == np.concatenate(labels))
    assert accuracy == pytest.approx(found[0].clean_accuracy, abs=1e-6)


def test_a_finished_search_is_not_run_again(undisturbed):
    folder, found, _ = undisturbed
    said = []
    assert tiny_search.search(folder, say=said.append) == found
    assert said == []


def test_report_without_rows(undisturbed):
    folder, found, _ = undisturbed
    text = reports.write_report(folder).read_text()
    assert "Trials of the search" in text and "data:image/svg+xml" in text
    assert f"<strong>{100 * found[0].robust_accuracy:.2f}</strong>" in text


def test_other_settings_need_another_folder(undisturbed, tmp_path):
    folder = undisturbed[0]
    with pytest.raises(FileExistsError, match=r"holds a search with epochs 2, not 3; give another"):
        tiny_search.search(folder, epochs=3)
    (tmp_path / "model.keras").write_text("")
    with pytest.raises(FileExistsError, match="holds another run"):
        tiny_search.search(tmp_path)


@pytest.mark.slow
def test_floor_and_objective_change_the_order(tmp_path):
    space = [tuning.Range("gamma", 0.01, 1, 2, "log")]
    short = {"space": space, "epochs": 1, "say": str}
    below = tiny_search.search(tmp_path / "floor", clean_floor=1.0, **short)
    clean = {t.values["gamma"]: t.clean_accuracy for t in below}
    for trial in below:
        assert trial.keeps_floor is False
        assert trial.score == pytest.approx(clean[trial.values["gamma"]] - 2, abs=1e-6)
    by_loss = tiny_search.search(tmp_path / "loss", objective="val_loss", **short)
    assert by_loss[0].score == min(t.score for t in by_loss)
    assert by_loss[0].score > 0 and by_loss[0].score != by_loss[0].robust_accuracy
    assert saving.load_model(tmp_path / "loss" / "model.keras").gamma == by_loss[0].values["gamma"]


def test_training_that_diverges_is_a_row(tmp_path):
    def build(values):
        model = tiny_search.build(values)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        if values["gamma"] > 0.5:  # a model that does not stop by itself
            model = model.net
        rate = 1e30 if values["gamma"] > 0.05 else 0.1
        model.compile(keras.optimizers.SGD(rate), loss, metrics=["accuracy"], run_eagerly=True)
        return model

    space = [tuning.Range("gamma", 0.01, 1, 3, "log")]
    found = tiny_search.search(tmp_path, space, build=build, epochs=1, say=str)
    assert [t.status for t in found] == ["completed", "failed", "failed"]
    assert "every term of the loss must be finite" in found[1].message
    assert "the loss was" in found[2].message and "epoch 1" in found[2].message
    assert "failed: every term" in reports.write_report(tmp_path).read_text()
    with pytest.raises(ValueError, match=r"no trial of 2 could be trained .*; the first: every"):
        space = [tuning.Range("gamma", 0.1, 1, 2, "log")]
        tiny_search.search(tmp_path / "bad", space, build=build, epochs=1, say=str)


def test_what_build_does_wrong_is_told_as_it_is(tmp_path):
    def build(values):
        raise KeyError("delta")

    with pytest.raises(KeyError, match="delta"):
        tuning.search(build, tiny_search.load, tiny_search.SPACE, tmp_path, say=str)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"tuner": "genetic"}, "tuner must be one of grid, random, hyperband, bayesian; received"),
        ({"trials": 0}, "trials must be a whole number from 1"),
        ({"epochs": 0}, "epochs must be a whole number from 1"),
        ({"space": []}, "needs one range or more, .*; received none"),
        ({"space": tiny_search.SPACE * 2}, "each of another hyper-parameter; received gamma, gam"),
        ({"clean_floor": 95}, r"clean_floor must be a number in \[0, 1\]; received 95"),
        ({"clean_floor": 0.9, "objective": "val_loss"}, "clean_floor belongs to the default"),
        (
            {"objective": "sharpness"},
            "'sharpness' does not say whether more or less .* keras_tuner.Objective",
        ),
        ({"objective": ["val_loss", "val_accuracy"]}, "objective must be the name of one number"),
    ],
)
def test_wrong_arguments_are_told_before_anything_is_written(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        tiny_search.search(tmp_path / "run", **changes)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "load, message",
    [
        (None, "data must be a function"),
        (lambda: (tiny_search.load()[0], None), "validation is what .*; received .* and NoneType"),
        (lambda: 5, "data must load a datasets.Data or a pair .*; received int"),
    ],
)
def test_wrong_data_are_told_before_anything_is_written(tmp_path, load, message):
    with pytest.raises(ValueError, match=message):
        tuning.search(tiny_search.build, load, tiny_search.SPACE, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_after_a_kill_no_finished_trial_is_repeated(undisturbed, tmp_path):
    _, found, _ = undisturbed
    folder = tmp_path / "run"
    process = start(folder)
    assert process.stdout.readline().startswith("trial 1")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    finished = ended(folder)
    assert finished[0] == "0000" and len(finished) < 4
    process = start(folder)
    said, _ = process.communicate()
    assert process.returncode == 0
    assert len(said.splitlines()) == 4 - len(finished)
    assert ended(folder) == ["0000", "0001", "0002", "0003"]
    assert trials.read(folder / "trials.jsonl") == sorted(found, key=lambda t: t.number)


def ended(folder):
    """The trials that ended, in this order."""
    events = map(json.loads, (folder / "log.jsonl").read_text().splitlines())
    return [event["trial"] for event in events if "status" in event]


@pytest.mark.slow
def test_a_chief_and_two_workers(undisturbed, tmp_path):
    _, found, _ = undisturbed
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    places = {"KERASTUNER_ORACLE_IP": "127.0.0.1", "KERASTUNER_ORACLE_PORT": port}
    folder = tmp_path / "run"
    names = ("chief", "worker-1", "worker-2")
    processes = [start(folder, KERASTUNER_TUNER_ID=name, **places) for name in names]
    try:
        end = time.monotonic() + 500
        said = [p.communicate(timeout=max(end - time.monotonic(), 1))[0] for p in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert said[0] == ""  # the chief trains nothing
    lines = (said[1] + said[2]).splitlines()
    assert sorted(lines) == [f"trial {i} ended" for i in (1, 2, 3, 4)]
    # The numbers do not depend on who trained what, and after what.
    assert trials.read(folder / "trials.jsonl") == sorted(found, key=lambda t: t.number)
    assert saving.load_model(folder / "model.keras").gamma == found[0].values["gamma"]
