"""Weights under the names of torchvision and of AugMax' released nets."""

from __future__ import annotations

import numpy as np
import pytest

from tests.reference import resnet as reference
from tfrobust.layers.route import route
from tfrobust.nets import load_torch_weights, wide_resnet
from tfrobust.nets.resnet import resnet
from tfrobust.nets.resnext import resnext_29
from tfrobust.nets.torch_weights import MEAN, STD, import_torch_resnet

NORM = ("weight", "bias", "running_mean", "running_var")


@pytest.fixture
def saved(tmp_path):
    """Writes arrays to a file and returns its path."""

    def save(arrays):
        np.savez(tmp_path / "weights.npz", **arrays)
        return tmp_path / "weights.npz"

    return save


def torchvision_arrays(depths, filters, bottleneck, kernel, classes=5, seed=0):
    """Random weights and statistics under the names of torchvision's ResNets."""
    random, arrays = np.random.default_rng(seed), {}

    def convolution(name, before, after, size):
        scale = np.sqrt(2 / (before * size**2))
        arrays[f"{name}.weight"] = random.normal(0, scale, [after, before, size, size])

    def norm(name, channels):
        for part, low, high in zip(NORM, (0.5, -0.5, -0.5, 0.5), (1.5, 0.5, 0.5, 1.5)):
            arrays[f"{name}.{part}"] = random.uniform(low, high, channels)
        arrays[f"{name}.num_batches_tracked"] = np.array(7)

    convolution("conv1", 3, filters[0], kernel)
    norm("bn1", filters[0])
    before = filters[0]
    for stage, (depth, width) in enumerate(zip(depths, filters), start=1):
        for number in range(depth):
            block, after = f"layer{stage}.{number}", 4 * width if bottleneck else width
            shapes = [(before, width, 3), (width, width, 3)]
            if bottleneck:
                shapes = [(before, width, 1), (width, width, 3), (width, after, 1)]
            for i, shape in enumerate(shapes, start=1):
                convolution(f"{block}.conv{i}", *shape)
                norm(f"{block}.bn{i}", shape[1])
            if before != after or (stage > 1 and number == 0):
                convolution(f"{block}.downsample.0", before, after, 1)
                norm(f"{block}.downsample.1", after)
            before = after
    arrays["fc.weight"] = random.normal(0, 0.3, [classes, before])
    arrays["fc.bias"] = random.normal(0, 0.3, classes)
    return {
        name: array if array.dtype.kind == "i" else array.astype("float32")
        for name, array in arrays.items()
    }


@pytest.mark.parametrize("depths, bottleneck", [((2, 1, 2, 1), False), ((1, 2, 1, 1), True)])
@pytest.mark.parametrize("kernel", [7, 3])
def test_logits_match_reference(saved, depths, bottleneck, kernel):
    arrays = torchvision_arrays(depths, (4, 6, 8, 10), bottleneck, kernel)
    data_parallel = {f"module.{name}": array for name, array in arrays.items()}
    size = {7: 64, 3: 16}[kernel]
    net = import_torch_resnet(saved(data_parallel), input_size=(size, size))
    images = np.random.default_rng(1).random([2, size, size, 3], "float32")
    as_cifar = {name.replace("fc.", "linear."): array for name, array in arrays.items()}
    large = kernel == 7
    logits = reference.forward(images, as_cifar, MEAN, STD, 2 if large else 1, max_pool=large)
    assert np.ptp(logits, axis=0).min() > 0.01
    np.testing.assert_allclose(net(images), logits, atol=1e-3)


def test_sizes_are_those_of_the_stem(saved):
    for kernel, size in ((7, 224), (3, 32)):
        arrays = torchvision_arrays((1, 1, 1, 1), (2, 2, 2, 2), False, kernel)
        assert import_torch_resnet(saved(arrays)).input_shape == (None, size, size, 3)


def filled(net, seed=0):
    """A net with random weights and statistics."""
    random = np.random.default_rng(seed)
    net.set_weights([random.uniform(0.2, 0.9, w.shape) for w in net.get_weights()])
    return net


def released(net, names):
    """The arrays of a net with dual norms under the names of AugMax' released code."""
    arrays = {}

    def norm(part, there, names=NORM):
        arrays.update({f"{there}.{n}": w for n, w in zip(names, part.get_weights())})

    def dual(layer, there):
        norm(layer.clean, f"{there}.bn.0")
        norm(layer.auxiliary, f"{there}.bn.1")

    for here, there in names.items():
        layer = net.get_layer(here)
        kind = type(layer).__name__
        if kind == "DuBIN":
            norm(layer.instance_norm, f"{there}.IN", NORM[:2])
            dual(layer.batch_norm, f"{there}.BN")
        elif kind == "DualBatchNormalization":
            dual(layer, there)
        else:
            kernel, *bias = layer.get_weights()
            arrays[f"{there}.weight"] = kernel.transpose(
                (3, 2, 0, 1) if kernel.ndim == 4 else (1, 0)
            )
            arrays.update({f"{there}.bias": values for values in bias})
    return arrays


