"""Models of every kind are seen alike."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import scipy.special
import tensorflow as tf

from tfrobust import methods, nets, saving, serving
from tfrobust.evaluation import Predictor

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.random([5, 16, 16, 3], "float32")


@pytest.fixture(scope="module")
def net():
    keras.utils.set_random_seed(3)
    return nets.small_cnn([16, 16, 3], 4)


def numpy_answers(logits):
    """Class and uncertainty in float64."""
    shares = scipy.special.softmax(np.asarray(logits, "float64"), axis=1)
    return shares.argmax(axis=1), 1 - shares.max(axis=1)


def assert_answers(predictor, logits, images=IMAGES):
    classes, uncertainties = predictor.answers(images)
    expected = numpy_answers(logits)
    np.testing.assert_array_equal(classes, expected[0])
    np.testing.assert_allclose(uncertainties, expected[1], rtol=1e-4, atol=1e-6)


def with_softmax(net):
    return keras.Sequential([net, keras.layers.Softmax()])


def test_logits_and_probabilities_give_the_same(net):
    logits = net(IMAGES)
    for model, output in [(net, "logits"), (with_softmax(net), "probabilities")]:
        predictor = Predictor(model)
        assert predictor.output is None
        assert_answers(predictor, logits)
        assert predictor.output == output and predictor.class_count == 4
        assert predictor.provenance["output"] == output


def test_a_method_counts_as_its_net(net):
    method = methods.Baseline(net)
    assert_answers(Predictor(method), net(IMAGES))
    assert Predictor(method).provenance == Predictor(net).provenance
    assert Predictor(method).net is net


def test_files_and_saved_models(net, tmp_path):
    saving.save_model(net, tmp_path / "mine.keras")
    saving.save_model(methods.Baseline(net), tmp_path / "method.keras")
    serving.export(net, tmp_path / "served")
    serving.export(with_softmax(net), tmp_path / "versions" / "2")
    serving.export(net, tmp_path / "versions" / "1")
    kinds = {"mine.keras": True, "method.keras": True, "served": False, "versions": False}
    for name, has_net in kinds.items():
        predictor = Predictor(tmp_path / name)
        assert predictor.name == name.partition(".")[0]
        assert predictor.image_shape == (16, 16, 3)
        assert (predictor.net is not None) == has_net
        assert_answers(predictor, net(IMAGES))
    assert (
        Predictor(str(tmp_path / "versions")).provenance["model"]
        == (Predictor(tmp_path / "versions" / "2").provenance["model"])
    )


def test_a_function(net):
    def mine(images):
        return net(images)

    predictor = Predictor(mine)
    assert_answers(predictor, net(IMAGES))
    assert predictor.name == "mine" and predictor.provenance["model"] == "unknown"


def test_a_function_of_numpy(net):
    kernel = np.random.default_rng(1).standard_normal([768, 4]).astype("float32")
    expected = IMAGES.reshape(5, -1) @ kernel

    def of_arrays(images):
        return images.astype("float64").reshape(len(images), -1) @ kernel

    def of_tensors(images):
        return images.numpy().reshape(len(images), -1) @ kernel

    for function in (of_arrays, of_tensors):
        assert_answers(Predictor(function), expected)
    with pytest.raises(ValueError, match="broadcast together"):
        Predictor(lambda images: np.zeros([2, 2]) + images.numpy()[0]).answers(IMAGES)


def test_hash_follows_the_weights(net):
    predictor = Predictor(net)
    before = predictor.provenance["model"]
    assert Predictor(keras.models.clone_model(net)).provenance["model"] != before
    bias = net.layers[-1].bias
    kept = np.array(bias)
    bias.assign(kept + 1)
    assert predictor.provenance["model"] != before
    bias.assign(kept)
    assert predictor.provenance["model"] == before


@pytest.mark.parametrize("soft", [False, True])
def test_classes_are_chosen_before_the_softmax(net, soft):
    chosen = [3, 1]
    predictor = Predictor(with_softmax(net) if soft else net, classes=chosen)
    assert_answers(predictor, np.array(net(IMAGES))[:, chosen])
    assert predictor.output == ("probabilities" if soft else "logits")
    assert predictor.class_count == 2


def constant(*logits):
    def model(images):
        return tf.zeros([tf.shape(images)[0], 1]) + tf.constant([logits])

    return model


def test_doubts_keep_apart_what_probabilities_do_not():
    uncertainties = [float(Predictor(constant(z, 0.0)).answers(IMAGES)[1][0]) for z in (30.0, 40.0)]
    np.testing.assert_allclose(uncertainties, [np.exp(-30.0), np.exp(-40.0)], rtol=1e-5)


def test_extreme_logits_are_finite():
    for logits in [(1e30, -1e30), (-1e38, -1e38), (0.0, 0.0)]:
        classes, uncertainties = Predictor(constant(*logits)).answers(IMAGES)
        assert np.isfinite(uncertainties).all() and (classes.numpy() == 0).all()
    for value in (np.nan, np.inf):
        assert np.isnan(Predictor(constant(value, 0.0)).answers(IMAGES)[1]).all()


def test_traced_once(net):
    traces = []

    def model(images):
        traces.append(1)
        return net(images)

    predictor = Predictor(model)
    for size in (5, 3, 5, 1):
        predictor.answers(IMAGES[:size])
    assert len(traces) <= 2  # once, and once more for any number of images


def sigmoid():
    layers = keras.layers
    return keras.Sequential(
        [keras.Input([16, 16, 3]), layers.Flatten(), layers.Dense(3, activation="sigmoid")]
    )


@pytest.mark.parametrize(
    "make, options, error, said",
    [
        (lambda: 3, {}, TypeError, "model must be a Keras model, a file .*; received int"),
        (
            sigmoid,
            {},
            ValueError,
            r"one class, by logits or a softmax; received .* ends in sigmoid",
        ),
        (lambda: constant(1.0), {}, ValueError, r"each of 2 classes or more.*returns \(None, 1\)"),
        (lambda: lambda x: x, {}, ValueError, r"\[batch, classes\]; <lambda> returns"),
        (lambda: "there/is/none", {}, FileNotFoundError, "no model file at"),
        (lambda: constant(0.0, 1.0), {"classes": [0, 2]}, ValueError, "from 0 to 1; received 2"),
        (lambda: constant(0.0, 1.0), {"classes": [0]}, ValueError, "2 or more different whole"),
        (lambda: constant(0.0, 1.0), {"classes": [0, 1, 1]}, ValueError, "must be different"),
    ],
)
def test_bad_models(make, options, error, said):
    with pytest.raises(error, match=said):
        Predictor(make(), **options).answers(IMAGES)


def test_a_folder_that_is_no_saved_model(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"is no SavedModel: it has no saved_model\.pb"):
        Predictor(tmp_path)


def test_logits_first_and_probabilities_then(net):
    def model(images):
        whole = net(images)
        return tf.cond(tf.shape(images)[0] < 3, lambda: tf.nn.softmax(whole), lambda: whole)

    predictor = Predictor(model)
    predictor.answers(IMAGES)
    with pytest.raises(ValueError, match="returned logits at first, and probabilities now"):
        predictor.answers(IMAGES[:2])
