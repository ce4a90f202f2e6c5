"""Calibration of models whose accuracy at every strength is known on paper."""

from __future__ import annotations

import dataclasses
import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.parameters import slow_unless
from tests.reference import filters
from tfrobust import augment
from tfrobust.augment import Brightness, GaussianBlur, GaussianNoise, SaltAndPepper, Saturation
from tfrobust.evaluation import strength


class Threshold(keras.Model):
    """Two classes: `measure` of an image is below the threshold, or above."""

    def __init__(self, measure, threshold):
        super().__init__()
        self.measure, self.threshold = measure, threshold

    def call(self, images, training=None):
        assert not training
        value = self.measure(images) - self.threshold
        return tf.stack([-value, value], axis=-1)


def mean(images):
    return tf.reduce_mean(images, axis=[1, 2, 3])


def chroma(images):
    return tf.reduce_mean(tf.reduce_max(images, -1) - tf.reduce_min(images, -1), axis=[1, 2])


def centre(images):
    return images[:, 4, 4, 0]


def batched(images, label, size=32):
    images = np.asarray(images, "float32")
    return tf.data.Dataset.from_tensor_slices((images, [label] * len(images))).batch(size)


def pixels(colours):
    return np.reshape(np.asarray(colours, "float32"), [-1, 1, 1, 3]) * np.ones([1, 2, 2, 1])


#: Hundred grey levels, evenly over (0, ½): Δ > 0 lifts the share 2Δ of them above ½.
STEPS = (np.arange(100) + 0.5) / 200
DARK = batched(pixels(np.repeat(STEPS[:, None], 3, 1)), 0)
LIGHT = batched(pixels(np.repeat(0.5 + STEPS[:, None], 3, 1)), 1)
HALF = (mean, 0.5)


def coloured(chromas):
    """Pixels ½ + c/2, ½, ½ − c/2, of HSL saturation c."""
    c = np.asarray(chromas)[:, None]
    return pixels(0.5 + c / 2 * [[1, 0, -1]])


def only(model, data, layers, **options):
    (found,) = strength.calibrate(Threshold(*model), data, layers, **options)
    return found


@pytest.mark.parametrize("drop", slow_unless([0.25], [0.1, 0.25, 0.6]))
@pytest.mark.parametrize("name, data, sign", [("B+", DARK, 1), ("B-", LIGHT, -1)])
def test_brightness(name, data, sign, drop):
    found = only(HALF, data, {name: Brightness(sign * 0.9)}, drop=drop)
    # drop/2, and the next image is 0.0025 away on either side.
    assert found.strength == pytest.approx(sign * drop / 2, abs=0.0026)
    assert found.accuracy == pytest.approx(1 - drop) and found.drop == pytest.approx(drop)
    expected = {
        "augmentation": name,
        "kind": "brightness",
        "fixed": {},
        "parameter": "delta",
        "reached": True,
        "clean_accuracy": 1.0,
        "target_drop": drop,
        "n": 100,
        "note": "",
    }
    record = dataclasses.asdict(found)
    assert {key: record[key] for key in expected} == expected


def test_clean_accuracy_below_1():
    """Labels say that all are dark, a fifth is not: the drop counts from 80%."""
    levels = np.concatenate([STEPS[::5] * 2 % 0.5, 0.5 + STEPS[::20]])  # 20 dark and 5 light
    data = batched(pixels(np.repeat(levels[:, None], 3, 1)), 0)
    found = only(HALF, data, {"B+": Brightness()}, drop=0.4)
    assert found.clean_accuracy == pytest.approx(0.8) and found.n == 25
    assert found.accuracy == pytest.approx(0.4) and found.drop == pytest.approx(0.4)


