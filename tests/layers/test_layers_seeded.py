"""Every draw has a seed of its own, whoever asks, and one that can be named."""

import numpy as np
import pytest
import tensorflow as tf

from tfrobust import augment
from tfrobust.layers.seeded import Seeded

IMAGES = np.full([3, 4, 4, 3], 0.5, "float32")


def test_seeds_count_on():
    seeds, again = Seeded(seed=5), Seeded(seed=5)
    made = [seeds.next_seed().numpy().tolist() for _ in range(3)]
    assert made == [[5, 0], [5, 1], [5, 2]]
    again.count_from(2)
    np.testing.assert_array_equal(again.next_seed(), [5, 2])


@pytest.mark.parametrize("jit_compile", [False, True])
def test_seeds_count_on_in_a_graph(jit_compile):
    seeds = Seeded(seed=5)
    step = tf.function(lambda: (seeds.next_seed(), seeds.next_seed()), jit_compile=jit_compile)
    assert [[s.numpy().tolist() for s in step()] for _ in range(2)] == [
        [[5, 0], [5, 1]],
        [[5, 2], [5, 3]],
    ]


def test_parallel_elements_have_draws_of_their_own():
    seeds, count = Seeded(), 2000
    data = tf.data.Dataset.range(count).map(lambda _: seeds.next_seed(), num_parallel_calls=16)
    made = np.stack(list(data.as_numpy_iterator()))
    np.testing.assert_array_equal(np.sort(made[:, 1]), np.arange(count))


def test_parallel_elements_are_the_same_in_each_run_by_their_number():
    layer = augment.GaussianNoise(0.1, seed=3)

    def run(calls):
        data = tf.data.Dataset.from_tensors(IMAGES).repeat(40).enumerate()
        data = data.map(
            lambda i, images: layer(images, training=True, seed=i), num_parallel_calls=calls
        )
        return np.stack(list(data.as_numpy_iterator()))

    first = run(16)
    assert len({batch.tobytes() for batch in first}) == 40
    np.testing.assert_array_equal(run(16), first)
    np.testing.assert_array_equal(run(1), first)


def test_all_copies_count_on_inside_and_outside_the_scope_of_a_strategy():
    strategy = tf.distribute.MirroredStrategy(
        ["/cpu:0", "/cpu:1"], tf.distribute.ReductionToOneDevice()
    )
    with strategy.scope():
        seeds = Seeded()
        assert seeds.next_seed()[1] == 0
    assert seeds.next_seed()[1] == 1
    made = strategy.run(tf.function(seeds.next_seed))
    first, second = strategy.experimental_local_results(made)
    assert (first != second).numpy().any()
    after = strategy.run(tf.function(lambda: tf.convert_to_tensor(seeds._draws)))
    first, second = strategy.experimental_local_results(after)
    np.testing.assert_array_equal(first, second)
