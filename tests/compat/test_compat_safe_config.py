"""A model file refers to nothing but classes of Keras and ours, registered and given ones."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.model_files import changed_file
from tfrobust import nets, saving
from tfrobust.compat.safe_config import check_config
from tfrobust.compat.stack import KERAS_2

L = keras.layers


def with_activation(folder, activation):
    """A file of a net whose activation is replaced by something else."""
    net = keras.Sequential([keras.Input([4, 4, 3]), L.Flatten(), L.Dense(4, activation="relu")])
    net.save(folder / "good.keras")

    def change(text):
        assert text.count('"relu"') == 1
        return text.replace('"relu"', json.dumps(activation))

    return changed_file(folder / "good.keras", folder / "bad.keras", "config.json", change)


def function(module, name):
    return {"module": module, "class_name": "function", "config": name, "registered_name": name}


HOSTILE = {
    "a function of the system": function("os", "system"),
    "one of Python": function("builtins", "eval"),
    "one of ours": function("tfrobust.files", "write_json"),
    "one of Keras that downloads": function("keras.utils", "get_file"),
    "a class": {"module": "subprocess", "class_name": "Popen", "config": {"args": "true"}},
    "code": {"module": "keras.layers", "class_name": "Lambda", "config": {}},
    "a function as code": {"class_name": "__lambda__", "config": {"value": "4wEA"}},
    "an operation that writes": {
        "module": "keras.layers",
        "class_name": "TFOpLambda",
        "config": {"name": "x", "function": "io.write_file"},
    },
    "a type of another module": {
        "class_name": "__typespec__",
        "module": "antigravity",
        "spec_name": "x",
        "config": [],
        "registered_name": None,
    },
    "inside of a list": [[function("os", "system")]],
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_files_are_refused_before_anything_is_made(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(keras.models, "load_model", None)
    path = with_activation(tmp_path, HOSTILE[kind])
    with pytest.raises(ValueError, match=r"bad\.keras refers to .* register it with"):
        saving.load_model(path)


@pytest.mark.skipif(not KERAS_2, reason="Keras 3 refuses by itself")
def test_keras_2_itself_calls_what_stands_there(tmp_path):
    """What is guarded against: without this module a function of any package is called."""
    path = with_activation(tmp_path, function("os", "cpu_count"))
    try:
        loaded = keras.models.load_model(path)
    except Exception as error:  # it was called with a tensor
        assert "cpu_count" in str(error)
    else:
        assert loaded.layers[-1].activation.__name__ == "cpu_count"


def test_what_users_save_is_read(tmp_path):
    @keras.saving.register_keras_serializable(package="tests")
    def twice(x):
        return 2 * x

    class Own(L.Layer):
        def call(self, x):
            return x

    inputs = keras.Input([4, 4, 3])
    x = L.Conv2D(4, 1, activation=twice, kernel_initializer=keras.initializers.HeNormal())(inputs)
    x = Own()(x)
    x = tf.nn.relu(x) + tf.reshape(x, tf.shape(x)) if KERAS_2 else keras.ops.relu(x) + x
    net = keras.Model(inputs, L.Dense(4, kernel_regularizer="l2")(L.Flatten()(x)))
    net.compile(keras.optimizers.AdamW(), keras.losses.SparseCategoricalCrossentropy(True), ["acc"])
    net.save(tmp_path / "net.keras")
    with pytest.raises(ValueError, match=r"refers to the class .*Own"):
        saving.load_model(tmp_path / "net.keras")
    loaded = saving.load_model(tmp_path / "net.keras", custom_objects={"Own": Own})
    images = np.ones([2, 4, 4, 3], "float32")
    np.testing.assert_array_equal(loaded(images), net(images))


@pytest.mark.parametrize("name", ["small_cnn", "resnet_20"])
def test_our_nets_refer_to_nothing_else(name):
    net = getattr(nets, name)(classes=4)
    check_config(json.loads(json.dumps(keras.saving.serialize_keras_object(net))), name)
