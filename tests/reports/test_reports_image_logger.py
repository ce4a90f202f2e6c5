"""Pictures of what a model sees while it is trained."""

import copy

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfrobust import attacks, augment, files, methods
from tfrobust.callbacks import AlternateAugmentations
from tfrobust.reports import ImageLogger


@pytest.fixture
def model(make_net):
    layer = augment.Alternating([augment.Brightness(0.3), augment.GaussianNoise((0.1, 0.3))])
    model = methods.StabilityTraining(make_net(), augment=layer)
    model.compile(keras.optimizers.SGD(0.0), run_eagerly=True)
    return model


def fit(model, images, labels, *callbacks, **options):
    options = {"epochs": 4, "batch_size": 4, "shuffle": False, "verbose": 0, **options}
    model.fit(images, labels, callbacks=list(callbacks), **options)


def test_pictures(model, images, labels, tmp_path):
    drawn = tmp_path / "a" / "pictures"
    log = ImageLogger(images[:2], drawn, labels=labels[:2], log_dir=tmp_path / "board")
    fit(model, images, labels, AlternateAugmentations(), log)
    names = [f"epoch_000{epoch}.png" for epoch in (1, 2, 3, 4)]
    assert sorted(path.name for path in drawn.iterdir()) == names
    first, second, third, fourth = (figure_of(drawn / name) for name in names)
    assert first.shape[2] in (3, 4)
    # At a learning rate of 0 only the number of the epoch, above, differs where the same
    # augmentation is on.
    low = first.shape[0] // 5
    np.testing.assert_array_equal(first[low:], third[low:])
    np.testing.assert_array_equal(second[low:], fourth[low:])
    assert (first[low:] != second[low:]).any() and (first != third).any()
    # TensorBoard's files hold the same pictures.
    shown = {}
    for path in (tmp_path / "board").iterdir():
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                assert value.tag == "pictures"
                shown[event.step] = tf.io.decode_png(value.tensor.string_val[2], 3).numpy()
    assert sorted(shown) == [1, 2, 3, 4]
    np.testing.assert_array_equal(shown[2], second[..., :3])


def figure_of(path):
    return tf.io.decode_png(path.read_bytes()).numpy()


def test_training_is_the_same(make_net, images, labels, tmp_path):
    def train(*callbacks):
        model = methods.StabilityTraining(make_net(), augment=augment.GaussianNoise((0.1, 0.3)))
        model.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
        fit(model, images, labels, *callbacks, epochs=2)
        return model.get_weights()

    for a, b in zip(train(), train(ImageLogger(images[:2], tmp_path))):
        np.testing.assert_array_equal(a, b)


def texts_of(log, model):
    log.set_model(model)
    log.on_train_begin()
    return [
        (axes.get_title(), axes.get_ylabel(), axes.get_xlabel(), axes.xaxis.label.get_weight())
        for axes in log._figure(1).axes
    ]


def test_texts(tmp_path):
    """A net whose logits are (0, 4 · (mean − ½)): of black images e² / (1 + e²) = 88%."""
    net = keras.Sequential(
        [
            keras.Input([4, 4, 1]),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(2),
        ]
    )
    net.layers[-1].set_weights([np.array([[0.0, 4.0]]), np.array([0.0, -2.0])])
    images = np.stack([np.zeros([4, 4, 1]), np.ones([4, 4, 1])]).astype("float32")
    brighter = augment.Brightness(1.0)
    log = ImageLogger(images, tmp_path, brighter, labels=[0, 0], class_names=["night", "$day"],
                     draws=1)  # fmt: skip
    assert texts_of(log, net) == [
        ("Clean", "night", "night 88%", "normal"),
        ("Brightness", "", "$day 88%", "bold"),
        ("", "night", "$day 88%", "bold"),
        ("", "", "$day 88%", "bold"),
    ]
    assert texts_of(ImageLogger(images, tmp_path), net) == [
        ("Clean", "", "0 88%", "normal"),
        ("", "", "1 88%", "normal"),
    ]


def test_several_perturbations(make_net, images, tmp_path):
    several = [augment.Brightness(0.1), attacks.FGSM(0.1), augment.GaussianNoise(0.1)]
    model = methods.StabilityTraining(make_net(), augment=several)
    titles = [text[0] for text in texts_of(ImageLogger(images[:1], tmp_path), model)]
    assert titles == ["Clean", "Brightness", "Brightness", "GaussianNoise", "GaussianNoise"]
    model = methods.Baseline(make_net())
    assert [text[0] for text in texts_of(ImageLogger(images[:1], tmp_path), model)] == ["Clean"]


def test_every_and_copies(model, images, labels, tmp_path):
    log = copy.deepcopy(ImageLogger(images[:1], tmp_path, augment.Flip(), every=2))
    fit(model, images, labels, AlternateAugmentations(), log, epochs=5)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["epoch_0002.png", "epoch_0004.png"]


def test_whole_or_not_at_all(model, images, tmp_path, monkeypatch):
    log = ImageLogger(images[:1], tmp_path)
    log.set_model(model)
    log.on_train_begin()

    def full(source, target):
        raise OSError("no space left")

    monkeypatch.setattr(files.os, "replace", full)
    with pytest.raises(OSError, match="no space left"):
        log.draw(1)
    assert list(tmp_path.iterdir()) == []


def test_refuses(images, tmp_path):
    def refused(error, said, *arguments, **options):
        with pytest.raises(error, match=said):
            ImageLogger(*arguments, **options)

    refused(ValueError, r"images must lie in \[0, 1\]", images * 255, tmp_path)
    refused(TypeError, "received dtype uint8", images.astype("uint8"), tmp_path)
    refused(TypeError, "layer of tfrobust.augment; received str", images, tmp_path, "jpeg")
    words = r"one class index per image, \[8\]; received shape \(2,\)"
    refused(ValueError, words, images, tmp_path,
            labels=[0, 1])  # fmt: skip
    refused(ValueError, "from 0 to 1; received values from 0 to 7", images, tmp_path,
            labels=range(8), class_names=["a", "b"])  # fmt: skip
    refused(ValueError, "every must be a whole number from 1", images, tmp_path, every=0)
    refused(ValueError, "draws must be a whole number from 1", images, tmp_path, draws=0)
