"""The callbacks, in a real fit."""

import copy

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfrobust import augment, corruptions, methods, nets
from tfrobust.callbacks import AlternateAugmentations
from tfrobust.evaluation import Evaluator, RobustnessMonitor


@pytest.fixture
def data(images, labels):
    return tf.data.Dataset.from_tensor_slices((images, labels)).batch(4)


@pytest.fixture
def model(make_net):
    net = methods.Baseline(make_net())
    net.compile(keras.optimizers.SGD(0.05), metrics=["accuracy"], run_eagerly=True)
    return net


NOISE = {"GN": augment.GaussianNoise(0.1), "B+": augment.Brightness(0.2)}


def test_monitor_measures_before_and_after_each_epoch(model, data):
    monitor = RobustnessMonitor(data, NOISE, model_name="m", dataset="d/validation", seed=3)
    history = model.fit(data, epochs=2, callbacks=[monitor], verbose=0).history
    assert [row.epoch for row in monitor.rows] == 3 * [0] + 3 * [1] + 3 * [2]
    assert [row.corruption for row in monitor.rows[:3]] == ["clean", "GN", "B+"]
    expected = [np.mean([r.value for r in monitor.rows[i : i + 2]]) for i in (4, 7)]
    assert history["val_robust_accuracy"] == pytest.approx(expected)
    # What it measured last is what a benchmark of the trained model says.
    rows = Evaluator(NOISE).rows(model, data, seed=3)
    assert [row.value for row in rows] == [row.value for row in monitor.rows[6:]]


def test_monitor_before_early_stopping(model, data):
    """EarlyStopping sees what the monitor adds, if the monitor stands before it."""
    stopping = keras.callbacks.EarlyStopping("val_robust_accuracy", mode="max", patience=0)
    model.optimizer.learning_rate.assign(0.0)  # nothing improves
    monitor = RobustnessMonitor(data, NOISE)
    history = model.fit(data, epochs=5, callbacks=[monitor, stopping], verbose=0).history
    assert len(history["loss"]) == 2


def test_monitor_can_be_copied_as_tuners_do(data):
    monitor = RobustnessMonitor(data, NOISE, model_name="m", before_training=False)
    twin = copy.deepcopy(monitor)
    assert twin is not monitor and twin.rows == [] and twin.rows is not monitor.rows
    model = methods.Baseline(
        keras.Sequential([keras.Input([16, 16, 3]), keras.layers.Flatten(), keras.layers.Dense(4)])
    )
    model.compile("sgd", run_eagerly=True)
    model.fit(data, epochs=1, callbacks=[twin], verbose=0)
    assert [row.epoch for row in twin.rows] == [1, 1, 1] and twin.rows[0].model == "m"


def test_monitor_leaves_the_model_as_it_was(model, data):
    before = [np.array(w) for w in model.get_weights()]
    monitor = RobustnessMonitor(data, NOISE)
    monitor.set_model(model)
    monitor.on_train_begin()
    for a, b in zip(before, model.get_weights()):
        np.testing.assert_array_equal(a, b)


def test_alternation_follows_the_number_of_the_epoch(make_net, data):
    def train(whole=lambda layer: layer, **arguments):
        layer = augment.Alternating([augment.Brightness(0.1), augment.Brightness(-0.1)])
        model = methods.StabilityTraining(make_net(), augment=whole(layer))
        model.compile("sgd", run_eagerly=True)
        seen = []
        spy = keras.callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, logs: seen.append(int(tf.convert_to_tensor(layer._phase)))
        )
        model.fit(data, callbacks=[AlternateAugmentations(), spy], verbose=0, **arguments)
        return seen

    assert train(epochs=3) == [0, 1, 0]
    assert train(epochs=4, initial_epoch=1) == [1, 0, 1]  # a continued run
    within = train(lambda layer: augment.Sequence([augment.Flip(), layer]), epochs=2)
    assert within == [0, 1]


def test_alternation_of_nothing_is_refused(model, data):
    with pytest.raises(ValueError, match="Alternating; received NoneType"):
        model.fit(data, callbacks=[AlternateAugmentations()], verbose=0)


@pytest.mark.slow
def test_monitor_by_default_looks_at_the_held_out_corruptions():
    keras.utils.set_random_seed(0)
    images = np.random.default_rng(0).random([6, 32, 32, 3], "float32")
    model = methods.Baseline(nets.small_cnn([32, 32, 3], 3))
    model.compile("sgd")
    monitor = RobustnessMonitor((images, np.arange(6) % 3))
    history = model.fit(images, np.arange(6) % 3, callbacks=[monitor], verbose=0).history
    assert [row.corruption for row in monitor.rows[5:]] == [
        "clean",
        *corruptions.HELD_OUT_CORRUPTIONS,
    ]
    assert {row.severity for row in monitor.rows} == {0.0, 3}
    expected = np.mean([row.value for row in monitor.rows[6:]])
    assert history["val_robust_accuracy"] == [pytest.approx(expected)]


@pytest.mark.parametrize("form", ["arrays", "batches", "unknown"])
def test_monitor_on_some_of_the_images(form):
    """Of sorted images it takes some of all over, and the same each time."""
    labels = np.repeat(np.arange(3), 8)
    images = np.zeros([24, 8, 8, 3], "float32")
    data = (images, labels)
    if form != "arrays":
        data = tf.data.Dataset.from_tensor_slices(data).batch(2)
    if form == "unknown":
        data = data.filter(lambda images, labels: True)
    layer = {"B": augment.Brightness(0.1)}
    monitor = RobustnessMonitor(data, layer, images=6)
    net = keras.Sequential([keras.Input([8, 8, 3]), keras.layers.Flatten(), keras.layers.Dense(3)])
    net.layers[-1].set_weights([np.zeros([192, 3]), np.array([1.0, 0.0, 0.0])])
    monitor.set_model(net)
    monitor.on_train_begin()
    monitor.on_train_begin()
    assert [row.n for row in monitor.rows] == [6, 6]
    # The net always says class 0: a third of the images, unless they are the first ones.
    expected = 1.0 if form == "unknown" else 1 / 3
    assert [row.value for row in monitor.rows] == pytest.approx([expected, expected])


@pytest.mark.parametrize(
    "options, said",
    [
        ({"conditions": []}, "one condition or more, whose mean it reports; received none"),
        ({"images": 0}, "images must be a whole number from 1"),
    ],
)
def test_monitor_refuses(options, said):
    with pytest.raises(ValueError, match=said):
        RobustnessMonitor((np.zeros([2, 8, 8, 3], "float32"), [0, 1]), **options)
