"""Sequences and alternation."""

from __future__ import annotations

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.reference.augmix import smooth_images
from tfrobust.augment import (
    Alternating,
    Brightness,
    GaussianBlur,
    GaussianNoise,
    PerImageChoice,
    RandomApply,
    SaltAndPepper,
    Saturation,
    Sequence,
    ShiftedCrop,
)
from tfrobust.augment.combine import all_alternatives

IMAGES = np.random.default_rng(0).random([4, 8, 8, 3], "float32")
GREY = tf.fill([8, 32, 32, 3], 0.5)
UP, DOWN = 0.25, -0.125


def nested():
    chain = Sequence([GaussianNoise((0.05, 0.1)), SaltAndPepper(0.2)], seed=4)
    return Alternating([chain, GaussianBlur((0.5, 2.0), kernel_size=5)], period_epochs=2, seed=9)


@pytest.mark.parametrize("order, expected", [((0.5, -0.5), 0.5), ((-0.5, 0.5), 0.75)])
def test_sequence_keeps_the_order(order, expected):
    """0.75 + 0.5 is clipped to 1 in between, 0.75 − 0.5 is not."""
    layer = Sequence([Brightness(delta) for delta in order])
    result = layer(tf.fill([1, 2, 2, 3], 0.75), training=True)
    np.testing.assert_allclose(result, np.full([1, 2, 2, 3], expected))


def test_sequence_is_its_members_by_hand():
    members = [Brightness((-0.2, 0.2)), Saturation(4.0), GaussianNoise(0.05), GaussianBlur(0.7)]
    layer = Sequence(members, seed=3)
    draws = layer.draw(IMAGES)
    expected = IMAGES
    for i, member in enumerate(members):
        expected = member.apply(expected, draws[str(i)])
    np.testing.assert_array_equal(layer.apply(IMAGES, draws), expected)
    np.testing.assert_array_equal(Sequence(members, seed=3)(IMAGES, training=True), expected)


def test_sequence_gives_each_member_its_own_draws():
    # Two independent noises of σ add up to √2 σ, one noise twice to 2 σ.
    layer = Sequence([GaussianNoise(0.02), GaussianNoise(0.02)])
    noise = (layer(GREY, training=True) - 0.5).numpy()
    expected = 0.02 * 2**0.5
    assert abs(noise.std() - expected) < 5 * expected / (2 * noise.size) ** 0.5


def test_members_seeds_are_not_used():
    results = [
        Sequence([GaussianNoise(0.1, seed=member)], seed=seed)(IMAGES, training=True).numpy()
        for member, seed in ((0, 1), (5, 1), (0, 2))
    ]
    np.testing.assert_array_equal(results[0], results[1])
    assert np.abs(results[0] - results[2]).max() > 0.01


@pytest.mark.parametrize("period", [1, 3])
def test_alternating_turns_each_period(period):
    layer = Alternating([Brightness(UP), Brightness(DOWN)], period_epochs=period)
    traces = []

    @tf.function
    def step(images):
        traces.append(1)
        return layer(images, training=True)

    seen = []
    for epoch in range(4 * period):
        layer.start_epoch(epoch)
        seen.append(float(step(GREY[:1])[0, 0, 0, 0]) - 0.5)
        assert float(step(GREY[:1])[0, 0, 0, 0]) - 0.5 == seen[-1]  # by epochs, not by batches
    assert seen == ([UP] * period + [DOWN] * period) * 2
    assert len(traces) == 1


def test_alternating_of_three_from_any_epoch():
    layer = Alternating([Brightness(delta) for delta in (0.125, 0.25, 0.375)])
    assert float(layer(GREY[:1], training=True)[0, 0, 0, 0]) == 0.625  # before any start_epoch
    for epoch, delta in ((7, 0.25), (2, 0.375), (300, 0.125)):
        layer.start_epoch(epoch)
        assert float(layer(GREY[:1], training=True)[0, 0, 0, 0]) == 0.5 + delta


def test_alternating_draws_anew():
    layer = Alternating([GaussianNoise(0.1), SaltAndPepper(0.2)])
    for epoch in (0, 1):
        layer.start_epoch(epoch)
        first, second = (layer(IMAGES, training=True).numpy() for _ in range(2))
        assert np.abs(first - second).max() > 0.01
        draws = layer.draw(IMAGES)
        np.testing.assert_array_equal(layer.apply(IMAGES, draws), layer.apply(IMAGES, draws))


