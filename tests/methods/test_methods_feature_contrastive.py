"""FCL: views, terms and step against NumPy, and equality with the baseline without its term."""

import keras
import numpy as np
import pytest
import scipy.special
import tensorflow as tf

from tests.reference import contrastive as reference
from tests.reference.gradients import central_differences
from tfrobust import augment, saving
from tfrobust.attacks import utility
from tfrobust.callbacks import LossWeightSchedule
from tfrobust.methods import Baseline, FeatureContrastive
from tfrobust.methods.feature_contrastive import PUBLISHED_SETTINGS

L = keras.layers
SHAPE = [3, 4, 2]


@pytest.fixture
def batch():
    random = np.random.default_rng(0)
    images = random.uniform(0.2, 0.8, [5, *SHAPE]).astype("float32")
    return images, np.array([0, 1, 2, 2, 1], "int32")


def two_layers():
    """Linear, so that NumPy can differentiate it: φ is the output of the first dense layer."""
    keras.utils.set_random_seed(0)
    layers = [L.Flatten(), L.Dense(6, bias_initializer="normal"), L.Dense(3)]
    return keras.Sequential([keras.Input(SHAPE), *layers])


def with_norm():
    keras.utils.set_random_seed(0)
    layers = [L.Conv2D(4, 2), L.BatchNormalization(), L.ReLU(name="relu"), L.Flatten(), L.Dense(3)]
    return keras.Sequential([keras.Input(SHAPE), *layers])


def views_of(model, images, labels):
    views = model.views(tf.constant(images), tf.constant(labels))
    return {name: view.numpy() for name, view in views.items()}


def test_views_change_exactly_the_least_and_the_most_useful_entries(batch):
    images, labels = batch
    net = two_layers()
    model = FeatureContrastive(net, k=5, sigma=0.01)  # too weak to be clipped
    views = views_of(model, images, labels)
    assert set(views) == {"clean", "positive", "negative", "has_negative"}
    np.testing.assert_array_equal(views["clean"], images)
    np.testing.assert_array_equal(views["has_negative"], np.ones(5))
    order = np.argsort(np.asarray(utility(net, images, labels)).reshape(5, -1), axis=1)
    for name, chosen in (("positive", order[:, :5]), ("negative", order[:, -5:])):
        changed = (views[name] != images).reshape(5, -1)
        expected = np.zeros_like(changed)
        np.put_along_axis(expected, chosen, True, axis=1)
        np.testing.assert_array_equal(changed, expected)
        noise = (views[name] - images)[changed.reshape(images.shape)]
        assert abs(noise.std() - 0.01) < 5 * 0.01 / np.sqrt(2 * 25)  # five standard errors


def test_views_differ_from_step_to_step_and_repeat_with_the_seed(batch):
    model, twin = (FeatureContrastive(two_layers(), k=5, seed=3) for _ in range(2))
    first, second = views_of(model, *batch), views_of(model, *batch)
    assert (first["positive"] != second["positive"]).any()
    np.testing.assert_array_equal(views_of(twin, *batch)["negative"], first["negative"])
    other = views_of(FeatureContrastive(two_layers(), k=5, seed=4), *batch)
    assert (other["positive"] != first["positive"]).any()


def test_views_are_clipped(batch):
    views = views_of(FeatureContrastive(two_layers(), k=24, sigma=10.0), *batch)
    for name in ("positive", "negative"):
        assert views[name].min() == 0 and views[name].max() == 1


def test_without_utility_there_is_no_own_negative(batch):
    net = two_layers()
    weights = net.get_weights()
    weights[2] *= 0  # all logits are the bias: the loss does not depend on the image
    net.set_weights(weights)
    model = FeatureContrastive(net, k=5, temperature=0.5)
    views = views_of(model, *batch)
    np.testing.assert_array_equal(views["has_negative"], np.zeros(5))
    _, terms = model.terms({k: tf.constant(v) for k, v in views.items()}, tf.constant(batch[1]))
    z, near = (embeddings(net.get_weights(), views[name]) for name in ("clean", "positive"))
    expected = reference.softmax(z, near, temperature=0.5)
    np.testing.assert_allclose(terms["fcl"], expected, rtol=1e-4)


def test_gaussian_positive_is_the_whole_image_with_noise(batch):
    model = FeatureContrastive(two_layers(), positive="gaussian", sigma=0.01)
    views = views_of(model, *batch)
    assert set(views) == {"clean", "positive", "has_negative"}
    noise = views["positive"] - batch[0]
    assert (noise != 0).all()
    assert abs(noise.std() - 0.01) < 5 * 0.01 / np.sqrt(2 * noise.size)


def test_augmentation_comes_first(batch):
    images, labels = batch
    model = FeatureContrastive(two_layers(), augment=augment.Brightness(0.1), k=5)
    views = views_of(model, images, labels)
    np.testing.assert_allclose(views["clean"], images + 0.1, atol=1e-6)
    assert (views["positive"] != views["clean"]).sum(axis=(1, 2, 3)).max() <= 5


