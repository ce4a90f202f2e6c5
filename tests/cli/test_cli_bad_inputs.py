"""Whatever a user gives gets one sentence: the commands in one process, through many bad inputs.

    python -m tests.cli.test_cli_bad_inputs

prints a table of what was tried, the exit code and the sentence.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import pathlib
import re
import shutil
import signal
import sys
import tempfile
import zipfile

import keras
import numpy as np
import PIL.Image
import pytest

from tests.model_files import changed_file
from tfrobust import cli, saving

L = keras.layers
KNOWN = ["--input-range", "0_to_1"]
#: Seconds after which a command hangs.
LIMIT = 60


def net(*last, size=(16, 16, 3)):
    keras.utils.set_random_seed(0)
    layers = [L.AveragePooling2D(4), L.Flatten(), *last]
    return keras.Sequential([keras.Input(size), *layers])


class World:
    """A folder with a good model, good pictures and a finished run, to be spoiled."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.model = self.folder / "model.keras"
        saving.save_model(net(L.Dense(2)), self.model)
        self.pictures = self.folder / "pictures"
        random = np.random.default_rng(0)
        for split, count in (("train", 12), ("validation", 6), ("test", 6)):
            for label in (0, 1):
                place = self.pictures / split / "ab"[label]
                place.mkdir(parents=True)
                for number in range(count):
                    pixels = random.integers(0, 120, [16, 16, 3]) + 100 * label
                    PIL.Image.fromarray(pixels.astype("uint8")).save(place / f"{number}.png")
        self.data = self.on(self.pictures)

    def on(self, pictures):
        given = ["--dataset", "folder", "--data-dir", pictures]
        return [*given, "--data-option", "resize=16", "--data-option", "crop=16"]

    def spoiled(self, spoil, name="4.png"):
        """`train` on pictures of which one is spoiled."""
        pictures = self.folder / "spoiled"
        shutil.rmtree(pictures, ignore_errors=True)
        shutil.copytree(self.pictures, pictures)
        spoil(pictures / "train" / "a" / name)
        return ["train", *self.on(pictures), "--epochs", 1, "--out", "new"]

    def made(self, name, content):
        """A file with some bytes or text."""
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def zipped(self, leave_out="", damaged=""):
        """The good model without a file, or with half of one."""
        path = self.folder / "bad.keras"
        with zipfile.ZipFile(self.model) as good, zipfile.ZipFile(path, "w") as bad:
            for name in good.namelist():
                content = good.read(name)
                if name == damaged:
                    content = content[: len(content) // 2]
                if name != leave_out:
                    bad.writestr(name, content)
        return path

    def saved(self, model):
        path = self.folder / "other.keras"
        model.save(path)
        return path

    def run(self, name, content="[]", command="train"):
        """A command in the folder of a run, one file of which holds something else."""
        run, finished = self.folder / "run", self.folder / "finished"
        train = ["train", *self.data, "--epochs", 1, "--out", finished]
        if not finished.exists():
            assert call(train)[0] == 0
        shutil.rmtree(run, ignore_errors=True)
        shutil.copytree(finished, run)
        self.made(f"run/{name}", content)
        return [*train[:-1], run] if command == "train" else [command, run]


def evaluated(world, *more):
    return ["evaluate", world.model, *world.data, *KNOWN, "--out", "new", *more]


def finetuned(world, *more, model=None):
    given = ["finetune", model or world.model, *world.data, "--epochs", 1, "--out", "new"]
    return [*given, *KNOWN, *more]


def exported(world, path, out="new"):
    return ["export", path, out, *KNOWN]


def referring(world, item):
    """The good model with a reference to something in place of its first initializer."""

    def change(text):
        start = text.index('"kernel_initializer": {')
        return (
            f'{text[:start]}"kernel_initializer": {json.dumps(item)}, "x": {{{text[start + 23 :]}'
        )

    return changed_file(world.model, world.folder / "bad.keras", "config.json", change)


def picture(kind, cut=False):
    stream = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, [40, 40, 3], "uint8")
    PIL.Image.fromarray(pixels).save(stream, kind)
    return stream.getvalue()[: stream.tell() // 2 if cut else None]


def fifo(path):
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    return path


def link(target):
    def make(path):
        path.unlink(missing_ok=True)
        path.symlink_to(target)

    return make


def folder(path):
    path.unlink(missing_ok=True)
    path.mkdir()


def of_bytes(content):
    return lambda path: path.write_bytes(content)


FUNCTION = {"module": "os", "class_name": "function", "config": "system", "registered_name": "x"}
LAMBDA = {"module": "keras.layers", "class_name": "Lambda", "config": {}}

#: What is tried: words of the sentence, and a function from a world to the arguments.
TRIED = {
    # Pictures
    "text named .png": ("4.png (not a picture)", lambda w: w.spoiled(of_bytes(b"hello"))),
    "empty picture": ("4.png (empty)", lambda w: w.spoiled(of_bytes(b""))),
    "cut PNG": ("4.png (cut off)", lambda w: w.spoiled(of_bytes(picture("PNG", True)))),
    "cut JPEG": ("x.jpg (cut off)", lambda w: w.spoiled(of_bytes(picture("JPEG", True)), "x.jpg")),
    "WebP named .jpg": ("a WebP", lambda w: w.spoiled(of_bytes(picture("WEBP")), "x.jpg")),
    "TIFF named .jpg": ("a TIFF", lambda w: w.spoiled(of_bytes(picture("TIFF")), "x.jpg")),
    "folder named .png": ("4.png (a folder)", lambda w: w.spoiled(folder)),
    "dangling link": ("4.png (no such file", lambda w: w.spoiled(link("nowhere"))),
    "link to itself": ("symbolic links", lambda w: w.spoiled(link("4.png"))),
    "pipe": ("4.png (not a file)", lambda w: w.spoiled(fifo)),
    "name that is not UTF-8": (
        r"\udcff.png (its name or that of its folder is not UTF-8)",
        lambda w: w.spoiled(of_bytes(b"x"), os.fsdecode(b"\xff.png")),
    ),
    "no classes": (
        "must hold a subfolder",
        lambda w: ["train", *w.on(w.pictures / "test" / "a"), "--out", "new"],
    ),
    "no such folder": ("there is none at", lambda w: ["train", *w.on("nowhere"), "--out", "new"]),
    "class that is not trained": (
        "classes that the training images have not: c",
        lambda w: w.spoiled(lambda p: shutil.copytree(p.parent, p.parents[2] / "test" / "c")),
    ),
    # Model files
    "no such model": ("no model file at", lambda w: exported(w, "no.keras")),
    "folder as model": ("no model file at", lambda w: exported(w, w.pictures)),
    "pipe as model": ("no model file", lambda w: exported(w, fifo(w.folder / "p.keras"))),
    "empty model": ("not a .keras file", lambda w: exported(w, w.made("bad.keras", b""))),
    "text as model": ("not a .keras file", lambda w: exported(w, w.made("bad.keras", "x"))),
    "ending .h5": ("must end in .keras", lambda w: exported(w, w.made("bad.h5", "x"))),
    "cut model": (
        "not a .keras file",
        lambda w: exported(w, w.made("bad.keras", w.model.read_bytes()[:900])),
    ),
    "model with a flipped byte": (
        "bad.keras",
        lambda w: exported(w, w.made("bad.keras", flipped(w.model.read_bytes()))),
    ),
    "model without config.json": (
        "not a .keras file",
        lambda w: exported(w, w.zipped(leave_out="config.json")),
    ),
    "model without weights": (
        "bad.keras",
        lambda w: exported(w, w.zipped(leave_out="model.weights.h5")),
    ),
    "damaged configuration": ("bad.keras", lambda w: exported(w, w.zipped(damaged="config.json"))),
    "damaged HDF5": ("bad.keras", lambda w: exported(w, w.zipped(damaged="model.weights.h5"))),
    "function in a model": ("refers to", lambda w: exported(w, referring(w, FUNCTION))),
    "Lambda in a model": ("refers to code", lambda w: exported(w, referring(w, LAMBDA))),
    "unbuilt Sequential": ("no weights yet", lambda w: exported(w, w.saved(unbuilt()))),
    "two outputs": (
        "one output",
        lambda w: ["calibrate", w.saved(two_outputs()), *w.data, *KNOWN, "--out", "new"],
    ),
    "other classes": ("--new-head", lambda w: finetuned(w, model=w.saved(net(L.Dense(5))))),
    "regression": ("2 classes or more", lambda w: exported(w, w.saved(net(L.Dense(1))))),
    # Names and numbers
    "misspelt option": ("unrecognized", lambda w: ["train", "--epoch-s", "1", "--out", "new"]),
    "misspelt command": ("invalid choice", lambda w: ["trian", "--out", "new"]),
    "misspelt data set": ("did you mean", lambda w: ["datasets", "list", "cifar_10"]),
    "misspelt augmentation": (
        "did you mean",
        lambda w: finetuned(w, "--augment", "gausian_noise"),
    ),
    "misspelt corruption": ("did you mean", lambda w: evaluated(w, "--corruptions", "fogg")),
    "misspelt setting": ("gamma", lambda w: finetuned(w, "--set", "gama=1")),
    "misspelt experiment": ("did you mean", lambda w: ["reproduce", "fma_tabel3"]),
    "misspelt objective": (
        "val_top5_accuracy",
        lambda w: [
            *["tune", w.model, *w.data, *KNOWN, "--objective", "val_top5_accuracy"],
            *["--method", "stability_training", "--augment", "gaussian_noise"],
            *["--epochs", 1, "--out", "new"],
        ],
    ),
    "images=-4": ("images", lambda w: ["train", "--data-option", "images=-4", "--out", "new"]),
    "learning rate 1e30": (
        "learning",
        lambda w: ["train", *w.data, "--learning-rate", "1e30", "--out", "new"],
    ),
    "gamma nan": ("gamma", lambda w: finetuned(w, "--set", "gamma=nan")),
    "gamma -1": ("gamma", lambda w: finetuned(w, "--set", "gamma=-1")),
    "epsilon nan": ("nan", lambda w: finetuned(w, "--augment", "fgsm=nan")),
    "severity 6": ("choose from", lambda w: evaluated(w, "--severities", "6")),
    "clean drop nan": ("nan", lambda w: finetuned(w, "--clean-drop", "nan")),
    "batch larger than memory": (
        "batch",
        lambda w: ["train", *w.data, "--batch-size", 10**12, "--out", "new"],
    ),
    "budget of nothing": (
        "budget",
        lambda w: ["robustify", w.model, *w.data, *KNOWN, "--budget", "0s", "--out", "new"],
    ),
    # Other files
    "frost of other files": (
        "frost1",
        lambda w: ["corrupt", "--frost", w.pictures, "--out", "new"],
    ),
    "text as frost": (
        "frost1.png must be a photograph",
        lambda w: ["corrupt", "--corruptions", "frost", "--frost", frost(w), "--out", "new"],
    ),
    "weights that are none": (
        "bad.npz",
        lambda w: [
            *["reproduce", "fma_table3", "--quick", "--out", "new"],
            *["--weights", w.made("bad.npz", "x")],
        ],
    ),
    **{
        f"strengths: {content[:12]}": (
            "strengths file",
            lambda w, content=content: evaluated(w, "--strengths", w.made("s.json", content)),
        )
        for content in ("", "{", "{}", "[]", "[3]", "[" * 9999, '[{"augmentation": "B+"}]')
    },
    **{
        f"{name}: {content}": (name, lambda w, a=(name, content): w.run(*a))
        for name in ("settings.json", "data.json")
        for content in ("", "{", "[]", "3")
    },
    **{
        f"report, {name}: {content}": (name, lambda w, a=(name, content): w.run(*a, "report"))
        for name in (
            *("rows.jsonl", "data.json", "settings.json", "differences.json", "reliability.json"),
            *("worst.json", "strengths.json", "history.jsonl", "robustify.json"),
        )
        for content in ("{", "3", "\xff")
    },
    "pipe as rows": (
        "rows",
        lambda w: [*exported(w, w.model), "--rows", fifo(w.folder / "r.jsonl")],
    ),
    "baseline of other rows": (
        "s.json",
        lambda w: evaluated(w, "--baseline", w.made("s.json", "3")),
    ),
    "corrupt over another set": ("settings.json", lambda w: spoiled_set(w)),
    "SavedModel that is none": ("saved_model.pb", lambda w: ["verify", w.pictures]),
    "output under a file": ("is a file", lambda w: exported(w, w.model, w.model / "new")),
    "output that is no run": (
        "holds no run",
        lambda w: ["train", *w.data, "--out", w.pictures],
    ),
    "output that is no SavedModel": (
        "not a SavedModel",
        lambda w: [*exported(w, w.model, w.pictures), "--overwrite"],
    ),
}


def flipped(content):
    content = bytearray(content)
    content[200] ^= 255
    return bytes(content)


def unbuilt():
    return keras.Sequential([L.Flatten(), L.Dense(2)])


def two_outputs():
    images = keras.Input([16, 16, 3])
    flat = L.Flatten()(images)
    return keras.Model(images, [L.Dense(2)(flat), L.Dense(2)(flat)])


def frost(world):
    for number in range(1, 6):
        ending = "jpg" if number > 3 else "png"
        world.made(f"frost/frost{number}.{ending}", "text")
    return world.folder / "frost"


def spoiled_set(world):
    world.made("set/settings.json", "[]")
    world.made("set/contrast.npy", "x")
    return ["corrupt", "--corruptions", "contrast", "--out", "set"]


def call(arguments):
    """Exit code and what stands on standard error, without progress and notes."""

    def hangs(*_):
        raise TimeoutError(f"it hangs for {LIMIT} s")

    told = io.TextIOWrapper(io.BytesIO(), "utf-8", "backslashreplace")
    before = signal.signal(signal.SIGALRM, hangs)
    signal.alarm(LIMIT)
    try:
        with contextlib.redirect_stderr(told), contextlib.redirect_stdout(io.StringIO()):
            code = cli.main([str(argument) for argument in arguments])
    except SystemExit as stop:
        code = stop.code
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    told.seek(0)
    return code, told.read()


def fault(words, code, told):
    """What is wrong with an answer, or an empty text."""
    lines = [line for line in told.splitlines() if re.match("tfrobust[ :]", line)]
    if code != 2:
        return f"exit code {code}"
    if len(lines) != 1 or "Traceback" in told or told.count("\n") > 8:
        return "not one sentence"
    return "" if words.lower() in lines[0].lower() else f"it does not say {words!r}"


def main():
    """Prints the table; returns the number of faults."""
    faults = 0
    with tempfile.TemporaryDirectory() as place:
        os.chdir(place)
        world = World(place)
        for name, (words, arguments) in TRIED.items():
            shutil.rmtree("new", ignore_errors=True)
            code, told = call(arguments(world))
            wrong = fault(words, code, told)
            wrong = wrong or ("it leaves an output folder" if os.path.exists("new") else "")
            faults += wrong != ""
            sentence = re.sub(r"^tfrobust \w+: ", "", told.strip().splitlines()[-1] if told else "")
            print(f"{name:28} {code}  {sentence[:200]}{'   <-- ' + wrong if wrong else ''}")
    print(f"{len(TRIED)} tried, {faults} wrong")
    return faults


if __name__ == "__main__":
    sys.exit(main() > 0)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return World(tmp_path_factory.mktemp("world"))


@pytest.mark.slow
@pytest.mark.parametrize("name", TRIED)
def test_bad_input(world, monkeypatch, name):
    monkeypatch.chdir(world.folder)
    shutil.rmtree("new", ignore_errors=True)
    words, arguments = TRIED[name]
    code, told = call(arguments(world))
    assert not fault(words, code, told), told
    assert not (world.folder / "new").exists()
