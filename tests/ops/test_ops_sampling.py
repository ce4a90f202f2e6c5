"""Random numbers, seeds and per-image parameters."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from tfrobust.ops import sampling


def test_seed_pair():
    np.testing.assert_array_equal(sampling.seed_pair(5, tf.constant(2, tf.int64)), [5, 2])


def test_fold_in_tells_apart():
    seed = sampling.seed_pair(1, 2)
    data = [*range(500), "GaussianNoise", "Brightness", "B+", "B-"]
    seeds = {tuple(sampling.fold_in(seed, d).numpy()) for d in data}
    assert len(seeds) == len(data)
    assert tuple(sampling.fold_in(sampling.seed_pair(1, 3), 0).numpy()) not in seeds
    np.testing.assert_array_equal(sampling.fold_in(seed, "B+"), sampling.fold_in(seed, "B+"))
    traced = tf.function(lambda i: sampling.fold_in(seed, i))
    np.testing.assert_array_equal(traced(tf.constant(9)), sampling.fold_in(seed, 9))


@pytest.mark.parametrize("low, high", [(0.0, 1.0), (-0.5, 0.25)])
def test_uniform(low, high):
    numbers = sampling.uniform(sampling.seed_pair(0), [4000], low, high).numpy()
    assert low <= numbers.min() < low + 0.01 * (high - low)
    assert high - 0.01 * (high - low) < numbers.max() < high
    # Standard deviation of a uniform number: a twelfth of the squared width.
    assert abs(numbers.mean() - (low + high) / 2) < 5 * (high - low) / (12 * 4000) ** 0.5


def test_normal_matches_philox():
    seed = sampling.seed_pair(0, 1)
    expected = tf.random.stateless_normal([64], seed, alg="philox")
    np.testing.assert_array_equal(sampling.normal(seed, [64]), expected)


def test_per_image():
    images = tf.ones([2, 3, 3, 1], tf.float16)
    assert sampling.per_image(0.5, images).shape == []
    scaled = images * sampling.per_image([0.5, 2.0], images)
    assert scaled.dtype == tf.float16
    np.testing.assert_array_equal(scaled[:, 0, 0, 0], [0.5, 2.0])


SHAPES = [(1, 1), (0.4, 0.4), (0.2, 3), (2, 5), (1, 3), (100, 100), (0.05, 0.05)]


@pytest.mark.parametrize("alpha, beta", SHAPES)
def test_beta_matches_scipy(alpha, beta):
    count = 20000
    numbers = sampling.beta(sampling.seed_pair(1, 2), [count], alpha, beta).numpy()
    assert numbers.dtype == np.float32 and numbers.min() >= 0 and numbers.max() <= 1
    expected = scipy.stats.beta(alpha, beta)
    # Five standard errors, of the mean and, with the fourth moment, of the variance.
    assert abs(numbers.mean() - expected.mean()) < 5 * expected.std() / count**0.5
    fourth = (expected.stats("k") + 3) * expected.var() ** 2
    error = ((fourth - expected.var() ** 2) / count) ** 0.5
    assert abs(numbers.var() - expected.var()) < 5 * error
    # Kolmogorov: the largest distance exceeds 2.5/√n once in 130,000 times. Near 1 float32 cannot
    # tell apart what the distribution of a small β does.
    numbers = np.sort(numbers)
    inside = numbers[numbers < 1 - 1e-6]
    below = np.searchsorted(numbers, inside, side="right") / count
    assert np.abs(below - expected.cdf(inside)).max() < 2.5 / count**0.5


@pytest.mark.parametrize("alpha", [0.3, 1.0, 4.0])
def test_dirichlet_matches_scipy(alpha):
    """Each weight is Beta(α, (K − 1)·α); two are correlated by −1/(K − 1); they sum to 1."""
    count = 20000
    weights = sampling.dirichlet(sampling.seed_pair(3, 4), [count // 4, 4, 3], alpha).numpy()
    assert weights.shape == (count // 4, 4, 3) and weights.min() >= 0
    np.testing.assert_allclose(weights.sum(axis=-1), 1, atol=1e-6)
    weights = weights.reshape(-1, 3)
    expected = scipy.stats.beta(alpha, 2 * alpha)
    for column in weights.T:
        assert abs(column.mean() - 1 / 3) < 5 * expected.std() / count**0.5
        distance = scipy.stats.kstest(column, expected.cdf).statistic
        assert distance < 2.5 / count**0.5
    # The correlation of a sample has a standard error of about 1/√n; tails make it larger.
    assert abs(np.corrcoef(weights.T)[0, 1] + 1 / 2) < 10 / count**0.5
    lag = np.corrcoef(weights[1:, 0], weights[:-1, 0])[0, 1]
    assert abs(lag) < 5 / count**0.5


@pytest.mark.parametrize("alpha", [1e-30, 1e-6, 0.01])
def test_tiny_shapes_stay_finite(alpha):
    """Gamma variates underflow there; Beta(α, α) is almost a fair coin."""
    numbers = sampling.beta(sampling.seed_pair(0), [10000], alpha, alpha).numpy()
    assert ((numbers >= 0) & (numbers <= 1)).all()  # NaN is neither
    assert abs(numbers.mean() - 0.5) < 5 * 0.5 / 100
    middle = ((numbers > 1e-3) & (numbers < 1 - 1e-3)).mean()
    expected = np.diff(scipy.stats.beta(max(alpha, 1e-6), max(alpha, 1e-6)).cdf([1e-3, 1 - 1e-3]))[
        0
    ]
    assert abs(middle - expected) <= 5 * (expected / 10000) ** 0.5
    weights = sampling.dirichlet(sampling.seed_pair(0), [10000, 3], alpha).numpy()
    np.testing.assert_allclose(weights.sum(axis=-1), 1, atol=1e-6)
    assert abs(weights[:, 0].mean() - 1 / 3) < 5 * (2 / 9 / 10000) ** 0.5


@pytest.mark.parametrize(
    "draw",
    [
        lambda seed, shape: sampling.beta(seed, shape, 1, 1),
        lambda seed, shape: sampling.beta(seed, shape, 0.4, 2),
        lambda seed, shape: sampling.dirichlet(seed, [*shape, 3], 1),
        lambda seed, shape: sampling.dirichlet(seed, [*shape, 3], 0.5),
    ],
)
def test_beta_and_dirichlet_come_from_the_seed(draw):
    first = draw(tf.constant([3, 4]), [50]).numpy()
    np.testing.assert_array_equal(draw(tf.constant([3, 4]), [50]), first)
    assert np.mean(draw(tf.constant([3, 5]), [50]) == first) < 0.1
    signature = [tf.TensorSpec([2], tf.int32), tf.TensorSpec([], tf.int32)]
    traced = tf.function(lambda seed, n: draw(seed, [n]), input_signature=signature)
    np.testing.assert_allclose(traced([3, 4], 50), first, atol=1e-5)
    assert draw(tf.constant([3, 4]), [0]).shape[0] == 0


# A seed for each image


DRAWS = [
    lambda seed, count: sampling.uniform(seed, [count, 3, 5], -1.0, 3.0),
    lambda seed, count: sampling.normal(seed, [count, 15]),
    lambda seed, count: sampling.integers(seed, [count, 15], -2, 3),
    lambda seed, count: sampling.beta(seed, [count], 0.4, 2),
    lambda seed, count: sampling.dirichlet(seed, [count, 3], 0.5),
    lambda seed, count: sampling.uniform(sampling.fold_in(seed, "name"), [count]),
    lambda seed, count: sampling.uniform(sampling.fold_in(seed, tf.constant(7)), [count]),
]


@pytest.mark.parametrize("draw", DRAWS)
def test_an_image_draws_by_its_own_seed(draw):
    seeds = sampling.image_seeds(3, "name", [0, 1, 7, 7])
    whole = draw(seeds, 4).numpy()
    assert len(np.unique(whole.reshape([4, -1])[:, 0])) == 3
    np.testing.assert_allclose(whole[2], whole[3], atol=1e-6)
    rows = [3, 1]
    np.testing.assert_allclose(draw(sampling.gather(seeds, rows), 2), whole[rows], atol=1e-6)
    signature = [tf.TensorSpec([None, 2], tf.int32), tf.TensorSpec([], tf.int32)]
    traced = tf.function(draw, input_signature=signature)
    np.testing.assert_allclose(traced(seeds, 4), whole, atol=1e-5)
    assert traced(seeds[:0], 0).shape[0] == 0


def test_numbers_by_image_are_distributed_as_those_by_batch():
    seeds = sampling.image_seeds(0, "name", np.arange(4000))
    for draw, expected in (
        (lambda: sampling.uniform(seeds, [4000], -1.0, 3.0), scipy.stats.uniform(-1, 4)),
        (lambda: sampling.normal(seeds, [4000]), scipy.stats.norm()),
        (lambda: sampling.beta(seeds, [4000], 0.4, 2), scipy.stats.beta(0.4, 2)),
        (lambda: sampling.dirichlet(seeds, [4000, 3], 0.5)[:, 0], scipy.stats.beta(0.5, 1)),
    ):
        assert scipy.stats.kstest(draw(), expected.cdf).pvalue > 1e-3
    counts = np.unique(sampling.integers(seeds, [4000], -2, 3), return_counts=True)
    assert counts[0].tolist() == [-2, -1, 0, 1, 2] and counts[1].min() > 650


def test_image_seeds_differ_by_everything():
    made = [
        sampling.image_seeds(0, "a", [0, 1, 2**31, 2**40]),
        sampling.image_seeds(1, "a", [0]),
        sampling.image_seeds(0, "b", [0]),
    ]
    assert len(np.unique(np.concatenate(made), axis=0)) == 6
