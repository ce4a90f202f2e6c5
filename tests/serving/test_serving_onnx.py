"""ONNX files beside the Keras model, and the sentences where the extra is not installed."""

import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.parameters import slow_unless
from tfrobust import serving
from tfrobust.layers.route import route


@pytest.fixture
def onnx():
    pytest.importorskip("tf2onnx")
    return pytest.importorskip("onnx")


@pytest.fixture
def onnxruntime(onnx):
    return pytest.importorskip("onnxruntime")


@pytest.fixture
def answers(onnxruntime):
    def run(path, images, output="logits"):
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        return session.run([output], {"images": np.asarray(images, "float32")})[0]

    return run


def random_images(count, *shape):
    return np.random.default_rng(0).random([count, *shape], "float32")


@pytest.mark.parametrize(
    "norm, opset",
    slow_unless([("dubin", 13)], [("bn", 15), ("dubin", 13), ("dubin", 18)], several=True),
)
def test_clean_route_for_any_batch(make_resnet, answers, norm, opset, tmp_path):
    net, images = make_resnet(norm=norm), random_images(5, 32, 32, 3)
    done = serving.export_onnx(net, tmp_path / "net.onnx", opset=opset)
    assert done.bytes == done.path.stat().st_size
    assert done.images == 64 and done.agreement == 1
    logits = net(images, training=False).numpy()
    with route("auxiliary"):
        differ = np.abs(net(images, training=False) - logits).max() > 0.1
    assert differ == (norm == "dubin")
    bound = 1e-4 * max(1, np.abs(logits).max())
    assert done.largest_difference < bound
    for count in (1, 5):
        got = answers(done.path, images[:count])
        np.testing.assert_allclose(got, logits[:count], rtol=0, atol=bound)


def test_names_shapes_and_opset(make_net, onnx, tmp_path):
    serving.export_onnx(make_net(), tmp_path / "net.onnx", opset=16)
    model = onnx.load(str(tmp_path / "net.onnx"))
    onnx.checker.check_model(model)
    ends = [*model.graph.input, *model.graph.output]
    assert [end.name for end in ends] == ["images", "logits"]
    shapes = [[d.dim_param or d.dim_value for d in e.type.tensor_type.shape.dim] for e in ends]
    assert shapes == [["batch", 16, 16, 3], ["batch", 4]]
    assert {o.version for o in model.opset_import if o.domain == ""} == {16}


@pytest.mark.slow
def test_accuracies_of_a_trained_net(onnxruntime, trained_net, digit_parts, tmp_path):
    images, labels = digit_parts["test"]
    done = serving.export_onnx(trained_net, tmp_path / "net.onnx", data=(images, labels))
    right = trained_net.predict(images, verbose=0).argmax(axis=1) == labels
    assert done.keras_accuracy == pytest.approx(right.mean())
    assert done.images == 360 and done.accuracy == pytest.approx(right.mean(), abs=0.003)


def test_softmax_and_mixed_precision(make_net, answers, images, tmp_path):
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        net = make_net(activation="softmax")
    finally:
        keras.mixed_precision.set_global_policy("float32")
    full = make_net(activation="softmax")
    full.set_weights(net.get_weights())
    done = serving.export_onnx(net, tmp_path / "net.onnx")
    np.testing.assert_allclose(answers(done.path, images, "probabilities"), full(images), atol=1e-6)


def test_grouped_convolution(answers, images, tmp_path):
    """Keras has XLA compile it, in a function of its own."""
    layers = [
        keras.Input([16, 16, 3]),
        keras.layers.Conv2D(6, 3, groups=3),
        keras.layers.Flatten(),
        keras.layers.Dense(4),
    ]
    net = keras.Sequential(layers)
    done = serving.export_onnx(net, tmp_path / "net.onnx")
    np.testing.assert_allclose(answers(done.path, images), net(images), rtol=1e-4, atol=1e-5)


@keras.saving.register_keras_serializable("tests")
class Bessel(keras.layers.Layer):
    def call(self, x):
        return tf.math.bessel_i0e(x)


def test_operation_that_is_not_there(onnx, tmp_path):
    layers = keras.layers
    net = keras.Sequential([keras.Input([8, 8, 3]), Bessel(), layers.Flatten(), layers.Dense(3)])
    with pytest.raises(RuntimeError, match="it has no operation BesselI0e"):
        serving.export_onnx(net, tmp_path / "net.onnx")
    assert not list(tmp_path.iterdir())


def test_what_stands_there_is_kept(make_net, onnx, tmp_path):
    (tmp_path / "net.onnx").write_text("before")
    with pytest.raises(FileExistsError, match=r"net.onnx exists"):
        serving.export_onnx(make_net(), tmp_path / "net.onnx")
    assert (tmp_path / "net.onnx").read_text() == "before"
    serving.export_onnx(make_net(), tmp_path / "net.onnx", overwrite=True)
    onnx.checker.check_model(onnx.load(str(tmp_path / "net.onnx")))


@pytest.mark.parametrize("opset", [12, 19, "15"])
def test_opset_out_of_range(make_net, opset, tmp_path):
    with pytest.raises(ValueError, match="opset must be a whole number from 13 to 18; received"):
        serving.export_onnx(make_net(), tmp_path / "net.onnx", opset=opset)


def hide(monkeypatch, *modules):
    for module in modules:
        monkeypatch.setitem(sys.modules, module, None)


def test_without_tf2onnx(make_net, monkeypatch, tmp_path):
    hide(monkeypatch, "tf2onnx", "tf2onnx.convert")
    with pytest.raises(ImportError) as raised:
        serving.export_onnx(make_net(), tmp_path / "net.onnx")
    assert str(raised.value) == "export_onnx needs tf2onnx: pip install tfrobust[onnx]"
    assert not list(tmp_path.iterdir())


def test_without_onnxruntime_nothing_is_compared(
    make_net, images, labels, onnx, monkeypatch, tmp_path
):
    hide(monkeypatch, "onnxruntime")
    done = serving.export_onnx(make_net(), tmp_path / "net.onnx")
    assert done.bytes > 0 and done.images == 0 and done.largest_difference is None
    with pytest.raises(ImportError, match=r"data of export_onnx needs onnxruntime: pip install"):
        serving.export_onnx(make_net(), tmp_path / "other.onnx", data=(images, labels))
    assert not (tmp_path / "other.onnx").exists()
