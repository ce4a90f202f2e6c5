"""What single experiments do besides training: checks, figures, rows on other sets."""

import dataclasses
import types

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfrobust import datasets
from tfrobust.datasets import IMAGENET_R_CLASSES
from tfrobust.evaluation import rms_calibration_error
from tfrobust.experiments import ExperimentConfig, ModelSpec, other_sets, reproduce, resolved
from tfrobust.experiments.images import corruptions
from tfrobust.recipes.base import RunFolder
from tfrobust.registries import EXPERIMENTS


@pytest.mark.parametrize("name", ["augmax_imagenet", "augmax_tiny_imagenet"])
def test_data_of_single_lines_are_checked_before_anything_is_trained(name, tmp_path):
    told = []
    with pytest.raises(ValueError, match="digits has no option extra"):
        reproduce(
            name,
            tmp_path / "run",
            setting="quick",
            numbers={"deep_augment": "nowhere"},
            say=told.append,
        )
    assert not told and not (tmp_path / "run").exists()


def test_options_of_the_net_are_added_and_checked(tmp_path):
    experiment = EXPERIMENTS["augmax_tiny_imagenet"]()
    setting = resolved(experiment, "full", net_options={"norm": "ibn"})
    assert setting.net_options == {**experiment.full.net_options, "norm": "ibn"}
    with pytest.raises((TypeError, ValueError), match="depth"):
        reproduce("augmax_cifar10", tmp_path / "run", setting="quick", net_options={"depth": 3})
    assert not (tmp_path / "run").exists()


def test_published_corruptions_must_be_there():
    made = corruptions(ExperimentConfig(severities=(3,)), "all")
    assert len(made) == 19 and {c.severity for c in made} == {3}
    with pytest.raises(FileNotFoundError, match="nowhere"):
        corruptions(ExperimentConfig(dataset="cifar10", corrupted_dir="nowhere"))


def test_contrastive_losses_reach_their_weight():
    """The ramp starts where the text says and ends with the training, or before."""
    for name, epochs in (("fcl_cifar10", 450), ("fcl_cifar100", 450), ("fcl_imagenet", 90)):
        experiment = EXPERIMENTS[name]()
        run = types.SimpleNamespace(setting=experiment.full)
        steps = 40
        data = types.SimpleNamespace(steps=steps)
        for line in experiment.lines(run, 0):
            for late in line.callbacks(data):
                assert late.start == round(2 / 3 * epochs) * steps
                assert late.weight_at(late.start - 1, 1.0) == 0
                assert late.weight_at(epochs * steps - 1, 1.0) > 0.999


def test_figure_4_shows_plain_means_on_one_scale():
    net = keras.Sequential([keras.Input([4, 4, 1]), keras.layers.Flatten(), keras.layers.Dense(15)])
    random = np.random.default_rng(0)
    images = random.random([60, 4, 4, 1], "float32")
    labels = np.arange(60, dtype="int32") % 15
    test = tf.data.Dataset.from_tensor_slices((images, labels)).batch(20)
    run = types.SimpleNamespace(
        setting=EXPERIMENTS["fcl_table1"].full,
        model=lambda line, seed: types.SimpleNamespace(net=net),
        data=lambda: types.SimpleNamespace(test=test),
    )
    [(name, figure)] = EXPERIMENTS["fcl_table1"]().pictures(run).items()
    assert name == "figure_4.png"
    # Each image has the utility for its own class; then classes 10 to 14 count as 0 to 4.
    logits = net(images).numpy()
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    slopes = np.abs((chances - np.eye(15)[labels]) @ net.get_weights()[0].T)
    drawn = [axes.images[0] for axes in figure.axes[1:20:2]]
    for digit, shown in enumerate(drawn):
        expected = slopes[labels % 10 == digit].mean(axis=0).reshape(4, 4)
        np.testing.assert_allclose(shown.get_array(), expected, rtol=1e-3)
        assert shown.get_clim() == drawn[0].get_clim()


def test_calibration_on_renditions_is_that_of_the_published_script(tmp_path):
    random = np.random.default_rng(0)
    images = random.random([250, 4, 4, 3], "float32")
    labels = random.integers(0, 200, 250).astype("int32")
    net = keras.Sequential(
        [keras.Input([4, 4, 3]), keras.layers.Flatten(), keras.layers.Dense(1000)]
    )
    batches = tf.data.Dataset.from_tensor_slices((images, labels)).batch(50)
    data = datasets.Data(
        name="imagenet_r", train=None, validation=None, test=batches,
        class_names=tuple(map(str, range(200))), image_shape=(4, 4, 3), sizes={"test": 250},
    )  # fmt: skip
    setting = ExperimentConfig(numbers={"renditions": "folder"})
    run = types.SimpleNamespace(
        setting=setting,
        folder=RunFolder(tmp_path, setting, finished="-"),
        data=lambda **options: data,
    )
    found = other_sets.imagenet_r(run, ModelSpec("M"), 3, net)
    values = {row.metric: row.value for row in found}
    logits = tf.gather(net(images), IMAGENET_R_CLASSES, axis=1)
    for metric, reference in (("rms_calibration_error", False), (other_sets.PUBLISHED_RMS, True)):
        expected = rms_calibration_error(labels, logits, from_logits=True, reference=reference)
        assert values[metric] == pytest.approx(expected, rel=1e-4)
    assert values[other_sets.PUBLISHED_RMS] < values["rms_calibration_error"]
    assert {row.corruption for row in found} == {"ImageNet-R"}
    off = dataclasses.replace(setting, numbers={"renditions": ""})
    assert other_sets.imagenet_r(types.SimpleNamespace(setting=off), ModelSpec("M"), 3, net) == []
