"""An evaluation folder: all that a report is made of, in one go, in parts, or after a kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfrobust import attacks, augment, datasets, nets, recipes, rows, saving
from tfrobust.corruptions import TEST_CORRUPTIONS
from tfrobust.evaluation import attacked, augmented, corrupted, swept

pytestmark = pytest.mark.usefixtures("eagerly", "undrawn")

FILES = {"answers", "data.json", "reliability.json", "differences.json", "report.html"}


def small_data(count=24):
    """Class k is bright in channel k; the nets below see it."""
    random = np.random.default_rng(0)
    labels = np.arange(count) % 3
    bright = np.eye(3, dtype=int)[labels][:, None, None]
    images = (random.integers(40, 110, [count, 32, 32, 3]) + 60 * bright) / 255
    test = tf.data.Dataset.from_tensor_slices((np.float32(images), labels)).batch(12)
    sizes = {"test": count}
    return datasets.Data("toy", None, None, test, ("red", "green", "blue"), (32, 32, 3), sizes)


def seeing(scale):
    """A net that says the brightest channel, more or less surely."""
    layers = keras.layers
    net = keras.Sequential(
        [keras.Input([32, 32, 3]), layers.GlobalAveragePooling2D(), layers.Dense(3)]
    )
    net.layers[-1].set_weights([scale * np.eye(3, dtype="float32"), np.zeros(3, "float32")])
    return net


@pytest.fixture(scope="module")
def models():
    return {"sure": seeing(40.0), "<unsure>": seeing(4.0)}


def run(models, out, conditions, **options):
    return recipes.evaluate(models, small_data(), conditions, out, verbose=False, **options)


@pytest.mark.parametrize(
    "names", [["fog", "contrast"], pytest.param(TEST_CORRUPTIONS, marks=pytest.mark.slow)]
)
def test_a_whole_evaluation(models, tmp_path, names):
    layers = {"B+": augment.Brightness(0.3), "S-": augment.Saturation(0.0)}
    whole = names == TEST_CORRUPTIONS  # a mean over fewer is left out
    severities = [1, 2, 3, 4, 5] if whole else [1, 5]
    conditions = (
        corrupted(names, severities=severities)
        + augmented(layers)
        + swept("GN", augment.GaussianNoise(), [0.1, 0.5])
        + attacked()[:1]
    )
    made = run(models, tmp_path, conditions, perturbations=["brightness"])
    assert rows.read(tmp_path / "rows.jsonl") == made
    clean = [row for row in made if (row.metric, row.corruption) == ("accuracy", "clean")]
    assert [(row.model, row.value, row.n) for row in clean] == [
        ("sure", 1.0, 24),
        ("<unsure>", 1.0, 24),
    ]
    # S- takes all colours away, and with them what the nets see.
    grey = [row.value for row in made if (row.metric, row.corruption) == ("accuracy", "S-")]
    assert max(grey) < 0.8
    means = [row for row in made if row.metric == "robust_accuracy" and row.corruption == "test"]
    cells = [r.value for r in made if r.metric == "accuracy" and r.corruption in TEST_CORRUPTIONS]
    if whole:
        assert np.mean([row.value for row in means]) == pytest.approx(np.mean(cells))
    else:
        assert len(means) == 0 and len(cells) == 2 * 2 * len(names)
    assert [row.n for row in made if row.metric == "flip_probability"] == [24, 24]

    assert set(os.listdir(tmp_path)) >= FILES | {"summary.csv", "summary.tex", "worst.npz"}
    curves = json.loads((tmp_path / "reliability.json").read_text())
    assert [sum(curve["count"]) for curve in curves] == 2 * ([24, 24 * 75] if whole else [24])
    differences = json.loads((tmp_path / "differences.json").read_text())
    # Both say the same of every image, however surely.
    assert [(one["difference"], one["n"]) for one in differences] == 4 * [(0.0, 24)]
    kinds = ["clean", "test" if whole else "corruptions", "augmentations", "attacks"]
    assert [one["corruption"] for one in differences] == kinds
    answers = json.loads((tmp_path / "answers.json").read_text())
    found = {(one["model"], one["kind"]): one for one in answers}
    assert found["sure", "corruptions"]["accuracy"] == pytest.approx(np.mean(cells))
    assert len(found["<unsure>", "augmentations"]["conditions"]) == 4
    assert differences[0]["low"] == 0.0
    page = (tmp_path / "report.html").read_text()
    assert "&lt;unsure&gt;" in page and "<unsure>" not in page
    assert str(clean[0].protocol["data"]) in page and tf.__version__ in page


def test_worst_examples_are_right_when_clean_and_wrong_when_changed(models, tmp_path):
    conditions = augmented({"S-": augment.Saturation(0.0), "B+": augment.Brightness(0.01)})
    run(models, tmp_path, conditions)
    told = json.loads((tmp_path / "worst.json").read_text())
    assert {one["corruption"] for one in told} == {"S-"}
    stored = np.load(tmp_path / "worst.npz")
    net = seeing(40.0)
    names = small_data().class_names
    for one, clean, changed in zip(told, stored["clean"], stored["changed"]):
        assert names[np.argmax(net(clean[None] / np.float32(255)))] == one["label"]
        assert one["predicted"] != one["label"] and 0 < one["confidence"] < 1
        assert np.ptp(np.int32(changed), axis=-1).max() <= 1  # no colour is left


def test_a_baseline_of_another_table(models, tmp_path):
    with pytest.raises(ValueError, match=r"alexnet is of the table for 224 pixels.*for 32"):
        run(models, tmp_path, corrupted(["fog"], severities=[1]), baseline="alexnet")
    assert not (tmp_path / "rows.jsonl").exists()


def test_maps_of_utility_and_sensitivity(models, tmp_path):
    given = {**models, "function": lambda images: tf.reduce_mean(images, axis=[1, 2])}
    run(given, tmp_path, [], maps=3)
    told = json.loads((tmp_path / "maps.json").read_text())
    assert told == {"models": ["sure", "<unsure>"], "maps": ["utility", "sensitivity"]}
    stored = np.load(tmp_path / "maps.npz")
    images, labels = (np.array(part)[:3] for part in next(iter(small_data().test)))
    np.testing.assert_array_equal(stored["images"], np.rint(images * 255))
    assert stored["maps"].shape == (2, 3, 2, 32, 32)
    for net, (useful, sensitive) in zip(models.values(), stored["maps"].swapaxes(1, 2)):
        expected = tf.reduce_max(attacks.utility(net, images, labels), axis=-1)
        np.testing.assert_allclose(useful, expected, rtol=1e-5, atol=1e-9)
        # The features are the means of the channels: each pixel counts 1 / 1024.
        np.testing.assert_allclose(sensitive, 1 / 1024, rtol=1e-4)
    assert "What the models look at" in (tmp_path / "report.html").read_text()


def test_records_of_models_that_were_measured_before_are_kept(models, tmp_path):
    for name, model in models.items():
        run({name: model}, tmp_path, corrupted(["fog"], severities=[1]))
    curves = json.loads((tmp_path / "reliability.json").read_text())
    assert [curve["model"] for curve in curves] == ["sure", "<unsure>"]


def test_a_folder_may_be_added_to(models, tmp_path):
    first = corrupted(["fog"], severities=[1])
    run({"sure": models["sure"]}, tmp_path, first)
    run(models, tmp_path, first)
    more = corrupted(["fog"], severities=[1, 2])
    made = run(models, tmp_path, more)
    once = run(models, tmp_path / "once", more)

    def key(row):
        return (row.model, row.corruption, row.severity or 0, row.metric)

    assert sorted(made, key=key) == sorted(once, key=key)


def test_nothing_is_written_where_the_baseline_is_wrong(models, tmp_path):
    with pytest.raises(ValueError, match="baseline must be one of alexnet"):
        run(models, tmp_path / "new", corrupted(["fog"]), baseline="alex")
    with pytest.raises(ValueError, match="perturbation must be one of"):
        run(models, tmp_path / "new", corrupted(["fog"]), perturbations=["smog"])
    assert not (tmp_path / "new").exists()


KILLED = """
import sys
from tfrobust.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.slow
def test_killed_and_started_again(tmp_path):
    """SIGKILL while the second condition is measured; the same command then ends as another did."""
    keras.utils.set_random_seed(0)
    saving.save_model(nets.small_cnn(), tmp_path / "net.keras")
    command = ["evaluate", str(tmp_path / "net.keras"), "--allow-chance-accuracy"]
    command += ["--corruptions", "fog", "brightness", "contrast", "--severities", "1", "5"]

    def start(out):
        arguments = [sys.executable, "-c", KILLED, *command, "--out", str(out)]
        return subprocess.Popen(
            arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    killed = start(tmp_path / "a")
    for line in killed.stderr:
        if " 3/7 [" in line:
            killed.send_signal(signal.SIGKILL)
            break
    killed.communicate()
    assert 0 < len(rows.read(tmp_path / "a" / "rows.jsonl")) < 28
    assert not (tmp_path / "a" / "report.html").exists()
    for out in "ab":
        again = start(tmp_path / out)
        told, errors = again.communicate()
        assert again.returncode == 0, errors
        assert "Clean accuracy" in told
    measured = [rows.read(tmp_path / out / "rows.jsonl") for out in "ab"]
    assert measured[0] == measured[1]
