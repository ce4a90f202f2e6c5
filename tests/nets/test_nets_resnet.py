"""ResNets: published sizes, an independent forward pass, and what every net of ours keeps."""

from __future__ import annotations

import functools
import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.reference import resnet as reference
from tfrobust.layers import relu_layers
from tfrobust.nets.cifar_resnet import cifar_resnet, resnet_20, resnet_56
from tfrobust.nets.resnet import resnet, resnet_18, resnet_50

FEW = (4, 6, 6, 8)  # channels of small nets


def cifar(input_shape=(16, 16, 3), **options):
    return cifar_resnet(8, input_shape, 5, filters=(4, 7, 12), **options)


def basic(input_shape=(16, 24, 3), stem="tiny_imagenet", **options):
    return resnet([1, 1, 1, 1], input_shape, 5, stem=stem, filters=FEW, **options)


def bottleneck(input_shape=(32, 40, 3), stem="imagenet", **options):
    return resnet([2, 1, 1, 1], input_shape, 5, bottleneck=True, stem=stem, filters=FEW, **options)


#: Small nets with every kind of block, shortcut and stem.
SMALL = {"cifar": cifar, "basic": basic, "bottleneck": bottleneck}


@pytest.fixture(params=SMALL)
def small(request):
    return SMALL[request.param]


def some_images(net, count=3, seed=1):
    random = np.random.default_rng(seed)
    return random.random([count, *net.input_shape[1:]], "float32")


def randomized(net):
    """Other numbers than 0 and 1 for scales, offsets and moving statistics."""
    random = np.random.default_rng(0)
    for layer in net.layers:
        if "norm" in layer.name and layer.get_weights():
            values = [random.uniform(0.5, 1.5, w.shape) for w in layer.get_weights()]
            values[1], values[2] = values[1] - 1, values[2] - 1
            layer.set_weights(values)
    return net


def as_torch(net):
    """The weights under the names that torchvision gives them."""
    arrays = {}
    for layer in net.layers:
        name = re.sub(
            r"stage(\d)_block(\d)_", lambda m: f"layer{m[1]}.{int(m[2]) - 1}.", layer.name
        )
        for ours, theirs in (
            ("stem_conv", "conv1"),
            ("stem_norm", "bn1"),
            ("shortcut_conv", "downsample.0"),
            ("shortcut_norm", "downsample.1"),
            ("norm", "bn"),
            ("logits", "linear"),
        ):
            name = name.replace(ours, theirs)
        for part, weight in zip(
            ("weight", "bias", "running_mean", "running_var"), layer.get_weights()
        ):
            arrays[f"{name}.{part}"] = (
                weight.transpose(3, 2, 0, 1) if weight.ndim == 4 else weight.T
            )
    return arrays


def zeros(self, shape, dtype=None, **kwargs):
    return tf.zeros(shape, dtype or "float32")


