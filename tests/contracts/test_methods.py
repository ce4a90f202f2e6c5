"""What every registered method keeps.

Tracing a step takes longer than all the steps of these nets. So a method is trained eagerly where
only a value counts, once for all contracts that look at the same training (`trained`), and traced
in one test. What XLA and several devices make of a step depends on how a method runs its net: one
method of a kind stands there for the others, which are looked at in the tests marked slow.
"""

import json
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.parameters import slow_unless
from tfrobust import attacks, augment, saving, serving
from tfrobust.callbacks import AlternateAugmentations
from tfrobust.layers import DualBatchNormalization, norm_layer
from tfrobust.layers.route import route
from tfrobust.methods import RobustModel
from tfrobust.methods.routed import RoutedModel
from tfrobust.recipes.method_parts import build_method
from tfrobust.registries import METHODS

#: Methods that differ in how they run the net, and behind each those that run it as it does.
KINDS = {
    "baseline": ["augmentation_training", "stability_training", "adversarial_training"],
    "feature_map_augmentation": [],  # looks at feature maps
    "feature_contrastive": [],  # looks at an embedding, inside a condition
    "noisymix": ["augmix_training"],  # changes feature maps, and compares three predictions
    "augmax": ["augmix_pgdat", "advmix", "advmax"],  # takes the routes of dual norms
}
#: Methods that are AugMax with another attack, as a test shows: AugMax stands for them.
LIKE_AUGMAX = set(KINDS["augmax"])
#: Methods that draw numbers of their own, so that replicas draw others; tests/methods looks at what
#: must not change on two devices.
DRAWING = ["feature_contrastive", "noisymix"]

#: What a method may define of what `RobustModel` has.
OWN = {"views", "terms", "get_config", "from_config", "smallest_batch"}
OWN |= {"compares_images", "compares_views"}

#: What makes a method look at the same images under XLA: it draws other noise than TensorFlow's
#: kernels, and weights that differ in the last digit may order entries by utility in another way.
SAME_DRAWS = {
    "noisymix": {"additive": 0.0, "multiplicative": 0.0},
    "feature_contrastive": {"positive": "gaussian"},
}
#: Methods that train on changed images only, so that the loss is not taken on those given.
CHANGING = {"noisymix", "feature_contrastive"}


def quick_attack(name):
    """The method's own attack with less to do."""
    attack = METHODS[name].default_attack(0)
    if isinstance(attack, attacks.PGD):
        return attacks.PGD(steps=2)
    augmix = augment.AugMix(width=2, depth=1)
    steps, draws = min(attack.steps, 2), min(attack.level_draws, 2)
    return attacks.AugMaxAttack(augmix, steps=steps, level_draws=draws)


def make_model(name, net, layer=None, eager=False, jit_compile=False, momentum=0.9, **settings):
    """A method for a net without dual norms and with few inputs, with an augmentation that does
    not draw, compiled."""
    layer = layer or augment.Sequence([augment.Brightness(0.2), augment.GaussianBlur(0.8)])
    if issubclass(METHODS[name], RoutedModel):
        settings = {"dual_norms": False, "attack": quick_attack(name), **settings}
    if name == "feature_contrastive":
        settings = {"k": 64, **settings}
    model = build_method(name, net, layer, settings)
    optimizer = keras.optimizers.SGD(0.05, momentum=momentum)
    model.compile(optimizer, metrics=["accuracy"], run_eagerly=eager, jit_compile=jit_compile)
    return model


def weights_of(model):
    return [np.array(v) for v in model.net.get_weights()]


def assert_same(first, second, **tolerance):
    assert len(first) == len(second) > 0
    for a, b in zip(first, second):
        np.testing.assert_allclose(a, b, **tolerance)


def with_points(net):
    """The net with an identity before it and one after its first layer, where NoisyMix mixes."""
    points = [keras.layers.Activation("linear", name=f"mixing_point_{i}") for i in (0, 1)]
    first, *others = net.layers
    return keras.Sequential(
        [keras.Input(net.input_shape[1:]), points[0], first, points[1], *others]
    )


