"""Model files of every kind, and functions in Python files, give what their net gives."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfrobust import datasets, serving
from tfrobust.evaluation import Predictor, benchmark, runnable
from tfrobust.recipes import models
from tfrobust.serving.plain_net import PlainNet

IMAGES = np.random.default_rng(0).random([5, 8, 8, 3], "float32")


@pytest.fixture(scope="module")
def net():
    """A net of images from 0 to 1, whose weights depend on nothing."""
    keras.utils.set_random_seed(1)
    layers = [keras.layers.Conv2D(4, 3, activation="relu"), keras.layers.GlobalMaxPooling2D()]
    return keras.Sequential([keras.Input([8, 8, 3]), *layers, keras.layers.Dense(4)])


def assert_same(predictor, net, images=IMAGES, rtol=1e-4):
    logits = np.asarray(net(images), "float64")
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    classes, uncertainties = predictor.answers(images)
    np.testing.assert_array_equal(classes, shares.argmax(axis=1))
    np.testing.assert_allclose(uncertainties, 1 - shares.max(axis=1), rtol=rtol, atol=1e-5)


def test_tflite(net, tmp_path):
    serving.export_tflite(net, tmp_path / "net.tflite")
    predictor = Predictor(tmp_path / "net.tflite")
    assert (predictor.name, predictor.image_shape, predictor.net) == ("net", (8, 8, 3), None)
    assert_same(predictor, net)
    assert_same(predictor, net, IMAGES[:2])  # another size of the batch
    digest = predictor.provenance["model"]
    (tmp_path / "net.tflite").write_bytes((tmp_path / "net.tflite").read_bytes() + b" ")
    assert predictor.provenance["model"] != digest


def test_tflite_of_whole_numbers(net, tmp_path):
    """With images and outputs in 8 bits, for one image at a time."""
    plain = PlainNet(net)
    one = plain.call.get_concrete_function(tf.TensorSpec([1, 8, 8, 3]))
    converter = tf.lite.TFLiteConverter.from_concrete_functions([one], plain)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.uint8
    converter.representative_dataset = lambda: ([image[None]] for image in IMAGES)
    (tmp_path / "net.tflite").write_bytes(converter.convert())
    found = runnable.opened(tmp_path / "net.tflite").run(IMAGES)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, net(IMAGES), atol=0.05)


def test_onnx_with_channels_last(net, tmp_path):
    pytest.importorskip("onnxruntime")
    serving.export_onnx(net, tmp_path / "net.onnx")
    predictor = Predictor(tmp_path / "net.onnx")
    assert predictor.image_shape == (8, 8, 3)
    assert_same(predictor, net)


@pytest.mark.parametrize("kind", ["float", "one by one", "bytes"])
def test_onnx_with_channels_first(tmp_path, kind):
    """As PyTorch writes it: [batch, channels, height, width]."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    helper, types = onnx.helper, onnx.TensorProto
    weights = np.random.default_rng(1).standard_normal([3, 4]).astype("float32")
    taken = types.UINT8 if kind == "bytes" else types.FLOAT
    nodes = [
        helper.make_node("Cast", ["pixels"], ["x"], to=types.FLOAT),
        helper.make_node("GlobalAveragePool", ["x"], ["means"]),
        helper.make_node("Flatten", ["means"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["classes"]),
    ]
    batch = 1 if kind == "one by one" else "n"
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("pixels", taken, [batch, 3, 8, 8])],
        [helper.make_tensor_value_info("classes", types.FLOAT, [batch, 4])],
        [onnx.numpy_helper.from_array(weights, "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, tmp_path / "net.onnx")
    predictor = Predictor(tmp_path / "net.onnx")
    assert predictor.image_shape == (8, 8, 3)
    assert predictor.stated_range == ("0_to_255" if kind == "bytes" else None)
    pixels = np.rint(255 * IMAGES) if kind == "bytes" else IMAGES
    expected = (pixels.mean(axis=(1, 2)) @ weights).argmax(axis=1)
    np.testing.assert_array_equal(predictor.answers(IMAGES)[0], expected)


def test_a_saved_model_of_bytes(net, tmp_path):
    module = tf.Module()
    module.net = net
    spec = tf.TensorSpec([None, 8, 8, 3], tf.uint8)
    serve = tf.function(lambda x: {"y": net(tf.cast(x, tf.float32) / 255)}, input_signature=[spec])
    tf.saved_model.save(module, str(tmp_path / "bytes"), {"serving_default": serve})
    pixels = np.rint(255 * IMAGES) / np.float32(255)
    assert_same(Predictor(tmp_path / "bytes"), net, pixels)


def test_functions_in_python_files(tmp_path):
    code = "import numpy as np\n\n\ndef classify(images):\n"
    (tmp_path / "mine.py").write_text(code + "    return np.asarray(images)[:, 0, 0] * 9\n")
    predictor = Predictor(f"{tmp_path}/mine.py:classify", input_range="0_to_255")
    assert predictor.name == "classify" and predictor.provenance["input_range"] == "0_to_255"
    expected = IMAGES[:, 0, 0].argmax(axis=1)
    np.testing.assert_array_equal(predictor.answers(IMAGES)[0], expected)
    with pytest.raises(ValueError, match=r"has no function 'clasify' \(did you mean classify\?\)"):
        Predictor(f"{tmp_path}/mine.py:clasify")
    with pytest.raises(FileNotFoundError, match="no Python file at"):
        Predictor(f"{tmp_path}/other.py:classify")


@pytest.mark.parametrize("kind", ["keras", "function"])
def test_images_are_resized_for_the_model(net, kind):
    large = tf.image.resize(IMAGES, [16, 12]).numpy().clip(0, 1)
    predictor = Predictor(net if kind == "keras" else lambda x: net(x), input_size=(8, 8))
    assert predictor.image_shape[:2] == (None, None)
    small = tf.image.resize(large, [8, 8], antialias=True)
    assert_same(predictor, lambda _: net(small), large)
    assert predictor.provenance["input_size"] == [8, 8]


def test_pixels_of_a_file_that_says_nothing_are_found(tmp_path, small_job, capsys):
    """The net was trained on images from 0 to 255."""

    data = datasets.load("digits", batch_size=120)
    images, labels = next(iter(data.train))
    # Ink is dark in the small digits: the nearest class mean is right for most of the images.
    means = np.stack([images.numpy()[labels.numpy() == k].mean(axis=0) for k in range(10)])
    kernel = (2 * means.reshape(10, -1)).T / 255
    bias = -np.square(means).reshape(10, -1).sum(axis=1)
    dense = keras.layers.Dense(10)
    model = keras.Sequential([keras.Input([32, 32, 3]), keras.layers.Flatten(), dense])
    dense.set_weights([kernel, bias])
    serving.export_tflite(model, tmp_path / "net.tflite")
    found = models.predictor("net", str(tmp_path / "net.tflite"), data)
    right = found.answers(images)[0].numpy() == labels.numpy()
    assert right.mean() > 0.5
    assert "net.tflite takes images from 0 to 255, says its accuracy" in capsys.readouterr().out


@pytest.mark.parametrize(
    "name, error, message",
    [
        ("no.h5", FileNotFoundError, "a model is a .keras, .tflite or .onnx file"),
        ("net.h5", ValueError, "a model is a .keras, .tflite or .onnx file"),
        ("no.tflite", FileNotFoundError, "no model file at"),
        ("no.onnx", FileNotFoundError, "no model file at"),
        ("broken.tflite", ValueError, "TensorFlow Lite cannot open .*broken.tflite"),
        ("broken.onnx", ValueError, "onnxruntime cannot open"),
    ],
)
def test_what_cannot_be_run(tmp_path, name, error, message):
    for broken in ("broken.tflite", "broken.onnx", "net.h5"):
        (tmp_path / broken).write_bytes(b"nothing")
    with pytest.raises(error, match=message):
        Predictor(tmp_path / name)


def test_a_model_of_another_size_is_told_of(net):
    data = (np.zeros([2, 9, 9, 3], "float32"), np.arange(2))

    with pytest.raises(ValueError, match=r"takes \[8, 8, 3\]; .* \(input_size=, --input-size H W"):
        benchmark(net, data, [], verbose=False)


def test_a_function_that_raises_is_named(tmp_path):
    (tmp_path / "bad.py").write_text("def f(images):\n    raise KeyError('mean')\n")
    with pytest.raises(ValueError, match=r"bad\.py:f raised KeyError: 'mean'"):
        Predictor(f"{tmp_path}/bad.py:f").answers(IMAGES)
