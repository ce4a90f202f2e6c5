"""The one way to train."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfrobust import augment, datasets, epochs, methods, rows, saving, trainer
from tfrobust.callbacks import EstimateBatchNorm, estimate_batch_norm
from tfrobust.compat.stack import KERAS_2
from tfrobust.evaluation import RobustnessMonitor

pytestmark = pytest.mark.usefixtures("eagerly")


@pytest.fixture
def data(images, labels):
    """Four steps of two images an epoch; validation and test images can be told apart."""
    parts = [
        tf.data.Dataset.from_tensor_slices((images * scale, labels)).batch(2)
        for scale in (1.0, 0.5, 0.25)
    ]
    return datasets.Data("toy", *parts, tuple("abcd"), (16, 16, 3), {"train": 8})


def seen_by_fit(model, monkeypatch):
    """What `fit` of a model is called with."""
    given = {}
    monkeypatch.setattr(model, "fit", lambda train, **settings: given.update(settings, train=train))
    return given


def test_validation_images_choose(make_net, data, monkeypatch):
    model = methods.Baseline(make_net())
    given = seen_by_fit(model, monkeypatch)
    trainer.fit(model, data, epochs=3)
    assert given["train"] is data.train and given["validation_data"] is data.validation
    assert given["epochs"] == 3 and given["initial_epoch"] == 0


def test_learning_rate_decays_to_nothing(make_net, data, monkeypatch):
    model = methods.Baseline(make_net())
    seen_by_fit(model, monkeypatch)
    trainer.fit(model, data, epochs=3, learning_rate=0.2)
    rate = model.optimizer.get_config()["learning_rate"]
    assert rate["config"]["initial_learning_rate"] == 0.2
    assert rate["config"]["decay_steps"] == 12  # three epochs of four steps


def test_what_is_compiled_stays(make_net, data):
    model = methods.Baseline(make_net())
    optimizer = keras.optimizers.SGD(0.125)
    model.compile(optimizer, metrics=["accuracy"])
    trainer.fit(model, data, epochs=1, learning_rate=None, verbose=0)
    assert model.optimizer is optimizer and int(optimizer.iterations.numpy()) == 4


def test_combined_augmentation_alternates(make_net, data, monkeypatch):
    layers = [augment.Brightness(0.1), augment.Brightness(-0.1)]
    model = methods.AugmentationTraining(make_net(), augment=augment.Alternating(layers))
    given = seen_by_fit(model, monkeypatch)
    trainer.fit(model, data, epochs=2)
    assert type(given["callbacks"][0]).__name__ == "AlternateAugmentations"


def test_averaged_weights_are_validated_and_kept(make_net, data):
    """They are the optimizer's average of the weights after each step; the best epoch's too."""
    model, seen = methods.Baseline(make_net()), []
    start = model.net.get_weights()
    record = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: seen.append(model.net.get_weights())
    )
    monitor = RobustnessMonitor(data.validation, {"B": augment.Brightness(0.1)})
    settings = {"epochs": 2, "learning_rate": 0.2, "ema": 0.8, "verbose": 0}
    trainer.fit(model, data, callbacks=[record, monitor], **settings)
    average = [w.astype("float64") for w in (start if KERAS_2 else seen[0])]
    for number, weights in enumerate(seen):
        if number or KERAS_2:
            average = [0.8 * a + 0.2 * w for a, w in zip(average, weights)]
    assert len(seen) == 8
    for now, expected, last in zip(model.net.get_weights(), average, seen[-1]):
        np.testing.assert_allclose(now, expected, atol=1e-5)
        assert np.abs(now - last).max() > 1e-5
    images, labels = (np.concatenate(part) for part in zip(*data.validation.as_numpy_iterator()))
    right = np.mean(np.argmax(model.net(images), axis=1) == labels)
    clean = [row.value for row in monitor.rows if row.corruption == "clean"]
    assert clean[-1] == pytest.approx(right)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"epochs": 1, "ema": 1.0}, "ema must be a number between 0 and 1"),
        ({"epochs": 0}, "epochs must be a whole number from 1"),
        ({"epochs": 1, "learning_rate": 0}, "learning_rate must be a number between 0 and 100"),
        ({"epochs": 1, "learning_rate": float("nan")}, "received nan"),
    ],
)
def test_wrong_numbers(make_net, data, settings, said):
    with pytest.raises(ValueError, match=said):
        trainer.fit(methods.Baseline(make_net()), data, **settings)


class Rows(keras.callbacks.Callback):
    """Has rows, as a monitor has."""

    rows = (rows.Row("a", "toy", "clean", None, "accuracy", 0.5, n=2, seed=0),)


def test_trained_once_and_saved(make_net, data, tmp_path):
    file, history = tmp_path / "mine.keras", tmp_path / "history.jsonl"

    def train(net):
        return trainer.train_to(
            file, net, methods.Baseline, data, epochs=1, callbacks=[Rows()], history=history
        )

    model = train(make_net)
    assert {path.name for path in tmp_path.iterdir()} == {"mine.keras", "history.jsonl"}
    assert rows.read(history) == [*Rows.rows]
    left = tmp_path / "mine_checkpoints" / "epoch_000001.npz"  # by a kill after the model's file
    left.parent.mkdir()
    left.touch()
    again = train(lambda: pytest.fail("it is trained already"))
    assert not left.parent.exists()
    for one in (again, saving.load_model(file)):
        for loaded, trained in zip(one.net.get_weights(), model.net.get_weights()):
            np.testing.assert_array_equal(loaded, trained)


def test_policy_of_the_training_alone(make_net, data, tmp_path):
    model = trainer.train_to(
        tmp_path / "half.keras",
        make_net,
        methods.Baseline,
        data,
        epochs=1,
        precision="mixed_bfloat16",
    )
    assert model.net.layers[-1].compute_dtype == "bfloat16"
    assert keras.mixed_precision.global_policy().name == "float32"


# Batch norm -----------------------------------------------------------------------------------


def alternating(net):
    layers = [augment.Brightness(0.2), augment.Brightness(-0.2)]
    return methods.StabilityTraining(net, augment=augment.Alternating(layers))


def normalised_net():
    keras.utils.set_random_seed(0)
    layers = keras.layers
    return keras.Sequential(
        [keras.Input([16, 16, 3]), layers.BatchNormalization(), layers.Flatten(), layers.Dense(4)]
    )


def statistics(model):
    return [w.numpy() for w in model.net.layers[0].weights[2:]]


def seen_in_training(images):
    """Of both alternatives and clean, in equal parts of each batch of two."""
    parts = [images[::2], np.clip(images[::2] + 0.2, 0, 1), np.clip(images[1::2] - 0.2, 0, 1)]
    values = np.concatenate(parts).astype("float64").reshape(-1, 3)
    return [values.mean(axis=0), values.var(axis=0)]


def is_estimated(model, images):
    found = zip(statistics(model), seen_in_training(images))
    return all(np.allclose(a, b, rtol=1e-4) for a, b in found)


@pytest.mark.parametrize(
    ("method", "when", "estimated"),
    [
        (alternating, "alternation", True),
        (alternating, "never", False),
        (methods.Baseline, "alternation", False),
        (methods.Baseline, "always", True),
    ],
)
def test_batch_norm_is_estimated_after_an_alternation(
    data, method, when, estimated, monkeypatch, capsys
):
    done = []
    monkeypatch.setattr(
        EstimateBatchNorm, "estimate", lambda callback, model: done.append(callback) or True
    )
    trainer.fit(method(normalised_net()), data, epochs=1, estimate_batch_norm=when, verbose=0)
    assert len(done) == estimated and not capsys.readouterr().out
    with pytest.raises(ValueError, match="estimate_batch_norm must be one of alternation, always"):
        trainer.fit(method(normalised_net()), data, epochs=1, estimate_batch_norm=True)


def test_estimate_is_judged_by_the_monitor(data, images, monkeypatch, capsys):
    """It is kept if it is not worse, and what was measured is told."""
    for scores, kept in (([0.25, 0.5], True), ([0.5, 0.25], False)):
        given = iter(scores)
        monkeypatch.setattr(RobustnessMonitor, "robust_accuracy", lambda *_, g=given: next(g))
        model = alternating(normalised_net())
        monitor = RobustnessMonitor(data.validation, {"B": augment.Brightness(0.1)})
        trainer.fit(model, data, epochs=1, callbacks=[monitor], verbose=2)
        assert is_estimated(model, images) == kept
        assert ("not kept" in capsys.readouterr().out) == (not kept)


def test_monitor_tells_robust_accuracy_without_a_row(data):
    model = methods.Baseline(normalised_net())
    conditions = {"B": augment.Brightness(0.3), "N": augment.GaussianNoise(0.1)}
    monitor = RobustnessMonitor(data.validation, conditions)
    model.compile("sgd", metrics=["accuracy"])
    history = model.fit(data.train, epochs=1, callbacks=[monitor], verbose=0).history
    count = len(monitor.rows)
    assert monitor.robust_accuracy(model) == pytest.approx(history["val_robust_accuracy"][-1])
    assert len(monitor.rows) == count


@pytest.fixture
def kept(monkeypatch):
    """Every estimate is as good as what it replaces."""
    monkeypatch.setattr(estimate_batch_norm, "_accuracy", lambda model, data: 0.5)


@pytest.mark.slow
def test_batch_norm_of_a_training_killed_while_it_is_estimated(kept, data, tmp_path, monkeypatch):
    """The training is over then and is not repeated; the result is the same."""

    def train(name):
        shuffled = epochs.shuffled(data.train.unbatch(), 8, seed=1).batch(2)
        shuffled = shuffled.apply(tf.data.experimental.assert_cardinality(4))
        shuffled = dataclasses.replace(data, train=shuffled)
        file = tmp_path / f"{name}.keras"
        return trainer.train_to(file, normalised_net, alternating, shuffled, epochs=2)

    def interrupted(callback, model):
        estimate(callback, model)
        raise KeyboardInterrupt

    keras.utils.set_random_seed(0)
    whole = train("whole")
    estimate = EstimateBatchNorm.estimate
    with monkeypatch.context() as patch:
        patch.setattr(EstimateBatchNorm, "estimate", interrupted)
        keras.utils.set_random_seed(0)
        with pytest.raises(KeyboardInterrupt):
            train("killed")
    keras.utils.set_random_seed(0)
    again = train("killed")
    for a, b in zip(again.net.get_weights(), whole.net.get_weights()):
        np.testing.assert_array_equal(a, b)


@pytest.mark.slow
def test_batch_norm_after_several_devices(kept, data, images, tmp_path):
    """On the copy that is saved."""
    strategy = tf.distribute.MirroredStrategy(
        ["/cpu:0", "/cpu:1"], tf.distribute.ReductionToOneDevice()
    )
    file = tmp_path / "two.keras"
    model = trainer.train_to(file, normalised_net, alternating, data, epochs=1, strategy=strategy)
    assert is_estimated(model, images) and is_estimated(saving.load_model(file), images)


def test_a_long_epoch_tells_how_far_it_is(make_net, images, labels, monkeypatch, capsys):
    """Without a progress bar; after the last step there is nothing to tell."""
    monkeypatch.setattr(trainer, "_SILENCE", -1.0)
    batches = tf.data.Dataset.from_tensor_slices((images, labels)).batch(2)
    data = datasets.Data("own", batches, batches, batches, ("a", "b", "c", "d"), (16, 16, 3), {})
    trainer.fit(methods.Baseline(make_net()), data, epochs=1, verbose=2)
    told = [line for line in capsys.readouterr().out.splitlines() if line.startswith("step ")]
    assert [line.partition(",")[0] for line in told] == [f"step {i} of 4" for i in (1, 2, 3)]
    trainer.fit(methods.Baseline(make_net()), data, epochs=1, verbose=0)
    assert "step " not in capsys.readouterr().out
