"""The worst of k: its draws, and which of them it keeps."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.reference import divergence, linear_net, spatial
from tfrobust import attacks, augment
from tfrobust.attacks.worst_of_k import worst_of
from tfrobust.losses import cross_entropy
from tfrobust.ops import sampling


def labels_of(batch=6):
    return np.arange(batch) % 4


def images_of(shape=(7, 9, 3), batch=6):
    return np.random.default_rng(1).random([batch, *shape], "float32")


def draws_of(augmentation, images, k, seed=0):
    """The k draws of a new attack with that seed, [k, B, H, W, C]."""
    seed = sampling.fold_in(sampling.seed_pair(seed, 0), "worst_of_k")
    return np.stack(
        [
            augmentation.apply(images, augmentation.draw(images, sampling.fold_in(seed, i)))
            for i in range(k)
        ]
    )


def losses(images, labels, kernel, bias):
    """Cross-entropy of each image on a linear net, float64."""
    values = linear_net.logits(images, kernel, bias)
    return divergence.cross_entropy(linear_net.one_hot(labels, 4), values)


def test_worst_candidate_by_hand():
    """The logits are the values: the candidate with the smallest label value wins, or the first."""
    net = keras.Sequential([keras.Input([1, 1, 2]), keras.layers.Flatten()])
    candidates = tf.constant(
        [[[0.5, 0.5], [0.2, 0.6]], [[0.1, 0.9], [0.2, 0.6]], [[0.4, 0.6], [0.3, 0.1]]]
    )[:, :, tf.newaxis, tf.newaxis]
    calls = []

    def draw(i):
        calls.append(1)
        return candidates[i]

    labels = tf.constant([0, 1])
    kept = worst_of(net, labels, draw, 3, (1, 1, 2))
    np.testing.assert_allclose(kept[:, 0, 0], [[0.1, 0.9], [0.3, 0.1]])
    equal = tf.constant([[0.5, 0.5], [0.2, 0.2]])[:, tf.newaxis, tf.newaxis, tf.newaxis]
    first = worst_of(net, labels[:1], lambda i: equal[i], 2, (1, 1, 2))
    np.testing.assert_allclose(first, equal[0])
    calls.clear()
    tf.function(lambda: worst_of(net, labels, draw, 3, (1, 1, 2)))()
    assert len(calls) == 1  # a loop in the graph, whatever k is


def test_one_draw_is_the_augmentation(linear):
    net, *_ = linear()
    noise, images = augment.GaussianNoise((0.0, 0.2)), images_of()
    moved = attacks.WorstOfK(noise, k=1).perturb(net, images, labels_of())
    np.testing.assert_array_equal(moved, draws_of(noise, images, 1)[0])


def test_a_net_that_is_certain_keeps_a_draw(linear):
    """The cross-entropy of all draws is rounded to 0; none of them is black."""
    net, kernel, bias = linear(scale=100.0)
    images = images_of()
    labels = linear_net.logits(images, kernel, bias).argmax(axis=1)
    noise = augment.GaussianNoise(0.001)
    moved = attacks.WorstOfK(noise, k=2).perturb(net, images, labels)
    assert np.max(losses(draws_of(noise, images, 2)[0], labels, kernel, bias)) < 1e-8
    np.testing.assert_array_equal(moved, draws_of(noise, images, 2)[0])


@pytest.mark.parametrize("k", [2, 7])
def test_each_image_keeps_its_worst_draw(linear, k):
    net, kernel, bias = linear(scale=0.2)
    whole = augment.Sequence([augment.GaussianNoise(0.2), augment.Rotation(30.0)])
    images, labels = images_of(), labels_of()
    moved = attacks.WorstOfK(whole, k=k).perturb(net, images, labels)
    draws = draws_of(whole, images, k)
    worst = np.argmax([losses(draw, labels, kernel, bias) for draw in draws], axis=0)
    assert len(set(worst)) > 1
    np.testing.assert_array_equal(moved, draws[worst, np.arange(6)])


def test_crops_and_alternating_augmentations(linear):
    """The clean view is the crop from the centre; epochs are passed on."""
    net, *_ = linear([4, 4, 3])
    sides = [augment.Brightness(0.2), augment.Brightness(-0.2)]
    crop = augment.Sequence([augment.ShiftedCrop(2, size=(4, 4)), augment.Alternating(sides)])
    attack = attacks.WorstOfK(crop, k=3)
    images = np.full([6, 8, 8, 3], 0.5, "float32")
    for epoch, value in enumerate((0.7, 0.3)):
        attack.start_epoch(epoch)
        moved = attack.perturb(net, images, labels_of())
        np.testing.assert_allclose(moved, np.full([6, 4, 4, 3], value), atol=1e-6)
    assert attack(images, training=False).shape == (6, 4, 4, 3)
    assert tuple(attack.compute_output_shape((6, 8, 8, 3))) == (6, 4, 4, 3)


def test_more_draws_more_loss(make_net, images, labels):
    net, rising = make_net(), []
    for k in (1, 4, 16):  # the first draws are the same
        logits = net(attacks.Spatial(k, seed=2).perturb(net, images, labels))
        rising.append(np.mean(cross_entropy(tf.constant(labels), logits)))
    assert rising == sorted(rising) and rising[0] < rising[2]


@pytest.mark.parametrize("shape", [(7, 9, 3), (12, 12, 1)])
def test_a_rotation_and_shift_matches_reference(linear, shape):
    net, *_ = linear(shape)
    images, share = images_of(shape, batch=12), 0.3
    moved = attacks.Spatial(k=1, max_shift=share).perturb(net, images, labels_of(12)).numpy()
    seed = sampling.fold_in(sampling.seed_pair(0, 0), "spatial")
    seeds = [sampling.fold_in(sampling.fold_in(seed, 0), j) for j in range(3)]
    degrees = sampling.uniform(seeds[0], [12], -30.0, 30.0).numpy()
    down, right = (
        np.round(sampling.uniform(seeds[1 + i], [12], -share * shape[i], share * shape[i]))
        for i in (0, 1)
    )
    assert len(set(down)) > 2 and len(set(right)) > 2
    expected = np.stack(
        [spatial.turned_and_shifted(*args) for args in zip(images, degrees, down, right)]
    )
    # Points halfway between two pixels may fall to either, by rounding.
    assert np.mean(np.any(moved != expected, axis=-1)) < 0.01


def test_shifts_are_as_in_the_paper(linear):
    """±3 of 32 pixels, the largest half as likely; both axes by themselves."""
    net, *_ = linear([32, 32, 1])
    count = 3000
    images = np.zeros([count, 32, 32, 1], "float32")
    images[:, 16, 16] = 1.0
    attack = attacks.Spatial(k=1, max_degrees=0.0)
    moved = attack.perturb(net, images, labels_of(count)).numpy()
    _, rows, columns, _ = np.nonzero(moved)
    assert len(rows) == count
    shifts = np.stack([rows, columns]) - 16
    for value in range(-3, 4):
        share = 1 / 12 if abs(value) == 3 else 1 / 6
        for axis in (0, 1):
            found = np.mean(shifts[axis] == value)
            assert abs(found - share) < 5 * np.sqrt(share * (1 - share) / count)
    assert abs(np.corrcoef(shifts)[0, 1]) < 5 / np.sqrt(count)


def test_without_angle_and_shift_nothing_moves(linear):
    net, *_ = linear()
    attack = attacks.Spatial(k=3, max_degrees=0.0, max_shift=0.0)
    np.testing.assert_array_equal(attack.perturb(net, images_of(), labels_of()), images_of())
