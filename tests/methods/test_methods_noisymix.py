"""NoisyMix: every row of its ablation against a step by hand, and what it leaves alone."""

from __future__ import annotations

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.parameters import slow_unless
from tests.reference import noisymix as reference
from tfrobust import augment
from tfrobust.methods import AugMixTraining, Baseline, NoisyMix
from tfrobust.methods.noisymix import ABLATION
from tfrobust.ops import sampling

IMAGES = np.random.default_rng(0).random([8, 4, 4, 3], "float32")
LABELS = np.array([0, 1, 2, 0, 1, 2, 2, 1], "int32")

#: The four columns of Table 4: augmentations, feature mixing, noise injections, JSD loss.
TABLE_4 = {
    "baseline": "----",
    "noise": "--n-",
    "mixup": "-m--",
    "manifold_mixup": "-m--",
    "nfm": "-mn-",
    "augmix": "a---",
    "augmix_noise_jsd": "a-nj",
    "augmix_jsd": "a--j",
    "augmix_nfm": "amn-",
    "augmix_manifold_mixup_jsd": "am-j",
    "noisymix": "amnj",
}


def points_net():
    """x → relu(x·w1 + b1) → ·w2 + b2, with mixing points before and after the ReLU layer."""
    keras.utils.set_random_seed(0)
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input([4, 4, 3]),
            layers.Flatten(name="mixing_point_0"),
            layers.Dense(10, activation="relu", bias_initializer="random_normal"),
            layers.Activation("linear", name="mixing_point_1"),
            layers.Dense(3, bias_initializer="random_normal"),
        ]
    )


class Darker(augment.Augment):
    """Darkens by a new amount at each call: 0.1, 0.2, …"""

    calls = 0

    def call(self, images, training=None):
        self.calls += bool(training)
        return images - 0.1 * self.calls if training else images


def noisymix(**settings):
    """NoisyMix with a faster augmentation than AugMix."""
    return NoisyMix(points_net(), **{"augment": augment.Brightness(-0.2), **settings})


def settings_of(row, layer):
    settings = dict(ABLATION[row])
    return settings if "augment" in settings else {**settings, "augment": layer}


def draws_of(model, batch, streams):
    draws = model.draw(tf.constant(batch), streams)
    return {k: v if v is None or isinstance(v, float) else v.numpy() for k, v in draws.items()}


def fitted(model, epochs=1, batch_size=8, eager=True, **compiling):
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), run_eagerly=eager, **compiling)
    fit = {"batch_size": batch_size, "epochs": epochs, "shuffle": False, "verbose": 0}
    history = model.fit(IMAGES, LABELS, **fit).history
    return history, model.net.get_weights()


def assert_same(first, second, atol=1e-5):
    assert len(first) == len(second) > 0
    for a, b in zip(first, second):
        np.testing.assert_allclose(a, b, rtol=0, atol=atol)


#: Rows that do nothing at a point, or always at the same one.
ANY_POINT = {"baseline", "mixup", "augmix", "augmix_jsd"}


ROWS = [(row, point) for row in TABLE_4 for point in (0, 1) if point == 0 or row not in ANY_POINT]
#: Each part, and all of them, at both points.
QUICK_ROWS = [("mixup", 0), ("augmix_noise_jsd", 0), ("nfm", 1), ("noisymix", 0), ("noisymix", 1)]


@pytest.mark.parametrize("row, point", slow_unless(QUICK_ROWS, ROWS, several=True))
def test_one_step_of_every_row_of_the_ablation(row, point):
    """The draws come from a second model with the same seed; everything else is NumPy."""
    augmented, mixing, noise, jsd = (letter != "-" for letter in TABLE_4[row])
    settings = {"mixing_points": [point], **settings_of(row, Darker())}
    model, twin = (NoisyMix(points_net(), seed=point, **settings) for _ in range(2))
    streams = 3 if jsd else 1
    draws = draws_of(twin, 8, streams)
    assert (draws["partner"] is not None) == mixing
    assert (draws["additive"] is not None) == (draws["multiplicative"] is not None) == noise
    darker = [0.1, 0.2] if jsd else [0.1]
    views = [IMAGES - np.float32(d) for d in darker] if augmented else []
    if jsd or not augmented:
        views = [IMAGES, *views]
    assert draws["point"] == (0 if row == "mixup" else point)

    def fields(shape):
        return [sampling.uniform(sampling.fold_in(draws["seed"], i), shape).numpy() for i in (0, 1)]

    expected, loss = reference.step(
        points_net().get_weights(),
        views,
        LABELS,
        draws,
        sparse=0.65,
        jsd_weight=12.0 if jsd else None,
        rate=0.1,
        fields=fields,
    )
    history, weights = fitted(model)
    assert history["loss"][0] == pytest.approx(loss, rel=1e-4)
    assert np.abs(weights[0] - points_net().get_weights()[0]).max() > 1e-4
    assert_same(weights, expected, atol=2e-5)


