"""A training ends when its time is up."""

import time

import keras
import numpy as np
import pytest

from tfrobust.callbacks import Deadline


def test_it_ends_at_the_end_of_a_step(make_net, images, labels):
    model, done = make_net(), []
    model.compile("sgd", "mse")

    class Slow(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            done.append(batch)
            time.sleep(0.3)

    fit = {"batch_size": 1, "epochs": 3, "verbose": 0}
    one_hot = np.eye(4, dtype="float32")[labels]
    model.fit(images, one_hot, callbacks=[Slow(), Deadline(0.5)], **fit)
    assert 1 <= len(done) <= 3  # two steps take 0.6 s at least
    done.clear()
    model.fit(images[:2], one_hot[:2], callbacks=[Slow(), Deadline(float("inf"))], **fit)
    assert len(done) == 6


def test_the_first_step_is_timed_apart(make_net, images, labels):
    """Here it waits; the mean of the others is without that, and with what is between them."""
    model, deadline = make_net(), Deadline(float("inf"))
    model.compile("sgd", "mse")

    class Traced(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            time.sleep(2.0 if batch == 0 else 0.2)

    one_hot = np.eye(4, dtype="float32")[labels]
    model.fit(images, one_hot, batch_size=2, verbose=0, callbacks=[Traced(), deadline])
    assert deadline.first >= 2.0 and 0.2 <= deadline.step < 2.0
    model.fit(images[:2], one_hot[:2], verbose=0, callbacks=[deadline])
    assert deadline.first < 2.0


@pytest.mark.parametrize("seconds", [0, -1, float("nan")])
def test_a_time_is_above_0(seconds):
    with pytest.raises(ValueError, match="seconds must be above 0"):
        Deadline(seconds)
