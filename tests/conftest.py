"""What all tests share."""

import dataclasses
import functools
import importlib
import os
from unittest import mock

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("MPLBACKEND", "Agg")

import keras
import numpy as np
import pytest
import tensorflow as tf

# Two logical CPU devices stand in for two GPUs; TensorFlow wants to know before its first use.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)


#: Seconds that a test marked slow may take; the limit of the others is in pyproject.toml. Both are
#: many times what the tests take on two cores: they end what hangs.
SLOW_LIMIT = 1200


def pytest_collection_modifyitems(items):
    for item in items:
        if item.get_closest_marker("slow") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(SLOW_LIMIT))


def seed_cheaply():
    """As `keras.utils.set_random_seed(0)`, but TensorFlow keeps what it has prepared to run.

    With a new seed it forgets all of that, because the generators of stateful random operations are
    in it, and optimises every function anew, which takes a fifth of the time of many tests. This
    package draws with stateless operations; a test that draws with others seeds them itself.
    """
    with mock.patch("tensorflow.python.eager.context.pywrap_tfe.TFE_ContextClearCaches"):
        keras.utils.set_random_seed(0)


@pytest.fixture(autouse=True)
def seeded():
    """Every test starts from the same random state."""
    seed_cheaply()


@pytest.fixture
def images():
    """Eight random 16×16 RGB images in [0, 1]."""
    return np.random.default_rng(0).random([8, 16, 16, 3], dtype="float32")


@pytest.fixture
def labels():
    """Labels of the images, four classes."""
    return np.array([0, 1, 2, 3, 0, 1, 2, 3], "int32")


@pytest.fixture
def make_net():
    """Makes a net for the images: two ReLUs, four logits, always the same weights."""

    def make(**kwargs):
        seed_cheaply()
        return keras.Sequential(
            [
                keras.Input([16, 16, 3]),
                keras.layers.Conv2D(4, 3, strides=2, activation="relu"),
                keras.layers.Conv2D(6, 3, strides=2),
                keras.layers.ReLU(),
                keras.layers.Flatten(),
                keras.layers.Dense(4, **kwargs),
            ]
        )

    return make


@pytest.fixture
def eagerly(request):
    """Functions run without being traced, which takes longer than the few steps of small runs.

    Not in the slow tests, which run as users do.
    """
    tf.config.run_functions_eagerly(not request.node.get_closest_marker("slow"))
    yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture
def undrawn(request, monkeypatch):
    """Figures are made but not drawn, which is what takes long; the slow tests draw them."""
    if not request.node.get_closest_marker("slow"):
        figures = importlib.import_module("tfrobust.reports.figures")
        monkeypatch.setattr(figures, "encoded", lambda figure, media: b"")


@functools.cache
def few_digits(all_digits):
    """Some of what `all_digits` returns, drawn once."""
    source = all_digits()
    sizes = {"train": 480, "validation": 120, "test": 120}
    parts = {
        split: dataclasses.replace(
            part := source.parts[split], images=part.images[:size], labels=part.labels[:size]
        )
        for split, size in sizes.items()
    }
    return dataclasses.replace(source, parts=parts)


@pytest.fixture
def small_job(eagerly, undrawn, monkeypatch):
    """Makes "digits" and "small_cnn" small: dark ink on light paper, and a net of three layers."""
    digits = importlib.import_module("tfrobust.datasets.digits")
    small_cnn = importlib.import_module("tfrobust.nets.small_cnn")

    def ink_and_paper(random, count):
        ink, paper = 0.3 * random.random([2, count, 1, 1, 3])
        return ink, 1 - paper

    all_digits = digits.digits

    def small_net(input_shape, classes):
        return keras.Sequential(
            [
                keras.Input(input_shape),
                keras.layers.Rescaling(2.0, offset=-1.0),
                keras.layers.Conv2D(8, 4, strides=4, activation="relu"),
                keras.layers.Flatten(),
                keras.layers.Dense(32, activation="relu"),
                keras.layers.Dense(classes),
            ]
        )

    monkeypatch.setattr(digits, "_colours", ink_and_paper)
    monkeypatch.setattr(digits, "digits", lambda: few_digits(all_digits))
    monkeypatch.setattr(small_cnn, "small_cnn", small_net)
