"""The contrastive losses: hand-computed values, the printed formulas, and extreme inputs."""

import math

import numpy as np
import pytest
import tensorflow as tf

from tests.reference import contrastive as reference
from tests.reference.gradients import central_differences, gradient
from tfrobust.losses import margin_contrastive, softmax_contrastive

SOFTMAX = (softmax_contrastive, reference.softmax, "temperature", "temperature")
MARGIN = (margin_contrastive, reference.margin, "margin", "gamma")


def embeddings(seed, shape=(5, 7), count=3):
    random = np.random.default_rng(seed)
    return [random.normal(size=shape).astype("float32") for _ in range(count)]


# z_0 ⟂ z_1; z_0⁺ is at 45° and z_0⁻ at 60° to z_0; z_1⁺ is opposite to z_1.
CLEAN = tf.constant([[3.0, 0.0], [0.0, 0.5]])
POSITIVE = tf.constant([[1.0, 1.0], [0.0, -2.0]])
NEGATIVE = tf.constant([[1.0, math.sqrt(3)], [0.0, 4.0]])


def test_softmax_hand_computed_values():
    result = softmax_contrastive(CLEAN, POSITIVE, NEGATIVE, temperature=0.5)
    # Cosines / τ. Image 0: √½/½ = √2; others 0; own ½/½ = 1. Image 1: -2; others 0; own 2.
    first = math.log(1 + math.exp(0 - math.sqrt(2)) + math.exp(1 - math.sqrt(2)))
    second = math.log(1 + math.exp(0 + 2) + math.exp(2 + 2))
    np.testing.assert_allclose(result, [first, second], rtol=1e-5)
    dropped = softmax_contrastive(
        CLEAN, POSITIVE, NEGATIVE, has_negative=tf.constant([1.0, 0.0]), temperature=0.5
    )
    np.testing.assert_allclose(dropped, [first, math.log(1 + math.exp(2))], rtol=1e-5)


def test_margin_hand_computed_values():
    result = margin_contrastive(CLEAN, POSITIVE, NEGATIVE, margin=1.25)
    # Distances. Image 0: 1 - √½; the other 1, own ½. Image 1: 2; the other 1, own 0.
    first = (1 - math.sqrt(0.5)) ** 2 + 0.25**2 + 0.75**2
    np.testing.assert_allclose(result, [first, 4 + 0.25**2 + 1.25**2], rtol=1e-5)
    dropped = margin_contrastive(
        CLEAN, POSITIVE, NEGATIVE, has_negative=tf.constant([True, False]), margin=1.25
    )
    np.testing.assert_allclose(dropped, [first, 4 + 0.25**2], rtol=1e-5)


@pytest.mark.parametrize("own", ["all", "some", "none", "without"])
@pytest.mark.parametrize(
    "form, strength", [(SOFTMAX, 2.0), (SOFTMAX, 0.1), (MARGIN, 0.5), (MARGIN, 1.0), (MARGIN, 2.0)]
)
def test_matches_the_printed_formula(form, strength, own):
    loss, naive, name, naive_name = form
    clean, positive, negative = embeddings(0)
    kept = {"all": None, "some": [1, 0, 1, 1, 0], "none": [0] * 5, "without": None}[own]
    if own == "without":
        negative = None
    mask = None if kept is None else tf.constant(kept, tf.float32)
    result = loss(clean, positive, negative, has_negative=mask, **{name: strength})
    assert result.shape == [5] and result.dtype == tf.float32
    expected = naive(clean, positive, negative, kept, **{naive_name: strength})
    np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("form, strength", [(SOFTMAX, 0.5), (MARGIN, 1.2)])
def test_gradient_flows_through_all_embeddings(form, strength):
    loss, naive, name, naive_name = form
    inputs = embeddings(1, (3, 4))
    slopes = gradient(lambda *z: loss(*z, **{name: strength}), *inputs)
    for which, slope in enumerate(slopes):

        def changed(z, which=which):
            return naive(*inputs[:which], z, *inputs[which + 1 :], **{naive_name: strength})

        expected = central_differences(changed, inputs[which])
        np.testing.assert_allclose(slope, expected, rtol=1e-3, atol=1e-5)
        assert np.abs(slope).max() > 0.01