def with_dual_norms(**kwargs):
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Conv2D(4, 3, strides=4, **kwargs), norm_layer("dubin", mixed=True)]
    layers += [keras.layers.ReLU(), keras.layers.Conv2D(4, 2), norm_layer("dubn")]
    layers += [keras.layers.ReLU(), keras.layers.Flatten(), keras.layers.Dense(4)]
    return with_points(keras.Sequential([keras.Input([16, 16, 3]), *layers]))


def one_or_two_devices(count):
    if count == 1:
        return tf.distribute.get_strategy()
    # Without collectives: those of two strategies of a process may take each other's turn.
    return tf.distribute.MirroredStrategy(
        ["/cpu:0", "/cpu:1"], cross_device_ops=tf.distribute.ReductionToOneDevice()
    )


def every_method(quick, but=()):
    """Parameters: all registered methods but some, of which some are quick."""
    return slow_unless(quick, [name for name in METHODS if name not in but])


@pytest.fixture(params=every_method(KINDS, but=LIKE_AUGMAX))
def name(request):
    return request.param


# Which methods stand for which -------------------------------------------------------------


def test_every_method_is_of_a_kind():
    """One that runs its net in a way of its own gets a line of its own."""
    named = [one for kind, others in KINDS.items() for one in (kind, *others)]
    assert sorted(named) == sorted(METHODS)


@pytest.mark.parametrize("name", KINDS)
def test_the_net_of_a_method_is_taken(name, make_net):
    first = make_model("baseline", with_points(make_net()))
    assert make_model(name, first).net is first.net


@pytest.mark.parametrize("name", METHODS)
def test_the_base_class_does_the_rest(name):
    """So what it does is tested on one method."""
    for cls in METHODS[name].__mro__:
        if cls is RobustModel:
            break
        taken = {one for one in vars(cls) if hasattr(RobustModel, one)}
        assert {one for one in taken if one == "__call__" or one[:2] != "__"} <= OWN, cls


@pytest.mark.parametrize("name", sorted(LIKE_AUGMAX))
def test_methods_like_augmax_differ_by_their_attack(name):
    """So what they share is tested on AugMax."""
    for cls in (METHODS["augmax"], METHODS[name]):
        assert cls.__bases__ == (RoutedModel,)
        assert {one for one in vars(cls) if one[:2] != "__"} == {"default_attack"}


# One training for several contracts --------------------------------------------------------


class Trained:
    """Two epochs with an augmentation that draws, what the model is then, and one epoch more.

    On a net with dual norms, because all must hold for it too.
    """

    def __init__(self, name, images, labels, path):
        noise = augment.Sequence([augment.GaussianNoise(0.1), augment.SaltAndPepper(0.1)])
        self.model = make_model(name, with_dual_norms(), noise, eager=True)
        self.before = weights_of(self.model)
        self.history = self.go_on(self.model, images, labels, epochs=2)
        for weight in self.model.term_weights.values():
            weight.assign(0.5)
        self.logits = self.model.predict(images, verbose=0)
        self.path = path
        saving.save_model(self.model, path)
        self.go_on(self.model, images, labels)

    @staticmethod
    def go_on(model, images, labels, epochs=1):
        fit = {"batch_size": 4, "shuffle": False, "verbose": 0}
        return model.fit(images, labels, epochs=epochs, **fit).history


@pytest.fixture(scope="module")
def trainings():
    return {}


@pytest.fixture
def trained(name, trainings, images, labels, tmp_path_factory):
    """Read only: one for all tests of a method."""
    if name not in trainings:
        path = tmp_path_factory.mktemp(name) / "model.keras"
        with warnings.catch_warnings():
            # Of the weights of the route not taken.
            warnings.filterwarnings("ignore", "Gradients do not exist")
            trainings[name] = Trained(name, images, labels, path)
    return trainings[name]


