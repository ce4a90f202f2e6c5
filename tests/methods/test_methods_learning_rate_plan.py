"""The papers' learning rates at every boundary, and in a compiled model that is saved."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfrobust import methods, saving
from tfrobust.methods import PLANS, learning_rate_plan, plan_optimizer
from tfrobust.methods.learning_rate_plan import LinearWarmUp, PerEpoch

#: With 10 steps per epoch: step to learning rate, worked by hand.
VALUES = {
    "fma_baseline": {0: 1e-2, 199: 1e-2, 200: 1e-4, 299: 1e-4, 300: 1e-6, 399: 1e-6},
    "augmix_cifar": {
        0: 0.1,
        250: 1e-6 + (0.1 - 1e-6) * (1 + math.sqrt(0.5)) / 2,
        500: (0.1 + 1e-6) / 2,
        750: 1e-6 + (0.1 - 1e-6) * (1 - math.sqrt(0.5)) / 2,
        1000: 1e-6,
        1001: 1e-6,
    },
    "augmix_imagenet": {0: 0.1, 299: 0.1, 300: 0.01, 599: 0.01, 600: 0.001, 899: 0.001},
    "noisymix_cifar": {0: 0.1, 1000: (0.1 + 1e-6) / 2, 2000: 1e-6},
    "noisymix_imagenet": {0: 0.1, 1000: (0.1 + 1e-6) / 2, 2000: 1e-6},
    "noisymix_transfer": {0: 1e-3, 499: 1e-3, 500: 1e-4, 999: 1e-4, 1000: 1e-5, 1499: 1e-5},
    "augmax_cifar": {
        0: 0.1,
        9: 0.1,
        10: 0.05 * (1 + math.cos(math.pi / 200)),
        19: 0.05 * (1 + math.cos(math.pi / 200)),
        999: 0.05 * (1 + math.cos(99 * math.pi / 200)),
        1000: 0.05,
        1009: 0.05,
        1999: 0.05 * (1 + math.cos(199 * math.pi / 200)),
        2000: 0,
    },
    "augmax_tiny_imagenet": {0: 0.1, 999: 0.1, 1000: 0.01, 1499: 0.01, 1500: 0.001, 1999: 0.001},
    "augmax_imagenet": {0: 0.1, 299: 0.1, 300: 0.01, 599: 0.01, 600: 0.001, 899: 0.001},
    "fcl_mnist": {
        0: 0.01,
        9: 0.01,
        10: 0.0089,
        19: 0.0089,
        20: 0.01 * 0.7921,
        199: 0.01 * 0.89**19,
    },
    "fcl_cifar": {
        0: 0,
        75: 0.5,
        149: 149 / 150,
        150: 1,
        1999: 1,
        2000: 0.1,
        2999: 0.1,
        3000: 0.01,
        3999: 0.01,
        4000: 0.001,
        4499: 0.001,
    },
    "fcl_imagenet": {
        0: 0,
        25: 0.4,
        50: 0.8,
        299: 0.8,
        300: 0.08,
        599: 0.08,
        600: 0.008,
        799: 0.008,
        800: 0.0008,
        899: 0.0008,
    },
}


def test_every_plan_is_tested():
    assert {*VALUES, "stability_training", "noisymix_toy"} == set(PLANS)
    for constant in ("stability_training", "noisymix_toy"):
        assert learning_rate_plan(constant, steps_per_epoch=10) == 0.01


@pytest.mark.parametrize("name", list(VALUES))
def test_values_at_every_boundary(name):
    rate = learning_rate_plan(name, steps_per_epoch=10)
    traced = tf.function(lambda step: rate(step))
    for step, expected in VALUES[name].items():
        assert float(rate(step)) == pytest.approx(expected, rel=1e-5, abs=1e-8), step
        in_graph = float(traced(tf.constant(step, tf.int64)))
        assert in_graph == pytest.approx(expected, rel=1e-5, abs=1e-8), step


@pytest.mark.parametrize(
    "name, epochs, values",
    [
        ("augmix_imagenet", 9, {29: 0.1, 30: 0.01, 59: 0.01, 60: 0.001}),
        ("fcl_cifar", 45, {0: 0, 7: 7 / 15, 15: 1, 199: 1, 200: 0.1, 300: 0.01, 400: 0.001}),
        ("fcl_mnist", 10, {0: 0.01, 4: 0.01, 5: 0.0089, 10: 0.01 * 0.7921}),
        ("noisymix_cifar", 2, {0: 0.1, 10: (0.1 + 1e-6) / 2, 20: 1e-6}),
        ("augmax_cifar", 4, {9: 0.1, 10: 0.05 * (1 + math.sqrt(0.5)), 20: 0.05}),
        ("fma_baseline", 1, {0: 0.01, 4: 0.01, 5: 1e-4, 7: 1e-4, 8: 1e-6}),
    ],
)
def test_another_number_of_epochs_stretches_the_plan(name, epochs, values):
    rate = learning_rate_plan(name, steps_per_epoch=10, epochs=epochs)
    for step, expected in values.items():
        assert float(rate(step)) == pytest.approx(expected, rel=1e-5, abs=1e-8), step


@pytest.mark.parametrize("name", list(VALUES))
def test_smallest_run(name):
    rate = learning_rate_plan(name, steps_per_epoch=1, epochs=1)
    assert all(0 <= float(rate(step)) <= 1 for step in range(4))


@pytest.mark.parametrize(
    "name, batch_size, factor",
    [
        ("augmix_imagenet", 256, 1),
        ("augmix_imagenet", 512, 2),
        ("augmax_tiny_imagenet", 64, 0.25),
        ("augmax_imagenet", None, 1),
        ("augmax_cifar", 64, 1),
        ("fcl_imagenet", 64, 1),
    ],
)
def test_batch_size_counts_where_the_rate_is_for_256_images(name, batch_size, factor):
    rate = learning_rate_plan(name, steps_per_epoch=10, batch_size=batch_size)
    plain = learning_rate_plan(name, steps_per_epoch=10)
    for step in (0, 40, 350, 700):
        assert float(rate(step)) == pytest.approx(factor * float(plain(step)), rel=1e-6)


@pytest.mark.parametrize("name", list(PLANS))
def test_optimizer_is_the_papers(name):
    optimizer = plan_optimizer(name, steps_per_epoch=10)
    plan = PLANS[name]
    if plan.momentum is None:
        assert isinstance(optimizer, keras.optimizers.Adam)
    else:
        assert (optimizer.momentum, optimizer.nesterov) == (0.9, plan.nesterov)
    assert {n for n, p in PLANS.items() if p.nesterov} == {
        "augmix_cifar",
        "noisymix_cifar",
        "noisymix_imagenet",
        "stability_training",
        "fcl_cifar",
    }


@pytest.mark.parametrize("name", ["fcl_cifar", "augmax_cifar"])
def test_saved_with_a_compiled_model(name, make_net, images, labels, tmp_path):
    """Continuing after loading gives the weights and learning rate of an uninterrupted run."""
    straight = methods.Baseline(make_net())
    plan = {"steps_per_epoch": 2, "epochs": 4}
    straight.compile(plan_optimizer(name, **plan), run_eagerly=True)
    fit = {"batch_size": 4, "epochs": 2, "shuffle": False, "verbose": 0}
    straight.fit(images, labels, **fit)
    saving.save_model(straight, tmp_path / "model.keras")
    loaded = saving.load_model(tmp_path / "model.keras")
    loaded.run_eagerly = True
    for model in (straight, loaded):
        model.fit(images, labels, **fit)
    assert int(tf.convert_to_tensor(loaded.optimizer.iterations)) == 8
    for one, other in zip(straight.net.get_weights(), loaded.net.get_weights()):
        np.testing.assert_array_equal(one, other)
    rate, schedule = (m.optimizer.get_config()["learning_rate"] for m in (straight, loaded))
    assert schedule == rate and isinstance(rate, dict)


@pytest.mark.parametrize("schedule", [LinearWarmUp, PerEpoch])
def test_config_round_trip(schedule):
    cosine = keras.optimizers.schedules.CosineDecay(0.3, 20)
    first = schedule(cosine, 5)
    packed = keras.saving.serialize_keras_object(first)
    again = keras.saving.deserialize_keras_object(packed)
    assert type(again) is schedule and again.get_config() == first.get_config()
    for step in (0, 3, 4, 5, 12, 30):
        assert float(again(step)) == float(first(step))


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"name": "augmix"}, r"name of a plan must be one of fma_baseline, .*; received 'augmix'"),
        ({"steps_per_epoch": 0}, "steps_per_epoch must be a whole number from 1"),
        ({"epochs": 0}, "epochs must be a whole number from 1"),
        ({"batch_size": 0.5}, "batch_size must be a whole number from 1"),
    ],
)
def test_bad_arguments(arguments, words):
    with pytest.raises(ValueError, match=words):
        learning_rate_plan(**{"name": "fcl_cifar", "steps_per_epoch": 10, **arguments})
