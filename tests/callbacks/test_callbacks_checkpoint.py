"""A training that is cut off and taken up again ends as the undisturbed one."""

import os
import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfrobust import augment, methods
from tfrobust.callbacks import AlternateAugmentations, Checkpoint, LossWeightSchedule, RestoreBest
from tfrobust.datasets import pipeline
from tfrobust.evaluation import RobustnessMonitor

EPOCHS = 5


class KilledError(Exception):
    pass


class Kill(keras.callbacks.Callback):
    """Stops the training in the midst of an epoch, counted from 0."""

    def __init__(self, epoch):
        super().__init__()
        self.epoch = epoch

    def on_epoch_begin(self, epoch, logs=None):
        self.now = epoch

    def on_train_batch_end(self, batch, logs=None):
        if self.now == self.epoch and batch == 1:
            raise KilledError


def _data(images, labels, shuffle_seed=1):
    many = np.concatenate([images, images[::-1], 1 - images])
    settings = pipeline.PipelineOptions(6, shuffle_seed=shuffle_seed)
    return pipeline.from_arrays(many, np.tile(labels, 3), classes=4, settings=settings)


@pytest.fixture
def deterministic():
    tf.config.experimental.enable_op_determinism()
    if keras.__version__.startswith("2."):
        keras.backend.experimental.enable_tf_random_generator()
    yield
    if keras.__version__.startswith("2."):
        keras.backend.experimental.disable_tf_random_generator()


def _net():
    keras.utils.set_random_seed(0)
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input([16, 16, 3]),
            layers.Conv2D(4, 3, strides=2),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Dropout(0.3),
            layers.Flatten(),
            layers.Dense(4),
        ]
    )


def _job(folder, images, labels, kill=None, optimizer=None, eager=False):
    """Trains as a process would that was started anew; the model, its rows and its history."""
    keras.utils.set_random_seed(0)
    combined = augment.Alternating([augment.GaussianNoise(0.1), augment.Brightness(0.2)])
    model = methods.StabilityTraining(_net(), augment=combined)
    rate = keras.optimizers.schedules.CosineDecay(0.05, 20)
    optimizer = optimizer or keras.optimizers.SGD(rate, momentum=0.9)
    model.compile(optimizer, metrics=["accuracy"], run_eagerly=eager)
    data = _data(images, labels)
    noise = {"noise": augment.GaussianNoise(0.2)}
    monitor = RobustnessMonitor((images, labels), noise)
    best = RestoreBest("loss")
    checkpoint = Checkpoint(folder, remember=[monitor, best])
    callbacks = [
        AlternateAugmentations(),
        LossWeightSchedule("stability", start=2, ramp=2),
        monitor,
        best,
        *([] if kill is None else [Kill(kill)]),
        checkpoint,
    ]
    done = checkpoint.restore(model, data)
    model.fit(
        data, epochs=EPOCHS, initial_epoch=done, callbacks=callbacks, verbose=0, shuffle=False
    )
    return model, monitor, best, checkpoint


@pytest.mark.parametrize("optimizer", [pytest.param("sgd", marks=pytest.mark.slow), "adam"])
def test_ends_as_the_undisturbed_one(tmp_path, images, labels, deterministic, optimizer):
    def job(folder, kill=None):
        # With Adam eagerly: 20 steps take less than tracing one does.
        adam = keras.optimizers.Adam(0.01) if optimizer == "adam" else None
        return _job(tmp_path / folder, images, labels, kill, adam, eager=optimizer == "adam")

    whole = job("whole")
    for epoch in (0, 3):  # killed twice, the first time before there is anything
        with pytest.raises(KilledError):
            job("cut", kill=epoch)
    cut = job("cut")
    for a, b in zip(whole[0].get_weights(), cut[0].get_weights()):
        np.testing.assert_array_equal(a, b)
    assert [(r.epoch, r.value) for r in whole[1].rows] == [(r.epoch, r.value) for r in cut[1].rows]
    assert (whole[2].best_epoch, whole[2].best_value) == (cut[2].best_epoch, cut[2].best_value)
    assert whole[3].history == cut[3].history
    assert len(cut[3].history["loss"]) == EPOCHS
    assert len(set(cut[3].history["loss"])) == EPOCHS  # it did train


def _small(folder, **kwargs):
    keras.utils.set_random_seed(0)
    model = methods.Baseline(_net())
    model.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
    return model, Checkpoint(folder, **kwargs)


def _trained(folder, images, labels, epochs=3, **kwargs):
    model, checkpoint = _small(folder, **kwargs)
    model.fit(
        _data(images, labels), epochs=epochs, callbacks=[checkpoint], verbose=0, shuffle=False
    )
    return model, checkpoint


def test_keeps_the_last(tmp_path, images, labels):
    _, checkpoint = _trained(tmp_path, images, labels)
    assert sorted(os.listdir(tmp_path)) == ["epoch_000002.npz", "epoch_000003.npz"]
    checkpoint.clear()
    assert not tmp_path.exists()