def test_every_term_and_the_loss_are_in_history(trained):
    history, weights = trained.history, trained.model.own_term_weights
    assert set(history) == {"loss", "accuracy", *weights}
    weighted = sum(weight * history[term][0] for term, weight in weights.items())
    assert history["loss"][0] == pytest.approx(weighted, rel=1e-5)
    assert history["cross_entropy"][0] > 0.5  # four classes, untrained: about log 4


def test_evaluate_is_the_classification_loss_on_clean_images(trained, images, labels):
    logs = trained.model.evaluate(images, labels, batch_size=3, return_dict=True, verbose=0)
    logits = np.asarray(trained.model.net(images), "float64")
    logits -= logits.max(axis=1, keepdims=True)
    expected = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(8), labels]
    assert logs["loss"] == pytest.approx(expected.mean(), rel=1e-5)
    assert set(logs) == {"loss", "accuracy"}


@pytest.mark.parametrize("name", every_method(KINDS))  # each has settings of its own
@pytest.mark.filterwarnings("ignore:Gradients do not exist")  # of the route not taken
def test_save_load_and_go_on(trained, images, labels):
    """Training on after loading is bit for bit training on: optimizer, draws, term weights."""
    loaded = saving.load_model(trained.path)
    assert type(loaded) is type(trained.model)
    loaded.run_eagerly = True
    np.testing.assert_array_equal(loaded.predict(images, verbose=0), trained.logits)
    trained.go_on(loaded, images, labels)
    assert_same(weights_of(trained.model), weights_of(loaded), rtol=0, atol=0)


def test_dual_norms_are_trained_on_one_route(trained):
    """Methods that know of no routes train the clean one, and leave the other as it was."""
    net = trained.model.net
    norms = [layer for layer in net._flatten_layers() if isinstance(layer, DualBatchNormalization)]
    untouched = {id(weight) for norm in norms for weight in norm.auxiliary.weights}
    assert len(untouched) == 2 * 4
    for weight, old, new in zip(net.weights, trained.before, weights_of(trained.model)):
        assert np.array_equal(old, new) == (id(weight) in untouched), weight.name


@pytest.mark.parametrize("name", every_method(["augmax"], but=METHODS.keys() - KINDS.keys()))
def test_export_serves_the_same_logits(trained, images, tmp_path):
    """Those of the clean route."""
    serving.export(trained.model, tmp_path / "saved")
    served = tf.saved_model.load(str(tmp_path / "saved")).signatures["serving_default"]
    for batch in (images, images[:1]):
        outputs = served(images=tf.constant(batch))
        np.testing.assert_allclose(outputs["logits"], trained.model.net(batch), atol=1e-5)
        np.testing.assert_allclose(tf.reduce_sum(outputs["probabilities"], axis=1), 1, atol=1e-5)
    with route("auxiliary"):
        assert not np.allclose(outputs["logits"], trained.model.net(images[:1]), atol=1e-2)


# Trainings of their own --------------------------------------------------------------------


def test_labels_as_indices_or_one_hot(name, make_net, images, labels):
    losses = []
    for given in (labels, labels[:, None], np.eye(4, dtype="float32")[labels]):
        model = make_model(name, make_net(), eager=True)
        losses += model.fit(images[:4], given[:4], batch_size=4, verbose=0).history["loss"]
    assert losses == pytest.approx([losses[0]] * 3, rel=1e-5)


def test_terms_are_one_number_an_image(name, make_net, images, labels):
    """So each image can be weighted; it does not depend on the others, unless the class says so."""
    found = []
    for count in (4, 2):
        model = make_model(name, make_net())
        few = tf.constant(labels[:count])
        logits, terms = model.terms(model.views(tf.constant(images[:count]), few), few)
        assert logits.shape == [count, 4]
        assert {value.shape for value in terms.values()} == {(count,)}
        assert terms.keys() == model.term_weights.keys()
        found.append([logits, *terms.values()])
    if not model.compares_images:
        assert_same([values[:2] for values in found[0]], found[1], atol=1e-5)


