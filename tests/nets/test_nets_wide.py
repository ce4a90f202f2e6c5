"""Pre-activation ResNet-18, Wide ResNets and ResNeXt-29."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfrobust.nets.preact_resnet import preact_resnet_18
from tfrobust.nets.resnext import resnext_29
from tfrobust.nets.wide_resnet import wide_resnet, wrn_28_2, wrn_40_2

# The same nets with few channels, for 10 classes.
SMALL = {
    "preact": functools.partial(preact_resnet_18, filters=(4, 6, 6, 8)),
    "released": functools.partial(
        preact_resnet_18, filters=(4, 6, 6, 8), final_norm=False, identity_shortcuts=False
    ),
    "wide": functools.partial(wide_resnet, 16, 2, filters=(4, 4, 6)),
    "resnext": functools.partial(resnext_29, filters=(4, 4, 8), cardinality=2, base_width=2),
}


@functools.cache
def built(kind):
    """The net, made once; tests that change it make their own."""
    return SMALL[kind]()


def parameters(net):
    counts = (net.trainable_weights, net.non_trainable_weights)
    return tuple(sum(int(np.prod(weight.shape)) for weight in weights) for weights in counts)


def preact_stage(inputs, width, blocks, halves):
    """Kernels of 3×3 and one shortcut; norms of (trainable = non-trainable) numbers."""
    kernels = 9 * inputs * width + 9 * width * width * (2 * blocks - 1)
    kernels += inputs * width if halves or inputs != width else 0
    return kernels, 2 * (inputs + width) + 4 * width * (blocks - 1)


def preact_parameters(stem, widths, blocks, classes, final_norm):
    stages = [
        preact_stage(inputs, width, blocks, halves=place > 0)
        for place, (inputs, width) in enumerate(zip((stem, *widths), widths))
    ]
    norm = sum(n for _, n in stages) + 2 * widths[-1] * final_norm
    output = (widths[-1] + 1) * classes
    return 27 * stem + sum(k for k, _ in stages) + norm + output, norm


def resnext_parameters(filters, inner, groups, classes):
    kernels, norm, inputs = 27 * filters[0], 2 * filters[0], filters[0]
    for width, middle in zip(filters, inner):
        for block in range(3):
            kernels += inputs * middle + 9 * middle * middle // groups + middle * 4 * width
            norm += 2 * (2 * middle + 4 * width)
            if block == 0:
                kernels, norm = kernels + inputs * 4 * width, norm + 8 * width
            inputs = 4 * width
    return kernels + norm + (inputs + 1) * classes, norm


# Trainable weights: 11,171,146 is NoisyMix' PreAct-ResNet-18, 2,243,546 AugMix' WRN-40-2. Of a
# batch norm two weights are trained and two are not. The registered nets are built and counted in
# tests/contracts/test_nets.py.
@pytest.mark.parametrize(
    ("counts", "formula"),
    [
        ((11_171_146, 6_784), preact_parameters(64, (64, 128, 256, 512), 2, 10, False)),
        ((1_467_610, 3_616), preact_parameters(16, (32, 64, 128), 4, 10, True)),
        ((5_849_050, 7_200), preact_parameters(16, (64, 128, 256), 4, 10, True)),
        ((2_243_546, 5_408), preact_parameters(16, (32, 64, 128), 6, 10, True)),
        ((6_807_882, 25_216), resnext_parameters((64, 128, 256), (128, 256, 512), 4, 10)),
    ],
)
def test_formulas_give_the_published_counts(counts, formula):
    assert counts == formula


@pytest.mark.parametrize(
    ("kind", "counts"),
    [
        ("preact", preact_parameters(4, (4, 6, 6, 8), 2, 10, True)),
        ("released", preact_parameters(4, (4, 6, 6, 8), 2, 10, False)),
        ("wide", preact_parameters(4, (8, 8, 12), 2, 10, True)),
        ("resnext", resnext_parameters((4, 4, 8), (4, 4, 8), 2, 10)),
    ],
)
def test_parameter_counts(kind, counts):
    assert parameters(built(kind)) == counts


@pytest.mark.parametrize(
    ("kind", "shapes"),
    [
        ("preact", [(32, 32, 3), (32, 32, 4), (16, 16, 6), (8, 8, 6), (4, 4, 8)]),
        ("wide", [(32, 32, 3), (32, 32, 8), (16, 16, 8), (8, 8, 12)]),
        ("resnext", [(32, 32, 3), (32, 32, 16), (16, 16, 16), (8, 8, 32)]),
    ],
)
def test_stages_end_at_the_mixing_points(kind, shapes):
    net = built(kind)
    points = [layer for layer in net.layers if layer.name.startswith("mixing_point")]
    assert [point.name for point in points] == [f"mixing_point_{i}" for i in range(len(shapes))]
    assert [tuple(point.output.shape[1:]) for point in points] == shapes
    assert net.get_layer("features").output.shape[1] == shapes[-1][-1]
    assert net.output_shape == (None, 10)


def randomised(net, random):
    """The net with random weights, moving averages too; the weights by layer."""
    for layer in net.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            count = layer.get_weights()[0].size
            centred = random.normal(0, 0.3, [2, count])
            around_one = random.uniform(0.5, 1.5, [2, count])
            layer.set_weights([around_one[0], *centred, around_one[1]])
    return {layer.name: layer.get_weights() for layer in net.layers if layer.weights}


class Reference:
    """Inference in NumPy, float64."""

    def __init__(self, weights):
        self.weights = weights

    def convolution(self, x, name, stride=1, groups=1):
        kernel = self.weights[name][0].astype("float64")
        size, _, inputs, filters = kernel.shape
        pad = size // 2
        padded = np.pad(x, [(0, 0), (pad, pad), (pad, pad), (0, 0)])
        total = 0.0
        for row in range(size):
            for column in range(size):
                window = padded[:, row : row + x.shape[1], column : column + x.shape[2]]
                window = window[:, ::stride, ::stride]
                shares = [
                    window[..., g * inputs : (g + 1) * inputs]
                    @ kernel[row, column, :, g * filters // groups : (g + 1) * filters // groups]
                    for g in range(groups)
                ]
                total = total + np.concatenate(shares, axis=-1)
        return total

    def norm(self, x, name):
        gamma, beta, mean, variance = self.weights[name]
        return (x - mean) / np.sqrt(variance + 1e-5) * gamma + beta

    def norm_and_relu(self, x, name):
        return np.maximum(self.norm(x, name), 0)

    def preact_block(self, x, name, stride, identity_shortcut):
        activated = self.norm_and_relu(x, f"{name}_norm1")
        shortcut = x if identity_shortcut else activated
        if f"{name}_shortcut_conv" in self.weights:
            shortcut = self.convolution(activated, f"{name}_shortcut_conv", stride)
        y = self.convolution(activated, f"{name}_conv1", stride)
        return shortcut + self.convolution(self.norm_and_relu(y, f"{name}_norm2"), f"{name}_conv2")

    def resnext_block(self, x, name, stride, groups):
        shortcut = x
        if f"{name}_shortcut_conv" in self.weights:
            shortcut = self.convolution(x, f"{name}_shortcut_conv", stride)
            shortcut = self.norm(shortcut, f"{name}_shortcut_norm")
        y = self.norm_and_relu(self.convolution(x, f"{name}_conv1"), f"{name}_norm1")
        y = self.convolution(y, f"{name}_conv2", stride, groups)
        y = self.convolution(self.norm_and_relu(y, f"{name}_norm2"), f"{name}_conv3")
        return np.maximum(shortcut + self.norm(y, f"{name}_norm3"), 0)

    def net(self, kind, images):
        x = self.convolution((images.astype("float64") - 0.4) / 0.2, "stem_conv")
        if kind == "resnext":
            x = self.norm_and_relu(x, "stem_norm")
        stages, blocks = {"wide": (3, 2), "resnext": (3, 3)}.get(kind, (4, 2))
        for stage in range(1, stages + 1):
            for i in range(1, blocks + 1):
                stride, name = (2 if stage > 1 and i == 1 else 1), f"stage{stage}_block{i}"
                if kind == "resnext":
                    x = self.resnext_block(x, name, stride, groups=2)
                else:
                    x = self.preact_block(x, name, stride, kind != "released")
        if kind in ("preact", "wide"):
            x = self.norm_and_relu(x, "final_norm")
        kernel, bias = self.weights["logits"]
        return x.mean(axis=(1, 2)) @ kernel + bias


@pytest.mark.parametrize(
    ("kind", "sizes"),
    [
        ("preact", [(8, 8), (9, 13)]),
        ("released", [(12, 10)]),
        ("wide", [(4, 4), (5, 7)]),
        ("resnext", [(4, 4), (5, 7)]),
    ],
)
def test_forward_pass_matches_numpy(kind, sizes):
    """Order of the layers, groups, and symmetric padding; height and width may be unknown."""
    random = np.random.default_rng(1)
    net = SMALL[kind]((None, None, 3), mean=0.4, std=0.2)
    reference = Reference(randomised(net, random))
    for size in sizes:
        images = random.random([2, *size, 3], "float32")
        logits = reference.net(kind, images)
        assert logits.std() > 0.01
        np.testing.assert_allclose(net(images), logits, rtol=1e-4, atol=1e-4 * abs(logits).max())


@pytest.mark.parametrize(
    ("kind", "relus"), [("preact", 17), ("released", 16), ("wide", 13), ("resnext", 28)]
)
def test_details_of_layers(kind, relus):
    """ReLUs: two a block and the last; three a block and the first."""
    net = built(kind)
    for layer in net.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            assert layer.momentum == 0.9 and layer.epsilon == 1e-5
        if isinstance(layer, keras.layers.Conv2D):
            assert not layer.use_bias
    assert sum(isinstance(layer, keras.layers.ReLU) for layer in net.layers) == relus


@pytest.mark.parametrize(
    "make",
    [
        functools.partial(preact_resnet_18, filters=(16, 24, 32, 48)),
        functools.partial(resnext_29, filters=(16, 32, 48), base_width=8),
        functools.partial(wide_resnet, 10, 2),
    ],
)
def test_convolutions_start_with_fan_out(make):
    """Variance 2/(filters · 9) of 3×3 kernels, grouped ones too; mean 0."""
    for layer in make().layers:
        if isinstance(layer, keras.layers.Conv2D) and layer.kernel_size[0] == 3:
            kernel = layer.get_weights()[0]
            ratio = np.var(kernel) * 9 * layer.filters / 2
            assert abs(ratio - 1) < 5 * np.sqrt(2 / kernel.size), layer.name
            assert abs(kernel.mean()) < 5 * kernel.std() / np.sqrt(kernel.size), layer.name


def test_shortcuts_without_activation_carry_the_input():
    """With all kernels of the blocks' second convolutions 0, only the shortcuts are left."""
    net = wide_resnet(16, 1, (8, 8, 3), filters=(4, 4, 4))
    for layer in net.layers:
        if layer.name.endswith("_conv2"):
            layer.set_weights([np.zeros_like(layer.get_weights()[0])])
    images = np.random.default_rng(0).random([2, 8, 8, 3], "float32")
    outputs = keras.Model(
        net.input, [net.get_layer(name).output for name in ("stem_conv", "mixing_point_1")]
    )(images)
    np.testing.assert_array_equal(outputs[0], outputs[1])
    assert float(tf.reduce_min(outputs[0])) < 0


