"""The benchmark with models that tell on what they were shown."""

from __future__ import annotations

import dataclasses
import gc
import re
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.reference import color
from tfrobust import augment
from tfrobust.augment import presets
from tfrobust.evaluation import (
    Evaluator,
    augmented,
    aurra,
    benchmark,
    corrupted,
    expected_calibration_error,
    rms_calibration_error,
)
from tfrobust.rows import Row

pytestmark = pytest.mark.usefixtures("eagerly")

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.random([6, 8, 8, 3], "float32")
LABELS = np.array([0, 1, 0, 1, 0, 1])
COLUMNS = ["clean", "B+", "B-", "GB", "GN", "SAP", "S+", "S-", "Combined+", "Combined-"]


class Recorder(keras.Model):
    """Says class 1 where the mean is above ½, and keeps what it was shown."""

    def __init__(self, sign=1.0, **kwargs):
        super().__init__(**kwargs)
        self.sign, self.shown = sign, []

    def call(self, images, training=None):
        assert not training

        def keep(values):
            self.shown.append(values.copy())
            return np.mean(values, axis=(1, 2, 3), dtype="float32") - np.float32(0.5)

        value = self.sign * tf.ensure_shape(tf.numpy_function(keep, [images], tf.float32), [None])
        return tf.stack([-value, value], axis=-1)


def batches(images=IMAGES, labels=LABELS, size=4):
    return tf.data.Dataset.from_tensor_slices((images, labels)).batch(size)


def measured(model, data, conditions, **options):
    """Rows of accuracy alone."""
    return Evaluator(conditions).rows(model, data, **options)


def few(model, data=None, seed=0):
    """Clean and two columns with noise."""
    layers = {"wide": augment.Brightness((-0.4, 0.4), seed=8), "GN": augment.GaussianNoise(0.1)}
    return measured(model, data or batches(), layers, seed=seed)


def grey(*levels):
    return np.float32(levels)[:, None, None, None] * np.ones([1, 8, 8, 3], "float32")


def test_values_worked():
    """Greys 0.2, 0.4 are called 0, the others 1; Δ moves some of them over ½."""
    images, labels = grey(0.2, 0.4, 0.6, 0.8), [0, 0, 1, 1]
    up, down = augment.Brightness(0.2), augment.Brightness(-0.4)
    layers = {"up": up, "down": down, "both": augment.Sequence([up, down])}
    rows = measured(Recorder(), (images, labels), layers)
    assert [row.value for row in rows] == [1.0, 0.75, 0.5, 0.75]
    assert [row.severity for row in rows] == [0.0, 0.2, -0.4, None]


def test_rows():
    table_3 = presets.table_3([8, 8])
    rows = measured(Recorder(name="net"), batches(size=6), table_3, dataset="toy/test", seed=5)
    assert [row.corruption for row in rows] == COLUMNS
    for row in rows:
        told = Row("net", "toy/test", row.corruption, row.severity, "accuracy", row.value, 6, 5)
        assert row == dataclasses.replace(told, protocol=row.protocol, provenance=row.provenance)
        assert type(row.value) is float and 0 <= row.value <= 1
        assert row.protocol["classes"] == 2 and row.provenance["output"] == "logits"
        assert row.provenance["tensorflow"] == tf.__version__
    assert len({row.protocol["data"] for row in rows}) == 1
    severities = [0.0, 0.39, -0.36, 0.675, 0.075, 0.025, 6.0, 0.0, None, None]
    assert [row.severity for row in rows] == severities
    assert measured(Recorder(), batches(), [], model_name="mine")[0].model == "mine"


def test_range_has_no_severity():
    layers = {"wide": augment.Brightness((0.1, 0.2)), "one": augment.Brightness(0.1)}
    rows = measured(Recorder(), batches(), layers)
    assert [row.severity for row in rows] == [0.0, None, 0.1]


@pytest.mark.parametrize(
    "sides, delta",
    [((32, 32), 0.39), ((96, 8), 0.39), ((97, 8), 0.43), ((8, 224), 0.43), ((None, None), 0.39)],
)
def test_column_of_table_1_by_the_size(sides, delta):
    layers = presets.table_3(tf.TensorShape(sides))
    assert ["clean", *layers] == COLUMNS
    for layer in (layers["B+"], layers["Combined+"].augments[0]):
        assert layer.strength == delta