def test_sample_weight_zero_leaves_an_image_out(make_net, images, labels):
    """The base class weights what the terms are, which are numbers of an image."""
    weighted, alone = (
        make_model("augmentation_training", make_net(), eager=True) for _ in range(2)
    )
    fit = {"batch_size": 4, "shuffle": False, "verbose": 0}
    share = np.array([1, 1, 0, 0], "float32")
    weighted.fit(images[:4], labels[:4], sample_weight=2 * share, **fit)
    alone.fit(images[:2], labels[:2], **fit)
    assert_same(weights_of(weighted), weights_of(alone), atol=1e-6)


#: The others are traced in the tests with XLA.
TRACED = ["baseline", "feature_map_augmentation", "feature_contrastive"]


@pytest.mark.parametrize("name", every_method(TRACED))
def test_nothing_is_traced_twice(name, make_net, images, labels):
    """The traced step is the eager one; neither augmentations that alternate nor term weights,
    which every step reads, trace it again."""
    layer = augment.Alternating([augment.Brightness(0.1), augment.Brightness(-0.1)])
    data = tf.data.Dataset.from_tensor_slices((images, labels)).batch(4, drop_remainder=True)
    models = []
    for eager in (True, False):
        net = with_points(make_net())
        model, traces = make_model(name, net, layer, eager=eager, momentum=0.0), []
        terms = model.terms
        model.terms = lambda *given, terms=terms, traces=traces: traces.append(1) or terms(*given)
        fit = {"callbacks": [AlternateAugmentations()] if model.augment is not None else []}
        model.fit(data, verbose=0, **fit)
        models.append(model)
    before = weights_of(model)
    assert_same(weights_of(models[0]), before, atol=1e-5)
    first = len(traces)
    for weight in model.term_weights.values():
        weight.assign(0.0)
    model.fit(data, epochs=3, initial_epoch=1, verbose=0, **fit)
    assert_same(before, weights_of(model), rtol=0, atol=0)
    for weight in model.term_weights.values():
        weight.assign(0.3)
    model.fit(data, epochs=5, initial_epoch=3, verbose=0, **fit)
    assert np.abs(weights_of(model)[0] - before[0]).max() > 1e-5
    assert len(traces) == first <= 2


@pytest.mark.parametrize("name", METHODS)
def test_config_round_trip(name, make_net):
    model = make_model(name, make_net())
    config = model.get_config()
    before = json.dumps(config, sort_keys=True)
    again = type(model).from_config(config)
    assert json.dumps(config, sort_keys=True) == before  # the caller's dictionary is not changed
    assert json.dumps(again.get_config(), sort_keys=True) == before


def test_views_send_no_gradient_to_the_weights(name, make_net, images, labels):
    model = make_model(name, make_net())
    with tf.GradientTape() as tape:
        views = model.views(tf.constant(images[:4]), tf.constant(labels[:4]))
        parts = [part for part in tf.nest.flatten(views) if part is not None]
        total = tf.add_n([tf.reduce_sum(tf.cast(part, tf.float32)) for part in parts])
    assert all(g is None for g in tape.gradient(total, model.trainable_variables))


@pytest.mark.parametrize(
    "name, eager",
    [
        *slow_unless(
            [(name, True) for name in KINDS],
            [(name, True) for name in METHODS if name not in LIKE_AUGMAX],
            several=True,
        ),
        ("baseline", False),
    ],
)
def test_mixed_precision(name, eager, images, labels):
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        inputs = keras.Input([16, 16, 3])
        x = keras.layers.Conv2D(4, 3, strides=4, activation="relu")(inputs)
        x = keras.layers.Dense(4, dtype="float32")(keras.layers.Flatten()(x))
        model = make_model(name, keras.Model(inputs, x), eager=eager)
        before = weights_of(model)
        history = model.fit(images[:4], labels[:4], epochs=2, verbose=0).history
    finally:
        keras.mixed_precision.set_global_policy("float32")
    assert np.isfinite(history["loss"]).all()
    assert any(np.abs(a - b).max() > 0 for a, b in zip(before, weights_of(model)))


