"""The order of an epoch follows from its number, however often iterators are made."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfrobust import epochs
from tfrobust.datasets import pipeline
from tfrobust.epochs import by_epoch, start_epoch

COUNT = 30


def made(seed=1):
    images = np.zeros([COUNT, 1, 1, 1], "float32") + np.arange(COUNT)[:, None, None, None] / COUNT
    settings = pipeline.PipelineOptions(8, shuffle_seed=seed)
    return pipeline.from_arrays(images, np.arange(COUNT), classes=COUNT, settings=settings)


def order(data):
    return np.concatenate([labels for _, labels in data.as_numpy_iterator()]).tolist()


def test_any_seed():
    assert len({tuple(order(made(seed))) for seed in (0, 3, 2**31 - 3, 2**31 - 1)}) == 4


@pytest.fixture(scope="module")
def orders():
    """Those of five epochs."""
    data = made()
    return [order(data) for _ in range(5)]


def test_each_epoch_has_its_order(orders):
    assert len({tuple(numbers) for numbers in orders}) == 5
    assert all(sorted(numbers) == list(range(COUNT)) for numbers in orders)
    assert order(made(seed=2)) != orders[0]
    tf.random.set_seed(1234)
    assert order(made()) == orders[0]


def test_iterators_that_nobody_reads_do_not_count(orders):
    data = made()
    for expected in orders[:2]:
        for _ in range(3):
            iter(data)
        assert order(data) == expected


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data,
        lambda data: data.unbatch().map(lambda x, y: (x, y)).batch(4).prefetch(2),
        lambda data: tf.data.Dataset.zip((data, tf.data.Dataset.range(9))).map(lambda d, i: d),
    ],
)
def test_an_epoch_is_set_from_outside(orders, change):
    data = change(made())
    for number in (3, 0, 4, 4):
        start_epoch(data, number)
        assert order(data) == orders[number]
    start_epoch(tf.data.Dataset.range(3), 1)  # has no order to set


class Sees(keras.Model):
    """Keeps the labels that it is given."""

    def train_step(self, data):
        add = tf.numpy_function(lambda labels: self.seen.extend(labels) or 0, [data[1]], tf.int64)
        return {"seen": tf.cast(tf.ensure_shape(add, []), tf.float32)}


@pytest.mark.parametrize("devices", [1, 2])
def test_fit_sees_the_order_of_its_epochs(orders, devices):
    """With what Keras reads before the first epoch, and with batches fetched ahead."""
    names = ["CPU:0", "CPU:1"][:devices]
    with tf.distribute.MirroredStrategy(names).scope():
        data = made()
        model = Sees()
        model.built, seen = True, []
        object.__setattr__(model, "seen", seen)
        model.compile()
    begin = keras.callbacks.LambdaCallback(lambda epoch, logs: start_epoch(data, epoch))
    next(iter(data))
    for part in ({"epochs": 2}, {"epochs": 5, "initial_epoch": 3}):
        model.fit(data, **part, callbacks=[begin], verbose=0, shuffle=False)
    for number, epoch in enumerate((0, 1, 3, 4)):
        first = seen[COUNT * number :][:8]  # in any order, if there are two devices
        assert sorted(first) == sorted(orders[epoch][:8])


def test_draws_by_epoch_go_along(orders):
    numbers = by_epoch(lambda epoch: tf.data.Dataset.range(10 * epoch, 10 * epoch + 100))
    both = tf.data.Dataset.zip((made(), numbers))
    for epoch in (2, 4):
        start_epoch(both, epoch)
        labels, along = zip(*[(y, i) for (_, y), i in both.as_numpy_iterator()])
        assert np.concatenate(labels).tolist() == orders[epoch]
        assert along == tuple(range(10 * epoch, 10 * epoch + 4))


def test_epochs_can_be_numbered_anew():
    data = epochs.by_epoch(lambda epoch: tf.data.Dataset.from_tensors(epoch)).map(lambda e: e)
    epochs.number_epochs_from(data, 100)
    assert [int(next(iter(data))) for _ in range(2)] == [100, 101]
    epochs.start_epoch(data, 3)
    assert int(next(iter(data))) == 103