@pytest.mark.parametrize(
    ("make", "smallest"), [(preact_resnet_18, 8), (wrn_28_2, 4), (wrn_40_2, 4), (resnext_29, 4)]
)
def test_rejected_inputs(make, smallest):
    with pytest.raises(ValueError, match=f"needs images of {smallest}×{smallest} pixels"):
        make((smallest, smallest - 1, 3))
    with pytest.raises(ValueError, match=r"channels.*received 0"):
        make((32, 32, 0))
    with pytest.raises(ValueError, match=r"classes.*received 0"):
        make(classes=0)
    with pytest.raises(ValueError, match=r"norm must be one of bn.*received 'layer'"):
        make(norm="layer")
    with pytest.raises(ValueError, match=r"weight_decay.*received -1"):
        make(weight_decay=-1)
    with pytest.raises(ValueError, match="filters"):
        make(filters=(4, 4))
    with pytest.raises(ValueError, match=r"std must be above 0"):
        make(std=0)


def test_depth_and_groups_that_do_not_fit():
    with pytest.raises(ValueError, match=r"depth must be 6n \+ 4.*received 29"):
        wide_resnet(29, 2)
    with pytest.raises(ValueError, match=r"widening.*received 0"):
        wide_resnet(28, 0)
    with pytest.raises(ValueError, match=r"cardinality.*received 0"):
        resnext_29(cardinality=0)
    with pytest.raises(ValueError, match=r"base_width must leave a channel.*base_width 1"):
        resnext_29(filters=(8, 8, 4), base_width=1)
