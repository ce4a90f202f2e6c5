"""An adapted net is served with the interface of the model that it was made of."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfrobust import nets, serving
from tfrobust.evaluation.predictor import Predictor

LAYERS = keras.layers
PIXELS = np.random.default_rng(0).integers(0, 256, [5, 16, 16, 3], "uint8")


def model_for(input_range):
    """A model with a softmax, whose logits are of the usual size in its range alone."""
    scaling = {"0_to_255": (1 / 128, -1.0), "caffe": (1 / 128, 0.0)}[input_range]
    layers = [
        LAYERS.Rescaling(*scaling),
        LAYERS.Conv2D(4, 3, activation="relu"),
        LAYERS.Flatten(),
        LAYERS.Dense(3, activation="softmax"),
    ]
    return keras.Sequential([keras.Input([16, 16, 3]), *layers], name="mine")


@pytest.mark.parametrize("input_range", ["0_to_255", "caffe"])
def test_all_signatures_are_those_of_the_original(input_range, tmp_path):
    model = model_for(input_range)
    taken = np.float32(nets.INPUT_RANGES[input_range].convert(PIXELS / 255))
    expected = np.asarray(model(taken))
    net = nets.adapt(model, input_range=input_range, class_names=["a", "b", "c"])
    serving.export(net, tmp_path / "saved")
    serve = tf.saved_model.load(str(tmp_path / "saved")).signatures
    files = tf.constant([tf.io.encode_png(one).numpy() for one in PIXELS])
    for name, given in {
        "serving_default": tf.constant(taken),
        "uint8": tf.constant(PIXELS),
        "serving_bytes": files,
    }.items():
        outputs = serve[name](images=given)
        np.testing.assert_allclose(outputs["probabilities"], expected, atol=1e-5)
        assert "logits" not in outputs
        assert [text.decode() for text in outputs["class"].numpy()] == [
            "abc"[k] for k in expected.argmax(axis=1)
        ]
    assert serving.verify(tmp_path / "saved").difference < 1e-4
    card = json.loads((tmp_path / "saved/assets.extra/card.json").read_text(encoding="utf-8"))
    words = nets.INPUT_RANGES[input_range].words
    assert card["input"]["pixels"] == input_range and card["input"]["words"] == words
    assert words in (tmp_path / "saved/assets.extra/card.md").read_text(encoding="utf-8")
    # What is measured of the folder is measured on images from 0 to 1, as of every model.
    classes, _ = Predictor(tmp_path / "saved").answers(np.float32(PIXELS / 255))
    np.testing.assert_array_equal(classes, expected.argmax(axis=1))


def test_tflite_is_that_of_the_original(tmp_path):
    model = model_for("0_to_255")
    data = (np.float32(PIXELS / 255), np.asarray(model(np.float32(PIXELS))).argmax(axis=1))
    written = serving.export_tflite(nets.adapt(model), tmp_path / "net.tflite", data=data)
    assert written.accuracy == written.keras_accuracy == 1.0
    runner = tf.lite.Interpreter(str(tmp_path / "net.tflite")).get_signature_runner()
    outputs = runner(images=np.float32(PIXELS))
    np.testing.assert_allclose(outputs["probabilities"], model(np.float32(PIXELS)), atol=1e-5)
