"""The models in the repository: verified on both stacks, and as the index says."""

import json
import pathlib
import subprocess

import numpy as np
import pytest
import tensorflow as tf

from tfrobust import datasets, serving
from tfrobust.serving import card, manifest

ROOT = pathlib.Path(__file__).parents[2] / "savedmodels"
INDEX = json.loads((ROOT / "index.json").read_text(encoding="utf-8"))["models"]


@pytest.mark.parametrize("name", INDEX)
def test_verified(name):
    found = serving.verify(ROOT / name)
    assert found.examples >= 4 and found.difference < 1e-4
    assert manifest.hashes(ROOT / name) == INDEX[name]
    assert sum(path.stat().st_size for path in (ROOT / name).rglob("*")) < 2**20


def test_index_lists_what_git_keeps():
    command = ["git", "-C", str(ROOT), "ls-files", "-co", "--exclude-standard", "."]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a Git repository")
    kept = set(done.stdout.split("\n")) - {"", "README.md", "index.json"}
    assert kept == {f"{model}/{name}" for model, names in INDEX.items() for name in names}


def test_index_is_written_so(tmp_path):
    for name, text in {"a/1/saved_model.pb": "x", "a/1/variables/v": "y", "b": "z"}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    manifest.write_index(tmp_path, ["a/1"])
    record = json.loads((tmp_path / "index.json").read_text())
    assert record["models"] == {"a/1": manifest.hashes(tmp_path / "a" / "1")}
    assert set(record["models"]["a/1"]) == {"saved_model.pb", "variables/v"}


def test_digits_small_cnn_is_what_its_card_says():
    folder = serving.latest_version(ROOT / "digits_small_cnn")
    told = json.loads((folder / card.JSON).read_text(encoding="utf-8"))
    assert serving.card_markdown(told) == (folder / card.MARKDOWN).read_text(encoding="utf-8")
    data = datasets.load("digits")
    assert told["data"]["name"] == "digits" and told["class_names"] == list(data.class_names)
    (measured,) = told["numbers"]
    assert measured["dataset"] == "digits/test" and measured["same_weights"]
    serve = tf.saved_model.load(str(folder)).signatures["serving_default"]
    right = []
    for images, labels in data.test:
        named = serve(images=images)["class"].numpy()
        right += [int(name) == label for name, label in zip(named, labels.numpy())]
    assert len(right) == measured["images"]
    # One image more or less may go the other way on another version of TensorFlow.
    assert abs(np.mean(right) - measured["clean_accuracy"]) < 1.5 / len(right)
