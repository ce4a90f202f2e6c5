"""Selection of entries by value, and noise on those entries only."""

import numpy as np
import pytest
import tensorflow as tf

from tfrobust.ops import gaussian_noise_at, lowest_and_highest_entries

SEED = tf.constant([3, 4])


def test_hand_computed_values():
    values = tf.constant([[[0.5, 0.1], [0.9, 0.3]], [[1.0, 2.0], [0.0, 3.0]]])
    low, high = lowest_and_highest_entries(values, 2)
    np.testing.assert_array_equal(low, [[1, 3], [2, 0]])
    np.testing.assert_array_equal(high, [[2, 0], [3, 1]])


@pytest.mark.parametrize(
    "shape, count", [((3, 7, 9, 3), 50), ((2, 1, 1, 3), 3), ((4, 16, 16, 1), 1)]
)
def test_is_a_sort(shape, count):
    values = np.random.default_rng(0).random(shape).astype("float32")
    low, high = lowest_and_highest_entries(values, count)
    order = np.argsort(values.reshape(len(values), -1), axis=1)
    np.testing.assert_array_equal(low, order[:, :count])
    np.testing.assert_array_equal(high, order[:, ::-1][:, :count])


@pytest.mark.parametrize(
    "values", [np.zeros([2, 4, 4, 3]), np.eye(4).repeat(3).reshape(1, 4, 4, 3)]
)
def test_ties_are_resolved_so_that_there_are_exactly_k(values):
    values = values.astype("float32")
    for chosen in lowest_and_highest_entries(values, 5):
        assert all(len(set(row)) == 5 for row in chosen.numpy())
    low, high = lowest_and_highest_entries(values, 12)
    flat = values.reshape(len(values), -1)
    assert np.take_along_axis(flat, low.numpy(), 1).max() == 0
    assert np.take_along_axis(flat, high.numpy(), 1).min() == flat.max()  # 12 ones in the second


@pytest.mark.parametrize("count", [0, 13])
def test_count_out_of_range(count):
    with pytest.raises(ValueError, match=rf"from 1 to the 12 entries.*received {count}"):
        lowest_and_highest_entries(tf.zeros([2, 2, 2, 3]), count)


def test_noise_changes_exactly_the_entries():
    images = np.full([2, 7, 9, 3], 0.5, "float32")
    entries = np.stack([np.arange(0, 40, 2), np.arange(188, 168, -1)]).astype("int32")
    noisy = gaussian_noise_at(images, entries, 0.1, SEED).numpy()
    changed = (noisy != images).reshape(2, -1)
    np.testing.assert_array_equal(np.flatnonzero(changed[0]), np.sort(entries[0]))
    np.testing.assert_array_equal(np.flatnonzero(changed[1]), np.sort(entries[1]))
    again = gaussian_noise_at(images, entries, 0.1, SEED).numpy()
    other = gaussian_noise_at(images, entries, 0.1, tf.constant([3, 5])).numpy()
    np.testing.assert_array_equal(noisy, again)
    assert (noisy != other).sum() == 40


def test_noise_is_normal_with_sigma_of_each_image():
    images = np.full([2, 100, 100, 1], 0.5, "float32")
    entries = np.tile(np.arange(10000, dtype="int32"), [2, 1])
    noisy = gaussian_noise_at(images, entries, tf.constant([0.05, 0.01]), SEED).numpy() - 0.5
    for noise, sigma in zip(noisy, (0.05, 0.01)):
        # Standard errors of mean and deviation: σ/√n and σ/√(2n).
        assert abs(noise.mean()) < 5 * sigma / 100
        assert abs(noise.std() - sigma) < 5 * sigma / np.sqrt(20000)


def test_noise_is_clipped():
    images = np.stack([np.zeros([4, 4, 3]), np.ones([4, 4, 3])]).astype("float32")
    entries = np.tile(np.arange(48, dtype="int32"), [2, 1])
    noisy = gaussian_noise_at(images, entries, 5.0, SEED).numpy()
    assert noisy.min() == 0 and noisy.max() == 1
    assert 0 < (noisy != images).mean() < 1  # of the noise on black or white, half is cut


def test_sigma_0_is_the_identity():
    images = np.random.default_rng(0).random([2, 5, 5, 3]).astype("float32")
    entries = np.tile(np.arange(75, dtype="int32"), [2, 1])
    np.testing.assert_array_equal(gaussian_noise_at(images, entries, 0.0, SEED), images)


def both(images, values):
    low, high = lowest_and_highest_entries(values, 10)
    return gaussian_noise_at(images, low, 0.1, SEED), gaussian_noise_at(images, high, 0.1, SEED)


@pytest.mark.parametrize("height", [7, None])
def test_any_batch_and_graph_as_eager(height):
    signature = [tf.TensorSpec([None, height, height and 9, 3])] * 2
    traced = tf.function(both, input_signature=signature)
    random = np.random.default_rng(0)
    images, values = random.random([2, 4, 7, 9, 3]).astype("float32")
    for batch in (4, 1, 0):
        for one, other in zip(
            both(images[:batch], values[:batch]), traced(images[:batch], values[:batch])
        ):
            # A graph may join operations that were apart. Noise elsewhere would be far more.
            np.testing.assert_allclose(one, other, atol=1e-6)
            assert other.shape == [batch, 7, 9, 3]


def test_compiled_chooses_the_same():
    random = np.random.default_rng(0)
    values = random.random([4, 7, 9, 3]).astype("float32")
    compiled = tf.function(lowest_and_highest_entries, jit_compile=True)
    for one, other in zip(lowest_and_highest_entries(values, 20), compiled(values, 20)):
        np.testing.assert_array_equal(one, other)


def test_gradient_passes_through_where_nothing_is_cut():
    images = tf.fill([1, 2, 2, 1], 0.5)
    with tf.GradientTape() as tape:
        tape.watch(images)
        total = tf.reduce_sum(gaussian_noise_at(images, tf.constant([[1]]), 0.1, SEED))
    np.testing.assert_array_equal(tape.gradient(total, images), np.ones([1, 2, 2, 1]))