@pytest.mark.parametrize("kind", ["sample_weight", "class_weight"])
def test_weights_belong_to_the_labels(kind):
    """A step with λ·w·CE(y) + (1 − λ)·w[π]·CE(y[π]); the partner's weight goes with its label."""
    of_class = np.array([0.5, 2.0, 4.0], "float32")
    given = of_class[LABELS] if kind == "sample_weight" else dict(enumerate(of_class.tolist()))
    model, twin = (NoisyMix(points_net(), seed=3, **ABLATION["mixup"]) for _ in range(2))
    draws = draws_of(twin, 8, 1)
    model.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
    model.fit(IMAGES, LABELS, batch_size=8, shuffle=False, verbose=0, **{kind: given})

    mixture, partner = draws["mixing_weight"], draws["partner"]
    assert len(set(LABELS[partner] == LABELS)) == 2
    net, weight = points_net(), of_class[LABELS]
    with tf.GradientTape() as tape:
        logits = tf.nn.log_softmax(net(mixture * IMAGES + (1 - mixture) * IMAGES[partner]))
        own = -tf.gather(logits, LABELS, batch_dims=1)
        other = -tf.gather(logits, LABELS[partner], batch_dims=1)
        loss = mixture * weight * own + (1 - mixture) * weight[partner] * other
        loss = tf.reduce_mean(loss)
    slopes = tape.gradient(loss, net.trainable_variables)
    expected = [w - 0.1 * slope.numpy() for w, slope in zip(net.get_weights(), slopes)]
    assert_same(model.net.get_weights(), expected, atol=1e-6)


@pytest.mark.parametrize(
    "settings",
    [
        ABLATION["baseline"],
        {**ABLATION["nfm"], "alpha": 0, "sparse": 1.0},
        {**ABLATION["augmix_jsd"], "jsd_weight": 0.0, "augment": augment.Brightness(0.2)},
    ],
    ids=["baseline", "sparse 1", "weight 0"],
)
def test_without_its_parts_equals_the_baseline(settings):
    _, plain = fitted(Baseline(points_net()), batch_size=3)
    _, weights = fitted(NoisyMix(points_net(), **settings), batch_size=3)
    assert_same(weights, plain, atol=1e-6)


@pytest.mark.parametrize("jsd", [True, False])
def test_without_mixing_and_noise_it_is_augmix(jsd):
    histories, results = [], []
    for method, parts in ((NoisyMix, ABLATION["augmix_jsd"]), (AugMixTraining, {})):
        layer = augment.GaussianNoise(0.1, seed=4)
        model = method(points_net(), **{**parts, "jsd": jsd, "augment": layer})
        history, weights = fitted(model, epochs=2)
        histories.append(history)
        results.append(weights)
    assert histories[0] == histories[1]
    assert_same(*results, atol=0)


def test_published_setting():
    model = NoisyMix(points_net(), seed=2)
    config = model.get_config()
    published = {"alpha": 1.0, "additive": 0.5, "multiplicative": 0.5, "sparse": 0.65}
    published.update(jsd_weight=12.0, jsd=True, seed=2, mixing_points=(0, 1))
    assert {name: config[name] for name in published} == published
    assert (model.augment.severity, model.augment.width, model.augment.seed) == (3, 3, 2)


