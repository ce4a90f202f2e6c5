"""What stands in a folder is not measured again, and not mixed with what was measured otherwise."""

from __future__ import annotations

import dataclasses
import json

import keras
import numpy as np
import pytest

from tfrobust import augment, nets, rows
from tfrobust.evaluation import Evaluator, benchmark, corrupted, swept
from tfrobust.evaluation.predictions import METRICS, Predictions
from tfrobust.evaluation.results_folder import Results

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.random([30, 32, 32, 3], "float32")
LABELS = np.arange(30) % 4
CONDITIONS = swept("B", augment.Brightness(0.1), [0.1, 0.2, 0.3])


@pytest.fixture(scope="module")
def net():
    keras.utils.set_random_seed(1)
    return nets.small_cnn([32, 32, 3], 4)


def measure(net, out=None, conditions=CONDITIONS, data=(IMAGES, LABELS), **options):
    evaluator = Evaluator(conditions, metrics=METRICS)
    return evaluator.rows(net, data, out=out, model_name="net", dataset="toy/test", **options)


class Stopped(Exception):
    """As a user's Ctrl-C, or a killed process."""


class Stopping(type(CONDITIONS[0])):
    """Measures itself, and stops the process when told."""

    stop = False
    calls = 0

    def change(self, batch, predictor, seed):
        Stopping.calls += 1
        if self.stop:
            raise Stopped
        return super().change(batch, predictor, seed)


def stopping(at):
    made = [Stopping(c.name, c.layer) for c in CONDITIONS]
    for number, condition in enumerate(made):
        condition.stop = number == at
    return made


@pytest.mark.parametrize("at", [0, 1, 2])
def test_an_interrupted_measurement_goes_on(net, tmp_path, at):
    whole = measure(net)
    with pytest.raises(Stopped):
        measure(net, tmp_path, stopping(at))
    kept = rows.read(tmp_path / "rows.jsonl")
    assert kept == whole[: len(METRICS) * (1 + at)]
    Stopping.calls = 0
    assert measure(net, tmp_path, stopping(None)) == whole
    assert Stopping.calls == len(CONDITIONS) - at  # one batch each
    assert rows.read(tmp_path / "rows.jsonl") == whole
    Stopping.calls = 0
    assert measure(net, tmp_path, stopping(None)) == whole and Stopping.calls == 0


def test_rows_without_their_answers_are_measured_again(net, tmp_path):
    whole = measure(net, tmp_path)
    path = Results(tmp_path, "net", "toy/test")._answers_path("B", CONDITIONS[1].severity)
    path.unlink()
    Stopping.calls = 0
    assert measure(net, tmp_path, stopping(None)) == whole and Stopping.calls == 1
    assert path.is_file() and len(rows.read(tmp_path / "rows.jsonl")) == len(whole)


def test_several_models_in_one_folder(net, tmp_path):
    other = nets.small_cnn([32, 32, 3], 4)
    first = measure(net, tmp_path)
    second = Evaluator(CONDITIONS).rows(
        other, (IMAGES, LABELS), model_name="a/b: ../..", dataset="toy/test", out=tmp_path
    )
    assert rows.read(tmp_path / "rows.jsonl") == first + second
    # A name cannot lead out of the folder.
    found = list((tmp_path / "answers").rglob("*.npz"))
    assert len(found) == 2 * (1 + len(CONDITIONS))
    assert all(tmp_path / "answers" in path.resolve().parents for path in found)
    assert {path.parents[1].name for path in found} == {"net", "a%2fb%3a%20..%2f.."}


@pytest.mark.parametrize(
    "change, said",
    [
        ({"data": (IMAGES[::-1], LABELS)}, "data was '.*' and is '"),
        ({"seed": 1}, "seed was 0 and is 1"),
        ({"data": [IMAGES[:20], LABELS[:20]]}, "data was"),
    ],
)
def test_other_measurements_are_refused(net, tmp_path, change, said):
    measure(net, tmp_path)
    before = (tmp_path / "rows.jsonl").read_bytes()
    with pytest.raises(ValueError, match=f"measured otherwise .*{said}"):
        measure(net, tmp_path, **change)
    assert (tmp_path / "rows.jsonl").read_bytes() == before


def test_another_model_of_the_same_name_is_refused(net, tmp_path):
    measure(net, tmp_path)
    keras.utils.set_random_seed(2)
    with pytest.raises(ValueError, match=r"model was '.*' and is '"):
        measure(nets.small_cnn([32, 32, 3], 4), tmp_path)


def test_other_versions_are_refused(net, tmp_path):
    measured = measure(net, tmp_path)
    old = [
        dataclasses.replace(row, provenance={**row.provenance, "tensorflow": "1.0"})
        for row in measured
    ]
    rows.write(old, tmp_path / "rows.jsonl")
    with pytest.raises(ValueError, match=r"tensorflow was '1\.0' and is '"):
        measure(net, tmp_path)


def test_a_damaged_rows_file_names_its_line(net, tmp_path):
    measure(net, tmp_path)
    with open(tmp_path / "rows.jsonl", "a") as stream:
        stream.write('{"model": "net", "datas')
    with pytest.raises(ValueError, match=r"rows\.jsonl, line 17, is not a result row"):
        measure(net, tmp_path)


def test_damaged_answers_name_their_file(tmp_path):
    path = tmp_path / "answers.npz"
    some = Predictions(np.int32([0, 1]), np.int32([0, 0]), np.float32([0.5, 0.25]))
    some.write(path)
    found = Predictions.read(path)
    for field in dataclasses.fields(Predictions):
        np.testing.assert_array_equal(getattr(found, field.name), getattr(some, field.name))
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(
        ValueError, match=r"answers\.npz must hold a model's answers; it is damaged"
    ):
        Predictions.read(path)


def test_a_folder_that_is_a_file(net, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError, match="is a file"):
        measure(net, tmp_path / "file")


def test_corruptions_resume_as_well(net, tmp_path):
    """Whole numbers as severities, and a table in the protocol, come back from the file."""
    conditions = corrupted(["fog"], severities=[1, 2])
    data = IMAGES, LABELS
    options = {"out": tmp_path, "verbose": False, "stop_at_chance": False}
    first = benchmark(net, data, conditions, **options)
    assert benchmark(net, data, conditions, **options) == first
    record = json.loads((tmp_path / "rows.jsonl").read_text().splitlines()[-1])
    assert record["severity"] == 2 and record["protocol"]["table"] == 32
