"""When functions are compiled, what stays in memory, and that compiling changes no byte."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from tfrobust.ops import compiled

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture
def forgetful(monkeypatch):
    """Nothing was done yet."""
    monkeypatch.setattr(compiled, "_done", type(compiled._done)())
    monkeypatch.setattr(compiled, "_kept", set())


@compiled.compiled
def is_graph(x):
    return x + (0 if tf.executing_eagerly() else 1)


def asked(kind, amount):
    """Whether a function is compiled within `compiled_if_worth`, and what that says."""
    with compiled.compiled_if_worth(kind, amount, 10) as worth:
        assert compiled.is_plain() == (not worth)
        assert int(is_graph(tf.constant(0))) == int(worth)
    assert not compiled.is_plain() and int(is_graph(tf.constant(0))) == 1
    return worth


def test_compiled_once_there_is_enough_to_do(forgetful):
    assert [asked("a", tf.constant(4)) for _ in range(4)] == [False, False, True, True]
    assert [asked("b", 9), asked("c", 10), asked("b", 1)] == [False, True, True]
    with compiled.compiled_at_once():
        assert asked("d", 1)
    assert not asked("d", 1)


def test_few_kinds_are_kept(forgetful, monkeypatch):
    monkeypatch.setattr(compiled, "_MOST_KINDS", 2)
    assert [asked(kind, 10) for kind in "abcba"] == [True, True, False, True, True]


def test_all_is_compiled_in_a_graph(forgetful):
    def function(x):
        with compiled.compiled_if_worth("a", tf.shape(x)[0], 10) as worth:
            assert worth
            return is_graph(x)

    assert tf.function(function, autograph=False)(tf.zeros([1], tf.int32)).numpy() == [1]


def test_sums_of_products_are_the_same_bytes_when_compiled():
    random = np.random.default_rng(0)
    factors, values = random.normal(size=[2, 4, 100_000]).astype("float32")

    def function(factors, values):
        pairs = list(zip(tf.unstack(factors), tf.unstack(values)))
        return compiled.sum_of_products(pairs[:1]), compiled.sum_of_products(pairs)

    plain = function(factors, values)
    exact = (factors.astype("float64") * values).sum(0)
    np.testing.assert_allclose(plain[1], exact, rtol=1e-5, atol=1e-6)
    if fuses_products():
        for a, b in zip(plain, compiled.compiled(function)(factors, values)):
            np.testing.assert_array_equal(a, b)


def fuses_products() -> bool:
    """Whether the processor rounds a product and its sum once."""
    x = tf.constant(1 + 2.0**-12)
    square = tf.function(lambda x, y: x * x + y, jit_compile=True)
    return float(square(x, -x * x)) != 0


def test_padded_sizes(monkeypatch):
    monkeypatch.setattr(compiled, "_exact_sizes", {})
    assert [compiled.padded_size(n) for n in (5, 7, 9, 11)] == [5, 7, 9, 11]
    assert [compiled.padded_size(n) for n in (5, 6, 13, 17, 50_000)] == [5, 6, 16, 24, 224**2]
    unknown = tf.function(compiled.padded_size)
    assert [int(unknown(tf.constant(n))) for n in (2, 13, 24, 25)] == [2, 16, 24, 32]


@pytest.mark.slow
def test_images_of_many_sizes_leave_nothing_in_memory(tmp_path):
    """AugMix and all corruptions: 200 sizes within 500 MiB are 20 within 50."""
    sizes = ["--sizes", "20", "--smallest", "40", "--largest", "60"]
    command = [sys.executable, "benchmarks/first_calls.py", "sizes", *sizes, "--folder", tmp_path]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, cwd=ROOT)
    assert json.loads(done.stdout.splitlines()[-1])["memory MiB"] < 50