@pytest.mark.parametrize("form, strength", [(SOFTMAX, 0.5), (MARGIN, 1.2)])
def test_length_of_an_embedding_does_not_count(form, strength):
    loss, _, name, _ = form
    clean, positive, negative = embeddings(2)
    lengths = np.array([[1e-4], [1.0], [30.0], [1e4], [1e15]], "float32")
    np.testing.assert_allclose(
        loss(lengths * clean, positive, lengths[::-1] * negative, **{name: strength}),
        loss(clean, positive, negative, **{name: strength}),
        rtol=1e-4,
    )


@pytest.mark.parametrize("form, strength", [(SOFTMAX, 0.5), (MARGIN, 1.0)])
def test_nearer_positive_and_farther_negative_are_better(form, strength):
    loss, _, name, _ = form
    clean, positive, negative = embeddings(3)
    before = loss(clean, positive, negative, **{name: strength}).numpy()
    nearer = loss(clean, positive + clean, negative, **{name: strength}).numpy()
    farther = loss(clean, positive, negative - 3 * clean, **{name: strength}).numpy()
    assert (nearer < before).all()
    assert (farther <= before).all() and (farther < before).any()


@pytest.mark.parametrize("temperature, margin", [(2.0, 1.0), (1e-3, 2.0), (1e3, 0.0)])
@pytest.mark.parametrize("case", ["zeros", "some zeros", "identical", "opposite", "huge", "tiny"])
def test_extremes_are_finite(case, temperature, margin):
    clean, positive, negative = embeddings(4)
    if case == "zeros":
        clean, positive, negative = (np.zeros_like(clean) for _ in range(3))
    elif case == "some zeros":
        clean[0], positive[1], negative[2] = 0, 0, 0
    elif case == "identical":
        clean[:] = positive[:] = negative[:] = clean[0]
    elif case == "opposite":
        positive, negative = -clean, clean.copy()
    else:
        clean = np.float32(1e15 if case == "huge" else 1e-5) * clean
    for loss in (
        lambda *z: softmax_contrastive(*z, temperature=temperature),
        lambda *z: margin_contrastive(*z, margin=margin),
    ):
        assert np.isfinite(loss(clean, positive, negative)).all()
        for slope in gradient(loss, clean, positive, negative):
            assert np.isfinite(slope).all()


def test_zero_embedding_has_no_direction():
    clean, positive, negative = embeddings(5)
    clean[2] = 0
    result = softmax_contrastive(clean, positive, negative, temperature=0.5)
    assert float(result[2]) == pytest.approx(math.log(1 + 4 + 1), rel=1e-6)  # all cosines are 0
    slopes = gradient(
        lambda *z: softmax_contrastive(*z, temperature=0.5), clean, positive, negative
    )
    np.testing.assert_array_equal(slopes[0][2], 0)
    assert np.abs(slopes[0][0]).max() > 0


def test_one_image_has_no_others():
    clean, positive, negative = embeddings(6, (1, 4))
    none = tf.zeros([1])
    for loss, argument in ((softmax_contrastive, "temperature"), (margin_contrastive, "margin")):

        def alone(*z, loss=loss, argument=argument):
            return loss(*z, has_negative=none, **{argument: 1.0})

        slopes = gradient(alone, clean, positive, negative)
        assert all(np.isfinite(slope).all() for slope in slopes)
        np.testing.assert_array_equal(slopes[2], 0)
    value = softmax_contrastive(clean, positive, negative, has_negative=none, temperature=1.0)
    np.testing.assert_allclose(value, [0.0], atol=1e-6)
    assert softmax_contrastive(clean[:0], positive[:0], temperature=1.0).shape == [0]


def test_half_precision_is_computed_in_float32():
    clean, positive, negative = (tf.cast(300 * z, tf.float16) for z in embeddings(7))
    result = softmax_contrastive(clean, positive, negative, temperature=0.1)
    assert result.dtype == tf.float32
    expected = reference.softmax(
        *(z.numpy().astype("float64") for z in (clean, positive, negative)), temperature=0.1
    )
    np.testing.assert_allclose(result, expected, rtol=1e-4)