@functools.cache
def full_size(build):
    """The net as users get it, all zeros: drawing millions of numbers takes its time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keras.initializers.VarianceScaling, "__call__", zeros)
        return build()


def counts(net):
    trainable, other = (
        sum(int(np.prod(weight.shape)) for weight in weights)
        for weights in (net.trainable_weights, net.non_trainable_weights)
    )
    return trainable, other


TINY_IMAGENET = functools.partial(resnet_18, (64, 64, 3), 200, stem="tiny_imagenet")
IMAGENET = functools.partial(resnet_18, (224, 225, 3), 1000, stem="imagenet")


@pytest.mark.parametrize(
    "build, trainable, other",
    [
        # Other: mean and variance of every channel, 2·(64·5 + 128·5 + 256·5 + 512·5). Trainable:
        # 200·513 weights of the output layer for the 10·513 of the registered net.
        (TINY_IMAGENET, 11_173_962 + 190 * 513, 9_600),
        (IMAGENET, 11_689_512, 9_600),  # as PyTorch's
    ],
)
def test_published_numbers_of_weights(build, trainable, other):
    net = full_size(build)
    assert counts(net) == (trainable, other)
    assert net.name == build.func.__name__
    # All layers with weights but the last have a ReLU.
    assert len(relu_layers(net)) == 17


@pytest.mark.parametrize(
    "build, shapes",
    [
        (
            functools.partial(cifar_resnet, 8),
            [(32, 32, 3), (32, 32, 16), (16, 16, 32), (8, 8, 64)],
        ),
        (
            functools.partial(cifar_resnet, 8, [7, 9, 1]),
            [(7, 9, 1), (7, 9, 16), (4, 5, 32), (2, 3, 64)],
        ),
        (
            functools.partial(resnet, [1, 1, 1, 1]),
            [(32, 32, 3), (32, 32, 64), (16, 16, 128), (8, 8, 256), (4, 4, 512)],
        ),
        (TINY_IMAGENET, [(64, 64, 3), (32, 32, 64), (16, 16, 128), (8, 8, 256), (4, 4, 512)]),
        (IMAGENET, [(224, 225, 3), (56, 57, 64), (28, 29, 128), (14, 15, 256), (7, 8, 512)]),
        (
            functools.partial(
                resnet, [1, 1, 1, 1], (224, 224, 3), bottleneck=True, stem="imagenet"
            ),
            [(224, 224, 3), (56, 56, 256), (28, 28, 512), (14, 14, 1024), (7, 7, 2048)],
        ),
    ],
)
def test_sizes_at_the_mixing_points(build, shapes):
    net = full_size(build)
    points = [layer for layer in net.layers if layer.name.startswith("mixing_point_")]
    assert [point.name for point in points] == [f"mixing_point_{i}" for i in range(len(shapes))]
    assert [tuple(point.output.shape[1:]) for point in points] == shapes
    assert all(point.get_config()["activation"] == "linear" for point in points)
    assert net.get_layer("features").output.shape[1:] == shapes[-1][2:]


@pytest.mark.parametrize(
    "build, stem",
    [
        (cifar, {}),
        (functools.partial(cifar, [7, 9, 3]), {}),
        (functools.partial(basic, stem="cifar"), {}),
        (functools.partial(basic, [17, 19, 3]), {"stem_stride": 2}),
        (bottleneck, {"stem_stride": 2, "max_pool": True}),
        (functools.partial(bottleneck, [33, 39, 3]), {"stem_stride": 2, "max_pool": True}),
    ],
)
def test_logits_match_reference(build, stem):
    mean, std = (0.4, 0.5, 0.6), (0.2, 0.3, 0.25)
    net = randomized(build(mean=mean, std=std))
    images = some_images(net)
    expected = reference.forward(images, as_torch(net), mean, std, **stem)
    assert np.ptp(expected, axis=0).min() > 1e-3  # the logits depend on the image
    np.testing.assert_allclose(net(images), expected, atol=1e-4 * np.abs(expected).max())


def test_normalization():
    for options, expected in (
        ({}, 2 * np.array([0.25, 0.5, 1.0]) - 1),
        ({"mean": 0, "std": 1}, [0.25, 0.5, 1.0]),
        ({"mean": np.array([0.25, 0, 1]), "std": [0.5, 2, 4]}, [0, 0.25, 0]),
    ):
        net = cifar(**options)
        pixels = np.tile(np.array([0.25, 0.5, 1.0], "float32"), [2, 16, 16, 1])
        result = net.get_layer("normalization")(pixels)
        np.testing.assert_allclose(result, np.broadcast_to(expected, pixels.shape), atol=1e-6)


def test_shortcuts_of_option_a_have_zeros_on_both_sides():
    """With all convolutions 0 and the norms fresh, the stages are their shortcuts."""
    net = cifar_resnet(8, [4, 4, 3], filters=(2, 4, 9))
    x = np.arange(1, 33, dtype="float32").reshape([1, 4, 4, 2])
    for stage, before in ((2, 1), (3, 2)):
        block = f"stage{stage}_block1_shortcut"
        y = net.get_layer(f"{block}_pad")(net.get_layer(f"{block}_subsample")(x)).numpy()
        channels = x.shape[3]
        np.testing.assert_array_equal(y[..., before : before + channels], x[:, ::2, ::2])
        assert y.sum() == x[:, ::2, ::2].sum() and y.shape[3] == (4, 9)[stage - 2]
        x = y


def test_convolutions_start_as_said():
    net = resnet([1, 1, 1, 1], filters=(8, 16, 32, 64))
    kernels = [la.get_weights()[0] for la in net.layers if isinstance(la, keras.layers.Conv2D)]
    for kernel in kernels:
        height, width, _, outputs = kernel.shape
        # The variance of n normal numbers is known to sqrt(2/n) of itself.
        ratio = kernel.var() / (2 / (height * width * outputs))
        assert abs(ratio - 1) < 5 * np.sqrt(2 / kernel.size)
    for i, one in enumerate(kernels):
        assert not any(np.array_equal(one, other) for other in kernels[:i])


def test_extreme_images(small):
    net = small()
    spot = np.zeros([1, *net.input_shape[1:]], "float32")
    spot[0, 3, 4] = 1
    images = tf.constant(np.concatenate([0 * spot, 0 * spot + 1, 0 * spot + 0.5, spot]))
    for training in (False, True):
        with tf.GradientTape() as tape:
            tape.watch(images)
            logits = net(images, training=training)
        assert np.isfinite(logits).all() and np.isfinite(tape.gradient(logits, images)).all()


def test_unknown_height_and_width():
    net = cifar([None, None, 3])
    assert net(np.zeros([2, 32, 32, 3], "float32")).shape == (2, 5)
    assert net(np.zeros([2, 7, 9, 3], "float32")).shape == (2, 5)


@pytest.mark.parametrize(
    "build, said",
    [
        (
            lambda: resnet_20([3, 32, 3]),
            r"resnet_20 needs images of 4×4 .*\(3, 32, 3\)",
        ),
        (lambda: resnet_18([32, 7, 3]), r"resnet_18 needs images of 8×8 .*\(32, 7, 3\)"),
        (lambda: resnet_18([15, 16, 3], stem="tiny_imagenet"), "16×16 .*15, 16, 3"),
        (lambda: resnet_50([31, 31, 3]), "resnet_50 needs images of 32×32 .*31, 31, 3"),
        (lambda: resnet_18([32, 32]), r"\(height, width, channels\); received \(32, 32\)"),
        (lambda: resnet_18([32, 32, 0]), "channels in input_shape must .* received 0"),
        (lambda: resnet_20([32, 32, None]), "channels .* received None"),
        (lambda: resnet_18(classes=0), "classes must be a whole number .* received 0"),
        (lambda: resnet_56(classes=2.5), "classes must .* received 2.5"),
        (lambda: resnet_18(norm="batch"), "norm must be one of bn, .*received 'batch'"),
        (lambda: resnet_20(norm=""), "norm must be one of bn, .*received ''"),
        (lambda: resnet_18(stem="vgg"), "stem must be one of cifar, .*received 'vgg'"),
        (lambda: resnet_50(filters=(4, 8)), r"filters must be 4 .*received \(4, 8\)"),
        (lambda: resnet_20(filters=(4, 0, 8)), "filters must .*received 0"),
        (lambda: resnet_20(filters=(8, 4, 8)), r"not decrease.*\(8, 4, 8\)"),
        (lambda: cifar_resnet(21), r"depth must be 6n \+ 2, .*received 21"),
        (lambda: cifar_resnet(2), "depth must .*received 2"),
        (lambda: resnet_18(weight_decay=-1), "weight_decay must .*received -1"),
        (lambda: resnet_18(mean=(0.5, 0.5)), r"mean must .* 3 channels; .*\(0.5, 0.5\)"),
        (lambda: resnet_18(mean=float("nan")), "mean must be one finite .*nan"),
        (lambda: resnet_18(std=(0.2, 0.0, 0.2)), "std must be above 0; .*0.0"),
    ],
)
def test_wrong_arguments(build, said):
    with pytest.raises(ValueError, match=said):
        build()