@pytest.mark.parametrize("damage", ["cut off", "changed", "empty", "text"])
def test_damaged_file(tmp_path, images, labels, damage):
    _trained(tmp_path, images, labels)
    path = tmp_path / "epoch_000003.npz"
    content = path.read_bytes()
    middle = len(content) // 2
    flipped = bytes([content[middle] ^ 255])
    path.write_bytes(
        {
            "cut off": content[:middle],
            "changed": content[:middle] + flipped + content[middle + 1 :],
            "empty": b"",
            "text": b"no checkpoint\n" * 100,
        }[damage]
    )
    model, checkpoint = _small(tmp_path)
    with pytest.warns(RuntimeWarning, match=r"epoch_000003.npz cannot be read"):
        assert checkpoint.restore(model) == 2
    assert len(checkpoint.history["loss"]) == 2


def test_full_disk(tmp_path, images, labels, monkeypatch):
    """Training goes on, and what was written before is still there."""
    save = np.savez
    count = []

    def full(file, **arrays):
        count.append(1)
        if len(count) == 2:
            file.write(b"some")
            raise OSError(28, "No space left on device")
        save(file, **arrays)

    monkeypatch.setattr(np, "savez", full)
    with pytest.warns(RuntimeWarning, match=r"epoch 2 could not be written \(the disk is full\)"):
        _trained(tmp_path, images, labels)
    assert sorted(os.listdir(tmp_path)) == ["epoch_000001.npz", "epoch_000003.npz"]


def test_restored_inside_the_scope_of_a_strategy(tmp_path, images, labels):
    _trained(tmp_path, images, labels)
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    with strategy.scope():
        model, checkpoint = _small(tmp_path)
        data = _data(images, labels)
        assert checkpoint.restore(model, data) == 3
    checkpoint.on_epoch_begin(3)
    whole = _data(images, labels)
    orders = [[y.tolist() for _, y in whole.as_numpy_iterator()] for _ in range(4)]
    assert [y.tolist() for _, y in data.as_numpy_iterator()] == orders[3] != orders[0]


def test_another_model(tmp_path, images, labels):
    _trained(tmp_path, images, labels)
    other = methods.Baseline(
        keras.Sequential([keras.Input([16, 16, 3]), keras.layers.Flatten(), keras.layers.Dense(4)])
    )
    other.compile(keras.optimizers.SGD(0.1))
    with pytest.raises(ValueError, match="is of another model or optimizer: the shape of model_"):
        Checkpoint(tmp_path).restore(other)
    model, _ = _small(tmp_path)
    model.compile(keras.optimizers.Adam())
    with pytest.raises(ValueError, match="another model or optimizer: the shape of optimizer_"):
        Checkpoint(tmp_path).restore(model)


def test_wrong_arguments(tmp_path, images, labels):
    with pytest.raises(ValueError, match="keep must be"):
        Checkpoint(tmp_path, keep=0)
    with pytest.raises(TypeError, match="remember takes callbacks with get_state"):
        Checkpoint(tmp_path, remember=[keras.callbacks.EarlyStopping()])
    _trained(tmp_path, images, labels)
    model, _ = _small(tmp_path)
    with pytest.raises(ValueError, match="remembers 0 callbacks; received 1"):
        Checkpoint(tmp_path, remember=[RestoreBest("loss")]).restore(model)
    with pytest.raises(ValueError, match="needs a model compiled"):
        Checkpoint(tmp_path).restore(methods.Baseline(_net()))


@pytest.mark.slow
def test_plain_keras_model_in_mixed_precision(tmp_path, images, labels):
    """Any Keras model; the scale of float16 is part of the state."""

    def make():
        keras.utils.set_random_seed(0)
        net = keras.Sequential(
            [
                keras.Input([16, 16, 3]),
                keras.layers.Flatten(dtype="mixed_float16"),
                keras.layers.Dense(4, dtype="mixed_float16"),
            ]
        )
        optimizer = keras.mixed_precision.LossScaleOptimizer(keras.optimizers.SGD(0.1))
        net.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        return net

    whole, cut = make(), make()
    data = {"shuffle": False, "verbose": 0}
    whole.fit(_data(images, labels), epochs=4, **data)
    cut.fit(_data(images, labels), epochs=2, callbacks=[Checkpoint(tmp_path)], **data)
    again, checkpoint, train = make(), Checkpoint(tmp_path), _data(images, labels)
    assert checkpoint.restore(again, train) == 2
    again.fit(train, epochs=4, initial_epoch=2, **data)
    for a, b in zip(whole.get_weights(), again.get_weights()):
        np.testing.assert_allclose(a, b, atol=1e-6)
    assert pathlib.Path(tmp_path, "epoch_000002.npz").exists()
