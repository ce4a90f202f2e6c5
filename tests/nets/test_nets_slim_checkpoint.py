"""Checkpoints that tf-slim's own nets wrote: the same logits, and no variable goes unnoticed."""

from __future__ import annotations

import contextlib
import functools
import re
import types
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfrobust.nets.preact_resnet import preact_resnet_18
from tfrobust.nets.resnet_v2 import resnet_v2
from tfrobust.nets.slim_checkpoint import load
from tfrobust.nets.vgg import IMAGENET_MEAN, vgg_16

tf_slim = pytest.importorskip("tf_slim", reason="the checkpoints are written by tf-slim's nets")
slim_nets = pytest.importorskip("tf_slim.nets")
v1 = tf.compat.v1

#: Fewer channels of VGG-16: tf-slim's number and ours.
NARROW = {64: 4, 128: 5, 256: 6, 512: 8, 4096: 12}
CLASSES = 7

# ResNet with every kind of shortcut; tf-slim's first convolution always has 64 channels.
DEPTHS, FILTERS = (2, 1, 2, 1), (64, 8, 8, 12)


def small_vgg(input_shape=(224, 224, 3), classes=CLASSES, hidden=12, **options):
    return vgg_16(input_shape, classes, filters=(4, 5, 6, 8, 8), hidden=hidden, **options)


def small_resnet(input_shape=(64, 64, 3), classes=CLASSES, depths=DEPTHS, **options):
    return resnet_v2(depths, input_shape, classes, filters=FILTERS, **options)


NETS = {"vgg_16": small_vgg, "resnet_v2_50": small_resnet}


def slim_vgg(pixels):
    """tf-slim's VGG-16 with few channels."""
    vgg, layers = slim_nets.vgg, tf_slim.layers

    @tf_slim.add_arg_scope
    def conv2d(inputs, num_outputs, *args, **kwargs):
        return layers.conv2d(inputs, NARROW.get(num_outputs, num_outputs), *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vgg, "layers", types.SimpleNamespace(conv2d=conv2d))
        with tf_slim.arg_scope(vgg.vgg_arg_scope()):
            return vgg.vgg_16(255 * pixels - IMAGENET_MEAN, CLASSES, is_training=False)[0]


def slim_resnet(pixels):
    """tf-slim's ResNet v2 with few channels and blocks."""
    resnet, resnet_utils = slim_nets.resnet_v2, slim_nets.resnet_utils
    blocks = [
        resnet.resnet_v2_block(f"block{i}", width, depth, 2 if i < 4 else 1)
        for i, (depth, width) in enumerate(zip(DEPTHS, FILTERS), start=1)
    ]
    with pytest.MonkeyPatch.context() as patch:
        # With None, tf-slim updates moving statistics without a package of Keras 2.
        keys = types.SimpleNamespace(UPDATE_OPS=None)
        patch.setattr(resnet_utils, "ops", types.SimpleNamespace(GraphKeys=keys))
        scope = resnet.resnet_arg_scope()
    with tf_slim.arg_scope(scope):
        logits, _ = resnet.resnet_v2(
            2 * pixels - 1, blocks, CLASSES, is_training=False, scope="resnet_v2_50"
        )
    return tf.squeeze(logits, [1, 2])


SLIM = {"vgg_16": slim_vgg, "resnet_v2_50": slim_resnet}
SIZES = {"vgg_16": (224, 224), "resnet_v2_50": (64, 64)}


def values_of(variables):
    """Random numbers, other than 0 and 1 for scales, offsets and moving statistics too."""
    random = np.random.default_rng(0)
    values = {}
    for variable in variables:
        name, shape = variable.op.name, variable.shape.as_list()
        if name.endswith(("gamma", "moving_variance")):
            value = random.uniform(0.5, 1.5, shape)
        else:
            fan_in = np.prod(shape[:-1]) if name.endswith("weights") else 20
            value = random.normal(0, (2 / fan_in) ** 0.5, shape)
        values[name] = value.astype("float32")
    return values


def some_images(size, count=2):
    return np.random.default_rng(1).random([count, *size, 3], "float32")