def test_loss_of_compile_is_used(name, make_net, images, labels):
    if name in CHANGING:
        pytest.skip("the loss is taken on changed images")
    model = make_model(name, make_net())
    smoothed = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.5)
    model.compile(keras.optimizers.SGD(0.0), loss=smoothed, run_eagerly=True)
    images, one_hot = images[:4], np.eye(4, dtype="float32")[labels[:4]]
    history = model.fit(images, one_hot, batch_size=4, verbose=0).history
    expected = float(smoothed(one_hot, model.net(images)))
    assert history["cross_entropy"][0] == pytest.approx(expected, rel=1e-5)


# What is refused ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change, error, words",
    [
        (lambda x, y: (x * 255, y), ValueError, "must lie in [0, 1]"),
        (lambda x, y: ((x * 255).astype("uint8"), y), TypeError, "uint8"),
        (lambda x, y: (np.where(x > 0.9, np.nan, x), y), ValueError, "must be finite"),
        (lambda x, y: (x[0], y[:1]), ValueError, "[batch, height, width, channels]"),
        (lambda x, y: (x[:0], y[:0]), ValueError, "empty"),
        (lambda x, y: (x, y + 1), ValueError, "from 0 to 3; received values from 1 to 4"),
        (lambda x, y: (x[:, :12], y), ValueError, "fit the net, which takes [16, 16, 3]"),
    ],
    ids=["0-255", "integer", "nan", "rank", "empty", "label", "size"],
)
@pytest.mark.parametrize(
    "name", slow_unless(["augmentation_training"], ["baseline", "augmentation_training"])
)
def test_bad_data_is_refused_before_training(name, make_net, images, labels, change, error, words):
    """By the base class, with an augmentation and without."""
    model = make_model(name, make_net())
    x, y = change(images, labels)
    data = tf.data.Dataset.from_tensors((x, y)) if len(x) else tf.data.Dataset.range(0)
    for arguments, validation in (((x, y), (x, y)), ((data,), data)):
        with pytest.raises(error) as raised:
            model.fit(*arguments, verbose=0)
        assert words in str(raised.value)
        with pytest.raises(error, match="validation") as raised:
            model.fit(images, labels, validation_data=validation, verbose=0)
        assert words in str(raised.value)
    assert int(model.optimizer.iterations) == 0


def test_a_method_looks_at_its_data(name, make_net, images, labels):
    model = make_model(name, make_net())
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\]"):
        model.fit(images * 255, labels, verbose=0)


def test_net_that_ends_in_softmax_is_refused(name, make_net):
    with pytest.raises(ValueError, match=r"must end in logits.*softmax"):
        make_model(name, make_net(activation="softmax"))


def test_alternation_without_its_callback_is_refused(name, make_net, images, labels):
    layer = augment.Alternating([augment.Brightness(0.1), augment.Brightness(-0.1)])
    model = make_model(name, make_net(), layer)
    if model.augment is None:
        pytest.skip("this method takes no augmentation")
    with pytest.raises(ValueError, match="AlternateAugmentations"):
        model.fit(images, labels, verbose=0)


@pytest.mark.parametrize(
    "name, settings",
    [
        *slow_unless(
            [(name, {"eager": True}) for name in KINDS],
            [(name, {"eager": True}) for name in METHODS if name not in LIKE_AUGMAX],
            several=True,
        ),
        ("baseline", {}),
        ("baseline", {"jit_compile": True}),
    ],
)
def test_loss_that_is_not_finite_stops_the_training(name, settings, make_net, images, labels):
    model = make_model(name, make_net(), **settings)
    bias = model.net.layers[-1].bias
    bias.assign(np.full(bias.shape, np.nan))
    before = weights_of(model)
    with pytest.raises(FloatingPointError, match=r"\w+ is NaN or infinite in step 1"):
        model.fit(images[:4], labels[:4], batch_size=4, verbose=0)
    assert_same(before, weights_of(model), rtol=0, atol=0)


# Several devices, and XLA ------------------------------------------------------------------