def wide():
    return wide_resnet(10, 1, classes=4, filters=(4, 6, 8), norm="dubin", mean=0, std=1)


WIDE = {
    "stem_conv": "conv1",
    **{
        f"stage{s}_block1_{here}": f"block{s}.layer.0.{there}"
        for s in (1, 2, 3)
        for here, there in {
            "norm1": "bn1",
            "conv1": "conv1",
            "norm2": "bn2",
            "conv2": "conv2",
        }.items()
    },
    "stage2_block1_shortcut_conv": "block2.layer.0.conv_shortcut",
    "stage3_block1_shortcut_conv": "block3.layer.0.conv_shortcut",
    "final_norm": "bn1",
    "logits": "fc",
}


def grouped():
    options = {"cardinality": 2, "base_width": 2, "filters": (4, 4, 8)}
    return resnext_29(classes=4, norm="dubin", mean=0, std=1, **options)


RESNEXT = {
    "stem_conv": "conv_1_3x3",
    "stem_norm": "bn_1",
    **{
        f"stage{s}_block{b}_{here}": f"stage_{s}.{b - 1}.{there}"
        for s in (1, 2, 3)
        for b in (1, 2, 3)
        for here, there in {
            "conv1": "conv_reduce", "norm1": "bn_reduce", "conv2": "conv_conv", "norm2": "bn",
            "conv3": "conv_expand", "norm3": "bn_expand",
        }.items()
    },
    **{
        f"stage{s}_block1_shortcut_{here}": f"stage_{s}.0.downsample.{there}"
        for s in (1, 2, 3)
        for here, there in (("conv", 0), ("norm", 1))
    },
    "logits": "classifier",
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("make, names", [(wide, WIDE), (grouped, RESNEXT)])
def test_released_nets_with_dual_norms(saved, make, names):
    net, other = filled(make()), filled(make(), seed=1)
    arrays = released(net, names)
    load_torch_weights(other, saved(arrays))
    for mine, theirs in zip(net.get_weights(), other.get_weights()):
        np.testing.assert_array_equal(mine, theirs)
    images = np.random.default_rng(1).random([2, 32, 32, 3], "float32")
    logits = []
    for side in ("clean", "auxiliary"):
        with route(side):
            logits.append(net(images, training=False).numpy())
            np.testing.assert_allclose(other(images, training=False), logits[-1], rtol=1e-5)
    assert np.abs(logits[0] - logits[1]).max() > 1e-3


def test_released_resnets_are_built(saved):
    net = filled(resnet([1, 1, 1, 1], classes=4, filters=(4, 6, 8, 10), norm="dubin"))
    names = {"stem_conv": "conv1", "stem_norm": "bn1", "logits": "linear"}
    for s in (1, 2, 3, 4):
        here, there = f"stage{s}_block1", f"layer{s}.0"
        names.update({f"{here}_{a}{i}": f"{there}.{b}{i}" for i in (1, 2) for a, b in
                      (("conv", "conv"), ("norm", "bn"))})  # fmt: skip
        if s > 1:
            names[f"{here}_shortcut_conv"] = f"{there}.shortcut.0"
            names[f"{here}_shortcut_norm"] = f"{there}.shortcut.1"
    built = import_torch_resnet(saved(released(net, names)), mean=0.5, std=0.5)
    for mine, theirs in zip(net.get_weights(), built.get_weights()):
        np.testing.assert_array_equal(mine, theirs)


def test_a_file_that_does_not_fit_changes_nothing(saved):
    arrays = torchvision_arrays((1, 1, 1, 1), (4, 4, 4, 4), False, 3)
    net = resnet([1, 1, 1, 1], classes=5, filters=(4, 4, 4, 4))
    before = net.get_weights()
    less = {name: array for name, array in arrays.items() if name != "layer2.0.bn1.bias"}
    for wrong, said in (
        (less, r"layer2\.0\.bn1\.bias is missing, for layer stage2_block1_norm1"),
        ({**arrays, "extra.weight": np.zeros(3)}, r"nothing else; received extra\.weight of shape"),
        ({**arrays, "fc.bias": np.zeros(3, "float32")}, r"fc\.bias of .* must have shape \(5,\)"),
        ({**arrays, "fc.bias": np.full(5, np.nan, "float32")}, r"fc\.bias of .* must be finite"),
    ):
        with pytest.raises(ValueError, match=said):
            load_torch_weights(net, saved(wrong))
    for mine, old in zip(net.get_weights(), before):
        np.testing.assert_array_equal(mine, old)
    with pytest.raises(ValueError, match=r"a ResNet of four stages .*; fc\.bias|linear\.bias"):
        import_torch_resnet(saved({k: v for k, v in arrays.items() if k != "fc.bias"}))