def embeddings(weights, images):
    return images.reshape(len(images), -1) @ weights[0] + weights[1]


def total_loss(weights, views, labels, options):
    """J as the paper prints it, averaged over the batch, in float64."""
    z = {k: embeddings(weights, v) for k, v in views.items() if k != "has_negative"}
    log_p = scipy.special.log_softmax(z["clean"] @ weights[2] + weights[3], axis=1)
    contrast = [z["clean"], z["positive"], z.get("negative"), views["has_negative"]]
    if options["loss"] == "softmax":
        fcl = reference.softmax(*contrast, temperature=options["temperature"])
    else:
        fcl = reference.margin(*contrast, gamma=options["margin"])
    return np.mean(-log_p[np.arange(len(labels)), labels] + options["weight"] * fcl)


@pytest.mark.parametrize(
    "options, eager",
    [
        pytest.param(
            {"loss": "softmax", "temperature": 0.5, "weight": 2.0}, False, marks=pytest.mark.slow
        ),
        ({"loss": "softmax", "temperature": 0.5, "weight": 2.0}, True),
        ({"loss": "margin", "margin": 1.2, "weight": 0.7}, True),
        ({"loss": "softmax", "temperature": 0.1, "weight": 1.0, "positive": "gaussian"}, True),
    ],
)
def test_one_step_is_the_gradient_of_the_printed_loss(batch, options, eager):
    images, labels = batch
    model = FeatureContrastive(two_layers(), k=6, sigma=0.3, **options)
    # The same seed and weights: the views of the first step.
    twin = FeatureContrastive(two_layers(), k=6, sigma=0.3, **options)
    views = {name: v.astype("float64") for name, v in views_of(twin, images, labels).items()}
    before = [np.asarray(w, "float64") for w in model.net.get_weights()]
    model.compile(keras.optimizers.SGD(0.1), run_eagerly=eager)
    history = model.fit(images, labels, batch_size=5, shuffle=False, verbose=0).history
    expected = total_loss(before, views, labels, options)
    assert history["loss"][0] == pytest.approx(expected, rel=1e-5)
    for which, (old, new) in enumerate(zip(before, model.net.get_weights())):

        def changed(weight, which=which):
            weights = [*before[:which], weight, *before[which + 1 :]]
            return total_loss(weights, views, labels, options)

        slope = central_differences(changed, old)
        np.testing.assert_allclose(new, old - 0.1 * slope, rtol=1e-4, atol=1e-6)
        assert np.abs(slope).max() > 1e-3


def trained(model, images, labels, eager=True, **arguments):
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), run_eagerly=eager)
    fit = {"batch_size": 3, "epochs": 2, "shuffle": False, "verbose": 0, **arguments}
    return model.fit(images, labels, **fit).history


@pytest.mark.parametrize("positive", ["utility", "gaussian"])
def test_with_weight_0_equals_the_baseline_step_for_step(batch, positive):
    """BatchNorm's moving statistics too; and the terms are not computed at all."""
    model = FeatureContrastive(with_norm(), weight=0.0, k=5, positive=positive)
    baseline = Baseline(with_norm())
    assert trained(model, *batch)["fcl"] == [0.0, 0.0]
    trained(baseline, *batch)
    for one, other in zip(model.net.get_weights(), baseline.net.get_weights()):
        np.testing.assert_allclose(one, other, atol=1e-6)


def regularised():
    net = with_norm()
    return keras.Sequential(
        [keras.Input(SHAPE), net, L.Dense(3, activity_regularizer=keras.regularizers.L2(1e-3))]
    )


def test_losses_of_layers_are_not_put_into_a_condition(batch):
    """Losses of layers cannot leave the branch of a condition."""
    model = FeatureContrastive(regularised(), weight=0.0, k=5)
    assert trained(model, *batch, epochs=1, eager=False)["fcl"][0] > 0.1
    assert np.isfinite(model.get_weights()[0]).all()


@pytest.mark.slow
def test_replicas(batch):
    """The last batch of the epoch has two images: one for each replica, without others. The term
    is computed while its weight is 0 too."""
    images, labels = batch
    # Not collectives: they mix up two nets of one process that have different sizes.
    ops = tf.distribute.ReductionToOneDevice()
    strategy = tf.distribute.MirroredStrategy(["/cpu:0", "/cpu:1"], ops)
    with strategy.scope():
        model = FeatureContrastive(with_norm(), weight=0.0, k=5)
        model.compile(keras.optimizers.SGD(0.1))
    data = tf.data.Dataset.from_tensor_slices((images, labels)).repeat(2).batch(4)
    for weight in (0.0, 1.0):
        model.term_weights["fcl"].assign(weight)
        history = model.fit(data, verbose=0).history
        assert np.isfinite(history["loss"]).all() and history["fcl"][0] > 0.1
        of_all = history["cross_entropy"][0] + weight * history["fcl"][0]
        assert history["loss"][0] == pytest.approx(of_all, rel=1e-5)


