"""Noisy feature mixup: hand-computed values, NumPy, distribution and gradient."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import tensorflow as tf

from tests.reference import gpu_kernels
from tests.reference import noisymix as reference
from tests.reference.gradients import gradient
from tfrobust import ops
from tfrobust.ops import sampling

SEED = tf.constant([3, 4])
PARTNER = np.array([2, 0, 1, 3])
LEVELS = {"additive": [0.1, 0.2, 0.6], "multiplicative": [0.5, 0.3, 0.1]}


def random_values(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def fields(shape, seed=SEED):
    return [sampling.uniform(sampling.fold_in(seed, i), shape).numpy() for i in (0, 1)]


def expected_of(values, streams, partner=None, mixing_weight=1.0, sparse=0.0, **levels):
    draws = {
        name: np.broadcast_to(levels[name], [streams]) if name in levels else None
        for name in LEVELS
    }
    m, a = reference.noise(values.shape, streams, draws, sparse, fields(values.shape))
    order = np.arange(len(values) // streams) if partner is None else partner
    return m * reference.mixed(values, streams, order, mixing_weight) + a


def test_hand_computed_values(monkeypatch):
    """No noise for u < 0.5; otherwise m = 1 + 0.4·(4u − 3) and a = 2·quantile(2u − 1)."""
    draws = {0: [[0.2, 0.75, 0.9]], 1: [[0.5, 0.499, 0.875]]}
    module = sys.modules["tfrobust.ops.noisy_feature_mixup"]
    monkeypatch.setattr(module.sampling, "fold_in", lambda seed, i: i)
    monkeypatch.setattr(module.sampling, "uniform", lambda seed, shape: tf.constant(draws[seed]))
    result = ops.noisy_feature_mixup(
        tf.constant([[1.0, 2.0, 3.0]]), SEED, additive=2.0, multiplicative=0.4, sparse=0.5
    )
    # Factors 0.6, 1, 1.2; summands 0, 2·z(0.5) = 0, 2·z(0.8) = 2·0.841621.
    np.testing.assert_allclose(result, [[0.6, 2.0, 3.6 + 1.683242]], rtol=1e-5)


@pytest.mark.parametrize("shape", [(12,), (12, 10), (12, 7, 9, 3), (12, 2, 3, 4, 5)])
@pytest.mark.parametrize("parts", ["mix", "add", "multiply", "all"])
@pytest.mark.parametrize("streams", [1, 3])
def test_matches_reference(shape, parts, streams):
    values = random_values(*shape)
    settings = {"sparse": 0.65}
    if parts in ("mix", "all"):
        partner = PARTNER if streams == 3 else np.random.default_rng(1).permutation(12)
        settings.update(partner=partner, mixing_weight=0.3)
    for name in LEVELS:
        if parts == "all" or name.startswith(parts[:3]):
            settings[name] = LEVELS[name][:streams]
    result = ops.noisy_feature_mixup(values, SEED, streams=streams, **settings)
    expected = expected_of(values, streams, **settings)
    assert result.dtype == tf.float32 and result.shape == shape
    assert np.abs(expected - values).max() > 0.05
    np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-5)


def test_streams_are_not_mixed_with_one_another():
    values = np.repeat([0.0, 100.0, 200.0], 4).astype("float32")[:, None]
    result = ops.noisy_feature_mixup(values, SEED, streams=3, partner=PARTNER, mixing_weight=0.4)
    np.testing.assert_allclose(result, values, rtol=1e-6)
    alike = np.tile(random_values(4, 6), [3, 1])
    result = ops.noisy_feature_mixup(
        alike, SEED, streams=3, partner=PARTNER, mixing_weight=0.4
    ).numpy()
    # A compiled loop rounds a product and its sum once or twice, as the place in a vector has it.
    np.testing.assert_allclose(result[:4], result[4:8], atol=1e-6)
    np.testing.assert_allclose(result[:4], result[8:], atol=1e-6)


@pytest.mark.parametrize("sparse", [0.0, 0.3, 0.65, 0.99])
def test_distribution(sparse):
    """Within five standard errors."""
    count = 400_000
    zeros, ones = tf.zeros([2, count // 2]), tf.ones([2, count // 2])
    add = ops.noisy_feature_mixup(zeros, SEED, additive=0.5, sparse=sparse).numpy().ravel()
    times = ops.noisy_feature_mixup(ones, SEED, multiplicative=0.8, sparse=sparse).numpy().ravel()
    on = count * (1 - sparse)
    for noise in (add, times - 1):
        hit = noise != 0
        error = np.sqrt(sparse * (1 - sparse) / count)
        assert abs(hit.mean() - (1 - sparse)) <= 5 * error + 1e-5  # a noise of exactly 0
        assert abs(noise[hit].mean()) < 5 * noise.std() / np.sqrt(on)
    add, times = add[add != 0], times[times != 1]
    assert abs(add.std() - 0.5) < 5 * 0.5 / np.sqrt(2 * on)
    assert abs(np.mean(np.abs(add) < 0.5) - 0.682689) < 5 * np.sqrt(0.22 / on)
    assert abs(np.mean(np.abs(add) > 1.0) - 0.045500) < 5 * np.sqrt(0.0434 / on)
    assert times.min() >= 0.2 - 1e-6 and times.max() <= 1.8 + 1e-6
    # Var of U(−1, 1) is 1/3, that of its square 4/45.
    error = 0.64 * np.sqrt(4 / 45 / on)
    assert abs(np.mean((times - 1) ** 2) - 0.64 / 3) < 5 * error


def test_the_two_noises_are_independent():
    values = tf.ones([2, 200_000])
    times = ops.noisy_feature_mixup(values, SEED, multiplicative=0.5, sparse=0.5) - 1.0
    both = ops.noisy_feature_mixup(values, SEED, multiplicative=0.5, additive=1.0, sparse=0.5)
    add = (both - 1.0 - times).numpy().ravel()
    times = times.numpy().ravel()
    error = 1 / np.sqrt(len(add))
    assert abs(np.corrcoef(add, times)[0, 1]) < 5 * error
    assert abs(np.corrcoef(np.abs(add) > 1e-6, times != 0)[0, 1]) < 5 * error


def test_each_stream_has_its_own_strength():
    values = tf.zeros([3 * 8, 5000])
    result = ops.noisy_feature_mixup(values, SEED, streams=3, additive=[0.5, 1.0, 1.5]).numpy()
    deviations = result.reshape([3, -1]).std(axis=1)
    np.testing.assert_allclose(deviations, [0.5, 1.0, 1.5], rtol=5 / np.sqrt(2 * 40000))


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"sparse": 1.0, "additive": 0.5, "multiplicative": 0.5},
        {"partner": PARTNER, "mixing_weight": 1.0},
        {"partner": np.arange(4), "mixing_weight": 0.25},
        {"additive": 0.0, "multiplicative": 0.0},
    ],
    ids=["nothing", "sparse", "mixing_weight", "itself", "strength"],
)
def test_identity(settings):
    values = random_values(4, 5, 3)
    result = ops.noisy_feature_mixup(values, SEED, **settings)
    np.testing.assert_allclose(result, values, rtol=1e-6)


def test_seed():
    values = random_values(4, 50)
    first, again, other = (
        ops.noisy_feature_mixup(values, tf.constant([1, i]), additive=0.5, multiplicative=0.5)
        for i in (2, 2, 3)
    )
    np.testing.assert_array_equal(first, again)
    assert np.mean(np.equal(first, other)) < 0.01


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_computed_in_full(dtype):
    values = tf.cast(random_values(12, 6), dtype)
    settings = {"streams": 3, "partner": PARTNER, "mixing_weight": 0.3, "sparse": 0.65, **LEVELS}
    result = ops.noisy_feature_mixup(values, SEED, **settings)
    full = ops.noisy_feature_mixup(tf.cast(values, "float32"), SEED, **settings)
    assert result.dtype == values.dtype
    result = tf.cast(result, "float32").numpy()
    rounded = tf.cast(tf.cast(full, dtype), "float32").numpy()
    # Two compiled programs may differ in the last bit before they round: then a few results are one
    # step of the half precision apart. Computed in half precision most would be.
    step = {"float16": 2.0**-10, "bfloat16": 2.0**-7}[dtype]
    np.testing.assert_allclose(result, rounded, rtol=step)
    assert np.mean(result != rounded) < 0.05


def gradient_of(values, weights, **settings):
    def total(x):
        return tf.reduce_sum(weights * ops.noisy_feature_mixup(x, SEED, streams=3, **settings))

    return gradient(total, values)[0]


@pytest.mark.parametrize("parts", ["mix", "multiply", "all"])
def test_gradient(parts):
    values, weights = random_values(12, 4, 3), np.float32(2) * random_values(12, 4, 3) + 1
    levels = {k: np.array(v) for k, v in LEVELS.items()} if parts != "mix" else {}
    m = np.ones(values.shape)
    if levels:
        m, _ = reference.noise(values.shape, 3, levels, 0.5, fields(values.shape))
    settings, expected = {"sparse": 0.5, **levels}, m * weights
    if parts != "multiply":
        settings.update(partner=PARTNER, mixing_weight=0.3)
        expected = reference.mixed_gradient(expected, 3, PARTNER, 0.3)
    np.testing.assert_allclose(gradient_of(values, weights, **settings), expected, atol=1e-5)


def test_no_gradient_to_the_draws():
    mixing_weight, level = tf.Variable(0.3), tf.Variable(0.5)
    with tf.GradientTape() as tape:
        result = ops.noisy_feature_mixup(
            random_values(4, 3), SEED, partner=PARTNER, mixing_weight=mixing_weight, additive=level
        )
    assert tape.gradient(result, [mixing_weight, level]) == [None, None]


@pytest.mark.parametrize("jit", [False, True])
def test_inside_a_branch(jit):
    """Value and gradient when the branch is taken and when it is not."""
    values = random_values(12, 4)
    settings = {"streams": 3, "mixing_weight": 0.3, "sparse": 0.5, **LEVELS}

    @tf.function(jit_compile=jit)
    def run(take, images, order):
        with tf.GradientTape() as tape:
            tape.watch(images)
            partner = tf.argsort(order)
            result = tf.cond(
                take,
                lambda: ops.noisy_feature_mixup(images, SEED, partner=partner, **settings),
                lambda: images,
            )
            total = tf.reduce_sum(result * values)
        return result, tape.gradient(total, images)

    order = np.argsort(PARTNER).astype("float32")
    result, slope = run(tf.constant(False), values, order)
    np.testing.assert_array_equal(result, values)
    np.testing.assert_array_equal(slope, values)
    result, slope = run(tf.constant(True), values, order)
    assert np.abs(result - values).max() > 0.1
    if not jit:  # XLA draws other numbers
        settings["partner"] = PARTNER
        np.testing.assert_allclose(result, expected_of(values, **settings), rtol=1e-4, atol=1e-5)
        del settings["streams"]
        np.testing.assert_allclose(slope, gradient_of(values, values, **settings), atol=1e-6)


@pytest.mark.parametrize("batch", [0, 1, 5])
def test_graph_with_any_batch(batch):
    @tf.function(input_signature=[tf.TensorSpec([None, 7, 9, 3]), tf.TensorSpec([None], tf.int32)])
    def run(values, partner):
        return ops.noisy_feature_mixup(
            values, SEED, streams=3, partner=partner, mixing_weight=0.3, sparse=0.65, **LEVELS
        )

    values, partner = random_values(3 * batch, 7, 9, 3), np.arange(batch, dtype="int32")[::-1]
    expected = ops.noisy_feature_mixup(
        values, SEED, streams=3, partner=partner, mixing_weight=0.3, sparse=0.65, **LEVELS
    )
    result = run(values, partner)
    assert result.shape == values.shape
    np.testing.assert_allclose(result, expected, atol=1e-6)


@pytest.mark.parametrize("sparse", [0.0, 0.65, 1 - 2.0**-20])
@pytest.mark.parametrize("draw", [0.0, 0.65, 0.65 + 2.0**-23, 1 - 2.0**-23])
def test_the_ends_of_the_uniform_numbers_are_finite(monkeypatch, sparse, draw):
    module = sys.modules["tfrobust.ops.noisy_feature_mixup"]
    monkeypatch.setattr(module.sampling, "uniform", lambda seed, shape: tf.fill(shape, draw))
    values = random_values(2, 3)
    result = ops.noisy_feature_mixup(
        values, SEED, additive=1.0, multiplicative=1.0, sparse=sparse
    ).numpy()
    assert np.isfinite(result).all() and np.abs(result).max() < 6 + 2 * np.abs(values).max()


@pytest.mark.parametrize("value", [0.0, 1e30, -1e30])
def test_extreme_values(value):
    values = np.full([4, 3], value, "float32")
    settings = {"partner": PARTNER, "mixing_weight": 0.3, "additive": 0.5, "multiplicative": 0.5}
    assert np.isfinite(ops.noisy_feature_mixup(values, SEED, **settings)).all()
    slope = gradient(lambda x: ops.noisy_feature_mixup(x, SEED, **settings), values)[0]
    assert np.isfinite(slope).all() and np.abs(slope).min() > 0.1


def test_runs_on_a_gpu():
    def both(values, partner):
        with tf.GradientTape() as tape:
            tape.watch(values)
            result = ops.noisy_feature_mixup(
                values, SEED, streams=3, partner=partner, mixing_weight=0.3, sparse=0.65, **LEVELS
            )
        return tape.gradient(result, values)

    specs = tf.TensorSpec([12, 18, 22, 3]), tf.TensorSpec([4], tf.int32)
    assert not gpu_kernels.problems(tf.function(both).get_concrete_function(*specs))
