"""The same training on several devices and on several machines."""

import json
import os
import re
import socket
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfrobust import devices, methods, nets, recipes, rows, saving

#: Few steps: each multiplies what rounding makes different, until the end is another one.
SETTINGS = {"net": "lenet", "epochs": 2, "batch_size": 512, "learning_rate": 0.01}

COMMAND = """
import sys
from tfrobust.cli import main
sys.exit(main(sys.argv[1:]))
"""


def _weights(path):
    return saving.load_model(path).net.get_weights()


def _distance(one, other):
    return np.sqrt(sum(np.sum((a - b) ** 2) for a, b in zip(one, other)))


@pytest.mark.slow
def test_mirrored_is_one_device(small_job, few_augmentations, tmp_path):
    """Of a net without batch norm, whose statistics are those of a replica."""
    # Eight steps, so that the order of images counts.
    settings = {**SETTINGS, "net": "small_cnn", "batch_size": 64}
    for name in ("none", "mirrored"):
        recipes.train(recipes.Train(**settings, strategy=name), tmp_path / name)
    trained = [_weights(tmp_path / name / "model.keras") for name in ("none", "mirrored")]
    assert _distance(*trained) < 1e-3
    measured = [rows.read(tmp_path / name / "rows.jsonl")[0].value for name in ("none", "mirrored")]
    assert abs(measured[0] - measured[1]) <= 0.05
    finetuning = recipes.Finetune(
        model=str(tmp_path / "mirrored" / "model.keras"),
        method="augmentation_training",
        augment="jpeg",
        epochs=1,
        strategy="mirrored",
    )
    model = recipes.finetune(finetuning, tmp_path / "finetuned")
    assert model.distribute_strategy.num_replicas_in_sync == 1  # on one device again
    assert (tmp_path / "finetuned" / "history.jsonl").exists()


def test_mirrored_takes_all_devices():
    assert devices.strategy("mirrored").num_replicas_in_sync == 2  # see conftest.py
    assert devices.strategy("none") is tf.distribute.get_strategy()


@pytest.mark.parametrize("given", [None, "{}", "text", '{"cluster": {"worker": []}}'])
def test_wrong_strategies(monkeypatch, tmp_path, given):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    monkeypatch.delenv("TPU_NAME", raising=False)
    if given is not None:
        monkeypatch.setenv("TF_CONFIG", given)
    with pytest.raises(ValueError, match="strategy must be one of none, mirrored"):
        devices.strategy("all")
    with pytest.raises(ValueError, match="needs the workers in the variable TF_CONFIG"):
        recipes.train(recipes.Train(strategy="multiworker"), tmp_path / "x")
    with pytest.raises(ValueError, match="strategy tpu needs a TPU"):
        devices.strategy("tpu")
    with pytest.raises(ValueError, match="needs the workers in the variable TF_CONFIG"):
        recipes.finetune(recipes.Finetune(strategy="multiworker"), tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_a_worker_that_is_gone():
    gone = tf.errors.UnavailableError(None, None, "heartbeat timeout")
    sentence = pytest.raises(ConnectionError, match="restart all workers")
    with sentence, devices.others_alive():
        raise gone


@pytest.mark.slow
def test_a_worker_that_does_not_write(small_job, few_augmentations, tmp_path, monkeypatch):
    """It trains like the others, and leaves what is written to the first of them."""
    settings = {"epochs": 1, "batch_size": 96}
    recipes.train(recipes.Train(**settings), tmp_path / "first")
    monkeypatch.setattr(devices, "is_chief", lambda chosen: False)
    model = recipes.train(recipes.Train(**settings), tmp_path / "second")
    for a, b in zip(_weights(tmp_path / "first" / "model.keras"), model.net.get_weights()):
        np.testing.assert_array_equal(a, b)  # the same program, the same seed
    finetuning = recipes.Finetune(
        model=str(tmp_path / "first" / "model.keras"),
        method="augmentation_training",
        augment="gaussian_noise",
        **settings,
    )
    model = recipes.finetune(finetuning, tmp_path / "second_finetuned")
    assert isinstance(model, methods.AugmentationTraining)
    for name in ("second", "second_finetuned"):
        written = {path.name for path in (tmp_path / name).iterdir()}
        assert written <= {"model_checkpoints"}  # says for itself who writes it


def _free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("localhost", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


class Workers:
    """Two processes that train together."""

    def __init__(self, out):
        cluster = {"worker": [f"localhost:{port}" for port in _free_ports(2)]}
        command = ["train", "--strategy", "multiworker", "--out", str(out)]
        for name, value in SETTINGS.items():
            command += [f"--{name.replace('_', '-')}", str(value)]
        self.processes = []
        for index in range(2):
            config = {"cluster": cluster, "task": {"type": "worker", "index": index}}
            environment = {**os.environ, "TF_CONFIG": json.dumps(config)}
            self.processes.append(
                subprocess.Popen(
                    [sys.executable, "-c", COMMAND, *command],
                    env=environment,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                )
            )

    def finish(self):
        """What they print; their exit codes."""
        try:
            told = [process.communicate(timeout=300)[0] for process in self.processes]
        finally:
            for process in self.processes:
                process.kill()
        return told, [process.returncode for process in self.processes]


@pytest.mark.slow
def test_two_workers_one_of_them_killed(tmp_path):
    """Two are as one; and after a kill nothing is trained twice or lost."""
    recipes.train(recipes.Train(**SETTINGS), tmp_path / "one")
    one = _weights(tmp_path / "one" / "model.keras")

    told, codes = Workers(tmp_path / "two").finish()
    assert codes == [0, 0], told
    two = _weights(tmp_path / "two" / "model.keras")
    shown = [float(text) for text in re.findall(r"val_accuracy: ([\d.]+)", "".join(told))]
    keras.utils.set_random_seed(0)
    way = _distance(one, nets.lenet([32, 32, 3], 10).get_weights())
    assert _distance(one, two) < 0.02 * way, (_distance(one, two), way)
    accuracies = [rows.read(tmp_path / name / "rows.jsonl")[0].value for name in ("one", "two")]
    assert abs(accuracies[0] - accuracies[1]) <= 0.05
    # In each worker what fit shows is measured on all images, and counted once.
    assert len(shown) == 4 and abs(shown[1] - accuracies[1]) < 1e-3 and shown[:2] == shown[2:]

    workers = Workers(tmp_path / "cut")
    first = tmp_path / "cut" / "model_checkpoints" / "epoch_000001.npz"
    deadline = time.monotonic() + 200
    while not first.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    workers.processes[1].kill()
    told, codes = workers.finish()
    assert codes[0] != 0, told  # the other notices
    assert "restart all workers" in told[0]
    assert not (tmp_path / "cut" / "model.keras").exists()
    told, codes = Workers(tmp_path / "cut").finish()
    assert codes == [0, 0], told
    assert "Epoch 2/2" in told[0] and "Epoch 1/2" not in told[0]
    assert _distance(two, _weights(tmp_path / "cut" / "model.keras")) < 1e-3 * way
