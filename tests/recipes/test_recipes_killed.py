"""Killed at any write, a command that is run again ends as one that was not killed.

What a kill leaves is what the disk holds at that moment, so one run is watched and its folder
copied before and after each write; then the command is run again in each copy.
"""

import contextlib
import gc
import importlib
import io
import json
import os
import shutil
import zipfile

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf

from tfrobust import augment, cli, evaluation, files, saving
from tfrobust.reports import figures


class Moments:
    """Copies of a folder from before and after each change in it, since a file is there."""

    def __init__(self, folder, copies, since):
        self.folder, self.copies, self.since = folder, copies, since
        self.count, self.last = 0, None

    @contextlib.contextmanager
    def watching(self):
        with pytest.MonkeyPatch.context() as patch:
            for module, name in ((os, "replace"), (os, "unlink"), (files, "_exchange")):
                patch.setattr(module, name, self.watched(getattr(module, name)))
            patch.setattr(files, "append_json", self.appended(files.append_json))
            yield

    def watched(self, function):
        def call(path, *others, **options):
            known = "dir_fd" not in options and str(path).startswith(str(self.folder))
            # Of the twelve files of the same tables six are enough.
            known = known and not str(path).endswith((".tex", ".md"))
            if known:
                self.copy()
            result = function(path, *others, **options)
            if known:
                self.copy()
            return result

        return call

    def appended(self, function):
        def call(value, path):
            self.copy()
            function(value, path)
            copy = self.copy()
            if copy is not None:  # in the middle of the line
                path = copy / path.relative_to(self.folder)
                os.truncate(path, path.stat().st_size - 5)
            self.last = None

        return call

    def copy(self):
        """Copies the folder, unless it is as it was at the last copy."""
        now = [
            (files.is_leftover(path) or path.name, path.is_file() and path.read_bytes())
            for path in sorted(self.folder.rglob("*"))
        ]
        if now == self.last or not (self.folder / self.since).exists():
            return None
        self.last, self.count = now, self.count + 1
        shutil.copytree(self.folder, self.copies / str(self.count))
        return self.copies / str(self.count)


def content(folder):
    """What a folder holds, by file, without what differs between any two runs."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        found[name] = path.is_dir()
        if path.suffix == ".keras":
            found[name] = numbers(path)
        elif path.suffix in (".jsonl", ".npy", ".csv", ".data-00000-of-00001"):
            found[name] = path.read_bytes()
        elif path.name == "settings.json":
            found[name] = {**json.loads(path.read_text(encoding="utf-8")), "started": None}
    return found


def numbers(path):
    """The arrays of a `.keras` file, those of the optimizer included."""
    with zipfile.ZipFile(path) as archive:
        weights = h5py.File(io.BytesIO(archive.read("model.weights.h5")))
    found = {}

    def add(name, one):
        if isinstance(one, h5py.Dataset) and not name.startswith("metrics/"):
            found[name] = np.array(one).tobytes()

    weights.visititems(add)
    return found


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Two nets of users."""
    folder = tmp_path_factory.mktemp("nets")
    for name in ("one", "two"):
        keras.utils.set_random_seed(ord(name[0]))
        layers = [keras.layers.AveragePooling2D(8), keras.layers.Flatten(), keras.layers.Dense(10)]
        net = keras.Sequential([keras.Input([32, 32, 3]), *layers])
        saving.save_model(net, folder / f"{name}.keras")
    return [folder / "one.keras", folder / "two.keras"]


KNOWN = ["--input-range", "0_to_1"]
FEW = ["--epochs", 1, "--batch-size", 240]
COMMANDS = {
    "train": lambda models: FEW,
    "export": lambda models: [models[0], "--overwrite", *KNOWN],
    "corrupt": lambda models: ["--corruptions", "contrast"],
    "evaluate": lambda models: [
        *[*models, "--corruptions", "contrast", "--severities", 1, *KNOWN],
        "--allow-chance-accuracy",
    ],
    "tune": lambda models: [
        *[models[0], "--method", "stability_training", "--augment", "gaussian_noise", *KNOWN],
        *["--range", "alpha=0.1,1,2,log", "--trials", 1, *FEW],
    ],
}


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_killed_at_any_write(name, small_job, few_augmentations, models, tmp_path, monkeypatch):
    tf.config.run_functions_eagerly(True)  # many small runs
    monkeypatch.setattr(figures, "encoded", lambda figure, media: b"")
    one = {"B+": augment.Brightness(0.1)}
    monkeypatch.setattr(
        importlib.import_module("tfrobust.recipes.tuning"),
        "_conditions",
        lambda *_: evaluation.augmented(one),
    )
    monkeypatch.setattr(gc, "collect", lambda: 0)
    work, out = tmp_path / "work", tmp_path / "work" / "out"

    def run(models):
        arguments = [*COMMANDS[name](models), *(["--out"] if name != "export" else []), out]
        assert cli.main([name, *map(str, arguments)]) == 0

    work.mkdir()
    if name == "export":
        run(models[::-1])  # something to be replaced
    # The beginning of `tune` is that of `train`.
    moments = Moments(work, tmp_path, "out/start.jsonl" if name == "tune" else "")
    with moments.watching():
        run(models)
    wanted = content(out)
    assert moments.count >= 4
    for number in range(1, moments.count + 1):
        shutil.rmtree(work)
        shutil.copytree(tmp_path / str(number), work)
        assert name != "export" or (out / "saved_model.pb").is_file()  # readers see one of them
        run(models)
        assert content(out) == wanted, number
        assert os.listdir(work) == ["out"], number