def test_saturation_up():
    """α·c passes ½ at α = 1.01, 1.03 …: ten images do by α = 1.2."""
    alphas = 1 + (np.arange(100) + 0.5) / 50
    found = only((chroma, 0.5), batched(coloured(0.5 / alphas), 0), {"S+": Saturation()})
    assert found.strength == pytest.approx(1.2, abs=0.011)
    assert found.accuracy == pytest.approx(0.9) and found.reached


def test_saturation_down():
    """α·c falls below the threshold at α = 0.995, 0.985 …: ten images do by α = 0.9."""
    alphas = 1 - (np.arange(100) + 0.5) / 100
    data = batched(coloured(0.005 / alphas), 1)
    found = only((chroma, 0.005), data, {"S-": Saturation()})
    assert found.strength == pytest.approx(0.9, abs=0.006)
    assert found.accuracy == pytest.approx(0.9) and found.reached


def test_blur():
    """A point of height h keeps h·w₀² in the middle; half of the points must fall below 0.15."""
    sigmas = np.linspace(0.4, 0.9, 20)
    points = np.zeros([20, 9, 9, 1])
    kept = [filters.gaussian_kernel(sigma, 5)[2] ** 2 for sigma in sigmas]
    points[:, 4, 4, 0] = 0.15 / np.array(kept)
    data = batched(points, 1)
    found = only((centre, 0.15), data, {"GB": GaussianBlur(kernel_size=5)}, drop=0.5)
    assert sigmas[9] < found.strength < sigmas[10]
    assert found.accuracy == 0.5 and found.fixed == {"kernel_size": 5}


def test_drop_that_cannot_be_reached():
    """Grey images have no saturation to lose."""
    found = only(HALF, DARK, {"S-": Saturation(0.5)})
    assert (found.strength, found.reached) == (0.0, False)
    assert found.accuracy == found.clean_accuracy == 1 and found.drop == 0
    assert "factor = 0, costs less" in found.note


def test_strongest_is_kept_where_it_costs_less_than_weaker_ones():
    """White is taken for dark again: half way costs everything, the whole way nothing."""

    def mean_but_white(images):
        return tf.where(mean(images) < 0.999, mean(images), tf.zeros([]))

    found = only((mean_but_white, 0.5), DARK, {"B+": Brightness()})
    assert (found.strength, found.drop, found.reached) == (1.0, 0.0, False)


@pytest.mark.parametrize("limit, reached", [(0.045, False), (0.055, True)])
def test_strongest(limit, reached):
    found = only(HALF, DARK, {"B+": Brightness()}, strongest={"B+": limit})
    assert found.reached == reached and found.strength <= limit
    assert found.accuracy == pytest.approx(0.9 if reached else 0.91)
    assert (found.note == "") == reached


def test_strongest_that_costs_just_the_drop():
    found = only(HALF, DARK, {"B+": Brightness()}, strongest={"B+": 0.05})
    assert found.accuracy == pytest.approx(0.9)
    assert found.reached and found.note == ""


def test_strongest_outside_the_layers_limits():
    with pytest.raises(ValueError, match="3"):
        only(HALF, DARK, {"B+": Brightness()}, strongest={"B+": 3.0})


def test_other_names_go_up_to_the_layers_limit():
    found = only(HALF, DARK, {"mine": Brightness(-0.5)}, steps=0)
    assert found.augmentation == "mine" and found.strength == 1.0 and found.reached


@pytest.mark.parametrize("steps, width", [(3, 1 / 8), (6, 1 / 64)])
def test_each_step_halves_the_interval(steps, width):
    found = only(HALF, DARK, {"B+": Brightness()}, steps=steps)
    assert abs(found.strength - 0.05) <= width + 0.0025


def test_same_seed_same_strength():
    random = np.random.default_rng(0)
    data = batched(random.uniform(0.44, 0.5, [64, 1, 1, 1]) * np.ones([1, 4, 4, 3]), 0)
    layers = {"GN": GaussianNoise(seed=1)}
    first = only(HALF, data, layers, seed=3)
    assert 0 < first.strength < 1 and first.reached
    assert only(HALF, data, {"GN": GaussianNoise(0.9, seed=2)}, seed=3) == first
    assert only(HALF, data, layers, seed=4).strength != first.strength