@pytest.mark.parametrize("name", every_method(["baseline"], but=[*DRAWING, *LIKE_AUGMAX]))
def test_one_and_two_devices_give_the_same_loss_and_weights(name, make_net, images, labels):
    """Three steps; the last batch of the epoch does not divide evenly between the replicas."""
    results = []
    for devices in (1, 2):
        with one_or_two_devices(devices).scope():
            settings = {"attack": attacks.FGSM(0.1)} if name == "augmax" else {}
            net = make_net(kernel_regularizer="l2")
            model = make_model(name, net, eager=devices == 1, **settings)
        data = tf.data.Dataset.from_tensor_slices((images[:7], labels[:7])).batch(4)
        losses = [model.fit(data, epochs=1, verbose=0).history["loss"][0] for _ in range(2)]
        results.append((losses, weights_of(model)))
    (losses, weights), (losses_of_two, weights_of_two) = results
    np.testing.assert_allclose(losses_of_two, losses, rtol=1e-4)
    assert_same(weights_of_two, weights, atol=1e-5)


def steps(name, images, labels, devices, jit_compile, eager):
    """Two epochs of two steps on a net with norms, and an evaluation."""
    with one_or_two_devices(devices).scope():
        settings = dict(SAME_DRAWS.get(name, {}))
        if name == "augmax":
            settings = {"attack": attacks.FGSM(0.1), "dual_norms": True}
        layer = augment.AugMix() if name == "augmix_training" else None
        net = with_dual_norms(kernel_regularizer="l2")
        model = make_model(name, net, layer, eager=eager, jit_compile=jit_compile, **settings)
    assert model.jit_compile is jit_compile
    traces, terms = [], model.terms
    model.terms = lambda views, labels: traces.append(1) or terms(views, labels)
    data = tf.data.Dataset.from_tensor_slices((images, labels)).batch(4)
    logs, first = {}, None
    for _ in range(2):
        history = model.fit(data, validation_data=data, verbose=0).history
        logs = {key: [*logs.get(key, []), *values] for key, values in history.items()}
        first = first or len(traces)
    assert eager or len(traces) == first
    if devices == 2:
        # Moving variances are corrected by n / (n - 1), and n is what one replica sees.
        logs = {key: values for key, values in logs.items() if not key.startswith("val_")}
    return logs, model.net


def assert_same_steps(plain, compiled):
    (logs, net), (compiled_logs, compiled_net) = plain, compiled
    assert compiled_logs and logs.keys() >= compiled_logs.keys()
    same_moving_variances = logs.keys() == compiled_logs.keys()
    weights, compiled_weights = (
        [np.array(v) for v in (of.weights if same_moving_variances else of.trainable_weights)]
        for of in (net, compiled_net)
    )
    for key, values in compiled_logs.items():
        np.testing.assert_allclose(values, logs[key], rtol=1e-4, atol=1e-5, err_msg=key)
    assert_same(compiled_weights, weights, atol=1e-5)


@pytest.mark.filterwarnings("ignore:Gradients do not exist")  # of the route not taken
@pytest.mark.parametrize("name", every_method(["baseline"], but=METHODS.keys() - KINDS.keys()))
def test_compiled_by_xla_is_the_plain_step(name, images, labels):
    """The second batch is smaller. AugMix and attacks stay outside of what is compiled."""
    plain = steps(name, images[:7], labels[:7], 1, jit_compile=False, eager=True)
    compiled = steps(name, images[:7], labels[:7], 1, jit_compile=True, eager=False)
    assert_same_steps(plain, compiled)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Gradients do not exist")  # of the route not taken
def test_compiled_by_xla_on_two_devices(images, labels):
    """Both replicas have the same images, so that norms see what they see on one device."""
    both = [0, 1, 0, 1, 2, 3, 2, 3]
    name, images, labels = "feature_map_augmentation", images[both], labels[both]
    plain = steps(name, images, labels, 1, jit_compile=False, eager=True)
    compiled = steps(name, images, labels, 2, jit_compile=True, eager=False)
    assert_same_steps(plain, compiled)
