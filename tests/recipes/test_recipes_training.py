"""A finetuning that is killed and started again ends as the undisturbed one, to the bit."""

import json
import signal
import subprocess
import sys
import time

import keras
import numpy as np

from tfrobust import nets, rows, saving

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


def test_killed_and_started_again(tmp_path):
    _images(tmp_path / "data")
    keras.utils.set_random_seed(0)
    trained = nets.small_cnn([16, 16, 3], 3)
    layers = keras.layers
    with_dropout = keras.Sequential(
        [keras.Input([16, 16, 3]), *trained.layers[1:-1], layers.Dropout(0.5), layers.Dense(3)]
    )
    saving.save_model(with_dropout, tmp_path / "net.keras")
    command = ["finetune", str(tmp_path / "net.keras"), "--method", "stability_training"]
    command += ["--dataset", "folder", "--data-dir", str(tmp_path / "data"), "--epochs", "3"]
    command += ["--data-option", "resize=16", "--data-option", "crop=16", "--batch-size", "16"]

    def start(out, *more):
        arguments = [sys.executable, "-c", COMMAND, *command, "--out", str(tmp_path / out), *more]
        return subprocess.Popen(
            arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    cut = start("cut")
    deadline = time.monotonic() + 300
    while not (tmp_path / "cut" / "checkpoints" / "epoch_000001.npz").exists():
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
        assert not (tmp_path / out / "checkpoints").exists()  # no longer good for anything
    models = [saving.load_model(tmp_path / out / "model.keras") for out in ("cut", "whole")]
    for a, b in zip(*(model.get_weights() for model in models)):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(*(model.optimizer.variables for model in models)):
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))
    histories = [rows.read(tmp_path / out / "history.jsonl") for out in ("cut", "whole")]
    assert histories[0] == histories[1]
    assert {row.epoch for row in histories[0]} == {0, 1, 2, 3}
    settings = json.loads((tmp_path / "cut" / "settings.json").read_text(encoding="utf-8"))
    assert settings["epochs"] == 3
