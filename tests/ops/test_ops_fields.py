"""Random numbers per image, independent of the batch."""

import numpy as np
import pytest
import tensorflow as tf

from tfrobust.ops import fields

#: Known answers of Random123 for Threefry-2x32, 20 rounds: key, counter, result.
KNOWN = [
    ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
    ((0xFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF), (0x1CB996FC, 0xBB002BE7)),
    ((0x13198A2E, 0x03707344), (0x243F6A88, 0x85A308D3), (0xC4923A9C, 0x483DF7A0)),
]


@pytest.mark.parametrize("key, counter, expected", KNOWN)
def test_threefry_equals_the_published_answers(key, counter, expected):
    first, second = (tf.constant([[word]], tf.uint32) for word in counter)
    answer = tf.function(fields.threefry, jit_compile=True)(
        tf.constant([key], tf.uint32), first, second
    )
    assert tuple(int(word[0, 0]) for word in answer) == expected


def keys(count=8, seed=3, name="snow", severity=2):
    return fields.image_keys(seed, name, severity, tf.range(count))


def test_keys_differ_by_everything():
    made = [keys(), keys(seed=4), keys(name="fog"), keys(severity=3), fields.fold(keys(), 1)]
    made.append(fields.fold(keys(), 2))
    made.append(fields.image_keys(3, "snow", 2, tf.range(8, dtype=tf.int64) + 2**31))
    rows = np.concatenate([np.asarray(k) for k in made])
    assert len(np.unique(rows, axis=0)) == len(rows)


@pytest.mark.parametrize("draw, rounding", [(fields.uniform, 0), (fields.normal, 1e-6)])
def test_an_image_keeps_its_numbers_in_any_batch(draw, rounding):
    """Uniform numbers are bits; normal ones are sums, whose rounding may depend on the batch."""
    whole = draw(keys(), [5, 7, 3]).numpy()
    assert whole.shape == (8, 5, 7, 3)
    chosen = [6, 1, 3]
    part = draw(tf.gather(keys(), chosen), [5, 7, 3]).numpy()
    np.testing.assert_allclose(part, whole[chosen], rtol=0, atol=rounding)
    one = draw(keys()[4:5], [5, 7, 3]).numpy()
    np.testing.assert_allclose(one, whole[4:5], rtol=0, atol=rounding)


def test_uniform_moments():
    values = fields.uniform(keys(64), [101, 97]).numpy()
    assert 0 <= values.min() < 1e-4 and 1 - 1e-4 < values.max() < 1
    n = values.size  # five standard errors
    assert abs(values.mean() - 0.5) < 5 / np.sqrt(12 * n)
    counts = np.histogram(values, 64, (0, 1))[0]
    assert ((counts - n / 64) ** 2 / (n / 64)).sum() < 63 + 5 * np.sqrt(2 * 63)


def test_normal_moments():
    values = fields.normal(keys(64), [101, 97]).numpy().astype(float)
    n = values.size
    for power, expected, spread in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        assert abs((values**power).mean() - expected) < 5 * np.sqrt(spread / n), power
    flat = values.reshape(64, -1)
    for lag in (1, 2, 97, flat.shape[1] // 2):
        assert abs((flat[:, lag:] * flat[:, :-lag]).mean()) < 5 / np.sqrt(flat[:, lag:].size)
    between = np.corrcoef(flat) - np.eye(64)
    assert np.abs(between).max() < 5.5 / np.sqrt(flat.shape[1])


def test_integers_reach_both_ends():
    values = fields.integers(keys(64), [50], -2, 1).numpy()
    assert values.dtype == np.int32 and set(np.unique(values)) == {-2, -1, 0, 1}
    counts = np.bincount(values.ravel() + 2)
    assert np.abs(counts - values.size / 4).max() < 5 * np.sqrt(values.size * 3 / 16)
