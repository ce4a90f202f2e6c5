"""What callbacks measure beside `SwapEMAWeights`."""

import keras
import numpy as np
import pytest

from tfrobust import augment
from tfrobust.callbacks import RestoreBest
from tfrobust.compat.averaged_weights import SwapAverages, weights_of_evaluation
from tfrobust.compat.stack import KERAS_2
from tfrobust.evaluation import RobustnessMonitor

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.random([200, 2, 2, 1], "float32")
LABELS = RANDOM.integers(0, 3, 200)
NOTHING = {"B": augment.Brightness(0.0)}


def compiled():
    keras.utils.set_random_seed(0)
    net = keras.Sequential([keras.Input([2, 2, 1]), keras.layers.Flatten(), keras.layers.Dense(3)])
    net.compile(
        keras.optimizers.SGD(2.0, use_ema=True, ema_momentum=0.9),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return net


def trained(*callbacks, **options):
    net = compiled()
    arguments = {"epochs": 4, "verbose": 0, "callbacks": list(callbacks), **options}
    return net, net.fit(IMAGES, LABELS, validation_data=(IMAGES, LABELS), **arguments).history


@pytest.mark.parametrize("on_epoch", [False] if KERAS_2 else [False, True])
@pytest.mark.parametrize("first", [False, True])
def test_robust_accuracy_is_of_the_weights_of_the_validation(on_epoch, first):
    swap = SwapAverages(swap_on_epoch=on_epoch) if on_epoch else SwapAverages()
    callbacks = [RobustnessMonitor((IMAGES, LABELS), NOTHING), RestoreBest("val_accuracy")]
    net, found = trained(*([swap, *callbacks] if first else [*callbacks, swap]))
    assert found["val_robust_accuracy"] == pytest.approx(found["val_accuracy"])
    raw = trained(RobustnessMonitor((IMAGES, LABELS), NOTHING))[1]
    assert raw["val_robust_accuracy"] == pytest.approx(raw["val_accuracy"])
    assert raw["val_accuracy"] != pytest.approx(found["val_accuracy"])
    # The training goes on with its own weights, and the best weights are those that were measured.
    assert found["loss"] == pytest.approx(raw["loss"], rel=1e-4)
    assert net.evaluate(IMAGES, LABELS, verbose=0)[1] == pytest.approx(max(found["val_accuracy"]))


def test_nothing_changes_without_it():
    net = compiled()
    before = net.get_weights()
    with weights_of_evaluation(RestoreBest()):
        assert all(map(np.array_equal, before, net.get_weights()))
