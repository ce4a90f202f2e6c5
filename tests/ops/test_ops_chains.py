"""AugMix's operators against Pillow on 8-bit images, alone and in chains."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from tests.parameters import slow_unless
from tests.reference import augmix as reference
from tfrobust.ops import chains, compiled, lookup, pixels
from tfrobust.ops.flat_images import Grid

ROOT = pathlib.Path(__file__).resolve().parents[2]
SIZES = [(32, 32), (224, 224), (33, 27), (1, 1)]
#: Equal but for values that a rounding in float32 puts on the other side of a whole number; how
#: it rounds differs between processors, and between compiled programs.
BILINEAR = ("rotate", "shear_x", "shear_y")


def run(images, operators, levels, depths=None, all_ops=True):
    """Runs chains of operators, given by name, on uint8 images: uint8 [B, width, H, W, C]."""
    operators = np.vectorize(chains.OPERATORS.index)(np.asarray(operators)).astype("int32")
    levels = np.asarray(levels, "float32")
    if depths is None:
        depths = np.full(operators.shape[:2], operators.shape[2], "int32")
    words = chains.run(
        tf.constant(images.astype("float32") / 255), operators, levels, depths, all_ops=all_ops
    )
    result = chains.unpack(words, images.shape[-1])
    return np.rint(np.asarray(result) * 255).astype("uint8")


def apart(first, second):
    return np.abs(first.astype(int) - second.astype(int))


@pytest.mark.parametrize("size", slow_unless([(33, 27), (1, 1)], SIZES))
def test_operators_match_pillow(size):
    images = reference.smooth_images(12, *size)
    random = np.random.default_rng(1)
    levels = np.concatenate([random.uniform(-3, 3, 6), random.uniform(-10, 10, 6)])
    levels = levels.astype("float32").reshape(12, 1)
    count = len(chains.OPERATORS)
    names = np.tile(np.array(chains.OPERATORS), [12, 1])[..., np.newaxis]  # [12, 13, 1]
    result = run(images, names, np.tile(levels, [1, count])[..., np.newaxis])
    for i, name in enumerate(chains.OPERATORS):
        expected = [reference.operate(name, x, a.item()) for x, a in zip(images, levels)]
        if name in BILINEAR:
            assert apart(result[:, i], np.stack(expected)).max() <= 1, name
            assert np.mean(result[:, i] != expected) < 1e-3, name
        else:
            np.testing.assert_array_equal(result[:, i], expected, name)


@pytest.mark.parametrize(
    "name, level, parameter",
    [  # on both sides of each whole number that severity 3 reaches
        ("posterize", 2.49, 4),
        ("posterize", 2.51, 3),
        ("solarize", 1.0, 231),
        ("solarize", 3.0, 180),
        ("rotate", 0.32, 0),
        ("rotate", 2.9, 8),
        ("translate_x", 0.9, 0),
        ("translate_x", 2.9, 3),
        ("translate_y", -2.9, -3),
    ],
)
def test_levels_hand_computed(name, level, parameter):
    """Severity 3 posterizes to 4 or 3 bits, solarizes from 180 to 254, ..."""
    image = reference.smooth_images(6, 32, 32)[5:]
    result = run(image, [[[name]]], [[[level]]])[0, 0]
    if name == "posterize":
        expected = image[0] & (256 - 2 ** (8 - parameter))
    elif name == "solarize":
        expected = np.where(image[0] < parameter, image[0], 255 - image[0])
    elif name == "rotate":
        expected = np.asarray(reference.Image.fromarray(image[0]).rotate(parameter, 2))
        assert apart(result, expected).max() <= 1
        return
    else:
        axis = 1 if name == "translate_x" else 0
        expected = np.roll(image[0], -parameter, axis)
        index = [slice(None)] * 3
        index[axis] = slice(32 - parameter, None) if parameter > 0 else slice(0, -parameter)
        if parameter:
            expected[tuple(index)] = 0
    np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("all_ops", slow_unless([False], [False, True]))
def test_chains_are_operators_in_order(all_ops):
    """Depths, operators and levels of every chain of every image, against Pillow.

    One trace serves any number of images: also one alone, and none.
    """
    images = reference.smooth_images(9, 32, 32)
    random = np.random.default_rng(2)
    count = len(chains.OPERATORS) if all_ops else chains.PAPER_OPERATORS
    names = np.array(chains.OPERATORS)[random.integers(0, count, [9, 3, 3])]
    levels = random.uniform(-3, 3, [9, 3, 3]).astype("float32")
    depths = random.integers(0, 4, [9, 3]).astype("int32")
    result = run(images, names, levels, depths, all_ops=all_ops)
    for i in range(9):
        for j in range(3):
            n = depths[i, j]
            expected = reference.chain(names[i, j, :n], images[i], levels[i, j, :n].astype(float))
            # Off by one after a warp, a later look-up may jump farther for a few values.
            off = apart(result[i, j], expected)
            assert np.mean(off > 0) < 0.01 and np.mean(off > 8) < 0.003
    if all_ops:
        return
    for i in (0, 5):
        one = slice(i, i + 1)
        alone = run(images[one], names[one], levels[one], depths[one], all_ops=False)
        assert np.mean(apart(alone, result[one]) > 0) < 0.01
    none = np.zeros([0, 3, 3], "float32")
    words = chains.run(
        tf.zeros([0, 32, 32, 3]), none.astype("int32"), none, none[..., 0].astype("int32")
    )
    assert words.shape == [0, 3, 32, 32]
    traced = chains._traced(32 * 32, 3, 3, 3, False, False)
    assert traced.experimental_get_tracing_count() == 1


def test_one_program_for_all_draws():
    """All chains of a batch run in programs whose sizes are known before anything is drawn."""
    traced = chains._traced(32 * 32, 3, 3, 3, False, False).get_concrete_function()
    functions = traced.graph.as_graph_def().library.function
    programs = [f for f in functions if f.attr["_XlaMustCompile"].b]
    names = [f.signature.name for f in programs]
    assert len(names) == 2 and any("pack" in name for name in names)
    (shard,) = [f for f in programs if "shard" in f.signature.name]
    shapes = [
        tf.TensorShape(a.attr["_output_shapes"].list.shape[0]) for a in shard.arg_attr.values()
    ]
    assert shapes and all(shape.is_fully_defined() for shape in shapes)
    assert [128, 32 * 32] in shapes  # chains and pixels of a shard


@pytest.mark.slow
def test_all_is_compiled_in_the_first_calls():
    command = [sys.executable, "benchmarks/first_calls.py", "calls", "--side", "16"]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, cwd=ROOT)
    told = json.loads(done.stdout)["calls"]
    assert 1 <= told["programs"] <= 3 and told["programs after the third call"] == 0


def test_longer_lists_of_pixels_change_nothing(eagerly, monkeypatch):
    """As when images of many sizes share what is compiled."""
    count = len(chains.OPERATORS)
    images = reference.smooth_images(count, 9, 7)
    operators = np.array(chains.OPERATORS).reshape(count, 1, 1)
    levels = np.random.default_rng(0).uniform(-10, 10, operators.shape)
    exact = run(images, operators, levels)
    monkeypatch.setattr(compiled, "_EXACT", 0)
    monkeypatch.setattr(compiled, "_exact_sizes", {})
    assert compiled.padded_size(9 * 7) == 64
    np.testing.assert_array_equal(run(images, operators, levels), exact)


@pytest.mark.parametrize("channels", [1, 4])
def test_other_channels(channels):
    images = reference.smooth_images(9, 16, 12, channels)
    names = np.array(chains.OPERATORS[:9]).reshape(9, 1, 1)
    levels = np.full([9, 1, 1], 2.7)
    result = run(images, names, levels, all_ops=False)[:, 0]
    for c in range(channels):
        alone = run(images[..., c : c + 1], names, levels, all_ops=False)[:, 0]
        off = apart(result[..., c], alone[..., 0])
        assert not off[~np.isin(names.ravel(), BILINEAR)].any()
        assert off.max() <= 1 and np.mean(off > 0) < 0.01
    if channels == 1:
        for image, name, got in zip(images, names.ravel(), result):
            assert apart(got, reference.operate(name, image, np.float32(2.7).item())).max() <= 1


@pytest.mark.parametrize("sizes", slow_unless([((9, 7),)], [((9, 7),), ((9, 7), (2, 5))]))
def test_unknown_size(sizes):
    """All operators on images whose size is unknown while tracing, of more than one size."""
    count = len(chains.OPERATORS)
    operators = tf.reshape(tf.range(count), [count, 1, 1])
    levels, depths = tf.fill([count, 1, 1], 5.0), tf.ones([count, 1], tf.int32)

    def call(x):
        return chains.unpack(chains.run(x, operators, levels, depths, all_ops=True), 3)

    unknown = tf.function(call, input_signature=[tf.TensorSpec([None, None, None, 3])])
    for height, width in sizes:
        images = np.random.default_rng(0).random([count, height, width, 3], "float32")
        np.testing.assert_array_equal(unknown(images), call(images))


def test_autocontrast_tables_of_every_pair():
    low, high = np.triu_indices(256)
    grid = Grid(*[tf.constant(0)] * 6, channels=1)
    make = tf.function(lookup.autocontrast_tables, jit_compile=True)
    tables = make(low[:, None].astype("int32"), high[:, None].astype("int32"), grid)
    tables = tables.numpy()[:, 0]
    values = np.arange(256.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = 255.0 / (high - low)[:, None]  # Pillow's order of operations, each rounded
        offset = -low[:, None] * scale
        expected = np.clip((values * scale + offset), 0, 255).astype(int)
    expected = np.where((high > low)[:, None], expected, np.arange(256))
    occurs = (values >= low[:, None]) & (values <= high[:, None])
    np.testing.assert_array_equal(tables[occurs], expected[occurs])


def test_equalize_tables_hand_computed():
    counts = np.zeros([1, 1, 256], "int32")
    counts[0, 0, [10, 20, 30]] = 510, 255, 1000  # step (510 + 255) / 255 = 3, start 1
    table = lookup.equalize_tables(tf.constant(counts)).numpy()[0, 0]
    assert table[10] == 0 and table[20] == 511 // 3 and table[30] == 766 // 3 and table[0] == 0
    few = np.zeros([1, 1, 256], "int32")
    few[0, 0, [10, 20]] = 254, 9  # fewer than 255 below the last: unchanged
    np.testing.assert_array_equal(lookup.equalize_tables(tf.constant(few))[0, 0], range(256))


def test_pack_and_unpack():
    images = np.random.default_rng(0).random([3, 5, 4, 3], "float32")
    words = pixels.pack(images)
    assert words.shape == [3, 5, 4] and words.dtype == tf.float32
    np.testing.assert_allclose(pixels.unpack(words, 3), np.rint(images * 255) / 255, atol=1e-6)
    for channels in (1, 2, 3, 4):
        every = np.arange(256, dtype="float32").reshape(1, 16, 16, 1) / 255
        every = np.tile(every, [1, 1, 1, channels])
        np.testing.assert_allclose(pixels.unpack(pixels.pack(every), channels), every, atol=1e-6)
    beyond = tf.constant([[[[-0.5, 1.5, 0.5]]]])
    result = pixels.unpack(pixels.pack(beyond), 3)[0, 0, 0]
    np.testing.assert_allclose(result, [0, 1, 128 / 255], atol=1e-6)


def test_mix_matches_reference():
    random = np.random.default_rng(4)
    images = random.random([5, 6, 7, 3], "float32")
    chain_images = random.integers(0, 256, [5, 3, 6, 7, 3]) / np.float32(255)
    weights = random.dirichlet([1, 1, 1], 5).astype("float32")
    blend = np.array([0, 1, 0.25, 0.5, 0.9], "float32")
    result = chains.mix(images, pixels.pack(chain_images), weights, blend)
    for i in range(5):
        expected = reference.mix(images[i], chain_images[i], weights[i], blend[i])
        np.testing.assert_allclose(result[i], expected, atol=1e-6)


@pytest.mark.parametrize(
    "channels, all_ops, said", [(5, False, "received 5"), (4, True, "received 4")]
)
def test_wrong_channels(channels, all_ops, said):
    one = np.ones([1, 1, 1], "int32")
    with pytest.raises(ValueError, match=said):
        chains.run(tf.zeros([1, 4, 4, channels]), one, one * 1.0, one[0], all_ops=all_ops)