def test_draws():
    """Within five standard errors: k uniform, λ ~ Beta(1, 1), levels times Beta(2, 5) = 2/7."""
    model = NoisyMix(points_net(), additive=0.7, multiplicative=0.4)
    count, draw = 400, tf.function(lambda: model.draw(tf.constant(6), 3))
    drawn = [{name: value.numpy() for name, value in draw().items()} for _ in range(count)]
    point = np.array([d["point"] for d in drawn])
    assert set(point) == {0, 1} and abs(point.mean() - 0.5) < 5 * 0.5 / np.sqrt(count)
    mixing_weight = np.array([d["mixing_weight"] for d in drawn])
    assert mixing_weight.shape == (count,) and mixing_weight.min() >= 0 and mixing_weight.max() <= 1
    assert abs(mixing_weight.mean() - 0.5) < 5 * np.sqrt(1 / 12 / count)
    for d in drawn:
        assert sorted(d["partner"]) == list(range(6))
    where = np.mean([d["partner"] == np.arange(6) for d in drawn])
    assert abs(where - 1 / 6) < 5 * np.sqrt(5 / 36 / count / 2)
    spread = 5 * np.sqrt(2 * 5 / (7**2 * 8) / count)
    mean = np.mean([d["additive"] for d in drawn], axis=0) / 0.7
    np.testing.assert_allclose(mean / [1, 2, 3], 2 / 7, atol=spread)
    mean = np.mean([d["multiplicative"] for d in drawn], axis=0) / 0.4
    np.testing.assert_allclose(mean, 2 / 7, atol=spread)
    views = np.array([d["multiplicative"] for d in drawn])
    assert abs(np.corrcoef(views.T)[0, 1]) < 5 / np.sqrt(count)  # a draw for each view
    assert len({tuple(d["seed"]) for d in drawn}) == count


def test_points_are_drawn_from_those_that_are_wanted():
    model = NoisyMix(points_net(), mixing_points=[1])
    assert {int(draws_of(model, 2, 3)["point"]) for _ in range(6)} == {1}


def test_alpha_0_mixes_nothing_but_needs_no_second_image():
    model = noisymix(alpha=0)
    assert (model.smallest_batch, model.compares_images) == (1, False)
    model.compile("sgd", run_eagerly=True)
    history = model.fit(IMAGES[:2], LABELS[:2], batch_size=1, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    mixing = noisymix()
    assert (mixing.smallest_batch, mixing.compares_images) == (2, True)
    with pytest.raises(ValueError, match=r"2 images or more.*received batches of 1"):
        fitted(mixing, batch_size=1)
    assert NoisyMix.smallest_batch == 1  # that of the class is as it was


def test_a_last_batch_of_one_is_mixed_with_itself():
    history, _ = fitted(noisymix(), batch_size=7)
    assert np.isfinite(history["loss"]).all()


def test_nothing_is_mixed_outside_training(tmp_path):
    """Nor where the net is served, as the contracts find."""
    model = noisymix()
    fitted(model)
    plain = points_net()
    plain.set_weights(model.net.get_weights())
    expected = plain(IMAGES).numpy()
    for training in (False, True):
        np.testing.assert_allclose(model.net(IMAGES, training=training), expected, atol=1e-6)
        np.testing.assert_allclose(model(IMAGES, training=training), expected, atol=1e-6)
    np.testing.assert_allclose(model.predict(IMAGES, verbose=0), expected, atol=1e-6)
    model.compile(metrics=["accuracy"])
    logs = model.evaluate(IMAGES, LABELS, return_dict=True, verbose=0)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)(LABELS, expected)
    assert logs["loss"] == pytest.approx(float(loss), rel=1e-5)
    model.net.save(tmp_path / "net.keras")
    again = keras.models.load_model(tmp_path / "net.keras")
    np.testing.assert_allclose(again(IMAGES, training=True), expected, atol=1e-6)


@pytest.mark.slow  # the contracts trace steps that draw a point
def test_all_points_in_one_trace():
    """The steps equal those of eager execution."""
    weights, data = [], tf.data.Dataset.from_tensor_slices((IMAGES, LABELS)).batch(4).repeat(2)
    for eager in (True, False):
        model, traces = noisymix(), []
        terms = model.terms
        model.terms = lambda *a, terms=terms, traces=traces: traces.append(1) or terms(*a)
        model.compile(keras.optimizers.SGD(0.01), run_eagerly=eager)
        model.fit(data, verbose=0)
        weights.append(model.net.get_weights())
    assert len(traces) <= 2
    assert_same(*weights)
    twin = noisymix()
    assert {int(draws_of(twin, 4, 3)["point"]) for _ in range(4)} == {0, 1}