def slim_logits(kind, images, folder=None, arrays=None):
    """Logits of tf-slim's net, and its variables, which are saved in the folder too."""
    with (
        tf.Graph().as_default(),
        v1.Session() as session,
        pytest.MonkeyPatch.context() as patch,
        warnings.catch_warnings(),
    ):
        # tf-slim is older than these TensorFlows: it uses names that they deprecate, and one that
        # is gone, to see whether `is_training` is a tensor.
        warnings.simplefilter("ignore")
        v1.set_random_seed(0)  # wanted by dropout where operations are made deterministic
        patch.setattr(tf_slim.layers.utils, "constant_value", lambda value, dtype=None: value)
        pixels = v1.placeholder(tf.float32, images.shape)
        logits = SLIM[kind](pixels)
        variables = v1.global_variables()
        arrays = arrays or values_of(variables)
        for variable in variables:
            variable.load(arrays[variable.op.name], session)
        for version in ("V1", "V2") if folder else ():
            saver = v1.train.Saver(write_version=getattr(v1.train.SaverDef, version))
            saver.save(session, str(folder / f"{version}.ckpt"), write_meta_graph=version == "V2")
        return session.run(logits, {pixels: images}), arrays


def write(arrays, path, version="V2"):
    """A checkpoint of arrays."""
    names, tensors = list(arrays), [tf.constant(array) for array in arrays.values()]
    if version == "V1":
        tf.raw_ops.Save(filename=str(path), tensor_names=names, data=tensors)
    else:
        slices = [""] * len(names)
        tf.raw_ops.SaveV2(
            prefix=str(path), tensor_names=names, shape_and_slices=slices, tensors=tensors
        )
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Logits, variables and folder of tf-slim's nets."""
    folders = {kind: tmp_path_factory.mktemp(kind) for kind in SIZES}
    return {
        kind: (*slim_logits(kind, some_images(size), folders[kind]), folders[kind])
        for kind, size in SIZES.items()
    }


@functools.cache
def built(kind):
    """A net for tests in which it does not change."""
    return NETS[kind]()


@pytest.fixture(params=NETS)
def kind(request):
    return request.param


def changes(net, before):
    """Names of the layers with weights, and whether they have others than before."""
    layers = [layer for layer in net.layers if layer.weights]
    assert sum(len(layer.weights) for layer in layers) == len(before)
    after, old = {}, iter(before)
    for layer in layers:
        after[layer.name] = [not np.array_equal(w, next(old)) for w in layer.get_weights()]
    return after


def assert_logits(net, images, expected):
    atol = 1e-4 * np.abs(expected).max()
    np.testing.assert_allclose(net(images), expected, rtol=0, atol=atol)


@pytest.mark.parametrize("version", ["V1", "V2"])
def test_logits_are_those_of_tf_slim(kind, version, trained):
    expected, _, folder = trained[kind]
    assert np.ptp(expected, axis=0).min() > 1e-3  # the logits depend on the image
    net = NETS[kind]()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load(net, folder / f"{version}.ckpt") == []
    assert_logits(net, some_images(SIZES[kind]), expected)


def test_logits_of_odd_sizes(trained):
    _, arrays, folder = trained["resnet_v2_50"]
    images = some_images((65, 67))
    net = small_resnet((65, 67, 3))
    load(net, folder / "V2.ckpt")
    assert_logits(net, images, slim_logits("resnet_v2_50", images, arrays=arrays)[0])


def test_every_way_to_name_a_checkpoint(trained):
    expected, _, folder = trained["resnet_v2_50"]
    net, images = small_resnet(), some_images(SIZES["resnet_v2_50"])
    before = net.get_weights()
    for name in ("V2.ckpt", "V2.ckpt.index", "V2.ckpt.data-00000-of-00001", "V2.ckpt.meta", ""):
        net.set_weights(before)
        load(net, folder / name)
        assert_logits(net, images, expected)
    load(net, str(folder / "V2.ckpt"))


def test_other_classes_keep_the_output_layer(kind, trained):
    path = trained[kind][2] / "V2.ckpt"
    net = NETS[kind](classes=3)
    before = net.get_weights()
    with pytest.warns(UserWarning, match=r"V2.ckpt: logits \(3 classes, 7 in the file\)$"):
        assert load(net, path) == ["logits"]
    for name, changed in changes(net, before).items():
        assert not any(changed) if name == "logits" else all(changed)


