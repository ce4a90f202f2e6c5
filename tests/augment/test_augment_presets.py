"""Table 1 of the FMA paper, transcribed by hand, and its combinations."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from tfrobust import augment
from tfrobust.augment import (
    combinations,
    combined,
    naming,
    stability_grid,
    stability_practical,
    table_1,
)

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
            {"probability": 0.025, "salt_fraction": 0.5, "amplitude": 0.5},
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
            {"probability": 0.01, "salt_fraction": 0.7, "amplitude": 0.7},
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
            parameters = {**parameters}
            parameters.pop("kernel_size", None)  # by default the kernel follows sigma
            config = kind().get_config()
            assert {key: config[key] for key in parameters} == parameters
    assert table_1()["B+"].strength == 0.39


def test_unknown_column():
    with pytest.raises(
        ValueError, match="'cifar100' of Table 1; choose from: cifar10, imagenet200"
    ):
        table_1("cifar100")


@pytest.mark.parametrize("order", ["blur_before_noise", "blur_last"])
def test_combinations(order):
    individual = table_1("imagenet200")
    both = combinations(individual, order=order)
    noise = [augment.GaussianNoise, augment.SaltAndPepper]
    blur = [augment.GaussianBlur]
    assert list(both) == ["Combined+", "Combined-"]
    for name, members in MEMBERS.items():
        found = [(type(a), a.strength) for a in both[name].augments]
        wanted = [(type(individual[m]), individual[m].strength) for m in members]
        assert sorted(found, key=str) == sorted(wanted, key=str)
        assert [kind for kind, _ in found] == [
            augment.Brightness,
            augment.Saturation,
            *(noise + blur if order == "blur_last" else blur + noise),
        ]
    # A Keras layer has one owner.
    owned = [id(a) for sequence in both.values() for a in sequence.augments]
    assert len(set(owned)) == 10 and not set(owned) & {id(a) for a in individual.values()}


@pytest.mark.parametrize("missing", ["B-", "GN"])
def test_combinations_need_all_seven(missing):
    six = {name: layer for name, layer in table_1().items() if name != missing}
    with pytest.raises(ValueError, match=f"{missing}.* missing"):
        combinations(six)


def test_blur_before_noise_is_the_default_and_leaves_the_noise():
    """A blur of 3×3 after it takes half of it away."""
    images = tf.fill([8, 16, 16, 3], 0.5)
    spread = {}
    for order in ("blur_before_noise", "blur_last"):
        layer = combinations(table_1(), order=order)["Combined-"]
        spread[order] = float(tf.math.reduce_std(layer(images, training=True)))
    assert spread["blur_last"] < 0.65 * spread["blur_before_noise"]
    kinds = [type(a) for a in combined(table_1()).augments[0].augments]
    assert kinds.index(augment.GaussianBlur) < kinds.index(augment.GaussianNoise)
    with pytest.raises(ValueError, match=r"order must be one of blur_before_noise.*'blur'"):
        combined(table_1(), order="blur")


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


def test_combined_alternates_by_batch():
    layer = combined(table_1(), period_batches=2)
    images, means = tf.fill([4, 8, 8, 3], 0.5), []
    for _ in range(6):
        layer.start_epoch(0)  # changes nothing
        means.append(float(tf.reduce_mean(layer(images, training=True))) - 0.5)
    np.testing.assert_allclose(means, [0.39, 0.39, -0.36, -0.36, 0.39, 0.39], atol=0.05)


def test_stability_training_at_practical_strengths():
    """Table 1 of the stability-training paper."""
    found = {name: layer.strength for name, layer in stability_practical().items()}
    assert found == {
        "gaussian_noise": 0.05,
        "jpeg": 30,
        "thumbnail": 150,
        "rotation": 30,
        "shifted_crop": 3,
    }
    assert all(type(layer) is augment.AUGMENTS[n] for n, layer in stability_practical().items())


@pytest.mark.parametrize(
    "name, expected",
    [
        ("alpha", [0.01, 0.316228, 10]),
        ("probability", [0.5, 1]),
        ("gaussian_noise", [0.01, 0.046416, 0.215443, 1]),
        ("jpeg", [90, 50, 10]),
        ("thumbnail", [20, 110, 200]),
        ("fgsm", [0.001, 0.003162, 0.01, 0.031623, 0.1, 0.316228, 1]),
        ("rotation", [0, 90, 180]),
        ("shifted_crop", [0, 7.5, 15]),
    ],
)
def test_stability_grids(name, expected):
    assert stability_grid(name) == expected
    for strength in expected if name in augment.AUGMENTS else []:
        augment.AUGMENTS[name](strength)  # within its limits


def test_unknown_grid():
    with pytest.raises(ValueError, match="unknown hyper-parameter 'beta'; choose from: alpha, "):
        stability_grid("beta")


@pytest.mark.parametrize(
    "text, kind, strength",
    [
        ("B-", augment.Brightness, -0.36),
        ("jpeg", augment.Jpeg, 30),
        ("jpeg=10", augment.Jpeg, 10),
        ("rotation=0,45", augment.Rotation, (0, 45)),
    ],
)
def test_augmentations_by_name(text, kind, strength):
    layer = naming.by_name(text, seed=3)
    assert type(layer) is kind and layer.strength == strength


def test_combinations_and_presets_by_name():
    assert type(naming.by_name("combined")) is augment.Alternating
    assert list(naming.expand("table_1")) == list(table_1())
    assert list(naming.expand("combinations")) == ["Combined+", "Combined-"]
    assert list(naming.expand("stability_practical")) == list(stability_practical())
    assert type(naming.expand("augmix")["augmix"]) is augment.AugMix


@pytest.mark.parametrize(
    "text, said",
    [
        ("blurr", "unknown augmentation 'blurr'; choose from: combined, B"),
        ("augmix=3", "augmix has no strength"),
        ("jpeg=ten", "jpeg takes a number .*received jpeg=ten"),
        ("jpeg=0", r"quality must be a number in \[1, 100\]; received 0"),
        ("jpeg=1,2,3", "jpeg takes a number or two with a comma"),
    ],
)
def test_wrong_names(text, said):
    with pytest.raises(ValueError, match=said):
        naming.by_name(text)