def test_term_that_begins_late(batch):
    model = FeatureContrastive(with_norm(), weight=0.5, k=5)
    schedule = LossWeightSchedule("fcl", start=1, ramp=0)
    history = trained(model, *batch, callbacks=[schedule])
    assert history["fcl"][0] == 0 and history["fcl"][1] > 0.1
    assert float(tf.convert_to_tensor(model.term_weights["fcl"])) == 0.5


def test_half_precision(batch):
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        model = FeatureContrastive(with_norm(), weight=0.5, k=5)
        history = trained(model, *batch)
    finally:
        keras.mixed_precision.set_global_policy("float32")
    assert np.isfinite(history["loss"]).all() and history["fcl"][0] > 0.1


@pytest.mark.slow
def test_compiled_with_xla(batch):
    """Without the term the step is the baseline's; with it XLA may draw numbers of its own."""
    model, baseline = FeatureContrastive(with_norm(), weight=0.0, k=5), Baseline(with_norm())
    model.compile(keras.optimizers.SGD(0.1), jit_compile=True)
    fit = {"batch_size": 5, "epochs": 2, "shuffle": False, "verbose": 0}
    assert model.fit(*batch, **fit).history["fcl"] == [0.0, 0.0]
    baseline.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
    baseline.fit(*batch, **fit)
    for one, other in zip(model.net.get_weights(), baseline.net.get_weights()):
        np.testing.assert_allclose(one, other, atol=1e-5)
    model.term_weights["fcl"].assign(0.5)
    assert 0.1 < model.fit(*batch, **fit).history["fcl"][0] < 10


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_black_and_white_images_are_finite(value):
    images, labels = np.full([4, *SHAPE], value, "float32"), np.array([0, 1, 2, 0])
    net = keras.Sequential(
        [keras.Input(SHAPE), L.Flatten(), L.Dense(6, activation="relu"), L.Dense(3)]
    )  # black images have an embedding of zeros
    model = FeatureContrastive(net, weight=1.0, k=5, temperature=0.1)
    assert np.isfinite(trained(model, images, labels)["loss"]).all()
    assert all(np.isfinite(w).all() for w in net.get_weights())


def test_saved_and_restored_with_all_its_options(batch, tmp_path):
    options = {"weight": 0.5, "k": 5, "sigma": 0.2, "temperature": 0.3, "loss": "margin"}
    options |= {"margin": 0.8, "embedding_layer": "relu", "seed": 7}
    model = FeatureContrastive(with_norm(), **options)
    trained(model, *batch)
    model.term_weights["fcl"].assign(0.1)
    saving.save_model(model, tmp_path / "model.keras")
    loaded = saving.load_model(tmp_path / "model.keras")
    assert {name: loaded.get_config()[name] for name in options} == options
    assert loaded.own_term_weights["fcl"] == 0.5
    assert float(tf.convert_to_tensor(loaded.term_weights["fcl"])) == pytest.approx(0.1)


@pytest.mark.parametrize(
    "setting, words",
    [
        ({"weight": -1}, "weight must be a number"),
        ({"k": 0}, "k must be a whole number from 1"),
        ({"k": 25}, "k must be a whole number from 1 to 24; received 25"),
        ({"k": 2.5}, "k must be a whole number"),
        ({"sigma": -0.1}, "sigma must be a number"),
        ({"temperature": 0}, "temperature must be a number"),
        ({"margin": 2.5}, r"margin must be a number in \[0, 2\]"),
        ({"loss": "triplet"}, "loss must be one of softmax, margin; received 'triplet'"),
        ({"positive": "noise"}, "positive must be one of utility, gaussian"),
        ({"embedding_layer": "top"}, r"no layer 'top'.*its layers: .*flatten"),
        ({"seed": -1}, "seed must be a whole number"),
    ],
)
def test_bad_settings(setting, words):
    with pytest.raises(ValueError, match=words):
        FeatureContrastive(two_layers(), **{"k": 5, **setting})


def test_batches_of_one_are_refused_and_a_last_one_is_not(batch):
    images, labels = batch
    model = FeatureContrastive(two_layers(), k=5, weight=1.0)
    model.compile("sgd", run_eagerly=True)
    with pytest.raises(ValueError, match="2 images or more"):
        model.fit(images, labels, batch_size=1, verbose=0)
    assert np.isfinite(model.fit(images, labels, batch_size=2, verbose=0).history["loss"]).all()


@pytest.mark.parametrize("name", list(PUBLISHED_SETTINGS))
def test_settings_of_the_paper(name):
    shape = [28, 28, 1] if name == "mnist" else [32, 32, 3]
    net = keras.Sequential([keras.Input(shape), L.Flatten(), L.Dense(2)])
    config = FeatureContrastive(net, **PUBLISHED_SETTINGS[name]).get_config()
    assert {key: config[key] for key in PUBLISHED_SETTINGS[name]} == PUBLISHED_SETTINGS[name]
    assert config["loss"] == "softmax"
