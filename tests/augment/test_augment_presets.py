"""Table 1 of the FMA paper, typed in by hand, and the combinations made of it."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from tfrobust import augment
from tfrobust.augment import combinations, combined, table_1

PAPER = {
    "cifar10": {
        "B+": (augment.Brightness, {"delta": 0.39}),
        "B-": (augment.Brightness, {"delta": -0.36}),
        "S+": (augment.Saturation, {"factor": 6.0}),
        "S-": (augment.Saturation, {"factor": 0.0}),
        "GN": (augment.GaussianNoise, {"sigma": 0.075}),
        "GB": (augment.GaussianBlur, {"sigma": 0.675, "kernel_size": 3}),
        "SAP": (
            augment.SaltAndPepper,
            {"probability": 0.025, "salt_share": 0.5, "amplitude": 0.5},
        ),
    },
    "imagenet200": {
        "B+": (augment.Brightness, {"delta": 0.43}),
        "B-": (augment.Brightness, {"delta": -0.32}),
        "S+": (augment.Saturation, {"factor": 4.0}),
        "S-": (augment.Saturation, {"factor": 0.2}),
        "GN": (augment.GaussianNoise, {"sigma": 0.08}),
        "GB": (augment.GaussianBlur, {"sigma": 1.175, "kernel_size": 3}),
        "SAP": (
            augment.SaltAndPepper,
            {"probability": 0.01, "salt_share": 0.7, "amplitude": 0.7},
        ),
    },
}
MEMBERS = {
    "Combined+": {"B+", "S+", "GN", "SAP", "GB"},
    "Combined-": {"B-", "S-", "GN", "SAP", "GB"},
}


@pytest.mark.parametrize("column", PAPER)
def test_table_1(column):
    layers = table_1(column)
    assert list(layers) == ["B+", "B-", "GB", "GN", "SAP", "S+", "S-"]  # columns of Table 3
    for name, (kind, parameters) in PAPER[column].items():
        assert type(layers[name]) is kind
        config = layers[name].get_config()
        assert {key: config[key] for key in parameters} == parameters


def test_defaults_are_the_cifar_10_column():
    for name, (kind, parameters) in PAPER["cifar10"].items():
        if name not in ("B-", "S-"):
            config = kind().get_config()
            assert {key: config[key] for key in parameters} == parameters
    assert table_1()["B+"].strength == 0.39


def test_unknown_column():
    with pytest.raises(
        ValueError, match="'cifar100' of Table 1; choose from: cifar10, imagenet200"
    ):
        table_1("cifar100")


def test_combinations():
    individual = table_1("imagenet200")
    both = combinations(individual)
    assert list(both) == ["Combined+", "Combined-"]
    for name, members in MEMBERS.items():
        found = [(type(a), a.strength) for a in both[name].augments]
        wanted = [(type(individual[m]), individual[m].strength) for m in members]
        assert sorted(found, key=str) == sorted(wanted, key=str)
        # Colour first, then noise, then blur, as the sets are written.
        assert [kind for kind, _ in found] == [
            augment.Brightness,
            augment.Saturation,
            augment.GaussianNoise,
            augment.SaltAndPepper,
            augment.GaussianBlur,
        ]
    # A Keras layer has one owner.
    owned = [id(a) for sequence in both.values() for a in sequence.augments]
    assert len(set(owned)) == 10 and not set(owned) & {id(a) for a in individual.values()}


@pytest.mark.parametrize("missing", ["B-", "GN"])
def test_combinations_need_all_seven(missing):
    six = {name: layer for name, layer in table_1().items() if name != missing}
    with pytest.raises(ValueError, match=f"{missing}.* missing"):
        combinations(six)


def test_combined_alternates_plus_and_minus():
    layer = combined(table_1(), period_epochs=2, seed=6)
    assert type(layer) is augment.Alternating
    assert layer.period_epochs == 2 and layer.seed == 6
    images = tf.fill([4, 8, 8, 3], 0.5)
    means = []
    for epoch in range(8):
        layer.start_epoch(epoch)
        means.append(float(tf.reduce_mean(layer(images, training=True))) - 0.5)
    # +0.39 or −0.36, and noise of mean 0.
    expected = [0.39, 0.39, -0.36, -0.36] * 2
    np.testing.assert_allclose(means, expected, atol=0.05)