@pytest.mark.parametrize("count", [6, pytest.param(7, marks=pytest.mark.slow)])
def test_two_replicas_keep_the_views_of_an_image_together(count):
    """Three equal views stay equal, mixed as they are: wherever they are mixed with other images
    or in other shares, their predictions would differ."""
    strategy = tf.distribute.MirroredStrategy(
        ["/cpu:0", "/cpu:1"], tf.distribute.ReductionToOneDevice()
    )
    with strategy.scope():
        model = noisymix(additive=0, multiplicative=0, augment=augment.Brightness(0.0))
        model.compile(keras.optimizers.SGD(0.1), run_eagerly=count == 6)
    data = tf.data.Dataset.from_tensor_slices((IMAGES[:count], LABELS[:count]))
    data = data.batch(6)  # for the replicas 3 and 3, then if need be 1 and 0
    history = model.fit(data, epochs=2, verbose=0).history
    np.testing.assert_allclose(history["jsd"], 0, atol=1e-6)
    plain = Baseline(points_net())
    plain.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
    expected = plain.fit(data, epochs=2, verbose=0).history["cross_entropy"]
    difference = np.subtract(history["cross_entropy"], expected)
    assert np.abs(difference).max() > 1e-3  # mixed they are


@pytest.mark.slow
def test_compiled_step():
    """The noise is drawn inside of what XLA compiles; tests/ops does that in a branch alone."""
    history, weights = fitted(noisymix(), epochs=2, eager=False, jit_compile=True)
    assert np.isfinite(history["loss"]).all()
    assert all(np.abs(a - b).max() > 1e-4 for a, b in zip(weights, points_net().get_weights()))


@pytest.mark.slow  # as in the contracts, for two epochs
def test_mixed_precision():
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        history, weights = fitted(noisymix(), epochs=2)
    finally:
        keras.mixed_precision.set_global_policy("float32")
    assert np.isfinite(history["loss"]).all()
    assert all(np.isfinite(w).all() for w in weights)
    assert np.abs(weights[0] - points_net().get_weights()[0]).max() > 1e-3


@pytest.mark.parametrize("row", list(ABLATION))
def test_config_round_trip(row):
    model = NoisyMix(points_net(), seed=3, **ABLATION[row])
    config = model.get_config()
    again = NoisyMix.from_config(json.loads(json.dumps(config)))
    assert json.dumps(again.get_config()) == json.dumps(config)
    assert type(again.augment) is type(model.augment)


def test_extreme_nets_and_images_stay_finite():
    for scale, images in ((1e4, IMAGES), (1.0, np.zeros_like(IMAGES)), (1.0, np.ones_like(IMAGES))):
        model = noisymix()
        net = model.net
        net.set_weights([scale * w for w in net.get_weights()])
        model.compile(keras.optimizers.SGD(0.01), run_eagerly=True)
        history = model.fit(images, LABELS, batch_size=8, epochs=2, verbose=0).history
        assert np.isfinite(history["loss"]).all()
        assert all(np.isfinite(w).all() for w in net.get_weights())


@pytest.mark.parametrize(
    "settings, words",
    [
        ({"alpha": -0.1}, r"alpha must be a number in \[0, 100\]; received -0.1"),
        ({"alpha": "1"}, "alpha must be a number .*received '1'"),
        ({"additive": -1}, "additive must be a number .*received -1"),
        ({"multiplicative": float("nan")}, "multiplicative must be a number .*received nan"),
        ({"sparse": 1.5}, r"sparse must be a number in \[0, 1\]; received 1.5"),
        ({"jsd_weight": -12}, "jsd_weight must be a number .*received -12"),
        (
            {"mixing_points": []},
            r"mixing_points must be some of the numbers \[0, 1\].*received \[\]",
        ),
        ({"mixing_points": [4]}, r"some of the numbers \[0, 1\].*received \[4\]"),
        ({"seed": -1}, "seed must be a whole number .*received -1"),
        ({"augment": None}, "received augment=None with jsd=True"),
    ],
)
def test_bad_settings(settings, words):
    with pytest.raises(ValueError, match=words):
        NoisyMix(points_net(), **settings)
