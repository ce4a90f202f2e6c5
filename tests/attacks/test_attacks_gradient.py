"""FGSM, PGD and FAT: hand-computed values, and NumPy on a linear net."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.reference import linear_net
from tfrobust import attacks, augment
from tfrobust.attacks.gradient_sign import gradient_sign
from tfrobust.attacks.groups import fill_up
from tfrobust.losses import cross_entropy
from tfrobust.ops import sampling


def some_images(shape=(7, 9, 3), batch=6, seed=1):
    return np.random.default_rng(seed).random([batch, *shape], "float32")


def some_labels(batch=6):
    return np.arange(batch, dtype="int64") % 4


def start_of(attack, images, epsilon=0.03):
    """The start drawn by a new attack."""
    seed = sampling.fold_in(sampling.seed_pair(attack.seed, 0), "start")
    noise = sampling.uniform(seed, images.shape, -epsilon, epsilon).numpy()
    return np.clip(images + noise, 0, 1)


def mean_loss(net, images, labels):
    return np.mean(cross_entropy(tf.constant(labels), net(images)))


# By hand ---------------------------------------------------------------------------------


def test_fgsm_by_hand():
    """The logits are the two values: the right one falls, the other rises, both within [0, 1]."""
    net = keras.Sequential([keras.Input([1, 1, 2]), keras.layers.Flatten()])
    images = tf.constant([[[[0.5, 0.5]]], [[[0.05, 0.95]]]])
    moved = attacks.FGSM(0.1).perturb(net, images, tf.constant([0, 0]))
    np.testing.assert_allclose(moved[:, 0, 0], [[0.4, 0.6], [0.0, 1.0]], atol=1e-7)


def test_values_without_gradient_do_not_move(linear):
    net, *_ = linear(scale=0.0)
    images = some_images()
    for attack in (
        attacks.FGSM(0.1),
        attacks.PGD(random_start=False),
        attacks.FAT(random_start=False, tau=20),
    ):
        moved = attack.perturb(net, images, some_labels())
        np.testing.assert_array_equal(moved, images)


def test_net_that_ignores_the_image():
    images = some_images()
    blind = attacks.FGSM(0.1).perturb(lambda x, training: tf.zeros([6, 4]), images, some_labels())
    np.testing.assert_array_equal(blind, images)


@pytest.mark.parametrize("scale", [0.01, 1.0, 30.0])
def test_two_classes_reach_the_worst_corner_of_the_ball(linear, scale):
    """x + ε·sign(w_wrong − w_right), clipped; with large weights the net is all but certain."""
    net, kernel, _ = linear(classes=2, scale=scale)
    images, labels = some_images(), np.array([0, 1, 0, 1, 0, 1])
    away = np.reshape(kernel[:, 1] - kernel[:, 0], images.shape[1:])
    away = np.where(labels == 0, 1, -1)[:, None, None, None] * away
    expected = np.clip(images + 0.03 * np.sign(away), 0, 1)
    pgd = attacks.PGD(0.03, step_size=0.02, steps=4)
    for attack in (attacks.FGSM(0.03), pgd):
        np.testing.assert_allclose(attack.perturb(net, images, labels), expected, atol=1e-6)


# Against NumPy ---------------------------------------------------------------------------

LABELS = {
    "indices": some_labels(),
    "column": some_labels()[:, np.newaxis],
    "one_hot": np.eye(4, dtype="float32")[some_labels()],
    "soft": np.random.default_rng(3).dirichlet(np.ones(4), 6).astype("float32"),
}


@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
def test_attacks_on_a_linear_net_match_reference(linear, labels):
    net, kernel, bias = linear(scale=0.2)
    images = some_images()
    plain = labels[:, 0] if labels.shape == (6, 1) else labels
    slope = linear_net.image_gradient(images, plain, kernel, bias)
    expected = np.clip(images + 0.03 * np.sign(slope), 0, 1)
    np.testing.assert_allclose(attacks.FGSM(0.03).perturb(net, images, labels), expected, atol=1e-6)
    attack = attacks.PGD(0.03, step_size=0.01, steps=4, seed=2)
    start = start_of(attack, images)
    expected = linear_net.pgd(images, plain, kernel, bias, start, 0.03, 0.01, 4)
    np.testing.assert_allclose(attack.perturb(net, images, labels), expected, atol=1e-6)


@pytest.mark.parametrize("fixed_shapes", [False, True])
@pytest.mark.parametrize("tau, random_start", [(0, False), (1, False), (3, False), (1, True)])
def test_fat_on_a_linear_net_matches_reference(linear, tau, random_start, fixed_shapes):
    net, kernel, bias = linear(scale=0.2)
    images = some_images(batch=40)
    guesses = linear_net.logits(images, kernel, bias).argmax(axis=1)
    # Half of the images right, the others wrong from the start.
    labels = np.where(np.arange(40) % 2, guesses, (guesses + 1) % 4)
    settings = {"random_start": random_start, "fixed_shapes": fixed_shapes}
    attack = attacks.FAT(0.03, step_size=0.004, steps=6, tau=tau, **settings)
    start = start_of(attack, images) if random_start else images
    moved = attack.perturb(net, images, labels).numpy()
    arguments = (images, labels, kernel, bias, start, 0.03, 0.004, 6)
    np.testing.assert_allclose(moved, linear_net.pgd(*arguments, tau=tau), atol=1e-6)
    if tau == 0:
        np.testing.assert_allclose(moved[::2], start[::2], atol=1e-7)  # fooled: they rest
    steps = np.abs(moved - start).max(axis=(1, 2, 3)) / 0.004
    if not random_start:
        assert len(set(np.round(steps, 2))) > 1  # images stop one by one


def test_fat_with_large_tau_is_pgd(linear):
    net, *_ = linear()
    settings = {"epsilon": 0.03, "step_size": 0.01, "steps": 4, "seed": 5}
    pgd, fat = attacks.PGD(**settings), attacks.FAT(tau=4, **settings)
    first, second = (a.perturb(net, some_images(), some_labels()) for a in (pgd, fat))
    np.testing.assert_allclose(first, second, atol=1e-6)


@pytest.mark.parametrize("fixed_shapes", [False, True])
def test_fat_runs_the_net_on_active_images_only(linear, fixed_shapes):
    """Of 40 images 30 are misclassified from the start; they stop at mistake number tau + 1."""
    net, kernel, bias = linear()
    images = some_images(batch=40)
    guesses = linear_net.logits(images, kernel, bias).argmax(axis=1)
    labels = np.where(np.arange(40) % 4, (guesses + 1) % 4, guesses)
    looks = []

    def counted(x, training):
        looks.append(len(x))
        return net(x, training=training)

    settings = {"step_size": 1e-6, "random_start": False, "fixed_shapes": fixed_shapes}
    for tau, right in ((0, True), (2, True), (0, False), (2, False)):
        looks.clear()
        attack = attacks.FAT(1e-5, steps=5, tau=tau, **settings)
        chosen = slice(None) if right else np.arange(40) % 4 > 0
        attack.perturb(counted, images[chosen], labels[chosen])
        if not right:  # all are done before five steps are
            assert looks == [30] * (tau + 1)
        elif fixed_shapes:
            assert looks == [40] * 5
        else:
            assert looks == [40] * (tau + 1) + [10] * (4 - tau)


@pytest.mark.parametrize(
    "make",
    [
        lambda: attacks.PGD(0.03, steps=3, random_start=False),
        lambda: attacks.FAT(0.03, steps=3, tau=1, random_start=False, fixed_shapes=True),
    ],
    ids=["pgd", "fat"],
)
def test_compiled_by_xla(linear, make):
    """Without a random start, because XLA draws different numbers."""
    net, *_ = linear(scale=0.2)
    attack = make()
    compiled = tf.function(lambda x, y: attack.perturb(net, x, y), jit_compile=True)
    moved = compiled(tf.constant(some_images()), tf.constant(some_labels()))
    np.testing.assert_allclose(moved, make().perturb(net, some_images(), some_labels()), atol=1e-6)


@pytest.mark.parametrize(
    "count, batch, filled", [(3, 16, 4), (4, 16, 4), (5, 16, 6), (15, 16, 16), (3, 3, 3), (4, 9, 4)]
)
def test_groups_are_padded(count, batch, filled):
    rows = tf.range(batch - count, batch)
    result = fill_up(rows, tf.constant(batch)).numpy()
    np.testing.assert_array_equal(result[:count], rows)
    assert len(result) == filled and set(result) == set(rows.numpy())


def test_raising_tau_does_not_retrace(linear):
    net, kernel, bias = linear()
    images = some_images()
    wrong = (linear_net.logits(images, kernel, bias).argmax(axis=1) + 1) % 4
    attack = attacks.FAT(0.1, step_size=0.01, steps=5, random_start=False)
    traces = []

    @tf.function
    def perturb(x, y):
        traces.append(1)
        return attack.perturb(net, x, y)

    for tau in (0, 2):
        attack.tau.assign(tau)
        moved = perturb(tf.constant(images), tf.constant(wrong))
        assert np.abs(moved - images).max() == pytest.approx(0.01 * tau, abs=1e-6)
    assert len(traces) == 1


# On a net that is not linear ---------------------------------------------------------------


def test_more_steps_more_loss(make_net, images, labels):
    net, losses = make_net(), []
    for steps in (1, 3, 9):
        attack = attacks.PGD(0.03, step_size=0.005, steps=steps)
        losses.append(mean_loss(net, attack.perturb(net, images, labels), labels))
    assert losses == sorted(losses)


def test_half_precision_keeps_the_direction(linear):
    """In float16 the gradient of a confidently classified image would vanish."""
    images = some_images(batch=8)
    full, kernel, bias = linear(scale=0.5)
    labels = linear_net.logits(images, kernel, bias).argmax(axis=1)
    half = keras.Sequential(
        [
            keras.Input([7, 9, 3]),
            keras.layers.Rescaling(1.0, dtype="float16"),
            keras.layers.Flatten(dtype="float16"),
            keras.layers.Dense(4, dtype="float16"),
        ]
    )
    half.set_weights(full.get_weights())
    (expected, _), (sign, logits) = (gradient_sign(n, images, labels) for n in (full, half))
    assert logits.dtype == tf.float32 and sign.dtype == tf.float32
    assert np.mean(np.equal(sign, expected)) > 0.99


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: attacks.FGSM(-0.1), r"epsilon must be a number in \[0, 1\]; received -0.1"),
        (lambda: attacks.FGSM(8), r"epsilon must be .* received 8"),
        (lambda: attacks.PGD(-1), r"epsilon must be .* received -1"),
        (lambda: attacks.PGD(step_size=float("nan")), r"step_size must be .* received nan"),
        (lambda: attacks.PGD(steps=0), r"steps must be a whole number from 1 .* received 0"),
        (lambda: attacks.FAT(tau=-1), r"tau must be a whole number from 0 .* received -1"),
        (lambda: attacks.FAT(steps=2.5), r"steps must be .* received 2.5"),
        (lambda: attacks.WorstOfK(augment.Flip(), k=0), r"k must be .* from 1 .* received 0"),
        (lambda: attacks.WorstOfK("flip"), r"an augmentation layer; received str"),
        (lambda: attacks.WorstOfK(augment.Mixup()), r"labels true; received Mixup"),
        (lambda: attacks.Spatial(0), r"k must be .* received 0"),
        (lambda: attacks.Spatial(max_degrees=200), r"max_degrees must be .* received 200"),
        (lambda: attacks.Spatial(max_shift=3), r"max_shift must be .* received 3"),
        (lambda: attacks.PGD(seed=-1), r"seed must be .* received -1"),
    ],
)
def test_bad_settings(make, words):
    with pytest.raises(ValueError, match=words):
        make()