@pytest.mark.parametrize("make", [lambda: Sequence([GaussianNoise(0.1)]), nested])
def test_identity_outside_training(make):
    np.testing.assert_array_equal(make()(IMAGES), IMAGES)


@pytest.mark.parametrize("epoch", [0, 2])
def test_config_round_trip(epoch):
    layer = nested()
    config = keras.saving.serialize_keras_object(layer)
    twin = keras.saving.deserialize_keras_object(json.loads(json.dumps(config)))
    assert type(twin) is Alternating and twin.get_config() == layer.get_config()
    assert twin.period_epochs == 2 and twin.seed == 9
    assert [type(member) for member in twin.augments] == [Sequence, GaussianBlur]
    assert twin.augments[0].augments[0].strength == (0.05, 0.1)
    for each in (layer, twin):
        each.start_epoch(epoch)
    for _ in range(3):
        result = layer(IMAGES, training=True)
        np.testing.assert_array_equal(twin(IMAGES, training=True), result)
        assert np.abs(result - IMAGES).max() > 0.01


@pytest.mark.parametrize("kind", [Sequence, Alternating])
@pytest.mark.parametrize(
    "members, said",
    [([], r"\[\]"), ([Brightness, 3], "int"), ([None], "NoneType"), (["blur"], "str"), (7, "7")],
)
def test_members_must_be_augmentations(kind, members, said):
    with pytest.raises(ValueError, match=f"{kind.__name__} takes a list of .*; received .*{said}"):
        kind(members)


@pytest.mark.parametrize("period", [0, -2, 1.5, "2"])
def test_period_is_at_least_1(period):
    with pytest.raises(
        ValueError, match=f"period_epochs must be a whole number .*received {period!r}"
    ):
        Alternating([Brightness(0.1)], period_epochs=period)


def test_only_one_period():
    with pytest.raises(ValueError, match=r"period_batches must be a whole number .*received 0"):
        Alternating([Brightness(0.1)], period_batches=0)
    with pytest.raises(ValueError, match=r"only one of .*period_epochs=2 and period_batches=1"):
        Alternating([Brightness(0.1)], period_epochs=2, period_batches=1)


def test_alternating_by_batch_goes_on_after_saving():
    """In one trace, without a callback; the number of batches is a weight."""
    layer = Alternating([Brightness(UP), Brightness(DOWN)], period_batches=2)
    step, seen = tf.function(lambda images: layer(images, training=True)), []
    for _ in range(3):
        seen.append(float(step(GREY[:1])[0, 0, 0, 0]) - 0.5)
    twin = Alternating.from_config(layer.get_config())
    twin.set_weights(layer.get_weights())
    for _ in range(3):
        seen.append(float(twin(GREY[:1], training=True)[0, 0, 0, 0]) - 0.5)
    assert seen == [UP, UP, DOWN, DOWN, UP, UP]
    assert step.experimental_get_tracing_count() == 1


@pytest.mark.parametrize("settings", [{}, {"period_batches": 1}])
def test_all_alternatives_in_turn(settings):
    """In equal parts, also inside of others, and of images that are cut; then as before."""
    inside = Alternating([Brightness(UP), Brightness(DOWN), Brightness(0.0)], **settings)
    layer = Sequence([inside, ShiftedCrop(0, size=(2, 2))])
    images = tf.fill([6, 4, 4, 3], 0.5)
    with all_alternatives(layer) as count:
        mixed = layer(images, training=True)
    assert count == 3 and mixed.shape == [6, 2, 2, 3]
    assert (mixed[:, 0, 0, 0] - 0.5).numpy().tolist() == [UP, DOWN, 0, UP, DOWN, 0]
    np.testing.assert_array_equal(layer(images, training=True), 0.5 + UP)
    with all_alternatives(Brightness(UP)) as count:
        assert count == 1


def test_all_alternatives_of_crops():
    layer = Alternating([ShiftedCrop(0, size=(2, 2)), ShiftedCrop(1, size=(2, 2))])
    with all_alternatives(layer):
        assert layer(IMAGES, training=True).shape == [len(IMAGES), 2, 2, 3]


