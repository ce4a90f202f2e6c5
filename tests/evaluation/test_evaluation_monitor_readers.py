"""Whatever reads the logs finds the robust accuracy there, if it stands behind the monitor."""

import csv

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfrobust import augment, methods
from tfrobust.callbacks import RestoreBest
from tfrobust.evaluation import RobustnessMonitor

NAME = "val_robust_accuracy"
NOISE = {"GN": augment.GaussianNoise(0.1), "B+": augment.Brightness(0.2)}


@pytest.fixture
def data(images, labels):
    return tf.data.Dataset.from_tensor_slices((images, labels)).batch(4)


def make_model(net, rate=0.1):
    model = methods.Baseline(net)
    model.compile(keras.optimizers.SGD(rate), run_eagerly=True)
    return model


def scalars(folder):
    """Tag to values, of all of TensorBoard's files below a folder."""
    found = {}
    for path in sorted(folder.rglob("events.out*")):
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                if value.metadata.plugin_data.plugin_name == "scalars":
                    found.setdefault(value.tag, []).append(float(tf.make_ndarray(value.tensor)))
    return found


def test_files_and_tensorboard(make_net, data, tmp_path):
    model = make_model(make_net())
    callbacks = [
        RobustnessMonitor(data, NOISE),
        keras.callbacks.CSVLogger(str(tmp_path / "log.csv")),
        keras.callbacks.TensorBoard(str(tmp_path / "board")),
        keras.callbacks.ModelCheckpoint(
            str(tmp_path / ("{epoch}_{" + NAME + ":.3f}.weights.h5")), save_weights_only=True
        ),
    ]
    history = model.fit(data, epochs=3, callbacks=callbacks, verbose=0).history[NAME]
    with open(tmp_path / "log.csv", encoding="utf-8") as stream:
        assert [float(line[NAME]) for line in csv.DictReader(stream)] == pytest.approx(history)
    # It begins with val_, so that TensorBoard shows it among the validation's.
    found = scalars(tmp_path / "board")
    assert found["epoch_robust_accuracy"] == pytest.approx(history)
    names = sorted(path.name for path in tmp_path.glob("*.h5"))
    assert names == [f"{i + 1}_{value:.3f}.weights.h5" for i, value in enumerate(history)]


def test_checkpoint_and_stopping_choose_by_it(make_net, data, tmp_path):
    model = make_model(make_net(), rate=0.0)  # nothing improves
    monitor = RobustnessMonitor(data, NOISE)
    file = str(tmp_path / "best_{epoch}.weights.h5")
    callbacks = [
        monitor,
        keras.callbacks.ModelCheckpoint(
            file, NAME, mode="max", save_best_only=True, save_weights_only=True
        ),
        keras.callbacks.EarlyStopping(NAME, mode="max", patience=2),
    ]
    history = model.fit(data, epochs=9, callbacks=callbacks, verbose=0).history
    assert len(history[NAME]) == 3
    assert [path.name for path in tmp_path.iterdir()] == ["best_1.weights.h5"]


def test_behind_a_reader(make_net, data):
    """One that stands before the monitor does not see it: ours stops, Keras' own warns at most."""
    monitor = RobustnessMonitor(data, NOISE, before_training=False)
    with pytest.raises(ValueError, match="put RobustnessMonitor before it"):
        make_model(make_net()).fit(data, callbacks=[RestoreBest(), monitor], verbose=0)
    stopping = keras.callbacks.EarlyStopping(NAME, mode="max", patience=0)
    model = make_model(make_net(), rate=0.0)
    history = model.fit(data, epochs=3, callbacks=[stopping, monitor], verbose=0).history
    assert len(history[NAME]) == 3  # nothing improved, and nothing stopped it


@pytest.mark.slow
def test_keras_tuner(data, tmp_path):
    keras_tuner = pytest.importorskip("keras_tuner")

    def build(parameters):
        rate = parameters.Choice("rate", [0.0, 0.5])
        keras.utils.set_random_seed(0)
        net = keras.Sequential(
            [keras.Input([16, 16, 3]), keras.layers.Flatten(), keras.layers.Dense(4)]
        )
        return make_model(net, rate)

    tuner = keras_tuner.RandomSearch(
        build,
        objective=keras_tuner.Objective(NAME, "max"),
        max_trials=2,
        directory=str(tmp_path),
        seed=0,
    )
    # The tuner puts its own callbacks behind these.
    monitor = RobustnessMonitor(data, NOISE)
    callbacks = [monitor, RestoreBest()]
    tuner.search(data, epochs=3, callbacks=callbacks, verbose=0)
    scores = [trial.score for trial in tuner.oracle.get_best_trials(2)]
    assert len(scores) == 2 and scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores) and monitor.rows == []
    # What it says of the best model is what is measured of it.
    best = tuner.get_best_models(1)[0]
    twin = RobustnessMonitor(data, NOISE)
    twin.set_model(best)
    twin.on_train_begin()
    accuracies = [row.value for row in twin.rows if row.corruption in NOISE]
    assert np.mean(accuracies) == pytest.approx(scores[0])
