"""What a quantization costs is measured, said and written on the card."""

from __future__ import annotations

import importlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfrobust import datasets
from tfrobust.evaluation import corrupted
from tfrobust.recipes import exporting

LABELS = np.arange(24) % 3


def data():
    """Class k is bright in channel k."""
    bright = np.eye(3)[LABELS][:, None, None]
    noise = np.random.default_rng(0).random([24, 32, 32, 3])
    images = np.float32(0.3 * noise + 0.3 * bright)
    test = tf.data.Dataset.from_tensor_slices((images, LABELS)).batch(12)
    names, sizes = ("red", "green", "blue"), {"train": 24, "test": 24}
    return datasets.Data("toy", test, None, test, names, (32, 32, 3), sizes)


def net():
    layers = [keras.layers.AveragePooling2D(32), keras.layers.Flatten(), keras.layers.Dense(3)]
    made = keras.Sequential([keras.Input([32, 32, 3]), *layers])
    made.layers[-1].set_weights([20 * np.eye(3, dtype="float32"), np.zeros(3, "float32")])
    return made


@pytest.mark.parametrize("lost", [False, True])
def test_a_quantized_file_is_measured(tmp_path, monkeypatch, eagerly, lost):
    fog = corrupted(["fog"], severities=[3])
    monkeypatch.setattr(exporting, "corrupted", lambda severities: fog)
    if lost:  # a file that is worse than the net
        monkeypatch.setattr(
            importlib.import_module("tfrobust.recipes.exporting"),
            "Predictor",
            lambda model, **_: model if isinstance(model, keras.Model) else worse,
        )
    worse = keras.Sequential([net(), keras.layers.Lambda(lambda x: tf.concat([x, x], 1)[:, 1:4])])
    said, path = [], tmp_path / "net.tflite"
    exported = exporting.export_file(
        net(), path, data=data(), quantization="float16", say=said.append
    )
    assert exported.accuracy == 1.0 and "accuracy: 100.00%" in said[2]
    card = (tmp_path / "net.tflite.md").read_text()
    assert "On toy/test: 24 images, seed 0, as net.tflite" in card and "| fog |" in card
    assert said[3] in card and "robust accuracy (fog at severity 3): " in said[3]
    assert ("warning" in card) == ("warning" in said[-1]) == lost


@pytest.mark.parametrize(("difference", "warned"), [(-0.0101, True), (-0.01, False), (0.02, False)])
def test_more_than_a_point_is_a_warning(difference, warned):
    fog = [{"corruption": "fog", "severity": 3, "accuracy": 0.5}]
    cost = {"accuracy": 0.5, "difference": difference, "conditions": fog}
    cost.update(difference_low=difference - 0.01, difference_high=difference + 0.01)
    told = exporting.sentences(cost)
    assert (len(told) == 2) == warned and f"{100 * difference:+.1f} points against" in told[0]


def test_images_without_corruptions(tmp_path, eagerly):
    """Grey images have none: the file is written, and it is said."""
    layers = [keras.layers.Flatten(), keras.layers.Dense(3)]
    grey = keras.Sequential([keras.Input([8, 8, 1]), *layers])
    images = np.random.default_rng(0).random([6, 8, 8, 1], "float32")
    test = tf.data.Dataset.from_tensor_slices((images, LABELS[:6])).batch(3)
    given = datasets.Data("grey", test, None, test, tuple("abc"), (8, 8, 1), {"test": 6})
    said = []
    exporting.export_file(
        grey, tmp_path / "n.tflite", data=given, quantization="float16", say=said.append
    )
    assert said[-1].startswith("robust accuracy was not measured: ")
    assert "## Quantized" not in (tmp_path / "n.tflite.md").read_text()
