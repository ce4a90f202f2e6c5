"""What all corruptions keep."""

import numpy as np
import pytest
import tensorflow as tf

from tfrobust import corruptions
from tfrobust.corruptions import CORRUPTIONS, corrupt, fields
from tfrobust.corruptions.severities import TABLES

every = pytest.mark.parametrize("name", CORRUPTIONS)


def photographs(count=6, size=(32, 32)):
    """Smooth random colours with an edge, uint8."""
    random = np.random.default_rng(5)
    coarse = random.uniform(0, 255, [count, 4, 4, 3]).astype("float32")
    images = tf.image.resize(coarse, size, "bicubic").numpy()
    images[:, size[0] // 2 :] *= 0.6
    return np.clip(images, 0, 255).astype("uint8")


@every
def test_an_image_is_corrupted_alike_in_any_batch(name):
    images = photographs()
    whole = corrupt(images, name, 3, seed=4).numpy()
    assert whole.shape == images.shape and whole.dtype == np.uint8
    assert 0.1 < np.abs(whole.astype(float) - images).mean() < 100
    for chosen in ([4, 1], [3]):
        part = corrupt(images[chosen], name, 3, seed=4, index=chosen)
        np.testing.assert_array_equal(part, whole[chosen])
    assert corrupt(images[:0], name, 3).shape == (0, 32, 32, 3)


@every
def test_seed_and_index_change_what_is_random(name):
    images = np.repeat(photographs(1), 3, axis=0)
    one, other = corrupt(images, name, 4).numpy(), corrupt(images, name, 4, seed=1).numpy()
    fixed = {"defocus_blur", "zoom_blur", "brightness", "contrast", "pixelate"}
    fixed |= {"jpeg_compression", "gaussian_blur", "saturate"}
    for first, second in ((one[0], one[1]), (one[1], one[2]), (one[0], other[0])):
        assert np.array_equal(first, second) == (name in fixed)


@every
def test_floats_and_tf_data(name):
    images = photographs(4)
    expected = corrupt(images, name, 2).numpy()
    floats = corrupt(images.astype("float32") / 255, name, 2)
    assert floats.dtype == tf.float32
    np.testing.assert_array_equal(floats, expected.astype("float32") / 255)
    data = tf.data.Dataset.from_tensor_slices((images, np.arange(4))).batch(3)
    mapped = data.map(lambda x, i: corrupt(x, name, 2, index=i))
    np.testing.assert_array_equal(np.concatenate(list(mapped.as_numpy_iterator())), expected)


@every
def test_extreme_and_odd_images(name):
    """Black, white and one bright pixel, in sizes that no table is for."""
    for size in ((33, 47), (40, 36)):
        images = np.zeros([3, *size, 3], "uint8")
        images[1] = 255
        images[2, 5, 6] = 255
        result = corrupt(images, name, 5, table=32).numpy()
        assert result.shape == images.shape and result.dtype == np.uint8


@pytest.mark.slow
@pytest.mark.parametrize("table", TABLES)
def test_every_row_of_every_table_fits_its_function(table):
    """Without tracing, on small images: what severities share is compiled once."""
    images = tf.cast(photographs(2), tf.float32)
    for name, rows in TABLES[table].items():
        for severity, arguments in enumerate(rows, start=1):
            keys = fields.image_keys(0, name, severity, tf.range(2))
            result = CORRUPTIONS[name](images, keys, *arguments).numpy()
            assert result.shape == images.shape and np.isfinite(result).all()


@every
def test_severities_grow(name):
    """Severity 5 changes more than severity 1; two tables at 32 pixels are not in that order."""
    images = photographs(24)
    change = [
        np.abs(corrupt(images, name, s).numpy().astype(float) - images).mean() for s in (1, 5)
    ]
    assert change[1] > change[0] or name in ("elastic_transform", "saturate")


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