def test_same_seed_same_images_whatever_the_model():
    first, second, third = Recorder(), Recorder(sign=-1.0, name="other"), Recorder()
    rows, again, other = few(first, seed=1), few(second, seed=1), few(third, seed=2)
    assert len(first.shown) == 2 * 3  # batches × columns
    for shown, seen_again in zip(first.shown, second.shown):
        np.testing.assert_array_equal(shown, seen_again)
    np.testing.assert_allclose([row.value for row in again], [1 - row.value for row in rows])
    np.testing.assert_array_equal(first.shown[0], third.shown[0])
    for noisy in (2, 3, 4, 5):
        assert np.abs(first.shown[noisy] - third.shown[noisy]).max() > 0.01
    assert rows == few(first, seed=1)
    assert {row.seed for row in other} == {2}


def test_what_is_shown():
    model = Recorder()
    layers = {"B+": augment.Brightness(0.3), "GN": augment.GaussianNoise(0.1, seed=9)}
    measured(model, batches(grey(*[0.5] * 6), size=3), layers)
    clean, bright, noisy = model.shown[:2], model.shown[2:4], model.shown[4:]
    expected = color.add_brightness(grey(0.5, 0.5, 0.5), 0.3)
    for number in (0, 1):
        np.testing.assert_array_equal(clean[number], grey(0.5, 0.5, 0.5))
        np.testing.assert_allclose(bright[number], expected, atol=1e-6)
    # Another batch, another draw.
    assert np.abs(noisy[0] - noisy[1]).max() > 0.01


def test_measuring_does_not_count_draws():
    layer = augment.GaussianNoise((0.1, 0.2))
    evaluator = Evaluator({"GN": layer})
    first = evaluator.rows(Recorder(), batches(), model_name="m", seed=3)
    assert evaluator.rows(Recorder(), batches(), model_name="m", seed=3) == first
    assert not layer.get_weights()[0].any()


def test_one_evaluator_many_models():
    """Also models that are gone when the next one is made, maybe at the same address."""
    evaluator = Evaluator({})
    for sign, expected in [(1.0, 1.0), (-1.0, 0.0)] * 3:
        (row,) = evaluator.rows(Recorder(sign), (grey(0.2, 0.8), [0, 1]), model_name="m")
        assert row.value == expected
        gc.collect()


def test_measured_models_are_kept():
    """The evaluator knows a model by its id, which must not be given away."""
    layers = keras.layers
    model = keras.Sequential([keras.Input([16, 16, 3]), layers.Flatten(), layers.Dense(2)])
    evaluator = Evaluator({})
    evaluator.rows(model, (np.zeros([2, 16, 16, 3], "float32"), [0, 1]), model_name="m")
    alive = weakref.ref(model)
    del model
    gc.collect()
    assert alive() is not None


@pytest.fixture(scope="module")
def usual():
    return few(Recorder(name="m"))


@pytest.mark.parametrize("form", ["column", "one_hot"])
def test_forms_of_labels(form, usual):
    labels = LABELS[:, None] if form == "column" else np.eye(2, dtype="float32")[LABELS]
    assert few(Recorder(name="m"), batches(labels=labels)) == usual


def test_arrays_are_a_data_set(usual):
    rows = few(Recorder(name="m"), (IMAGES, list(LABELS)))
    assert rows == usual


def test_the_size_of_the_batches_does_not_matter(tmp_path):
    """Neither for the images nor for the rows; nor that they are a part of others, by index."""
    images = RANDOM.random([30, 8, 8, 3], "float32")
    labels = np.arange(30) % 2
    layers = {"GN": augment.GaussianNoise(0.3), "wide": augment.Brightness((-0.4, 0.4))}

    def measure(size, chosen=slice(None), **options):
        model = Recorder(name="m")
        data = batches(images[chosen], labels[chosen], size)
        fog = corrupted(["fog"], severities=[1], table=32)
        rows = measured(model, data, [*augmented(layers), *fog], **options)
        shown = np.concatenate(model.shown).reshape([-1, len(labels[chosen]), 8, 8, 3])
        return [(row.corruption, row.value, row.protocol) for row in rows], shown

    rows, shown = measure(30, out=tmp_path)
    assert len(shown) == 4
    for size in (7, 24):
        again, seen = measure(size)
        assert again == rows
        np.testing.assert_allclose(seen, shown, atol=1e-6)
    assert measure(7, out=tmp_path)[0] == rows  # what another size of batches has measured
    index = [3, 4, 11, 29]
    _, part = measure(3, index, index=index)
    np.testing.assert_allclose(part, shown[:, index], atol=1e-6)
    for wrong in ([0, 1, 2], [0, 1, 2, 2], [0, 1, 2, 0.5], [0, 1, 2, 3, 4]):
        with pytest.raises(ValueError, match=r"index must be .* received"):
            measure(3, index, index=wrong)


