"""Commands take the model files of others as they are."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfrobust import cli, datasets, nets, saving
from tfrobust.nets.input_adapter import adapter_of
from tfrobust.settings import INPUT_RANGE_NAMES

LAYERS = keras.layers


def model_of(classes, scaling=(1 / 127.5, -1.0), folder=None):
    """A model for pixels from 0 to 255 with a softmax, as `keras.applications` has them."""
    layers = [
        *([LAYERS.Rescaling(*scaling)] if scaling else []),
        LAYERS.Conv2D(4, 4, strides=4, use_bias=False, name="stem"),
        LAYERS.BatchNormalization(name="stem_bn"),
        LAYERS.ReLU(),
        LAYERS.Conv2D(8, 2, strides=2, activation="relu", name="middle"),
        LAYERS.GlobalAveragePooling2D(),
        LAYERS.Dense(classes, activation="softmax", name="classes"),
    ]
    return keras.Sequential([keras.Input([32, 32, 3], name="pixels"), *layers], name="mine")


@pytest.fixture
def call(capsys, small_job, few_augmentations):
    def run(*arguments):
        code = cli.main([str(a) for a in arguments])
        captured = capsys.readouterr()
        return code, captured.out + captured.err

    return run


@pytest.mark.slow
def test_finetune_and_export_in_commands_of_their_own(call, tmp_path):
    saving.save_model(model_of(10), tmp_path / "mine.keras")
    code, said = call(
        *["finetune", tmp_path / "mine.keras", "--method", "stability_training", "--epochs", 1],
        *["--augment", "brightness", "--out", tmp_path / "run"],
    )
    assert code == 0, said
    assert "takes images from 0 to 255, says its own preprocessing layers" in said
    assert "trained: 4 of 4 layers with weights" in said
    code, said = call("export", tmp_path / "run/model.keras", tmp_path / "saved")
    assert code == 0, said
    model = nets.restore(saving.load_model(tmp_path / "run/model.keras"))
    pixels = np.random.default_rng(0).integers(0, 256, [4, 32, 32, 3], "uint8")
    serve = tf.saved_model.load(str(tmp_path / "saved")).signatures["uint8"]
    outputs = serve(images=tf.constant(pixels))["probabilities"]
    np.testing.assert_allclose(outputs, model(pixels.astype("float32")), atol=1e-5)
    # What one command writes is what the next one takes.
    code, said = call(
        *["finetune", tmp_path / "run/model.keras", "--method", "baseline", "--epochs", 1],
        *["--freeze", "until", "middle", "--out", tmp_path / "again"],
    )
    assert code == 0 and "trained: 2 of 4 layers with weights" in said, said
    first, second = (
        saving.load_model(tmp_path / run / "model.keras").net.get_layer("mine")
        for run in ("run", "again")
    )
    for name in ("stem", "stem_bn"):  # also the statistics of a frozen norm
        for a, b in zip(first.get_layer(name).get_weights(), second.get_layer(name).get_weights()):
            np.testing.assert_array_equal(a, b)
    assert not second.get_layer("stem").trainable and second.get_layer("middle").trainable


def test_another_number_of_classes(call, tmp_path):
    saving.save_model(model_of(7), tmp_path / "mine.keras")
    command = ["finetune", tmp_path / "mine.keras", "--method", "baseline", "--epochs", 1]
    code, said = call(*command, "--out", tmp_path / "run")
    assert code == 2 and not (tmp_path / "run").exists()
    assert "has 7 outputs, and digits has 10 classes; --new-head gives it" in said
    code, said = call(*command, "--new-head", "--head-epochs", 1, "--out", tmp_path / "run")
    assert code == 0, said
    before, head, after = (
        saving.load_model(tmp_path / name)
        for name in ("mine.keras", "run/head.keras", "run/model.keras")
    )
    stems = [
        model.get_layer("stem").get_weights()[0]
        for model in (before, head.net.get_layer("mine"), after.net.get_layer("mine"))
    ]
    np.testing.assert_array_equal(stems[0], stems[1])
    assert np.abs(stems[2] - stems[0]).max() > 0
    given = nets.restore(after)
    assert given.output_shape == (None, 10) and given.layers[-1].activation.__name__ == "softmax"
    assert adapter_of(after).class_names == tuple(datasets.load("digits").class_names)


def test_what_the_model_does_not_say_must_be_told(call, tmp_path):
    saving.save_model(model_of(10, scaling=None), tmp_path / "mine.keras")
    for command in (
        ["finetune", tmp_path / "mine.keras", "--epochs", 1],
        ["tune", tmp_path / "mine.keras", "--epochs", 1],
        ["calibrate", tmp_path / "mine.keras"],
        ["evaluate", tmp_path / "mine.keras"],
    ):
        code, said = call(*command, "--out", tmp_path / "run")
        assert code == 2 and "mine does not say which pixels it takes" in said
        assert "--input-range" in said and "0_to_255: " in said
    code, said = call("export", tmp_path / "mine.keras", tmp_path / "saved")
    assert code == 2 and "there are no images to find it with" in said
    code, said = call(
        *["export", tmp_path / "mine.keras", tmp_path / "saved"], "--input-range", "caffe"
    )
    assert code == 0, said


def flags(net):
    return [layer.trainable for layer in net.get_layer("mine").layers if layer.weights]


def test_freezing(call, tmp_path):
    net = nets.adapt(model_of(10))
    nets.freeze(net, first=0.5)
    inner = net.get_layer("mine")
    assert [layer.trainable for layer in inner.layers if layer.weights] == [
        False,
        False,
        True,
        True,
    ]
    net = nets.adapt(model_of(10))
    net.get_layer("mine").get_layer("stem_bn").trainable = False  # as the user set it
    nets.freeze(net, all_but_first=0.75)
    inner = net.get_layer("mine")
    assert [layer.trainable for layer in inner.layers if layer.weights] == [
        True,
        False,
        True,
        False,
    ]
    with pytest.raises(ValueError, match="nothing of mine is left to train"):
        nets.freeze(net, first=1.0)
    with pytest.raises(ValueError, match=r"no layer 'top' to freeze until; its layers .*stem_bn"):
        nets.freeze(net, until="top")
    saving.save_model(model_of(10), tmp_path / "mine.keras")
    command = ["finetune", tmp_path / "mine.keras", "--out", tmp_path / "run", "--freeze"]
    code, said = call(*command, "until")
    assert code == 2 and "freeze takes a fraction of the layers" in said
    code, said = call(*command, "0.5", "--tune-first", "0.2")
    assert code == 2 and "exclude each other" in said


def test_names_of_ranges():
    assert tuple(nets.INPUT_RANGES) == INPUT_RANGE_NAMES