def test_other_images_keep_the_first_dense_layer_of_vgg(trained):
    path = trained["vgg_16"][2] / "V2.ckpt"
    net = small_vgg((32, 64, 3), classes=3)
    before = net.get_weights()
    said = r"hidden1 \(16 inputs by the images' size, 392 in the file\); logits"
    with pytest.warns(UserWarning, match=said):
        assert load(net, path) == ["hidden1", "logits"]
    for name, changed in changes(net, before).items():
        assert not any(changed) if name in ("hidden1", "logits") else all(changed)
    weights = trained["vgg_16"][1]["vgg_16/fc7/weights"]
    np.testing.assert_array_equal(net.get_layer("hidden2").get_weights()[0], weights[0, 0])


@pytest.mark.parametrize("classes", [CLASSES, 12])
def test_plain_head_takes_no_dense_layer(classes, trained):
    path = trained["vgg_16"][2] / "V2.ckpt"
    net = small_vgg((32, 32, 3), classes, head="plain")
    before = net.get_weights()
    with pytest.warns(UserWarning, match=r"logits \(the plain head takes none of fc6, fc7 and fc8"):
        assert load(net, path) == ["logits"]
    for name, changed in changes(net, before).items():
        assert not any(changed) if name == "logits" else all(changed)


def test_what_training_leaves_is_passed_over(kind, trained, tmp_path):
    """Momentum, averages, step counter and the mean of the published VGG-16; averages on wish."""
    expected, arrays, _ = trained[kind]
    extra = {"global_step": np.int64(7), f"{kind}/mean_rgb": np.ones(3, "float32")}
    for name, array in arrays.items():
        extra[f"{name}/Momentum"] = np.full_like(array, np.nan)
        if "moving" not in name:
            extra[f"{name}/ExponentialMovingAverage"] = array
    plain = {name: a if "moving" in name else a + 1 for name, a in arrays.items()}
    images = some_images(SIZES[kind])
    net = NETS[kind]()
    load(net, write({**arrays, **extra}, tmp_path / "a.ckpt"))
    assert_logits(net, images, expected)
    path = write({**plain, **extra}, tmp_path / "b.ckpt")
    load(net, path, moving_average=True)
    assert_logits(net, images, expected)
    load(net, path)
    assert np.abs(net(images) - expected).max() > 1e-2 * np.abs(expected).max()


def test_no_moving_averages(trained):
    path = trained["resnet_v2_50"][2] / "V2.ckpt"
    with unchanged(built("resnet_v2_50")) as net, pytest.raises(ValueError, match="ckpt has none"):
        load(net, path, moving_average=True)


def test_a_net_that_took_a_checkpoint_is_saved_like_any_other(trained, tmp_path):
    net = small_vgg()
    load(net, trained["vgg_16"][2] / "V2.ckpt")
    net.save(tmp_path / "net.keras")
    again = keras.models.load_model(tmp_path / "net.keras")
    images = some_images(SIZES["vgg_16"])
    np.testing.assert_array_equal(net(images), again(images))


@contextlib.contextmanager
def unchanged(net):
    """Checks that the net has the same weights afterwards."""
    before = net.get_weights()
    yield net
    for old, new in zip(before, net.get_weights()):
        np.testing.assert_array_equal(old, new)


UNIT = "resnet_v2_50/block3/unit_2/bottleneck_v2"


@pytest.mark.parametrize(
    "name",
    [
        "vgg_16/conv1/conv1_1/weights",
        "vgg_16/fc6/weights",
        "vgg_16/fc8/biases",
        "resnet_v2_50/conv1/biases",
        f"{UNIT}/conv1/BatchNorm/moving_mean",
        "resnet_v2_50/postnorm/beta",
    ],
)
def test_missing_and_unexpected_arrays_shapes_and_values(name, trained, tmp_path):
    kind = name.partition("/")[0]
    arrays = trained[kind][1]
    array = arrays[name]
    path = tmp_path / "model.ckpt"
    one_more = np.concatenate([array, array[:1]])
    infinite = array.copy()
    infinite.flat[-2:] = np.nan, np.inf
    last, _, part = name.rpartition("/")
    for broken, said in (
        ({name: None}, f"model.ckpt must hold a {kind} like the net; {name} is missing"),
        ({f"{last}_9/{part}": array}, f"received {last}_9/{part}, which the net does not have"),
        ({name: one_more}, f"{name} of {path} must have shape"),
        ({name: infinite}, f"{name} of {path} must be finite; received 2 NaN or infinite"),
        ({name: array.astype("int32")}, f"{name} of {path} must hold floating-point .* int32"),
    ):
        if "fc6/weights" in name and broken.get(name) is one_more:
            continue  # as of another size of images
        changed = {n: a for n, a in {**arrays, **broken}.items() if a is not None}
        write(changed, path)
        said = said.replace(str(path), re.escape(str(path)))
        with unchanged(built(kind)) as net, pytest.raises(ValueError, match=said):
            load(net, path)


