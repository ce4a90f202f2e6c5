"""The weights of the best epoch come back."""

import copy

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfrobust import augment, methods
from tfrobust.callbacks import AlternateAugmentations, RestoreBest
from tfrobust.evaluation import RobustnessMonitor


class Tell(keras.callbacks.Callback):
    """Adds given values to the logs, one per epoch, and keeps the weights of each epoch."""

    def __init__(self, values, name="val_robust_accuracy"):
        super().__init__()
        self.values, self.name, self.weights = values, name, []

    def on_epoch_end(self, epoch, logs=None):
        logs[self.name] = self.values[epoch]
        self.weights.append(getattr(self.model, "net", self.model).get_weights())


def train(model, images, labels, callbacks, epochs):
    model.fit(images, labels, batch_size=4, epochs=epochs, callbacks=callbacks, verbose=0)


def compiled(model):
    model.compile(
        keras.optimizers.SGD(0.5, momentum=0.9),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        run_eagerly=True,
    )
    return model


def equal(first, second):
    return all(np.array_equal(a, b) for a, b in zip(first, second))


@pytest.mark.parametrize(
    "values, mode, best",
    [
        ([0.1, 0.3, 0.2], "auto", 2),
        ([0.1, 0.3, 0.2], "min", 1),
        ([0.1, 0.3, 0.3], "max", 2),  # of equal ones the first
        ([np.nan, 0.1, np.nan], "max", 2),
        ([0.1, np.nan, 0.2], "max", 3),
        ([0.0], "max", 1),
        ([np.inf, -np.inf, np.nan], "min", 2),
    ],
)
@pytest.mark.parametrize(
    "method", [methods.Baseline, pytest.param(lambda net: net, marks=pytest.mark.slow)]
)
def test_best_epoch(make_net, images, labels, values, mode, best, method):
    model, spy = compiled(method(make_net())), Tell(values)
    callback = RestoreBest(mode=mode)
    train(model, images, labels, [spy, callback], len(values))
    assert (callback.best_epoch, callback.best_value) == (best, values[best - 1])
    now = getattr(model, "net", model).get_weights()
    assert [equal(now, weights) for weights in spy.weights].index(True) == best - 1
    assert len(spy.weights) == 1 or not equal(spy.weights[0], spy.weights[1])


@pytest.mark.parametrize("start, best", [(0.5, 0), (0.2, 2), (float("nan"), 2)])
def test_the_model_before_the_first_epoch_may_be_the_best(make_net, images, labels, start, best):
    model, spy = compiled(make_net()), Tell([0.1, 0.4, 0.3])
    before = model.get_weights()
    callback = RestoreBest(start=lambda: start)
    train(model, images, labels, [spy, callback], 3)
    assert callback.best_epoch == best
    assert equal(model.get_weights(), spy.weights[best - 1] if best else before)


def test_with_the_monitor_and_alternation(make_net, images, labels):
    data = tf.data.Dataset.from_tensor_slices((images, labels)).batch(4)
    layer = augment.Alternating([augment.Brightness(0.2), augment.Brightness(-0.2)])
    model = compiled(methods.AugmentationTraining(make_net(), augment=layer))
    monitor = RobustnessMonitor(data, {"GN": augment.GaussianNoise(0.1)}, before_training=False)
    best = RestoreBest()
    callbacks = [AlternateAugmentations(), monitor, best]
    model.fit(data, epochs=4, callbacks=callbacks, verbose=0)
    values = [row.value for row in monitor.rows if row.corruption == "GN"]
    assert best.best_value == max(values) and best.best_epoch == 1 + int(np.argmax(values))
    # What is measured now is what was measured then; counters and the optimizer stay.
    now = {row.corruption: row.value for row in monitor._evaluator.rows(
        model, data, model_name="m", dataset="d")}  # fmt: skip
    assert now["GN"] == best.best_value
    assert int(tf.convert_to_tensor(layer._phase)) == 1
    assert int(tf.convert_to_tensor(model.optimizer.iterations)) == 8
    # The next training begins anew.
    model.fit(data, epochs=5, initial_epoch=4, callbacks=callbacks, verbose=0)
    assert best.best_epoch == 5


def test_after_an_exception(make_net, images, labels):
    class Interrupt(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 2:
                raise KeyboardInterrupt

    model, spy, best = compiled(make_net()), Tell([0.2, 0.1, 0.0]), RestoreBest()
    with pytest.raises(KeyboardInterrupt):
        train(model, images, labels, [spy, best, Interrupt()], 3)
    assert equal(model.get_weights(), spy.weights[2])
    best.restore()
    assert best.best_epoch == 1 and equal(model.get_weights(), spy.weights[0])


def test_refuses(make_net, images, labels):
    with pytest.raises(ValueError, match="mode must be one of auto, max, min; received 'most'"):
        RestoreBest(mode="most")
    with pytest.raises(ValueError, match="max or min for 'val_flips'"):
        RestoreBest("val_flips")
    assert RestoreBest("val_flips", "min").mode == "min"
    model = compiled(make_net())
    said = r"'val_robust_accuracy' .* they have: loss \(put RobustnessMonitor before it\)$"
    with pytest.raises(ValueError, match=said):
        train(model, images, labels, [RestoreBest()], 1)
    with pytest.raises(ValueError, match="come after the callback that adds 'val_robust_accuracy'"):
        train(model, images, labels, [RestoreBest(), Tell([0.1, 0.2])], 2)
    with pytest.raises(ValueError, match=r"'val_loss' in the logs of an epoch; they have: loss$"):
        train(model, images, labels, [RestoreBest("val_loss")], 1)
    with pytest.raises(ValueError, match="no best epoch to"):
        RestoreBest().restore()
    best, spy = RestoreBest("none_of_it", "min"), Tell([np.nan, np.nan], "none_of_it")
    with pytest.warns(RuntimeWarning, match="none_of_it was NaN in each epoch"):
        train(model, images, labels, [spy, best], 2)
    assert best.best_value is None and equal(model.get_weights(), spy.weights[1])


def test_copies_are_fresh(make_net, images, labels):
    best = RestoreBest("loss")
    train(compiled(make_net()), images, labels, [best], 1)
    twin = copy.deepcopy(best)
    assert (twin.monitor, twin.mode, twin.best_epoch) == ("loss", "min", None)
    assert best.best_epoch == 1
