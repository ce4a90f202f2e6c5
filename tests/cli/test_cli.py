"""The commands, as a user types them."""

import dataclasses
import json
import re
import subprocess
import sys
import tempfile
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.reference.data_folders import write_picture
from tfrobust import cli, rows, saving
from tfrobust.registries import DATASETS


@pytest.fixture
def call(capsys):
    """Runs a command and returns its exit code, output and errors."""

    def run(*arguments):
        try:
            code = cli.main([str(a) for a in arguments])
        except SystemExit as stop:
            code = stop.code
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.mark.slow
def test_train_calibrate_finetune_evaluate_export_report(
    small_job, few_augmentations, call, tmp_path
):
    base, tuned = tmp_path / "base", tmp_path / "tuned"
    code, out, _ = call("train", "--epochs", 8, "--batch-size", 64, "--out", base)
    assert code == 0 and f"model: {base}/model.keras" in out
    assert rows.read(base / "rows.jsonl")[0].value > 0.5

    strengths = tmp_path / "strengths.json"
    code, out, _ = call(
        "calibrate", base / "model.keras", "--blur-kernel-size", 13, "--out", strengths
    )
    assert code == 0 and "B-" in out
    found = {c["augmentation"]: c for c in json.loads(strengths.read_text())}
    assert found["GB"]["fixed"] == {"kernel_size": 13}

    code, out, _ = call(
        *["finetune", base / "model.keras", "--method", "stability_training"],
        *["--set", "alpha=0.5", "--set", "symmetric=true", "--strengths", strengths],
        *["--epochs", 2, "--learning-rate", 0.001, "--out", tuned],
    )
    assert code == 0
    history = rows.read(tuned / "history.jsonl")
    assert {row.epoch for row in history} == {0, 1, 2}
    assert [row.corruption for row in history if row.epoch == 1] == few_augmentations
    settings = json.loads((tuned / "settings.json").read_text())
    assert settings["settings"] == {"alpha": 0.5, "symmetric": True}

    evaluated = tmp_path / "evaluation"
    models = [base / "model.keras", tuned / "model.keras"]
    code, out, _ = call("evaluate", *models, "--strengths", strengths, "--out", evaluated)
    assert code == 0 and "base" in out and "tuned" in out and f"report: {evaluated}" in out
    measured = rows.read(evaluated / "rows.jsonl")
    shown = [row.corruption for row in measured if row.metric == "accuracy"]
    assert shown == 2 * few_augmentations
    # A second time: what stands there is not measured again; one more condition is added.
    more = ["--sweep", "gaussian_noise=0.1", "--augment", "jpeg=10", "--out", evaluated]
    code, _, err = call("evaluate", *models, "--strengths", strengths, *more)
    assert code == 0 and re.search(r"3/3 .*GaussianNoise 0\.1", err)
    added = [row for row in rows.read(evaluated / "rows.jsonl") if row not in measured]
    assert {(row.corruption, row.severity) for row in added} == {
        ("GaussianNoise", 0.1),
        ("jpeg=10", 10.0),
    }

    code, out, _ = call("report", evaluated)
    assert code == 0 and (evaluated / "report.html").stat().st_size > 1000

    saved = tmp_path / "saved"
    assert call("export", tuned / "model.keras", saved)[0] == 0
    assert (saved / "saved_model.pb").is_file()
    code, _, err = call("export", tuned / "model.keras", saved)
    assert code == 2 and f"{saved} exists" in err
    assert call("export", tuned / "model.keras", saved, "--overwrite")[0] == 0


def test_export_files(call, tmp_path):
    keras.utils.set_random_seed(0)
    layers = [keras.Input([28, 28, 3]), keras.layers.Flatten(), keras.layers.Dense(10)]
    model = str(tmp_path / "net.keras")
    saving.save_model(keras.Sequential(layers), model)
    known = ("--input-range", "0_to_1")
    code, out, _ = call("export", model, str(tmp_path / "net.tflite"), *known)
    assert code == 0 and "file:" in out and "100.0% get the same class" in out
    whole = (str(tmp_path / "net8.tflite"), "--quantization", "int8")
    code, _, err = call("export", model, *whole)
    assert code == 2 and "--accuracy-on" in err and not (tmp_path / "net8.tflite").exists()
    code, _, err = call("export", model, str(tmp_path / "net.onnx"), "--quantization", "int8")
    assert code == 2 and "for .tflite files" in err


def test_preview(call, tmp_path):
    picture = tmp_path / "photo.png"
    tf.io.write_file(str(picture), tf.io.encode_png(np.full([40, 60, 3], 200, "uint8")))
    out = tmp_path / "grid.png"
    code, said, _ = call("preview", "--out", out)
    assert code == 0 and str(out) in said
    height, width, _ = tf.io.decode_png(out.read_bytes()).shape
    assert width > 2 * height  # ten columns, four rows
    code, _, err = call("preview", "--out", out)
    assert code == 2 and "exists" in err
    code, _, _ = call(
        *["preview", "--augment", "jpeg=10", "rotation", "--draws", 2, "--images", picture],
        *["--out", tmp_path / "photo_grid.png"],
    )
    assert code == 0 and (tmp_path / "photo_grid.png").stat().st_size > 5000
    code, _, err = call("preview", "--images", __file__, "--out", tmp_path / "none.png")
    assert code == 2 and "JPEG, PNG" in err and not (tmp_path / "none.png").exists()