@pytest.mark.parametrize(
    "build, kind, said",
    [
        (
            lambda: built("vgg_16"),
            "resnet_v2_50",
            "must hold a vgg_16 like the net; .*variables of resnet_v2_50",
        ),
        (
            lambda: built("resnet_v2_50"),
            "vgg_16",
            "must hold a resnet_v2_50 like .* received variables of vgg_16$",
        ),
        (
            lambda: small_vgg(hidden=6),
            "vgg_16",
            r"fc6/weights .* shape \(392, 6\), .* received \(392, 12\)",
        ),
        (
            lambda: small_vgg((224, 224, 1)),
            "vgg_16",
            r"vgg_16/conv1/conv1_1/weights of .* \(3, 3, 1, 4\), .* received \(3, 3, 3, 4\)",
        ),
        (
            lambda: small_resnet(depths=(2, 1, 3, 1)),
            "resnet_v2_50",
            "block3/unit_3/bottleneck_v2/preact/gamma is missing",
        ),
        (
            lambda: small_resnet(depths=(1, 1, 2, 1)),
            "resnet_v2_50",
            "received resnet_v2_50/block1/unit_2/bottleneck_v2/conv1/.*, which the net does not",
        ),
        (
            lambda: preact_resnet_18(filters=FILTERS),
            "resnet_v2_50",
            "block2/unit_2/bottleneck_v2/preact/gamma is missing",
        ),
        (lambda: small_vgg(norm="bn"), "vgg_16", "received one with the layer 'stage1_norm1'"),
        (
            lambda: small_resnet(norm="dubn", depths=(1, 1, 1, 1)),
            "resnet_v2_50",
            "'stage1_block1_norm1' .*BatchNorm",
        ),
        (
            lambda: keras.Sequential([keras.Input([3]), keras.layers.Dense(2, name="dense")]),
            "vgg_16",
            r"vgg_16 without norm .* 'dense' \(Dense\)",
        ),
    ],
)
def test_checkpoints_of_other_nets(build, kind, said, trained):
    path = trained[kind][2] / "V2.ckpt"
    with unchanged(build()) as net, pytest.raises(ValueError, match=said):
        load(net, path)


def test_not_a_net(tmp_path):
    with pytest.raises(TypeError, match=r"net must be a keras\.Model; received str"):
        load("vgg_16", tmp_path)


def test_nothing_there(tmp_path):
    (tmp_path / "folder").mkdir()
    for name in ("nothing.ckpt", "nothing.ckpt.index", "folder"):
        with (
            unchanged(built("resnet_v2_50")) as net,
            pytest.raises(FileNotFoundError, match=f"there is no checkpoint '.*{name}'"),
        ):
            load(net, tmp_path / name)


def damaged(content):
    yield b""
    yield b"not a checkpoint at all, but long enough to be read as something of that kind"
    yield content[: len(content) // 2]
    for share in (0.1, 0.5, 0.9):
        place = int(share * len(content))
        yield content[:place] + bytes([content[place] ^ 255]) + content[place + 1 :]


@pytest.mark.parametrize(
    "version, ending",
    [
        ("V1", ""),
        ("V2", ".index"),
        ("V2", ".data-00000-of-00001"),
    ],
)
def test_damaged_files(version, ending, trained, tmp_path):
    path = write(trained["resnet_v2_50"][1], tmp_path / "model.ckpt", version)
    file = tmp_path / f"model.ckpt{ending}"
    content = file.read_bytes()
    with unchanged(built("resnet_v2_50")) as net:
        for broken in damaged(content):
            file.write_bytes(broken)
            with pytest.raises(ValueError, match=r"undamaged checkpoint.* received .*model\.ckpt"):
                load(net, path)
        if ending.startswith(".data"):
            file.unlink()
            with pytest.raises(ValueError, match="undamaged checkpoint"):
                load(net, path)