def test_individual_gives_each_image_one_of_them():
    layer = PerImageChoice([Brightness(delta) for delta in (0.125, 0.25, 0.375)], seed=2)
    grey = tf.fill([3000, 2, 2, 3], 0.5)
    result = layer(grey, training=True).numpy()
    assert (result == result[:, :1, :1, :1]).all()  # one of them, for the whole image
    changes, counts = np.unique(result[:, 0, 0, 0] - 0.5, return_counts=True)
    assert changes.tolist() == [0.125, 0.25, 0.375]
    assert np.abs(counts - 1000).max() < 5 * (3000 * 2 / 9) ** 0.5
    again = layer(grey, training=True).numpy()
    assert np.mean(again[:, 0, 0, 0] == result[:, 0, 0, 0]) < 0.5  # drawn anew


def test_individual_keeps_the_order_of_the_images():
    layer = PerImageChoice([Brightness(0.0), Brightness(0.0), Brightness(0.0)])
    np.testing.assert_array_equal(layer(IMAGES, training=True), IMAGES)
    two = PerImageChoice([Brightness(UP), Brightness(DOWN)], seed=1)
    draws = two.draw(IMAGES)
    deltas = np.where(np.asarray(draws["choice"]) == 0, UP, DOWN).reshape(-1, 1, 1, 1)
    np.testing.assert_allclose(two.apply(IMAGES, draws), np.clip(IMAGES + deltas, 0, 1), atol=1e-6)


@pytest.mark.parametrize("probability", [0.0, 0.3, 1.0])
def test_random_apply_is_applied_with_its_probability(probability):
    layer = RandomApply(Brightness(UP), probability, seed=3)
    result = layer(tf.fill([3000, 1, 1, 3], 0.5), training=True).numpy()[:, 0, 0, 0]
    share = np.mean(result == 0.5 + UP)
    assert set(result) <= {0.5, 0.5 + UP}
    assert abs(share - probability) <= 5 * (probability * (1 - probability) / 3000) ** 0.5


def test_random_apply_leaves_the_others_alone():
    layer = RandomApply(GaussianNoise(0.1), 0.5, seed=4)
    draws = layer.draw(np.tile(IMAGES, [8, 1, 1, 1]))
    result = layer.apply(np.tile(IMAGES, [8, 1, 1, 1]), draws).numpy()
    same = (result == np.tile(IMAGES, [8, 1, 1, 1])).all((1, 2, 3))
    np.testing.assert_array_equal(same, ~np.asarray(draws["applied"]))


@pytest.mark.parametrize("kind", ["PerImageChoice", "RandomApply", "nested"])
def test_dispatch_keeps_its_configuration(kind):
    inner = PerImageChoice([GaussianNoise(0.1), GaussianBlur(1.0)], seed=5)
    layer = {
        "PerImageChoice": lambda: inner,
        "RandomApply": lambda: RandomApply(SaltAndPepper(0.2), 0.75, seed=6),
        "nested": lambda: RandomApply(inner, 0.25, seed=7),
    }[kind]()
    config = keras.saving.serialize_keras_object(layer)
    twin = keras.saving.deserialize_keras_object(json.loads(json.dumps(config)))
    assert type(twin) is type(layer) and twin.get_config() == layer.get_config()
    np.testing.assert_array_equal(twin(IMAGES, training=True), layer(IMAGES, training=True))


def test_dispatch_of_any_number_of_images():
    layer = PerImageChoice([GaussianNoise(0.1), GaussianBlur(1.0), Saturation(2.0)])
    for count in (0, 1, 2):
        images = smooth_images(2, 8, 8)[:count].astype("float32") / 255
        assert layer(images, training=True).shape == images.shape


def test_alternation_inside_others_turns_too():
    inside = Alternating([Brightness(UP), Brightness(DOWN)])
    layer = Sequence([RandomApply(inside, 1.0), Brightness(0.0)])
    seen = []
    for epoch in range(3):
        layer.start_epoch(epoch)
        seen.append(float(layer(GREY[:1], training=True)[0, 0, 0, 0]) - 0.5)
    assert seen == [UP, DOWN, UP]


@pytest.mark.parametrize("wrong, said", [(3, "int"), ([Brightness(0.1)], "list"), (None, "None")])
def test_random_apply_takes_a_layer(wrong, said):
    with pytest.raises(ValueError, match=rf"RandomApply takes an .*received {said}"):
        RandomApply(wrong)


@pytest.mark.parametrize("wrong", [-0.1, 1.1, "half"])
def test_probability_of_random_apply(wrong):
    with pytest.raises(ValueError, match=r"probability must be .*received"):
        RandomApply(Brightness(0.1), wrong)