def test_corrupt(call, tmp_path):
    command = ["corrupt", "--corruptions", "contrast", "--out", tmp_path / "digits-c"]
    code, out, _ = call(*command)
    assert code == 0 and "1 files in" in out
    written = np.load(tmp_path / "digits-c" / "contrast.npy")
    assert written.shape == (5 * 1080, 32, 32, 3) and written.dtype == np.uint8
    assert np.load(tmp_path / "digits-c" / "labels.npy").shape == (5 * 1080,)
    code, _, err = call(*command, "--seed", "1")
    assert code == 2 and "holds a set with seed 0; this one has 1" in err
    code, _, err = call("corrupt", "--frost", tmp_path / "no", "--out", tmp_path / "other")
    assert code == 2 and "frost1" in err and not (tmp_path / "other").exists()


def test_list(call):
    code, out, _ = call("list")
    assert code == 0
    for name in ("small_cnn", "gaussian_noise", "feature_map_augmentation", "digits"):
        assert name in out
    assert "small_cnn" not in call("list", "methods")[1]


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["train", "--net", "vgg", "--out", "x"], "choose from 'small_cnn'"),
        (["train", "--epochs", "0", "--out", "x"], "whole number from 1; received '0'"),
        (["train", "--epochs", "many", "--out", "x"], "received 'many'"),
        (["train", "--learning-rate", "-1", "--out", "x"], "number above 0; received '-1'"),
        (["train"], "--out"),
        (["finetune", "no.keras", "--out", "x"], "no model file at 'no.keras'"),
        (["finetune", "m", "--method", "fma", "--out", "x"], "'feature_map_augmentation'"),
        (["finetune", "m", "--set", "gama=1", "--out", "x"], "it has: gamma"),
        (["finetune", "m", "--set", "gamma", "--out", "x"], "NAME=VALUE"),
        (["finetune", "m", "--set", "gamma=big", "--out", "x"], "received 'big'"),
        (["finetune", "m", "--augment", "rain", "--out", "x"], "combined, B+, B-"),
        (["evaluate", "model.h5"], "model.h5"),
        (["train", "--out", "x", "--resume"], "there is no run to resume in x"),
        (["evaluate", "m.keras", "--resume"], "no run to resume in runs/evaluation"),
        (["finetune", "m", "--strategy", "all", "--out", "x"], "'mirrored'"),
        (["tune", "m", "--strategy", "mirrored", "--out", "x"], "unrecognized arguments"),
        (["export", "m", "x.tflite", "--version", "1"], "--version is for SavedModels"),
        (["export", "m", "x", "--quantization", "int8"], "for files that end in .tflite"),
        (["report", "nowhere"], "nowhere"),
        (["list", "colours"], "attacks, augments, nets, methods, datasets, corruptions"),
        (["corrupt", "--out", "x", "--corruptions", "rain"], "choose from 'gaussian_noise'"),
        (["corrupt", "--out", "x", "--table", "96"], "choose from 32, 64, 224"),
        (["quickstart", "--seed", "-1"], "whole number from 0"),
        (["quickstart", "--out", "/proc/x"], "writable"),
        (["dance"], "'quickstart'"),
        (["train", "--net", "wrn_40", "--out", "x"], "(did you mean wrn_40_2?)"),
        (["evalute", "m.keras"], "(did you mean evaluate?)"),
        (["evaluate", "m.keras", "--input-size", "0", "8"], "whole number from 1"),
        (["evaluate", "m.keras", "--attacks", "pdg=0.1"], "(did you mean pgd?)"),
        (["train", "--schedule", "20=0.1", "--out", "x"], "must rise, to 12 at most"),
        ([], "COMMAND"),
    ],
)
def test_wrong_input_gets_one_line_and_code_2(call, tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    code, out, err = call(*arguments)
    assert code == 2
    assert words in err and err.count("\n") == 1 and "Traceback" not in err
    assert out == "" and not any(tmp_path.iterdir())


def test_traceback_on_request(call):
    with pytest.raises(FileNotFoundError):
        call("export", "no.keras", "x", "--traceback")


def test_interrupt(call, monkeypatch):
    def interrupted(arguments):
        raise KeyboardInterrupt

    command = cli.COMMANDS["list"]._replace(run=interrupted)
    monkeypatch.setitem(cli.COMMANDS, "list", command)
    code, _, err = call("list")
    assert code == 130 and "same command again" in err


def test_as_a_module():
    command = [sys.executable, "-m", "tfrobust", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == __import__("tfrobust").__version__


def test_datasets(call, tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("TFROBUST_DATA_DIR", str(tmp_path))
    code, out, _ = call("datasets")
    lines = [line.split() for line in out.splitlines()]
    assert code == 0 and lines[0][:3] == ["name", "here", "images"]
    assert [line[0] for line in lines[1:]] == list(DATASETS)
    assert lines[1][:2] == ["digits", "yes"]
    assert {line[1] for line in lines[3:]} == {"no"}
    code, out, _ = call("datasets", "list", "cifar10_c")
    assert code == 0 and len(out.splitlines()) == 2 and "zenodo.org" in out
    code, out, _ = call("datasets", "prepare", "digits")
    assert code == 0 and out.startswith("digits: ")


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["datasets", "prepare"], "needs the name of a data set"),
        (["datasets", "prepare", "imagenet"], "cannot be fetched for you: register"),
        (["datasets", "list", "cifar"], "unknown data set 'cifar'"),
        (["train", "--dataset", "cifar10_c", "--out", "x"], "tfrobust datasets prepare cifar10_c"),
        (["train", "--data-option", "severity=3", "--out", "x"], "digits has no option severity"),
        (["train", "--data-option", "severity", "--out", "x"], "takes NAME=VALUE"),
    ],
)
def test_bad_data_sets(call, tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TFROBUST_DATA_DIR", str(tmp_path))
    code, _, err = call(*arguments)
    assert code == 2 and said in err and not list(tmp_path.iterdir())


def test_models_that_were_not_measured_alike(call, tmp_path):
    one = rows.Row("one", "toy/test", "clean", 0.0, "accuracy", 0.5, 9, 0, protocol={"data": "a"})
    other = dataclasses.replace(one, model="other", protocol={"data": "b"})
    rows.write([one, other], tmp_path / "rows.jsonl")
    code, _, err = call("report", tmp_path)
    assert code == 2 and "data" in err and "one" in err and "other" in err
    assert not (tmp_path / "report.html").exists()
    assert call("report", tmp_path, "--mixed-protocols")[0] == 0
    assert (tmp_path / "report.html").is_file()


def test_a_user_s_own_folder(small_job, few_augmentations, call, tmp_path):
    """Dark and light pictures: train on them, evaluate, with the options of the data set."""
    for label, name in enumerate(["dark", "light"]):
        for number in range(20):
            picture = np.full([16, 16, 3], 80 * label + 4 * number, "uint8")
            write_picture(tmp_path / "mine" / name / f"{number}.png", picture)
    data = ["--dataset", "folder", "--data-dir", tmp_path / "mine"]
    data += ["--data-option", "resize=16", "--data-option", "crop=16"]
    code, _, err = call("train", *data, "--epochs", 1, "--out", tmp_path / "run")
    assert code == 0, err
    described = json.loads((tmp_path / "run" / "data.json").read_text())
    assert described["class_names"] == ["dark", "light"]
    assert described["sizes"] == {"train": 32, "validation": 4, "test": 4}
    evaluate = ["evaluate", tmp_path / "run" / "model.keras", *data, "--allow-chance-accuracy"]
    code, _, err = call(*evaluate, "--out", tmp_path / "none")
    assert code == 2 and "name a table with table=32, 64 or 224" in err
    asked = ["--augment", "table_1", "--out", tmp_path / "evaluation"]
    code, out, err = call(*evaluate, *asked)
    assert code == 0 and "Clean" in out, err


class TensorFlowError(Exception):
    """As TensorFlow's errors of the same name look."""


TensorFlowError.__module__, TensorFlowError.__name__ = "tensorflow.x", "InvalidArgumentError"
GRAPH = """{{function_node __wrapped__IteratorGetNext}} assertion failed: [a.jpg cannot be \
read [[]] (with on_error=\\'skip\\' it is left out)]
\t [[{{node Assert}}]]
File "/x/y.py", line 3, in f"""


@pytest.mark.parametrize(
    "error, code, words",
    [
        (TensorFlowError(GRAPH), 2, "error: a.jpg cannot be read (with on_error='skip' it is left"),
        (
            TensorFlowError("Graph execution error:\n\nDetected at node x\nthe size is 0"),
            2,
            "size is 0",
        ),
        (zipfile.BadZipFile("File is not a zip file"), 2, "error: File is not a zip file"),
        (OSError(28, "No space left on device", "rows.jsonl"), 2, "on device: 'rows.jsonl'"),
        (FloatingPointError("the loss is NaN"), 2, "error: the loss is NaN"),
        (ValueError("r\udcffgne"), 2, "error: r\\udcffgne"),
        (RuntimeError("what nobody\nexpected"), 1, "unexpected RuntimeError: what nobody expected"),
        (AssertionError(), 1, "unexpected AssertionError: AssertionError (the traceback is in"),
    ],
)
def test_whatever_goes_wrong_is_one_line(capsys, monkeypatch, tmp_path, error, code, words):
    def fails(*_):
        raise error

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setitem(cli.COMMANDS, "verify", cli.COMMANDS["verify"]._replace(run=fails))
    assert cli.main(["verify", "x"]) == code
    told = capsys.readouterr().err
    assert told.startswith("tfrobust verify: ") and told.count("\n") == 1 and words in told
    logs = list(tmp_path.glob("tfrobust-*.txt"))
    assert len(logs) == (code == 1)
    for log in logs:
        assert str(log) in told and "in fails" in log.read_text(encoding="utf-8")
