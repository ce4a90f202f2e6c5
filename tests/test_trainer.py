"""The one way to train."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfrobust import augment, datasets, methods, rows, saving, trainer


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
    assert [type(one).__name__ for one in given["callbacks"]] == ["AlternateAugmentations"]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
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
