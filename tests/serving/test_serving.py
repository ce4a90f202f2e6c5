"""SavedModels, here and in a process without tfrobust."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfrobust import augment, methods, serving


@pytest.fixture
def model(make_net):
    return methods.StabilityTraining(make_net(), augment=augment.GaussianNoise(0.1))


def test_another_process_gives_the_same_logits(model, images, tmp_path):
    serving.export(model, tmp_path / "saved")
    logits = serving.serve_isolated(tmp_path / "saved", images)
    np.testing.assert_allclose(logits, model(images), atol=1e-5)


@pytest.mark.slow
def test_errors_of_another_process_are_told(images, tmp_path):
    with pytest.raises(RuntimeError, match=r"serving .*nowhere in another process failed"):
        serving.serve_isolated(tmp_path / "nowhere", images)


def test_uint8_images_are_scaled_once(model, images, tmp_path):
    serving.export(model, tmp_path / "saved")
    signatures = tf.saved_model.load(str(tmp_path / "saved")).signatures
    assert set(signatures) == {"serving_default", "uint8", "serving_bytes", "features"}
    bytes_ = np.round(images * 255).astype("uint8")
    logits = signatures["uint8"](images=tf.constant(bytes_))["logits"]
    np.testing.assert_allclose(logits, model(bytes_.astype("float32") / 255), atol=1e-5)


def test_net_that_ends_in_softmax_returns_probabilities_alone(make_net, images, tmp_path):
    net = make_net(activation="softmax")
    serving.export(net, tmp_path / "saved")
    serve = tf.saved_model.load(str(tmp_path / "saved")).signatures["serving_default"]
    outputs = serve(images=tf.constant(images))
    assert set(outputs) == {"probabilities"}
    np.testing.assert_allclose(outputs["probabilities"], net(images), atol=1e-6)


def test_inference_mode_is_exported(images, tmp_path):
    """Dropout is off and BatchNorm uses its moving statistics."""
    layers = keras.layers
    net = keras.Sequential(
        [
            keras.Input([16, 16, 3]),
            layers.BatchNormalization(),
            layers.Dropout(0.5),
            layers.Flatten(),
            layers.Dense(4),
        ]
    )
    serving.export(net, tmp_path / "saved")
    serve = tf.saved_model.load(str(tmp_path / "saved")).signatures["serving_default"]
    for _ in range(2):
        logits = serve(images=tf.constant(images))["logits"]
        np.testing.assert_allclose(logits, net(images, training=False), atol=1e-5)


def test_what_stands_there_is_kept(model, make_net, images, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("mine")
    for overwrite in (False, True):
        with pytest.raises(FileExistsError, match="mine exists"):
            serving.export(model, tmp_path / "mine", overwrite=overwrite)
    serving.export(model, tmp_path / "saved")
    with pytest.raises(FileExistsError, match="saved exists"):
        serving.export(model, tmp_path / "saved")
    other = make_net()
    other.set_weights([w + 1 for w in other.get_weights()])
    serving.export(other, tmp_path / "saved", overwrite=True)
    serve = tf.saved_model.load(str(tmp_path / "saved")).signatures["serving_default"]
    np.testing.assert_allclose(
        serve(images=tf.constant(images))["logits"], other(images), rtol=1e-4
    )
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mine", "saved"]  # no scratch left


def test_model_without_an_image_input_is_refused(tmp_path):
    net = keras.Sequential([keras.Input([5]), keras.layers.Dense(2)])
    with pytest.raises(ValueError, match=r"one input \[batch, height, width, channels\]"):
        serving.export(net, tmp_path / "saved")
    assert not (tmp_path / "saved").exists()
