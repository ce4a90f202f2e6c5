"""AugMax, AdvMix, AdvMax and AugMix+PGDAT: their views, routes and terms, and a step in NumPy.

They differ by their attack alone, which tests/contracts makes sure of: AugMax stands for all.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.parameters import slow_unless
from tests.reference import augmax as reference
from tests.reference import divergence, linear_net
from tests.reference.augmix import smooth_images
from tfrobust import attacks, augment, methods
from tfrobust.layers import DualBatchNormalization, norm_layer, route
from tfrobust.layers.norms import NORMS
from tfrobust.ops import sampling

METHODS = (methods.AugMax, methods.AdvMix, methods.AdvMax, methods.AugMixPGDAT)
LABELS = np.arange(6) % 4


def photos(batch=6, side=12):
    return smooth_images(batch, side, side).astype("float32") / 255


def linear_model(side=12, scale=0.3):
    net = keras.Sequential(
        [keras.Input([side, side, 3]), keras.layers.Flatten(), keras.layers.Dense(4)]
    )
    random = np.random.default_rng(1)
    kernel = scale * random.standard_normal([3 * side * side, 4])
    net.set_weights([kernel.astype("float32"), np.zeros(4, "float32")])
    return net


def dual_net(norm="dubin", dropout=0.0):
    """Convolution, dual norm, and a classifier: the weights depend on nothing but the norm."""
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input([12, 12, 3]),
            keras.layers.Rescaling(4.0, offset=-2.0),
            keras.layers.Conv2D(6, 3, strides=2),
            norm_layer(norm, mixed=True),
            keras.layers.ReLU(),
            keras.layers.Dropout(dropout),
            keras.layers.Flatten(),
            keras.layers.Dense(4),
        ]
    )


def darker(settings=None):
    """Settings without chains: one view is darkened, another attacked."""
    return {"attack": attacks.FGSM(0.1), "augment": augment.Brightness(-0.3), **(settings or {})}


def passes_of(net, views):
    """Logits in training mode of each view, in float64, each pass on its route."""
    with route("auxiliary"):
        adversarial = net(views["adversarial"], training=True)
    plain = [net(views[name], training=True) for name in ("clean", "augmented")]
    return [np.asarray(v, "float64") for v in (*plain, adversarial)]


# Terms -------------------------------------------------------------------------------------


def test_terms():
    net = dual_net()
    model = methods.AugMax(net, jsd_weight=2.5, adversarial_weight=0.25, **darker())
    labels = tf.constant(LABELS)
    views = model.views(tf.constant(photos()), labels)
    np.testing.assert_array_equal(views["clean"], photos())
    np.testing.assert_allclose(views["augmented"], np.clip(photos() - 0.3, 0, 1), atol=1e-6)
    logits, terms = model.terms(views, labels)
    clean, augmented, adversarial = passes_of(net, views)
    shares = np.eye(4)[LABELS]
    expected = {
        "cross_entropy": divergence.cross_entropy(shares, clean),
        "adversarial_cross_entropy": divergence.cross_entropy(shares, adversarial),
        "jsd": divergence.jensen_shannon(clean, augmented, adversarial),
    }
    np.testing.assert_allclose(logits, clean, atol=1e-5)
    assert list(terms) == list(expected)
    for name, value in terms.items():
        np.testing.assert_allclose(value, expected[name], atol=1e-5)
    weights = {name: float(tf.convert_to_tensor(w)) for name, w in model.term_weights.items()}
    assert weights == {"cross_entropy": 0.75, "adversarial_cross_entropy": 0.25, "jsd": 2.5}


def test_defaults_are_the_papers():
    net = dual_net()
    made = {method: method(net) for method in METHODS}
    for model in made.values():
        weights = [float(tf.convert_to_tensor(w)) for w in model.term_weights.values()]
        assert weights == [0.5, 0.5, 10]
        assert isinstance(model.augment, augment.AugMix) and model.augment.severity == 3
    mixing = [made[m].attack for m in METHODS[:3]]
    assert [(a.steps, a.level_draws) for a in mixing] == [(10, 1), (0, 5), (10, 5)]
    assert all(a.step_size == 0.1 and a.stop == "image" and a.stop_after == 1 for a in mixing)
    assert isinstance(made[methods.AugMixPGDAT].attack, attacks.PGD)
    # x̃ is made as the attack makes its chains, unless it is given.
    other = attacks.AugMaxAttack(augment.AugMix(1.0, width=2), steps=5)
    model = methods.AugMax(net, attack=other, seed=4)
    assert (model.augment.severity, model.augment.width, model.augment.seed) == (1.0, 2, 4)


def test_augmix_view_has_chains_of_its_own():
    attack = attacks.AugMaxAttack(augment.AugMix(10, depth=1), steps=0)
    model = methods.AugMax(dual_net(), attack=attack)
    views = model.views(tf.constant(photos()), tf.constant(LABELS))
    seed = sampling.seed_pair(0, 0)
    chains = [
        layer.chains(photos(), layer.draw(photos(), given))
        for layer, given in (
            (attack.augmix, sampling.fold_in(seed, "chains")),
            (model.augment, seed),
        )
    ]
    assert not np.allclose(*chains)
    share, scores = (v.numpy() for v in attack.start(6, sampling.fold_in(seed, "start")))
    mixed = [reference.mix(*one) for one in zip(photos(), chains[0].numpy(), share, scores)]
    np.testing.assert_allclose(views["adversarial"], mixed, atol=1e-5)
    draws = model.augment.draw(photos(), seed)
    weights = np.log(draws["weights"])  # the softmax of which they are
    mixed = zip(photos(), chains[1].numpy(), draws["mix"].numpy(), weights)
    np.testing.assert_allclose(views["augmented"], [reference.mix(*m) for m in mixed], atol=1e-5)


# Routes ------------------------------------------------------------------------------------


@pytest.mark.parametrize("together", [False, True])
def test_each_view_goes_through_its_batch_norms(together):
    """Moving means of a dual norm on the images: x* in one; x̃, then x in the other."""
    norm = DualBatchNormalization()
    net = keras.Sequential(
        [keras.Input([12, 12, 3]), norm, keras.layers.Flatten(), keras.layers.Dense(4)]
    )
    model = methods.AugMax(net, one_clean_batch=together, **darker())
    labels = tf.constant(LABELS)
    views = model.views(tf.constant(photos()), labels)
    model.terms(views, labels)
    clean, augmented, adversarial = (
        np.mean(views[name], axis=(0, 1, 2)) for name in ("clean", "augmented", "adversarial")
    )
    seen = 0.1 * (clean + augmented) / 2 if together else 0.9 * 0.1 * augmented + 0.1 * clean
    np.testing.assert_allclose(norm.clean.moving_mean, seen, atol=1e-6)
    np.testing.assert_allclose(norm.auxiliary.moving_mean, 0.1 * adversarial, atol=1e-6)


@pytest.mark.parametrize("dual_norms", [True, False])
def test_the_attack_looks_at_the_route_of_its_images(dual_norms):
    net = dual_net("dubn")
    net.layers[2].auxiliary.gamma.assign(-tf.ones([6]))
    model = methods.AugMax(net, dual_norms=dual_norms, **darker())
    found = model.views(tf.constant(photos()), tf.constant(LABELS))["adversarial"]
    expected = {}
    for name in ("clean", "auxiliary"):
        with route(name):
            expected[name] = attacks.FGSM(0.1).perturb(net, photos(), LABELS).numpy()
    assert not np.allclose(*expected.values())
    np.testing.assert_array_equal(found, expected["auxiliary" if dual_norms else "clean"])


@pytest.mark.parametrize("norm", slow_unless(["dubin"], NORMS))
def test_every_norm_trains(norm):
    """The ablation of Table 8; dual norms are trained on both routes if they are used."""
    net = dual_net(norm, dropout=0.5)
    dual = norm.startswith("du")
    model = methods.AugMax(net, dual_norms=dual, **darker())
    before = [w.copy() for w in net.get_weights()]
    model.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
    history = model.fit(photos(), LABELS, batch_size=3, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    for old, weight in zip(before, net.weights):
        assert not np.array_equal(old, weight.numpy()), weight.name


def test_net_without_dual_norms_is_refused(make_net):
    for method in METHODS:
        with pytest.raises(ValueError, match=r"dual norms; received .*norm='dubin'.*convert_norms"):
            method(make_net())
    inner = dual_net("dubin")
    nested = keras.Sequential([keras.Input([12, 12, 3]), inner])
    assert methods.AugMax(nested).dual_norms  # found inside nested nets and DuBIN
    methods.AugMax(make_net(), dual_norms=False)


# Steps -------------------------------------------------------------------------------------


def trained(model, epochs=1, images=None):
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), run_eagerly=True)
    images = photos() if images is None else images
    fit = {"batch_size": 3, "shuffle": False, "verbose": 0}
    model.fit(images, LABELS[: len(images)], epochs=epochs, **fit)
    return [np.array(w) for w in model.net.get_weights()]


@pytest.mark.parametrize(
    "settings, stop",
    [
        ({"jsd_weight": 10.0, "adversarial_weight": 0.5}, "image"),  # the paper's
        pytest.param(  # the released code's
            {"jsd_weight": 12.0, "adversarial_weight": 0.0}, "batch", marks=pytest.mark.slow
        ),
        pytest.param({"jsd_weight": 0.0, "adversarial_weight": 1.0}, None, marks=pytest.mark.slow),
    ],
)
def test_one_step_of_augmax_in_numpy(settings, stop):
    """Chains and start are redrawn; the search and the step are computed in float64."""
    net, images = linear_model(), photos()
    kernel, bias = (w.astype("float64") for w in net.get_weights())
    labels = linear_net.logits(images, kernel, bias).argmax(axis=1)
    labels[:2] = (labels[:2] + 1) % 4
    attack = attacks.AugMaxAttack(augment.AugMix(10), steps=4, stop=stop, seed=5)
    view = augment.AugMix(10, seed=6)
    seed = sampling.seed_pair(5, 0)
    chains = attack.augmix.chains(
        images, attack.augmix.draw(images, sampling.fold_in(seed, "chains"))
    ).numpy()
    start = [v.numpy() for v in attack.start(6, sampling.fold_in(seed, "start"))]
    share, scores, _ = reference.ascend(
        images, chains, labels, *start, kernel, bias, steps=4, stop=stop
    )
    worst = np.stack([reference.mix(*one) for one in zip(images, chains, share, scores)])
    augmented = augment.AugMix(10, seed=6)(images, training=True).numpy()

    views = [images, augmented, worst]
    logits = [linear_net.logits(view, kernel, bias) for view in views]
    consistency = reference.jensen_shannon_gradients(*logits)
    upstream = [settings["jsd_weight"] * one for one in consistency]
    shares = np.eye(4)[labels]
    for place, weight in (
        (0, 1 - settings["adversarial_weight"]),
        (2, settings["adversarial_weight"]),
    ):
        upstream[place] += weight * linear_net.cross_entropy_gradient(logits[place], shares)
    expected = linear_net.updated(kernel, bias, 0.1, list(zip(views, upstream)))

    model = methods.AugMax(net, attack=attack, augment=view, dual_norms=False, **settings)
    model.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
    model.fit(images, labels, batch_size=6, shuffle=False, verbose=0)
    for found, wanted in zip(net.get_weights(), expected):
        np.testing.assert_allclose(found, wanted, atol=2e-5)
    assert np.abs(expected[0] - kernel).max() > 0.01


def test_gradients_of_the_reference():
    """The derivative of the divergence that is written out there, against differences."""
    logits = np.random.default_rng(0).standard_normal([3, 5, 4])
    found = reference.jensen_shannon_gradients(*logits)
    for place in np.ndindex(logits.shape):
        step = np.zeros(logits.shape)
        step[place] = 1e-5
        above, below = (divergence.jensen_shannon(*(logits + s)).sum() for s in (step, -step))
        assert found[place[0]][place[1:]] == pytest.approx((above - below) / 2e-5, abs=1e-8)


def test_without_its_terms_equals_the_baseline(make_net, images, labels):
    weights = []
    nothing = {"jsd_weight": 0, "adversarial_weight": 0, "dual_norms": False}
    for model in (methods.Baseline(make_net()), methods.AugMax(make_net(), **darker(nothing))):
        model.compile(keras.optimizers.SGD(0.1, momentum=0.9), run_eagerly=True)
        model.fit(images, labels, batch_size=4, epochs=2, shuffle=False, verbose=0)
        weights.append(model.net.get_weights())
    for a, b in zip(*weights):
        np.testing.assert_allclose(a, b, atol=1e-6)


@pytest.mark.filterwarnings("ignore:Gradients do not exist")  # of the route not taken
def test_without_its_terms_the_clean_route_is_the_baselines():
    """Moving statistics include x̃, and the auxiliary ones x*; everything else is equal."""
    nets = dual_net(), dual_net()
    start = [w.numpy() for w in nets[0].trainable_weights]
    trained(methods.Baseline(nets[0]), epochs=2)
    trained(methods.AugMax(nets[1], jsd_weight=0, adversarial_weight=0, **darker()), epochs=2)
    pairs = list(zip(nets[0].trainable_weights, nets[1].trainable_weights))
    for a, b in pairs:
        np.testing.assert_allclose(a.numpy(), b.numpy(), atol=1e-5)
    changed = [not np.array_equal(a.numpy(), old) for (a, _), old in zip(pairs, start)]
    assert sum(changed) == len(changed) - 2  # scale and offset of the auxiliary norm


def test_batch_of_one_and_uneven_batches():
    model = methods.AugMax(
        dual_net(), attack=attacks.AugMaxAttack(augment.AugMix(width=1, depth=1), steps=2)
    )
    assert np.isfinite(
        np.concatenate([w.ravel() for w in trained(model, images=photos()[:4])])
    ).all()
    assert np.isfinite(model.history.history["loss"]).all()


# Settings ----------------------------------------------------------------------------------


def test_config_round_trip():
    settings = {"jsd_weight": 1.0, "adversarial_weight": 0.0, "one_clean_batch": True, "seed": 3}
    model = methods.AugMax(dual_net(), **settings)
    again = methods.AugMax.from_config(model.get_config())
    assert again.get_config() == model.get_config()
    assert {name: getattr(again, name) for name in settings} == settings
    assert type(again.attack) is type(model.attack) and again.attack is not model.attack


@pytest.mark.parametrize(
    "settings, error, words",
    [
        ({"jsd_weight": -1}, ValueError, r"jsd_weight must be a number in .*received -1"),
        ({"adversarial_weight": 1.5}, ValueError, r"adversarial_weight must be .*received 1.5"),
        ({"attack": augment.Flip()}, TypeError, r"attack must be an attack.*received Flip"),
        ({"augment": 0.1}, TypeError, r"augment must be an augmentation layer.*received float"),
        ({"augment": augment.Mixup()}, ValueError, r"labels true; received Mixup"),
        ({"seed": -1}, ValueError, r"seed must be .*received -1"),
    ],
)
def test_bad_settings(settings, error, words):
    with pytest.raises(error, match=words):
        methods.AugMax(dual_net(), **settings)