def test_several_in_order():
    layers = {"S-": Saturation(), "B+": Brightness()}
    found = strength.calibrate(Threshold(*HALF), DARK, layers)
    assert [c.augmentation for c in found] == ["S-", "B+"]
    assert found[1] == only(HALF, DARK, {"B+": Brightness()})


def test_data_and_models_of_other_forms():
    images, layers = pixels(np.repeat(STEPS[:, None], 3, 1)), {"B+": Brightness()}
    expected = only(HALF, DARK, layers)
    assert only(HALF, (images.astype("float64"), np.eye(2)[[0] * 100]), layers) == expected
    (found,) = strength.calibrate(lambda x: np.asarray(Threshold(*HALF)(x)), DARK, layers)
    assert found == expected
    with pytest.raises(ValueError, match="the evaluation data must end"):
        only(HALF, DARK.repeat(), layers)


@pytest.mark.parametrize("drop", [0, 1, -0.1, 10, float("nan")])
def test_drop_is_a_fraction(drop):
    with pytest.raises(ValueError, match=f"drop must be a number between .*; received {drop}"):
        only(HALF, DARK, {"B+": Brightness()}, drop=drop)


@pytest.mark.parametrize(
    "data, layers, said",
    [
        (DARK.take(0), {"B+": Brightness()}, "validation data are empty"),
        (DARK, {"CA": augment.combined(augment.table_1())}, "only augmentations .* received CA"),
        (DARK, {"C": augment.Sequence([Brightness()])}, "only augmentations .* received C"),
        (batched(pixels([[0.1] * 3]), 1), {"B+": Brightness()}, "above the wanted drop .* 0.00%"),
        (batched(pixels([[9] * 3]), 1), {"B+": Brightness()}, "validation images must lie in"),
    ],
)
def test_refused(data, layers, said):
    with pytest.raises(ValueError, match=said):
        only(HALF, data, layers)


def test_a_kind_that_has_no_name():
    class Mine(Brightness):
        pass

    with pytest.raises(ValueError, match=r"Mine is not in .*; choose from: brightness, "):
        only(HALF, DARK, {"B+": Mine()}, steps=0)


def test_round_trip(tmp_path):
    layers = {
        "B-": Brightness(),
        "GB": GaussianBlur(kernel_size=5),
        "GN": GaussianNoise(),
        "SAP": SaltAndPepper(salt_fraction=0.75, amplitude=0.25),
        "S-": Saturation(),
    }
    data = batched(np.random.default_rng(0).random([16, 8, 8, 3]) * 0.4 + 0.3, 1)
    found = strength.calibrate(Threshold(mean, 0.3), data, layers, steps=3)
    strength.write(found, tmp_path / "strengths.json")
    assert strength.read(tmp_path / "strengths.json") == found
    assert len(json.loads((tmp_path / "strengths.json").read_text())) == 5
    rebuilt = strength.augmentations_at(strength.read(tmp_path / "strengths.json"))
    assert list(rebuilt) == list(layers)
    for calibration in found:
        layer = rebuilt[calibration.augmentation]
        assert type(layer) is type(layers[calibration.augmentation])
        assert layer.strength == calibration.strength
    assert rebuilt["GB"].kernel_size == 5
    assert (rebuilt["SAP"].salt_fraction, rebuilt["SAP"].amplitude) == (0.75, 0.25)


@pytest.mark.parametrize(
    "text", ["", "{", "3", '{"B+": 0.3}', '[{"augmentation": "B+"}]', "[1]", '[{"new": 1}]']
)
def test_file_that_holds_no_strengths(tmp_path, text):
    path = tmp_path / "strengths.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"strengths\.json must be a strengths file"):
        strength.read(path)
