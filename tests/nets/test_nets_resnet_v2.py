"""ResNet v2: shapes and options; tests of tf-slim's checkpoints compare logits."""

from __future__ import annotations

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfrobust.nets.resnet_v2 import resnet_v2, resnet_v2_50

FEW = (4, 6, 6, 8)  # channels of small nets


@functools.cache
def small():
    """A small net with every kind of shortcut: identity, subsampled, projected."""
    return resnet_v2((2, 1, 2, 1), (32, 40, 3), 5, filters=FEW, weight_decay=0.2)


@pytest.fixture
def net():
    """Its weights are put back after the test."""
    before = small().get_weights()
    yield small()
    small().set_weights(before)


def some_images(net, count=3):
    return np.random.default_rng(1).random([count, *net.input_shape[1:]], "float32")


@pytest.mark.parametrize(
    "size, sizes",
    [
        ((224, 300), [(28, 38), (14, 19), (7, 10), (7, 10)]),
        ((None, 64), [(None, 8), (None, 4), (None, 2), (None, 2)]),
    ],
)
def test_sizes_at_the_mixing_points(size, sizes):
    net = resnet_v2((1, 1, 1, 1), (*size, 3), 7, filters=FEW)
    shapes = [tuple(net.get_layer(f"mixing_point_{i}").output.shape[1:]) for i in range(5)]
    widths = [4 * width for width in FEW]
    assert shapes == [(*size, 3), *((*s, width) for s, width in zip(sizes, widths))]
    assert net.get_layer("features").output.shape[-1] == 32


def test_the_last_block_of_a_stage_halves():
    names = {layer.name for layer in small().layers}
    assert {name for name in names if "subsample" in name or name.endswith("_pad")} == {
        "stem_conv_pad",
        "stage1_block2_shortcut_subsample",
        "stage1_block2_conv2_pad",
        "stage2_block1_conv2_pad",  # where the shortcut is projected too
        "stage3_block2_shortcut_subsample",
        "stage3_block2_conv2_pad",
    }
    # Stage 3 has no other number of channels than stage 2.
    projected = {f"stage{stage}_block1_shortcut_conv" for stage in (1, 2, 4)}
    assert {name for name in names if name.endswith("shortcut_conv")} == projected


def test_biases_where_no_norm_follows():
    convolutions = [x for x in small().layers if isinstance(x, keras.layers.Conv2D)]
    biased = {layer.name for layer in convolutions if layer.use_bias}
    kinds = ("stem_conv", "shortcut_conv", "conv3")
    assert biased == {x.name for x in convolutions if x.name.endswith(kinds)}
    assert len(biased) == 1 + 3 + 6


def test_stage_of_zeroed_blocks_is_its_shortcut(net):
    """Where its blocks add 0, stage 3 takes every second pixel of what it gets."""
    for block in (1, 2):
        layer = net.get_layer(f"stage3_block{block}_conv3")
        layer.set_weights([0 * weight for weight in layer.get_weights()])
    ends = [net.get_layer(f"mixing_point_{i}").output for i in (2, 3)]
    before, after = keras.Model(net.input, ends)(some_images(net))
    assert before.shape[1:] == (2, 3, 24)
    np.testing.assert_array_equal(after, before[:, ::2, ::2])


def test_default_normalization():
    pixels = np.tile(np.array([0, 0.5, 1], "float32"), [1, 32, 40, 1])
    result = small().get_layer("normalization")(pixels)
    np.testing.assert_allclose(result, np.broadcast_to([-1, 0, 1], pixels.shape), atol=1e-6)


def test_weight_decay_is_on_every_trainable_weight(net):
    assert len(net.losses) == len(net.trainable_weights)
    for weight in net.trainable_weights:
        weight.assign(tf.random.stateless_normal(weight.shape, [1, 2]))
    squares = sum(float(tf.reduce_sum(tf.square(weight))) for weight in net.trainable_weights)
    assert sum(map(float, net.losses)) == pytest.approx(0.1 * squares, rel=1e-5)


def test_extreme_images(net):
    spot = np.zeros([1, 32, 40, 3], "float32")
    spot[0, 3, 4] = 1
    images = tf.constant(np.concatenate([0 * spot, 0 * spot + 1, 0 * spot + 0.5, spot]))
    for training in (False, True):
        with tf.GradientTape() as tape:
            tape.watch(images)
            logits = net(images, training=training)
        assert np.isfinite(logits).all() and np.isfinite(tape.gradient(logits, images)).all()


@pytest.mark.parametrize(
    "build, said",
    [
        (lambda: resnet_v2_50([31, 224, 3]), "resnet_v2_50 needs images of 32×32 .*31, 224, 3"),
        (lambda: resnet_v2_50([224, 224]), r"\(height, width, channels\); received \(224, 224\)"),
        (lambda: resnet_v2_50(classes=0), "classes must be a whole number .* received 0"),
        (lambda: resnet_v2_50(norm="batch"), "norm must be one of bn, .*received 'batch'"),
        (lambda: resnet_v2_50(filters=(4, 8)), r"filters must be 4 .*received \(4, 8\)"),
        (lambda: resnet_v2((1, 1, 1)), r"depths must be 4 numbers, .*received \(1, 1, 1\)"),
        (lambda: resnet_v2((1, 0, 1, 1)), "depths must be a whole number .* received 0"),
        (lambda: resnet_v2_50(weight_decay=2), "weight_decay must .*received 2"),
        (lambda: resnet_v2_50(std=0), "std must be above 0; received 0"),
    ],
)
def test_wrong_arguments(build, said):
    with pytest.raises(ValueError, match=said):
        build()
