"""A finetuning that is killed and started again ends as the undisturbed one, to the bit."""

import json
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest

from tfrobust import nets, recipes, rows, saving, trainer
from tfrobust.registries import METHODS

COMMAND = """
import sys
from tfrobust.cli import main
sys.exit(main(sys.argv[1:]))
"""


def _images(folder):
    """Three classes of another brightness, small and noisy."""
    random = np.random.default_rng(0)
    for k, name in enumerate(("dark", "grey", "light")):
        (folder / name).mkdir(parents=True)
        for i in range(40):
            picture = random.integers(0, 120, [16, 16, 3]) + 60 * k
            keras.utils.save_img(folder / name / f"{i}.png", picture, scale=False)


def _command(folder):
    """A finetuning of three epochs of a net whose dropout draws, on few images."""
    _images(folder / "data")
    keras.utils.set_random_seed(0)
    trained = nets.small_cnn([16, 16, 3], 3)
    layers = keras.layers
    with_dropout = keras.Sequential(
        [keras.Input([16, 16, 3]), *trained.layers[1:-1], layers.Dropout(0.5), layers.Dense(3)]
    )
    saving.save_model(with_dropout, folder / "net.keras")
    command = ["finetune", str(folder / "net.keras"), "--method", "stability_training"]
    command += ["--dataset", "folder", "--data-dir", str(folder / "data"), "--epochs", "3"]
    command += ["--data-option", "resize=16", "--data-option", "crop=16", "--batch-size", "16"]
    return command


def _assert_same(folder):
    """What was cut off is, to the bit, what was not: the same program in the same steps."""
    models = [saving.load_model(folder / out / "model.keras") for out in ("cut", "whole")]
    for a, b in zip(*(model.get_weights() for model in models)):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(*(model.optimizer.variables for model in models)):
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))
    histories = [rows.read(folder / out / "history.jsonl") for out in ("cut", "whole")]
    assert histories[0] == histories[1]
    assert {row.epoch for row in histories[0]} == {0, 1, 2, 3}
    settings = json.loads((folder / "cut" / "settings.json").read_text(encoding="utf-8"))
    assert settings["epochs"] == 3


def test_killed_before_the_trained_net_is_measured(small_job, tmp_path, monkeypatch):
    recipe = recipes.Train(epochs=1)
    recipes.train(recipe, tmp_path)
    measured = (tmp_path / "rows.jsonl").read_bytes()
    (tmp_path / "rows.jsonl").unlink()
    monkeypatch.setattr(trainer, "fit", lambda *_, **__: pytest.fail("it is trained already"))
    recipes.train(recipe, tmp_path)
    assert (tmp_path / "rows.jsonl").read_bytes() == measured


@pytest.mark.slow
def test_killed_and_started_again(tmp_path):
    command = _command(tmp_path)

    def start(out, *more):
        arguments = [sys.executable, "-c", COMMAND, *command, "--out", str(tmp_path / out), *more]
        return subprocess.Popen(
            arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    cut = start("cut")
    deadline = time.monotonic() + 300
    while not (tmp_path / "cut" / "model_checkpoints" / "epoch_000001.npz").exists():
        assert cut.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    cut.send_signal(signal.SIGKILL)
    cut.communicate()
    assert not (tmp_path / "cut" / "model.keras").exists()
    for out, more in (("cut", ["--resume"]), ("whole", [])):
        process = start(out, *more)
        told, errors = process.communicate()
        assert process.returncode == 0, errors
        assert ("Epoch 1/3" in told) == (out == "whole")
        assert "Epoch 3/3" in told
        assert not (tmp_path / out / "model_checkpoints").exists()  # no longer good for anything
    _assert_same(tmp_path)


def test_a_start_model_that_no_epoch_betters_is_kept(
    small_job, few_augmentations, tmp_path, capsys
):
    start = small_net()
    saving.save_model(start, tmp_path / "start.keras")
    options = {"epochs": 1, "input_range": "0_to_1", "learning_rate": 1e-30}
    recipe = recipes.Finetune(model=str(tmp_path / "start.keras"), **options)
    model = recipes.finetune(recipe, tmp_path / "out")
    for before, now in zip(start.get_weights(), model.net.get_weights()):
        np.testing.assert_array_equal(before, now)
    told = capsys.readouterr().out
    assert "no epoch is better than the start model on 120 validation images" in told


def small_net():
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Conv2D(4, 4, strides=4, activation="relu"), keras.layers.Flatten()]
    return keras.Sequential([keras.Input([32, 32, 3]), *layers, keras.layers.Dense(10)])


def test_what_a_method_trains_with_by_default():
    given = {method: recipes.Finetune(method=method).augment for method in METHODS}
    assert given["augmix_training"] == given["noisymix"] == ("augmix",)
    assert given["feature_map_augmentation"] == given["stability_training"] == ("combined",)
    assert given["augmax"] == given["feature_contrastive"] == given["baseline"] == ()
    assert recipes.Finetune(method="noisymix", augment="GN").augment == ("GN",)
    assert recipes.Finetune().learning_rate == recipes.Train().learning_rate / 10