def broken(value):
    images = IMAGES.copy()
    images[-1, 0, 0, 0] = value  # in the last batch
    return images


@pytest.mark.parametrize("as_arrays", [False, True])
@pytest.mark.parametrize(
    "images, error, said",
    [
        (broken(np.nan), ValueError, "must be finite; received 1 NaN"),
        (broken(np.inf), ValueError, "must be finite; received 1 NaN or infinite"),
        (broken(255.0), ValueError, r"must lie in \[0, 1\]; received values from .* to 255"),
        (broken(-0.1), ValueError, r"must lie in \[0, 1\]; received values from -0.1"),
        ((IMAGES * 255).astype("uint8"), TypeError, "received dtype uint8"),
        (IMAGES[..., 0], ValueError, r"shape \[batch, height, width, channels\]; received"),
    ],
)
def test_bad_images(images, error, said, as_arrays):
    data = (images, LABELS) if as_arrays else batches(images)
    with pytest.raises(error, match=said):
        measured(Recorder(), data, {"B+": augment.Brightness()})


@pytest.mark.parametrize(
    "data, said",
    [
        (batches().take(0), "evaluation data are empty"),
        ((IMAGES[:0], LABELS[:0]), "at least one image"),
        (batches(labels=LABELS + 1), "class indices from 0 to 1; received values from 1 to 2"),
        (batches(labels=np.eye(3)[LABELS]), r"received shape \(4, 3\)"),
    ],
)
def test_bad_data(data, said):
    with pytest.raises(ValueError, match=said):
        measured(Recorder(), data, [])


@pytest.mark.parametrize(
    "conditions, error, said",
    [
        ([3], TypeError, r"what corrupted\(\), augmented\(\).* make; received int"),
        (2 * corrupted(["fog"], severities=[2]), ValueError, "received fog 2 twice"),
    ],
)
def test_bad_conditions(conditions, error, said):
    with pytest.raises(error, match=said):
        Evaluator(conditions)


def test_bad_metric():
    with pytest.raises(ValueError, match=r"metric must be one of accuracy, .*; received 'mCE'"):
        Evaluator([], metrics=["mCE"])


def test_progress_tells_the_time_left(capsys, tmp_path):
    conditions = {name: augment.Brightness(0.1) for name in "BC"}
    options = {"out": tmp_path, "model_name": "net"}
    measured(Recorder(), batches(), {"B": conditions["B"]}, **options, verbose=False)
    assert capsys.readouterr().err == ""
    measured(Recorder(), batches(), conditions, **options, verbose=True)
    first, last = capsys.readouterr().err.splitlines()  # B was measured before
    assert re.fullmatch(r"net:  50%\|.+\| 1/2 \[\d\d:\d\d<\d\d:\d\d, .+, clean\]", first)
    assert re.fullmatch(r"net: 100%\|.+\| 2/2 \[\d\d:\d\d<00:00, .+, C 0\.1\]", last)


def test_all_metrics_against_their_functions():
    """Of probabilities that are far apart, so that the order of the confidences is the same."""
    random = np.random.default_rng(5)
    logits = random.normal(size=[150, 4]).astype("float32") * 2
    labels = random.integers(0, 4, 150)
    images = np.zeros([150, 8, 8, 3], "float32")
    images[:, 0, 0, 0] = np.arange(150) / 255

    def model(images):
        return tf.gather(logits, tf.cast(tf.round(images[:, 0, 0, 0] * 255), tf.int32))

    rows = benchmark(model, (images, labels), [], verbose=False, stop_at_chance=False)
    options = {"from_logits": True}
    expected = {
        "accuracy": np.mean(logits.argmax(axis=1) == labels),
        "expected_calibration_error": expected_calibration_error(labels, logits, **options),
        "rms_calibration_error": rms_calibration_error(labels, logits, **options),
        "aurra": aurra(labels, logits, **options),
    }
    assert {row.metric: row.value for row in rows} == pytest.approx(expected, abs=1e-6)
