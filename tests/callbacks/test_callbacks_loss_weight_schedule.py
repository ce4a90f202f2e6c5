"""The weight of a term over a training: its line, continued runs, and what is refused."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfrobust import augment, methods, saving
from tfrobust.callbacks import LossWeightSchedule


def make_model(make_net, eager=True):
    model = methods.StabilityTraining(make_net(), augment=augment.Brightness(0.2), alpha=4.0)
    model.compile(keras.optimizers.SGD(0.01), run_eagerly=eager)
    return model


def weight_of(model):
    return float(tf.convert_to_tensor(model.term_weights["stability"]))


class Spy(keras.callbacks.Callback):
    """The weight in each step and in each epoch."""

    def __init__(self):
        super().__init__()
        self.steps, self.epochs = [], []

    def on_train_batch_end(self, batch, logs=None):
        self.steps.append(weight_of(self.model))

    def on_epoch_end(self, epoch, logs=None):
        self.epochs.append(weight_of(self.model))


def run(model, images, labels, schedule, **arguments):
    spy = Spy()
    fit = {"batch_size": 4, "shuffle": False, "verbose": 0, **arguments}
    model.fit(images, labels, callbacks=[schedule, spy], **fit)
    return spy


@pytest.mark.parametrize(
    "arguments, expected",
    [
        ({"start": 2, "ramp": 2}, [0, 0, 0.25, 0.75, 1, 1]),
        ({"start": 2, "ramp": 0}, [0, 0, 1, 1, 1, 1]),
        ({"start": 0, "ramp": 4}, [0.125, 0.375, 0.625, 0.875, 1, 1]),
        ({"start": 1, "ramp": 1}, [0, 0.5, 1, 1, 1, 1]),
        ({"start": 9}, [0, 0, 0, 0, 0, 0]),
        ({}, [1, 1, 1, 1, 1, 1]),
    ],
)
def test_line(arguments, expected):
    schedule = LossWeightSchedule("stability", **arguments)
    assert [schedule.weight_at(n, 1.0) for n in range(6)] == expected
    assert [schedule.weight_at(n, 3.0) for n in range(6)] == [3 * e for e in expected]


def test_epochs(make_net, images, labels):
    model = make_model(make_net)
    spy = run(
        model, images, labels, LossWeightSchedule("stability", 2.0, start=1, ramp=2), epochs=4
    )
    assert spy.epochs == [0, 0.5, 1.5, 2]
    assert spy.steps == [0, 0, 0.5, 0.5, 1.5, 1.5, 2, 2]
    assert weight_of(model) == 2  # it stays


def test_steps(make_net, images, labels):
    schedule = LossWeightSchedule("stability", 2.0, start=1, ramp=4, unit="step")
    spy = run(make_model(make_net), images, labels, schedule, epochs=3)
    assert spy.steps == [0, 0.25, 0.75, 1.25, 1.75, 2]


def test_none_is_the_weight_of_the_method(make_net, images, labels):
    model = make_model(make_net)
    model.term_weights["stability"].assign(0.0)  # as an interrupted warm-up left it
    spy = run(model, images, labels, LossWeightSchedule("stability", start=1), epochs=2)
    assert spy.epochs == [0, 4]


def test_value_of_another_callback_is_left_alone_between_changes(make_net, images, labels):
    model = make_model(make_net)
    other = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: model.term_weights["stability"].assign(9.0)
    )
    spy = Spy()
    model.fit(
        images, labels, callbacks=[LossWeightSchedule("stability", 2.0), other, spy], verbose=0
    )
    assert spy.epochs == [9]


@pytest.mark.parametrize("unit, scale", [("epoch", 1), ("step", 2)])
def test_continued_run_goes_on_where_it_was(make_net, images, labels, tmp_path, unit, scale):
    """Saved after two epochs, loaded, and trained on: the weights of six steps in one run."""
    schedule = {"start": 1 * scale, "ramp": 2 * scale, "unit": unit}
    straight, half = make_model(make_net), make_model(make_net)
    all_steps = run(
        straight, images, labels, LossWeightSchedule("stability", **schedule), epochs=4
    ).steps
    first = run(half, images, labels, LossWeightSchedule("stability", **schedule), epochs=2).steps
    saving.save_model(half, tmp_path / "model.keras")
    loaded = saving.load_model(tmp_path / "model.keras")
    loaded.run_eagerly = True
    second = run(
        loaded,
        images,
        labels,
        LossWeightSchedule("stability", **schedule),
        epochs=4,
        initial_epoch=2 if unit == "epoch" else 0,
    ).steps[:4]
    assert first + second == all_steps
    assert len(set(all_steps)) > 3


def test_nothing_is_traced_twice(make_net, images, labels):
    model = make_model(make_net, eager=False)
    traces, terms = [], model.terms
    model.terms = lambda views, labels: traces.append(1) or terms(views, labels)
    schedule = LossWeightSchedule("stability", start=1, ramp=3, unit="step")
    spy = run(model, images, labels, schedule, epochs=3)
    assert len(set(spy.steps)) == 5 and len(traces) <= 2


@pytest.mark.slow
def test_two_replicas(make_net, images, labels):
    # Not collectives: they mix up two nets of one process that have different sizes.
    ops = tf.distribute.ReductionToOneDevice()
    strategy = tf.distribute.MirroredStrategy(["/cpu:0", "/cpu:1"], ops)
    with strategy.scope():
        model = make_model(make_net, eager=False)
    data = tf.data.Dataset.from_tensor_slices((images, labels)).batch(8)
    schedule = LossWeightSchedule("stability", 2.0, start=1, ramp=2)
    model.fit(data, epochs=3, callbacks=[schedule], verbose=0)
    variable = model.term_weights["stability"]
    if keras.__version__.startswith("3."):
        variable = variable.value
    copies = strategy.experimental_local_results(variable)
    assert [float(tf.convert_to_tensor(copy)) for copy in copies] == [1.5, 1.5]


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"value": -1}, "value must be a number"),
        ({"start": -1}, "start must be a whole number"),
        ({"ramp": 0.5}, "ramp must be a whole number"),
        ({"unit": "batch"}, "unit must be one of epoch, step; received 'batch'"),
    ],
)
def test_bad_arguments(arguments, words):
    with pytest.raises(ValueError, match=words):
        LossWeightSchedule("stability", **arguments)


def test_unknown_term_is_refused_before_training(make_net, images, labels):
    model = make_model(make_net)
    before = model.net.get_weights()
    with pytest.raises(ValueError, match=r"'fcl', and StabilityTraining has: cross_entropy, stab"):
        model.fit(images, labels, callbacks=[LossWeightSchedule("fcl")], verbose=0)
    plain = make_net()
    plain.compile("sgd", "mse")
    with pytest.raises(ValueError, match="has: none"):
        plain.fit(images, np.eye(4)[labels], callbacks=[LossWeightSchedule("fcl")], verbose=0)
    for old, new in zip(before, model.net.get_weights()):
        np.testing.assert_array_equal(old, new)
