"""Contracts that every registered corruption keeps."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import tensorflow as tf

from tests.parameters import slow_unless
from tfrobust import corruptions
from tfrobust.corruptions import CORRUPTIONS, corrupt, severities
from tfrobust.corruptions.batch import cut
from tfrobust.corruptions.severities import TABLES
from tfrobust.ops import fields

#: One of each module; every corruption is compared with the original in test_corruptions_oracle.py.
QUICK = ["impulse_noise", "zoom_blur", "glass_blur", "motion_blur", "snow", "fog", "spatter"]
QUICK += ["elastic_transform", "jpeg_compression"]
every = pytest.mark.parametrize("name", slow_unless(QUICK, CORRUPTIONS))

#: A size that no table is for, upright and across different.
SIZE = (33, 47)
#: Table and severity of the contracts: one that needs all of a function, where that is not 3 of 32.
WAYS = {
    "defocus_blur": (224, 4),  # running sums
    "glass_blur": (64, 5),  # chains of copies, and two fields of random numbers
}


def photographs(count, size):
    """Smooth random colours with an edge, uint8."""
    random = np.random.default_rng(5)
    coarse = random.uniform(0, 255, [count, 4, 4, 3]).astype("float32")
    images = tf.image.resize(coarse, size, "bicubic").numpy()
    images[:, size[0] // 2 :] *= 0.6
    return np.clip(images, 0, 255).astype("uint8")


@functools.cache
def given():
    """Two photographs, then black, white, and one bright pixel, uint8."""
    images = np.zeros([5, *SIZE, 3], "uint8")
    images[:2] = photographs(2, SIZE)
    images[3] = 255
    images[4, 5, 6] = 255
    return images


def corrupted(name, images, **options):
    table, severity = WAYS.get(name, (32, 3))
    return corrupt(images, name, severity, table=table, **options)


@functools.cache
def whole(name):
    """The expected results, from one batch of all images: every batch size is compiled again."""
    return corrupted(name, given(), seed=4).numpy()


@every
def test_images_are_changed_within_reason(name):
    """Including extreme images, in a size without a table."""
    result = whole(name)
    assert result.shape == given().shape and result.dtype == np.uint8
    for image, changed in zip(given()[:2], result):
        assert 0.1 < np.abs(changed.astype(float) - image).mean() < 100


@every
def test_an_image_is_corrupted_alike_in_any_batch(name):
    """In another order, in a graph, alone, through the bare function, and in an empty batch."""
    signature = [tf.TensorSpec([None, *SIZE, 3], tf.uint8), tf.TensorSpec([None], tf.int64)]
    graph = tf.function(
        lambda images, index: corrupted(name, images, seed=4, index=index),
        input_signature=signature,
    )
    order = np.array([4, 2, 0, 1, 3])
    np.testing.assert_array_equal(graph(given()[order], order), whole(name)[order])
    assert graph(given()[:0], order[:0]).shape == (0, *SIZE, 3)

    table, severity = WAYS.get(name, (32, 3))
    keys = fields.image_keys(4, name, severity, tf.constant([1]))
    image = tf.constant(given()[1:2], tf.float32)
    alone = CORRUPTIONS[name](image, keys, *severities.parameters(name, severity, table))
    np.testing.assert_array_equal(cut(alone), whole(name)[1:2])


@pytest.mark.parametrize("name", ["frost", "gaussian_noise", "jpeg_compression"])
def test_in_a_data_pipeline(name):
    data = tf.data.Dataset.from_tensor_slices((given()[:3], np.arange(3))).batch(2)
    data = data.map(lambda images, index: corrupted(name, images, seed=4, index=index))
    result = np.concatenate(list(data.as_numpy_iterator()))
    np.testing.assert_array_equal(result, whole(name)[:3])


@every
def test_seed_and_index_change_what_is_random(name):
    images = np.repeat(given()[:1], len(given()), axis=0)
    one, same, other = (corrupted(name, images, seed=seed).numpy() for seed in (4, 4, 1))
    far = corrupted(name, images, seed=4, index=np.arange(len(images)) + 2**40).numpy()
    np.testing.assert_array_equal(one, same)
    np.testing.assert_array_equal(one[0], whole(name)[0])
    fixed = {"defocus_blur", "zoom_blur", "brightness", "contrast", "pixelate"}
    fixed |= {"jpeg_compression", "gaussian_blur", "saturate"}
    assert (len({image.tobytes() for image in one}) == 1) == (name in fixed)
    assert np.array_equal(one, other) == np.array_equal(one, far) == (name in fixed)


@every
def test_floating_point_images(name):
    floats = corrupted(name, given().astype("float32") / 255, seed=4)
    assert floats.dtype == tf.float32
    np.testing.assert_allclose(floats, whole(name) / 255, atol=1e-7)
    np.testing.assert_array_equal(np.rint(floats.numpy() * 255), whole(name))


@pytest.mark.parametrize("size, chosen", [(32, (1, 2, 3, 4, 5)), (64, (1, 5)), (224, (1, 5))])
def test_severity_and_table_are_those_asked_for(size, chosen):
    """The table is that of the image size unless another is requested."""
    images = photographs(1, (size, size))

    def expected(severity, table):
        arguments = TABLES[table]["saturate"][severity - 1]
        return cut(CORRUPTIONS["saturate"](tf.cast(images, tf.float32), None, *arguments)).numpy()

    for severity in chosen:
        result = corrupt(images, "saturate", severity)
        np.testing.assert_array_equal(result, expected(severity, size))
    others = [expected(5, table) for table in TABLES if table != size]
    assert not any(np.array_equal(result, other) for other in others)
    for table, other in zip([table for table in TABLES if table != size], others):
        np.testing.assert_array_equal(corrupt(images, "saturate", 5, table=table), other)


@pytest.mark.slow
@pytest.mark.parametrize("table", TABLES)
def test_every_row_of_every_table_fits_its_function(table):
    """Eager and on small images; functions that severities have in common compile once."""
    images = tf.cast(photographs(2, (32, 32)), tf.float32)
    for name, rows in TABLES[table].items():
        for severity, arguments in enumerate(rows, start=1):
            keys = fields.image_keys(0, name, severity, tf.range(2))
            result = CORRUPTIONS[name](images, keys, *arguments).numpy()
            assert result.shape == images.shape and np.isfinite(result).all()


def test_groups_are_the_test_set():
    assert [n for group in corruptions.CORRUPTION_GROUPS.values() for n in group] == list(
        corruptions.TEST_CORRUPTIONS
    )
    assert len(corruptions.TEST_CORRUPTIONS) == 15 and len(corruptions.HELD_OUT_CORRUPTIONS) == 4
    for table in TABLES.values():
        assert list(table) == list(CORRUPTIONS)


IMAGES = np.zeros([2, 32, 32, 3], "uint8")


@pytest.mark.parametrize(
    "images, name, severity, options, error, message",
    [
        (IMAGES, "snows", 1, {}, ValueError, "unknown corruption 'snows'; choose from: gaussian"),
        (IMAGES, "snow", 6, {}, ValueError, "severity must be a whole number from 1 to 5; rec.* 6"),
        (IMAGES, "snow", 0, {}, ValueError, "received 0"),
        (IMAGES, "snow", 2.5, {}, ValueError, "received 2.5"),
        (np.zeros([1, 96, 96, 3], "uint8"), "snow", 1, {}, ValueError, "96x96.*name a table"),
        (IMAGES, "snow", 1, {"table": 128}, ValueError, "table must be 32, 64 or 224; rec.* 128"),
        (IMAGES + 2.0, "snow", 1, {}, ValueError, r"must lie in \[0, 1\]; received .* 2 to 2"),
        (IMAGES * np.nan, "snow", 1, {}, ValueError, "must be finite"),
        (IMAGES.astype("int32"), "snow", 1, {}, TypeError, "received dtype int32"),
        (IMAGES[0], "snow", 1, {}, ValueError, r"shape \(32, 32, 3\)"),
        (IMAGES[..., :1], "snow", 1, {}, ValueError, "3 channels.*received 1"),
        (IMAGES, "snow", 1, {"seed": -1}, ValueError, "seed must be .*received -1"),
        (IMAGES, "snow", 1, {"index": [1, 2, 3]}, ValueError, r"shape \(3,\) for 2 images"),
        (np.zeros([1, 130, 130, 3], "uint8"), "frost", 1, {"table": 32}, ValueError, "smaller"),
    ],
)
def test_wrong_input(images, name, severity, options, error, message):
    with pytest.raises(error, match=message):
        corrupt(images, name, severity, **options)


def test_size_must_be_known_while_tracing():
    function = tf.function(
        lambda x: corrupt(x, "contrast", 1, table=32),
        input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8)],
    )
    with pytest.raises(ValueError, match="known height and width"):
        function.get_concrete_function()
