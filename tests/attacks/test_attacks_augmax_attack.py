"""The attack of AugMax: NumPy on a linear net, early stopping, and invariants."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.reference import augmax as reference
from tests.reference import linear_net
from tests.reference.augmix import smooth_images
from tfrobust.attacks import AugMaxAttack
from tfrobust.attacks import augmax_attack as module
from tfrobust.augment import AugMix
from tfrobust.layers.norms import norm_layer
from tfrobust.layers.route import route
from tfrobust.losses import cross_entropy
from tfrobust.ops import sampling

B, SHAPE = 40, (7, 9, 3)
STOPS = [("image", False), ("image", True), ("batch", False), (None, False)]


@pytest.fixture
def problem(linear):
    """A linear net, images, chains, labels of which some are right, and a start."""
    net, kernel, bias = linear(SHAPE, scale=0.2)
    random = np.random.default_rng(5)
    images = random.random([B, *SHAPE]).astype("float32")
    chains = np.clip(images[:, None] + 0.3 * random.standard_normal([B, 3, *SHAPE]), 0, 1)
    guesses = linear_net.logits(images, kernel, bias).argmax(axis=1)
    labels = np.where(np.arange(B) % 4, guesses, (guesses + 1) % 4)
    blend, scores = random.random(B), random.random([B, 3])
    start = [v.astype("float32") for v in (blend, scores)]
    return net, (kernel, bias), (images, chains.astype("float32"), labels, *start)


def ascended(attack, net, given):
    return [v.numpy() for v in attack.ascend(net, *map(tf.constant, given))]


class Counted:
    """A net that keeps the number of images of each pass."""

    def __init__(self, net):
        self.net, self.output_shape, self.sizes = net, net.output_shape, []

    def __call__(self, images, training):
        self.sizes.append(len(images))
        return self.net(images, training=training)


def draws_of(attack, images):
    """The chains and the start that a new attack draws."""
    seed = sampling.seed_pair(attack.seed, 0)
    draws = attack.augmix.draw(images, sampling.fold_in(seed, "chains"))
    start = attack.start(len(images), sampling.fold_in(seed, "start"))
    return attack.augmix.chains(images, draws).numpy(), *(v.numpy() for v in start)


def photos(batch=6):
    return smooth_images(batch, *SHAPE[:2]).astype("float32") / 255


@functools.cache
def curved_net(classes=4):
    """A small net with all kinds of layers, neither saturated nor insensitive."""
    keras.utils.set_random_seed(1)
    return keras.Sequential(
        [
            keras.Input(SHAPE),
            keras.layers.Rescaling(4.0, offset=-2.0),
            keras.layers.Conv2D(8, 3, strides=2, activity_regularizer="l2"),
            keras.layers.BatchNormalization(momentum=0.5),
            keras.layers.ReLU(),
            keras.layers.Dropout(0.5),
            keras.layers.Flatten(),
            keras.layers.Dense(classes, kernel_initializer="he_normal"),
        ]
    )


# By hand ---------------------------------------------------------------------------------


def test_one_step_by_hand():
    """The logits are the two values of the only pixel; the label is the first.

    x = (0.5, 0.5), chains (0.8, 0.5) and (0.5, 0.9): the second one fools, the first helps. With
    q = 0 the mean of both raises the loss (−0.3 / 2 + 0.4 / 2 > 0): m rises, q moves to the second.
    """
    net = keras.Sequential([keras.Input([1, 1, 2]), keras.layers.Flatten()])
    images = tf.constant([[[[0.5, 0.5]]]] * 3)
    chains = tf.constant([[[[[0.8, 0.5]]], [[[0.5, 0.9]]]]] * 3)
    attack = AugMaxAttack(AugMix(width=2), steps=1, stop=None)
    labels, blend = tf.constant([0, 0, 1]), tf.constant([0.5, 0.95, 0.02])
    blend, scores = attack.ascend(net, images, chains, labels, blend, tf.zeros([3, 2]))
    np.testing.assert_allclose(blend, [0.6, 1.0, 0.0], atol=1e-6)  # clipped to [0, 1]
    np.testing.assert_allclose(scores, [[-0.1, 0.1], [-0.1, 0.1], [0.1, -0.1]], atol=1e-6)


@pytest.mark.parametrize("hard", [True, False])
def test_two_classes_reach_the_worst_corner(linear, hard):
    """The loss rises with one linear number: its largest value is at a chain, or at the image."""
    net, kernel, _ = linear(SHAPE, classes=2)
    random = np.random.default_rng(0)
    images = random.random([B, *SHAPE]).astype("float32")
    away = np.sign(np.reshape(kernel[:, 1] - kernel[:, 0], SHAPE))
    amounts = random.uniform(0.05, 0.2, [B, 3, 1, 1, 1]) * (1 if hard else -1)
    chains = (images[:, np.newaxis] + amounts * away).astype("float32")
    start = random.random(B).astype("float32"), random.random([B, 3]).astype("float32")
    attack = AugMaxAttack(steps=20, step_size=1.0, stop=None)
    given = (images, chains, np.zeros(B, int), *start)
    blend, scores = ascended(attack, net, given)
    worst = module.mix(*map(tf.constant, (images, chains, blend)), tf.nn.softmax(scores))
    best = chains[np.arange(B), amounts[..., 0, 0, 0].argmax(axis=1)] if hard else images
    np.testing.assert_array_equal(blend, 1.0 if hard else 0.0)
    np.testing.assert_allclose(worst, best, atol=1e-5)


# Against NumPy ---------------------------------------------------------------------------


@pytest.mark.parametrize("look", ["after", "before"])
@pytest.mark.parametrize(
    "stop, fixed_shapes, stop_after",
    [*((*way, after) for way in STOPS[:3] for after in (1, 2)), (None, False, 1)],
)
def test_ascent_matches_reference(problem, stop, fixed_shapes, stop_after, look):
    net, weights, given = problem
    when = {"stop": stop, "stop_after": stop_after, "look": look}
    attack = AugMaxAttack(steps=6, fixed_shapes=fixed_shapes, step_size=0.1, **when)
    blend, scores, looks = reference.ascend(*given, *weights, steps=6, **when)
    counted = Counted(net)
    found = ascended(attack, counted, given)
    np.testing.assert_allclose(found[0], blend, atol=1e-6)
    np.testing.assert_allclose(found[1], scores, atol=1e-6)
    if stop == "image":
        assert len(set(looks)) > 2  # images stop one by one
    if stop == "image" and not fixed_shapes:  # filled up to multiples of 40 / 8
        expected = [min(-(-np.sum(looks > i) // 5) * 5, B) for i in range(looks.max())]
        assert counted.sizes == expected and counted.sizes[-1] < B
    else:
        assert counted.sizes == [B] * looks.max()


@pytest.mark.parametrize("k", [1, 2])
def test_the_default_is_algorithm_1(problem, k):
    """Every image moves, those that are misclassified from the start for k steps."""
    net, weights, given = problem
    found = ascended(AugMaxAttack(steps=6, stop_after=k), net, given)
    for i, start in enumerate(zip(*given)):
        blend, scores = reference.algorithm_1(*start, *weights, steps=6, k=k)
        np.testing.assert_allclose(found[0][i], blend, atol=1e-6)
        np.testing.assert_allclose(found[1][i], scores, atol=1e-6)
    moves = np.abs(found[1] - given[4]).max(axis=1) / 0.1
    assert moves.min() > 0.9 and moves.max() > 1.1


@pytest.mark.slow
def test_ways_to_stop_by_strength_and_cost(linear):
    """The mean loss rises with the passes: look before, Algorithm 1, the released code."""
    net, kernel, bias = linear(SHAPE, scale=0.3)
    images = photos(24)
    labels = linear_net.logits(images, kernel, bias).argmax(axis=1)
    losses, passes = [], []
    for when in ({"look": "before"}, {}, {"look": "before", "stop": "batch"}):
        counted = Counted(net)
        worst = AugMaxAttack(AugMix(10, width=2), seed=3, **when).perturb(counted, images, labels)
        losses.append(float(tf.reduce_mean(cross_entropy(labels, net(worst)))))
        passes.append(sum(counted.sizes))
    assert losses == sorted(losses) and passes == sorted(passes)
    assert losses[0] < losses[2] and passes[0] < passes[2]


def test_slopes_of_the_reference(problem):
    """The chain rule, in the attack and in the reference, against finite differences."""
    _, weights, (images, chains, labels, blend, scores) = problem

    def loss(m, q):
        mixed = reference.mix(images[0].astype("float64"), chains[0], m, q)[np.newaxis]
        guess = linear_net.logits(mixed, *weights)
        return np.log(np.exp(guess).sum()) - guess[0, labels[0]]

    first = images[0], chains[0], labels[0], blend[0], scores[0]
    for_blend, for_scores = reference.slopes(*first, *weights)
    m, q = np.float64(blend[0]), scores[0].astype("float64")
    assert for_blend == pytest.approx((loss(m + 1e-5, q) - loss(m - 1e-5, q)) / 2e-5, rel=1e-4)
    for i, step in enumerate(1e-5 * np.eye(3)):
        difference = (loss(m, q + step) - loss(m, q - step)) / 2e-5
        assert for_scores[i] == pytest.approx(difference, rel=1e-4)


def test_whole_attack_matches_reference(linear):
    """With the chains and the start that it draws."""
    net, kernel, bias = linear(SHAPE, scale=0.3)
    images = photos()
    labels = linear_net.logits(images, kernel, bias).argmax(axis=1)
    attack = AugMaxAttack(AugMix(10, width=2), steps=4, seed=3)
    drawn = draws_of(attack, images)
    found = attack.perturb(net, images, labels).numpy()
    blend, scores, _ = reference.ascend(
        images, drawn[0], labels, *drawn[1:], kernel, bias, steps=4, stop="image"
    )
    expected = [reference.mix(*one) for one in zip(images, drawn[0], blend, scores)]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert np.abs(found - images).max() > 0.1


# Stopping --------------------------------------------------------------------------------


def fooled_from_the_start(given, weights):
    images, chains, _, blend, scores = given
    mixed = np.stack([reference.mix(*one) for one in zip(images, chains, blend, scores)])
    return (linear_net.logits(mixed, *weights).argmax(axis=1) + 1) % 4


@pytest.mark.parametrize("stop, fixed_shapes", STOPS)
def test_all_fooled_at_the_start(problem, stop, fixed_shapes):
    net, weights, given = problem
    wrong = fooled_from_the_start(given, weights)
    given = (*given[:2], wrong, *given[3:])
    counted = Counted(net)
    attack = AugMaxAttack(steps=5, stop=stop, look="before", fixed_shapes=fixed_shapes)
    blend, scores = ascended(attack, counted, given)
    assert len(counted.sizes) == (1 if stop else 5)  # one look, no step
    assert np.array_equal(blend, given[3]) == np.array_equal(scores, given[4]) == bool(stop)


@pytest.mark.parametrize("stop", ["image", "batch"])
def test_fooled_images_freeze_or_wait_for_the_batch(problem, stop):
    net, weights, given = problem
    wrong = fooled_from_the_start(given, weights)
    labels = np.where(np.arange(B) < 5, given[2], wrong)
    labels[0] = (wrong[0] - 1) % 4  # what the net says now: this one is not fooled
    attack = AugMaxAttack(steps=3, stop=stop, look="before")
    _, scores = ascended(attack, net, (*given[:2], labels, *given[3:]))
    moved = np.any(scores != given[4], axis=1)
    assert moved[0] and moved[5:].all() == moved[5:].any() == (stop == "batch")


@pytest.mark.parametrize("stop", ["image", "batch", None])
def test_no_step_is_a_random_mixture(problem, stop):
    net, _, given = problem
    counted = Counted(net)
    blend, scores = ascended(AugMaxAttack(steps=0, stop=stop), counted, given)
    np.testing.assert_array_equal(blend, given[3])
    np.testing.assert_array_equal(scores, given[4])
    assert counted.sizes == []


def test_start_is_uniform():
    blend, scores = AugMaxAttack(AugMix(width=4)).start(2000, tf.constant([1, 2]))
    assert blend.shape == [2000] and scores.shape == [2000, 4]
    for values in (blend.numpy(), scores.numpy()):
        assert 0 <= values.min() < 0.01 and 0.99 < values.max() < 1
        assert abs(values.mean() - 0.5) < 5 / np.sqrt(12 * values.size)


# On a net that is not linear ---------------------------------------------------------------


@pytest.mark.parametrize("stop", ["image", None])
def test_the_loss_rises(stop):
    """From the random mixture to the worst one."""
    net, random = curved_net(), np.random.default_rng(4)
    images, labels = photos(32), np.arange(32) % 4
    chains = np.clip(images[:, None] + 0.3 * random.standard_normal([32, 3, *SHAPE]), 0, 1)
    start = random.random(32), random.random([32, 3])
    given = [v.astype("float32") for v in (images, chains, *start)]
    losses = []
    for steps in (0, 1, 10):
        attack = AugMaxAttack(steps=steps, stop=stop)
        blend, scores = ascended(attack, net, (*given[:2], labels, *given[2:]))
        worst = module.mix(*map(tf.constant, (*given[:2], blend)), tf.nn.softmax(scores))
        losses.append(cross_entropy(tf.constant(labels), net(worst)).numpy())
    first, *later = losses
    assert all(loss.mean() > first.mean() for loss in later)
    if stop is None:
        assert losses[2].mean() > losses[1].mean() and np.mean(losses[2] >= first - 1e-6) > 0.8


@pytest.mark.parametrize("stop, fixed_shapes", STOPS)
def test_ascent_of_any_batch_in_a_graph(problem, stop, fixed_shapes):
    net, _, given = problem
    attack, traced = AugMaxAttack(steps=4, stop=stop, fixed_shapes=fixed_shapes), []
    any_batch = [tf.TensorSpec([None, *v.shape[1:]], v.dtype) for v in given]

    @tf.function(input_signature=any_batch)
    def ascend(*given):
        traced.append(1)
        return attack.ascend(net, *given)

    for batch in (13, 1, 0):
        first = [v[:batch] for v in given]
        for found, expected in zip(ascend(*first), ascended(attack, net, first)):
            np.testing.assert_allclose(found, expected, atol=1e-5)
    assert len(traced) == 1


@pytest.mark.parametrize("stop", ["image", "batch"])
def test_ascent_is_compiled_with_fixed_shapes(problem, stop):
    net, _, given = problem
    attack = AugMaxAttack(steps=4, stop=stop, fixed_shapes=True)
    compiled = tf.function(lambda *v: attack.ascend(net, *v), jit_compile=True)
    for a, b in zip(compiled(*map(tf.constant, given)), ascended(attack, net, given)):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_uses_the_current_route_in_a_graph(problem):
    norm = norm_layer("dubn")
    keras.utils.set_random_seed(0)
    net = keras.Sequential(
        [keras.Input(SHAPE), norm, keras.layers.Flatten(), keras.layers.Dense(4)]
    )
    turned = [np.array(w, "float32") for w in ([-1, 1, -2], [0] * 3, [0] * 3, [1] * 3)]
    norm.auxiliary.set_weights(turned)
    attack, given = AugMaxAttack(steps=3, stop=None), problem[2]
    clean = ascended(attack, net, given)[1]
    with route("auxiliary"):
        eager = ascended(attack, net, given)[1]
        traced = tf.function(lambda *v: attack.ascend(net, *v))(*map(tf.constant, given))
    np.testing.assert_allclose(traced[1], eager, atol=1e-5)
    assert not np.allclose(clean, eager)


def test_extreme_images_and_logits(linear, problem):
    net, *_ = linear(SHAPE, scale=1e6)
    _, _, (_, chains, *rest) = problem
    images = np.empty([B, *SHAPE], "float32")
    for pixel, part in zip((0.0, 0.5, 1.0), np.array_split(np.arange(B), 3)):
        images[part] = pixel
    for made in (chains, np.repeat(images[:, np.newaxis], 3, axis=1)):  # chains that change nothing
        blend, scores = ascended(AugMaxAttack(steps=3, stop=None), net, (images, made, *rest))
        assert np.isfinite(scores).all() and blend.min() >= 0 and blend.max() <= 1


def test_half_precision_keeps_the_direction(linear, problem):
    """In float16 the gradient of a confidently classified image would vanish."""
    full, kernel, bias = linear(SHAPE, scale=0.5)
    kinds = [keras.layers.Rescaling(1.0, dtype="float16"), keras.layers.Flatten(dtype="float16")]
    half = keras.Sequential([keras.Input(SHAPE), *kinds, keras.layers.Dense(4, dtype="float16")])
    half.set_weights(full.get_weights())
    images, chains, _, blend, scores = problem[2]
    labels = linear_net.logits(images, kernel, bias).argmax(axis=1)
    given = (images, chains, labels, blend, scores)
    attack = AugMaxAttack(steps=1, stop=None)
    (m, q), (m_half, q_half) = (ascended(attack, net, given) for net in (full, half))
    assert m_half.dtype == np.float32 and np.mean(np.isclose(m, m_half, atol=1e-6)) > 0.8
    assert np.mean(np.isclose(q, q_half, atol=1e-6)) > 0.8
    moved = np.any(q_half != scores, axis=1)
    np.testing.assert_array_equal(moved, np.any(q != scores, axis=1))
    assert moved.mean() > 0.8


# Targets and levels ------------------------------------------------------------------------


@pytest.mark.parametrize("target", [2, "random"])
def test_targets(problem, target):
    net, (kernel, bias), given = problem
    attack = AugMaxAttack(steps=10, step_size=0.4, stop=None, target=target)
    labels = np.arange(B) % 4
    given = (*given[:2], labels, *given[3:])
    goals, uphill = (np.asarray(v) for v in attack._goals(net, tf.constant(labels), (3, 4)))
    goal = goals.argmax(axis=1)
    own = goal == labels
    np.testing.assert_array_equal(uphill, np.where(own, 1, -1))
    assert (goal == 2).all() and own.any() if target == 2 else not own.any()
    assert len(set(goal - labels)) > 2 or target == 2
    blend, scores = attack.ascend(net, *map(tf.constant, given), seed=(3, 4))

    def loss(m, q):
        mixed = np.stack([reference.mix(*one) for one in zip(*given[:2], m, q)])
        guess = linear_net.logits(mixed, kernel, bias)
        return np.log(np.exp(guess).sum(1)) - guess[np.arange(B), goal]

    change = loss(blend.numpy(), scores.numpy()) - loss(*given[3:])
    assert (uphill * change).mean() > 0.1 and np.mean(uphill * change > -1e-6) > 0.9


def test_target_stops_when_it_is_reached(problem):
    net, weights, given = problem
    images, chains, labels, blend, scores = given
    mixed = np.stack([reference.mix(*one) for one in zip(images, chains, blend, scores)])
    guess = linear_net.logits(mixed, *weights).argmax(axis=1)
    found = ascended(AugMaxAttack(steps=1, target=1, look="before"), net, given)
    rests = np.where(labels == 1, guess != 1, guess == 1)
    np.testing.assert_array_equal((found[1] == scores).all(axis=1), rests)
    assert 0 < rests.sum() < B


def test_worst_levels():
    """Chains with the highest initial loss are kept; operators and depths are the same."""
    net, images, labels = curved_net(), photos(), np.arange(6) % 4
    attack = AugMaxAttack(AugMix(10, width=2), steps=0, level_draws=3, seed=1)
    found = attack.perturb(net, images, labels).numpy()
    seed = sampling.seed_pair(1, 0)
    draws = attack.augmix.draw(images, sampling.fold_in(seed, "chains"))
    blend, scores = attack.start(6, sampling.fold_in(seed, "start"))
    losses, mixed = [], []
    for i in range(3):
        again = attack.augmix.draw(images, sampling.fold_in(sampling.fold_in(seed, "levels"), i))
        assert not np.array_equal(again["operators"], draws["operators"])
        chains = attack.augmix.chains(images, {**draws, "levels": again["levels"]})
        mixed.append(module.mix(images, chains, blend, tf.nn.softmax(scores)).numpy())
        losses.append(cross_entropy(tf.constant(labels), net(mixed[-1])).numpy())
    which = np.argmax(losses, axis=0)
    assert len(set(which)) > 1
    np.testing.assert_allclose(found, np.stack(mixed)[which, np.arange(6)], atol=1e-6)


def test_worst_levels_then_worst_mixture():
    net, images, labels = curved_net(), photos(), np.arange(6) % 4
    losses = []
    for settings in ({"steps": 0}, {"steps": 0, "level_draws": 5}, {"level_draws": 5}):
        attack = AugMaxAttack(AugMix(10, width=2), stop=None, seed=1, **settings)
        worst = attack.perturb(net, images, labels)
        losses.append(cross_entropy(tf.constant(labels), net(worst)).numpy().mean())
    assert losses == sorted(losses)


# Settings ----------------------------------------------------------------------------------


def test_config_round_trip():
    attack = AugMaxAttack(
        AugMix(5, width=2), steps=3, step_size=0.2, stop="batch", look="before", stop_after=2,
        target="random", level_draws=2, fixed_shapes=True, seed=7, name="an_attack",
    )  # fmt: skip
    saved = keras.saving.serialize_keras_object(attack)
    again = keras.saving.deserialize_keras_object(saved)
    assert again.get_config() == attack.get_config() and again.augmix.severity == 5


@pytest.mark.parametrize(
    "settings, words",
    [
        ({"steps": -1}, r"steps must be a whole number from 0 .*received -1"),
        ({"step_size": -0.1}, r"step_size must be .*received -0.1"),
        ({"stop": "images"}, r"stop must be one of image, batch or None; received 'images'"),
        ({"look": "during"}, r"look must be one of after, before; received 'during'"),
        ({"stop_after": 0}, r"stop_after must be .*from 1 .*received 0"),
        ({"target": -1}, r"target must be .*from 0 .*received -1"),
        ({"target": "worst"}, r"target must be a class, 'random' or None; received 'worst'"),
        ({"level_draws": 0}, r"level_draws must be .*received 0"),
        ({"augmix": 3.0}, r"augmix must be an AugMix layer.*received float"),
        ({"seed": -1}, r"seed must be .*received -1"),
    ],
)
def test_bad_settings(settings, words):
    with pytest.raises(ValueError, match=words):
        AugMaxAttack(**settings)


def test_target_out_of_range(problem):
    net, _, given = problem
    with pytest.raises(ValueError, match="class of the net, from 0 to 3; received 4"):
        ascended(AugMaxAttack(target=4), net, given)
