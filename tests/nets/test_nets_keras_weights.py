"""Keras' own VGG-16: the same logits, and no array goes unnoticed."""

from __future__ import annotations

import contextlib
import functools
import re
import warnings

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf

from tfrobust.nets.keras_weights import load_keras_vgg_16
from tfrobust.nets.lenet import lenet
from tfrobust.nets.vgg import vgg_16

FILTERS, HIDDEN, CLASSES = (4, 5, 6, 8, 8), 12, 7
IMAGES = np.random.default_rng(1).random([2, 32, 32, 3], "float32")


def small(input_shape=(32, 32, 3), classes=CLASSES, hidden=HIDDEN, **options):
    return vgg_16(input_shape, classes, filters=FILTERS, hidden=hidden, **options)


def random_arrays(images=32, classes=CLASSES):
    """Arrays of a small VGG-16 by the names that Keras' published files have."""
    random, channels, shapes = np.random.default_rng(0), 3, {}
    for stage, (depth, width) in enumerate(zip((2, 2, 3, 3, 3), FILTERS), start=1):
        for i in range(1, depth + 1):
            shapes[f"block{stage}_conv{i}"] = (3, 3, channels, width)
            channels = width
    shapes["fc1"] = ((images // 32) ** 2 * channels, HIDDEN)
    shapes["fc2"] = (HIDDEN, HIDDEN)
    shapes["predictions"] = (HIDDEN, classes)
    arrays = {}
    for layer, shape in shapes.items():
        deviation = (2 / np.prod(shape[:-1])) ** 0.5
        arrays[f"{layer}/{layer}_W_1:0"] = random.normal(0, deviation, shape).astype("float32")
        arrays[f"{layer}/{layer}_b_1:0"] = random.normal(0, 0.3, shape[-1:]).astype("float32")
    return arrays


ARRAYS = random_arrays()


@pytest.fixture
def saved(tmp_path):
    """Writes arrays as Keras' published files hold them, and returns the path."""

    def save(arrays, path=tmp_path / "vgg16.h5"):
        layers = ["input_1", "block1_pool", *dict.fromkeys(n.partition("/")[0] for n in arrays)]
        with h5py.File(path, "w") as file:
            file.attrs["layer_names"] = [name.encode() for name in layers]
            for layer in layers:
                names = [name for name in arrays if name.startswith(f"{layer}/")]
                group = file.create_group(layer)
                names = [name.partition("/")[2] for name in names]
                group.attrs["weight_names"] = [name.encode() for name in names]
                for name in names:
                    group[name] = arrays[f"{layer}/{name}"]
        return path

    return save


@functools.cache
def built():
    """A net for tests in which it does not change."""
    return small()


@contextlib.contextmanager
def unchanged(net):
    """Checks that the net has the same weights afterwards."""
    before = net.get_weights()
    yield net
    for old, new in zip(before, net.get_weights()):
        np.testing.assert_array_equal(old, new)


def kept(net, before):
    """The layers with weights that still have their previous weights."""
    layers, old = [layer for layer in net.layers if layer.weights], iter(before)
    return [
        layer.name
        for layer in layers
        if all([np.array_equal(weight, next(old)) for weight in layer.get_weights()])
    ]


def test_logits_are_those_of_keras(tmp_path):
    theirs = keras.applications.VGG16(
        weights=None, input_shape=(32, 32, 3), classes=CLASSES, classifier_activation=None
    )
    random = np.random.default_rng(0)
    for layer in theirs.layers:
        if layer.weights:
            kernel, bias = layer.get_weights()
            kernel *= (2 / kernel[..., 0].size / kernel.var()) ** 0.5
            layer.set_weights([kernel, random.normal(0, 0.3, bias.shape)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that Keras calls .h5 old
        theirs.save(tmp_path / "vgg16.h5")
    expected = theirs(keras.applications.vgg16.preprocess_input(255 * IMAGES)).numpy()
    assert np.ptp(expected, axis=0).min() > 1e-3  # the logits depend on the image
    net = vgg_16(classes=CLASSES)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load_keras_vgg_16(net, tmp_path / "vgg16.h5") == []
    np.testing.assert_allclose(net(IMAGES), expected, rtol=0, atol=1e-4 * np.abs(expected).max())
    turned = net(IMAGES[..., ::-1]).numpy()
    assert np.abs(turned - expected).max() > 1e-2 * np.abs(expected).max()


def test_every_array_is_where_it_belongs(saved):
    net = small()
    assert load_keras_vgg_16(net, str(saved(ARRAYS))) == []
    expected = list(ARRAYS.values())
    expected[0] = expected[0][:, :, ::-1]
    assert len(net.weights) == len(expected) == 32
    for weight, array in zip(net.get_weights(), expected):
        np.testing.assert_array_equal(weight, array)


@pytest.mark.parametrize(
    "options, arrays, left, said",
    [
        ({"classes": 4}, ARRAYS, ["logits"], r"logits \(4 classes, 7 in the file\)$"),
        (
            {"classes": 4},
            random_arrays(images=224),
            ["hidden1", "logits"],
            r"hidden1 \(8 inputs by the images' size, 392 in the file\); logits \(4 classes",
        ),
        ({"head": "plain"}, ARRAYS, ["logits"], r"logits \(the plain head takes none"),
        (
            {"head": "plain"},
            dict(list(ARRAYS.items())[:26]),
            ["logits"],
            r"logits \(the plain head",
        ),
        (
            {},
            dict(list(ARRAYS.items())[:26]),
            ["hidden1", "hidden2", "logits"],
            r"hidden1 \(the file has no dense layers\); hidden2 \(the .*; logits",
        ),
    ],
)
def test_what_depends_on_the_data_keeps_its_weights(options, arrays, left, said, saved):
    net = small(**options)
    before = net.get_weights()
    with pytest.warns(UserWarning, match=said):
        assert load_keras_vgg_16(net, saved(arrays)) == left
    assert kept(net, before) == left


@pytest.mark.parametrize(
    "layer, part",
    [("block1_conv1", "W"), ("block5_conv3", "b"), ("fc2", "W"), ("predictions", "b")],
)
def test_missing_and_unexpected_arrays_shapes_and_values(layer, part, saved):
    name = f"{layer}/{layer}_{part}_1:0"
    array = ARRAYS[name]
    one_more, broken = np.concatenate([array, array[:1]]), array.copy()
    broken.flat[-2:] = np.nan, np.inf
    for changes, said in (
        ({name: None}, f"VGG-16; kernel or bias of {layer} is missing"),
        ({f"{layer}_2/{layer}": array}, f"received {layer}_2, which the net does not have"),
        ({name: one_more}, f"{layer}_{part}_1:0 of .*vgg16.h5 must have shape"),
        ({name: broken}, f"{layer}_{part}_1:0 of .* must be finite; received 2 NaN or infinite"),
        ({name: array.astype("int32")}, "must hold floating-point numbers; received dtype int32"),
    ):
        arrays = {n: a for n, a in {**ARRAYS, **changes}.items() if a is not None}
        with unchanged(built()) as net, pytest.raises(ValueError, match=said):
            load_keras_vgg_16(net, saved(arrays))


@pytest.mark.parametrize(
    "build, said",
    [
        (
            lambda: small(hidden=6),
            r"fc1_W_1:0 of .* must have shape \(8, 6\), .* received \(8, 12\)",
        ),
        (lambda: small((32, 32, 1)), r"must have shape \(3, 3, 1, 4\), .* received \(3, 3, 3, 4\)"),
        (lambda: small(norm="bn"), "vgg_16 without norm .* layer 'stage1_norm1'"),
        (lambda: lenet(filters=(4, 4)), "block1_conv2, which the net does not have"),
    ],
)
def test_other_nets(build, said, saved):
    with unchanged(build()) as net, pytest.raises(ValueError, match=said):
        load_keras_vgg_16(net, saved(ARRAYS))
    with pytest.raises(TypeError, match=r"net must be a keras\.Model; received NoneType"):
        load_keras_vgg_16(None)


@pytest.mark.parametrize(
    "head, name",
    [
        ("wide", "vgg16_weights_tf_dim_ordering_tf_kernels.h5"),
        ("plain", "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"),
    ],
)
def test_published_weights_are_those_of_keras(head, name, saved, monkeypatch):
    """Downloads the same file as Keras, to the same folder and with the same checksum."""
    calls = []

    def get_file(fname, origin, **options):
        calls.append((fname, origin, options.get("cache_subdir"), options.get("file_hash")))
        return saved(ARRAYS)

    for module in (keras.utils, *modules_of_keras()):
        monkeypatch.setattr(module, "get_file", get_file)
    # Drawing 138 million numbers takes its time.
    monkeypatch.setattr(keras.initializers.VarianceScaling, "__call__", zeros)
    with contextlib.suppress(ValueError):  # of Keras, as the file holds a small net
        keras.applications.VGG16(include_top=head == "wide")
    net = small(classes=4, head=head)
    with pytest.warns(UserWarning, match="logits"):
        load_keras_vgg_16(net)
    assert calls[0] == calls[1] and calls[0][0] == name


def zeros(self, shape, dtype=None, **kwargs):
    return tf.zeros(shape, dtype or "float32")


def modules_of_keras():
    """The module where Keras itself looks up `get_file`."""
    source = keras.applications.VGG16.__globals__
    return [source[name] for name in ("data_utils", "file_utils") if name in source]


def test_no_network(monkeypatch, tmp_path):
    def get_file(*_, **__):
        raise Exception("URL fetch failure on ...: None -- Name or service not known")

    monkeypatch.setattr(keras.utils, "get_file", get_file)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    said = (
        r"could not fetch https://.*/vgg16_weights_tf_dim_ordering_tf_kernels\.h5 \(URL .* not "
        rf"known\); .* save it as {re.escape(str(tmp_path))}/models/vgg16_weights_.*kernels\.h5, or"
    )
    with unchanged(built()) as net, pytest.raises(ConnectionError, match=said):
        load_keras_vgg_16(net)


def test_no_such_file(tmp_path):
    with unchanged(built()) as net, pytest.raises(FileNotFoundError, match=r"nothing\.h5"):
        load_keras_vgg_16(net, tmp_path / "nothing.h5")


def test_damaged_files(saved):
    path = saved(ARRAYS)
    content = path.read_bytes()
    for broken in (b"", b"no .h5 file at all", content[: len(content) // 2], content[:-10]):
        path.write_bytes(broken)
        with (
            unchanged(built()) as net,
            pytest.raises(ValueError, match=r"undamaged \.h5 file.* received .*vgg16\.h5, which"),
        ):
            load_keras_vgg_16(net, path)


def test_layout_of_keras_3(tmp_path):
    path = tmp_path / "vgg16.weights.h5"
    built().save_weights(path)
    with pytest.raises(ValueError, match=r"\(not \.weights\.h5\); received .*vgg16\.weights\.h5"):
        load_keras_vgg_16(small(), path)
