"""What every registered method keeps."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfrobust import augment, saving, serving
from tfrobust.callbacks import AlternateAugmentations
from tfrobust.layers.norms import norm_layer
from tfrobust.layers.route import route
from tfrobust.recipes.training import build_method
from tfrobust.registries import METHODS

#: What a method needs on a net without norms and with few inputs.
SETTINGS = {
    "feature_contrastive": {"k": 64},
    "augmax": {"dual_norms": False},
    "augmix_pgdat": {"dual_norms": False},
    "advmix": {"dual_norms": False},
    "advmax": {"dual_norms": False},
}


#: What makes a method look at the same images under XLA: it draws other noise than TensorFlow's
#: kernels, and weights that differ in the last digit may order entries by utility in another way.
SAME_DRAWS = {
    "noisymix": {"additive": 0.0, "multiplicative": 0.0},
    "feature_contrastive": {"positive": "gaussian"},
}
#: Methods that make AugMix images of their own only if they are given the layer.
TAKING_AUGMIX = {"augmix_training", "augmix_pgdat"}

#: Methods that train on changed images only, so that the loss is not taken on those given.
CHANGING = {"noisymix", "feature_contrastive"}
#: Methods that draw numbers of their own, apart from augmentations: replicas draw others.
DRAWING = {"feature_contrastive", "noisymix", "augmax", "augmix_pgdat", "advmix", "advmax"}


def make_model(name, net, layer=None, eager=False, jit_compile=False, **settings):
    """A method with a deterministic augmentation, compiled.

    Eager where only a value counts: tracing a step takes longer than all the steps of these nets.
    """
    layer = layer or augment.Sequence([augment.Brightness(0.2), augment.GaussianBlur(0.8)])
    model = build_method(name, net, layer, {**SETTINGS.get(name, {}), **settings})
    optimizer = keras.optimizers.SGD(0.05, momentum=0.9)
    model.compile(optimizer, metrics=["accuracy"], run_eagerly=eager, jit_compile=jit_compile)
    return model


def weights_of(model):
    return [np.array(v) for v in model.net.get_weights()]


def assert_same(first, second, **tolerance):
    assert len(first) == len(second) > 0
    for a, b in zip(first, second):
        np.testing.assert_allclose(a, b, **tolerance)


@pytest.fixture(params=list(METHODS))
def name(request):
    return request.param


def test_every_term_and_the_loss_are_in_history(name, make_net, images, labels):
    model = make_model(name, make_net(), eager=True)
    history = model.fit(images, labels, epochs=2, batch_size=4, shuffle=False, verbose=0).history
    assert set(history) == {"loss", "accuracy", *model.term_weights}
    weighted = sum(
        float(tf.convert_to_tensor(model.term_weights[t])) * history[t][0]
        for t in model.term_weights
    )
    assert history["loss"][0] == pytest.approx(weighted, rel=1e-5)
    assert history["cross_entropy"][0] > 0.5  # four classes, untrained: about log 4


def test_evaluate_is_the_classification_loss_on_clean_images(name, make_net, images, labels):
    model = make_model(name, make_net(), eager=True)
    logs = model.evaluate(images, labels, batch_size=3, return_dict=True, verbose=0)
    logits = np.asarray(model.net(images), "float64")
    logits -= logits.max(axis=1, keepdims=True)
    expected = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(8), labels]
    assert logs["loss"] == pytest.approx(expected.mean(), rel=1e-5)
    assert set(logs) == {"loss", "accuracy"}


def test_labels_as_indices_or_one_hot(name, make_net, images, labels):
    losses = []
    for given in (labels, labels[:, None], np.eye(4, dtype="float32")[labels]):
        model = make_model(name, make_net(), eager=True)
        losses += model.fit(images, given, batch_size=8, verbose=0).history["loss"]
    assert losses == pytest.approx([losses[0]] * 3, rel=1e-5)


def test_sample_weight_zero_leaves_an_image_out(name, make_net, images, labels):
    weighted = make_model(name, make_net(), eager=True)
    if weighted.compares_images:
        pytest.skip("the images of a batch count for one another")
    share = np.array([1, 1, 1, 1, 0, 0, 0, 0], "float32")
    fit = {"batch_size": 8, "shuffle": False, "verbose": 0}
    weighted.fit(images, labels, sample_weight=2 * share, **fit)
    alone = make_model(name, make_net(), eager=True)
    alone.fit(images[:4], labels[:4], **fit)
    assert_same(weights_of(weighted), weights_of(alone), atol=1e-6)


def test_one_and_two_devices_give_the_same_loss_and_weights(name, make_net, images, labels):
    """Three steps; the last batch of the epoch does not divide evenly between the replicas."""
    results = {}
    # Without collectives: those of two strategies of a process may take each other's turn.
    mirrored = tf.distribute.MirroredStrategy(
        ["/cpu:0", "/cpu:1"], cross_device_ops=tf.distribute.ReductionToOneDevice()
    )
    for devices, strategy in ((1, tf.distribute.get_strategy()), (2, mirrored)):
        with strategy.scope():
            model = make_model(name, make_net(kernel_regularizer="l2"), eager=devices == 1)
        data = tf.data.Dataset.from_tensor_slices((images[:7], labels[:7])).batch(4)
        losses = [model.fit(data, epochs=1, verbose=0).history["loss"][0] for _ in range(2)]
        results[devices] = losses, weights_of(model)
    if name in DRAWING:
        np.testing.assert_allclose(results[1][0], results[2][0], rtol=0.5)
        return
    np.testing.assert_allclose(results[1][0], results[2][0], rtol=1e-4)
    assert_same(results[1][1], results[2][1], atol=1e-5)


def test_save_load_and_go_on(name, make_net, images, labels, tmp_path):
    """Training on after loading is bit for bit training on: optimizer, draws, term weights."""
    noise = augment.Sequence([augment.GaussianNoise(0.1), augment.SaltAndPepper(0.1)])
    straight = make_model(name, make_net(), noise)
    fit = {"batch_size": 4, "epochs": 1, "shuffle": False, "verbose": 0}
    straight.fit(images, labels, **fit)
    for weight in straight.term_weights.values():
        weight.assign(0.5)
    saving.save_model(straight, tmp_path / "model.keras")
    loaded = saving.load_model(tmp_path / "model.keras")
    assert type(loaded) is type(straight)
    np.testing.assert_array_equal(
        straight.predict(images, verbose=0), loaded.predict(images, verbose=0)
    )
    straight.fit(images, labels, **fit)
    loaded.fit(images, labels, **fit)
    assert_same(weights_of(straight), weights_of(loaded), rtol=0, atol=0)


@pytest.mark.filterwarnings("ignore:Gradients do not exist")  # of the route not taken
def test_net_with_dual_norms_is_fit_saved_and_exported(name, images, labels, tmp_path):
    """Methods that know of no routes train the clean one, and leave the other as it was."""
    layers = [keras.Input([16, 16, 3])]
    for i in (1, 2):
        layers += [keras.layers.Conv2D(4, 3, strides=2), norm_layer("dubin", mixed=i == 1)]
        layers += [keras.layers.ReLU()]
    net = keras.Sequential([*layers, keras.layers.Flatten(), keras.layers.Dense(4)])
    norms = [net.layers[1].batch_norm, net.layers[4]]
    other = [weight for norm in norms for weight in norm.auxiliary.weights]
    others, ids = [weight.numpy() for weight in other], {id(weight) for weight in other}
    fit = {"batch_size": 4, "epochs": 1, "shuffle": False, "verbose": 0}
    model = make_model(name, net, eager=True)
    before = weights_of(model)
    assert np.isfinite(model.fit(images, labels, **fit).history["loss"]).all()
    for weight, old, new in zip(net.weights, before, weights_of(model)):
        assert np.array_equal(old, new) == (id(weight) in ids), weight.name
    saving.save_model(model, tmp_path / "model.keras")
    loaded = saving.load_model(tmp_path / "model.keras")
    loaded.run_eagerly = True
    for one in (model, loaded):
        one.fit(images, labels, **fit)
    assert_same(weights_of(model), weights_of(loaded), rtol=0, atol=0)
    assert_same(others, [weight.numpy() for weight in other], rtol=0, atol=0)
    serving.export(loaded, tmp_path / "saved")
    served = tf.saved_model.load(str(tmp_path / "saved"))
    logits = served.signatures["serving_default"](images=tf.constant(images))["logits"]
    np.testing.assert_allclose(logits, net(images), atol=1e-5)
    with route("auxiliary"):
        assert not np.allclose(logits, net(images), atol=1e-2)


def test_config_round_trip(name, make_net):
    model = make_model(name, make_net())
    config = model.get_config()
    before = json.dumps(config, sort_keys=True)
    again = type(model).from_config(config)
    assert json.dumps(config, sort_keys=True) == before  # the caller's dictionary is not changed
    assert json.dumps(again.get_config(), sort_keys=True) == before


def test_export_serves_the_same_logits(name, make_net, images, labels, tmp_path):
    model = make_model(name, make_net(), eager=True)
    model.fit(images, labels, verbose=0)
    serving.export(model, tmp_path / "saved")
    served = tf.saved_model.load(str(tmp_path / "saved")).signatures["serving_default"]
    for batch in (images, images[:1]):
        outputs = served(images=tf.constant(batch))
        np.testing.assert_allclose(outputs["logits"], model.net(batch), atol=1e-5)
        np.testing.assert_allclose(tf.reduce_sum(outputs["probabilities"], axis=1), 1, atol=1e-5)


def test_nothing_is_traced_twice(name, make_net, images, labels):
    """Alternating augmentations and changed term weights must not trace the step again."""
    layer = augment.Alternating([augment.Brightness(0.1), augment.Brightness(-0.1)])
    model = make_model(name, make_net(), layer)
    traces, terms = [], model.terms
    model.terms = lambda views, labels: traces.append(1) or terms(views, labels)
    callbacks = [AlternateAugmentations()] if model.augment is not None else []
    data = tf.data.Dataset.from_tensor_slices((images, labels)).batch(4, drop_remainder=True)
    model.fit(data, epochs=3, callbacks=callbacks, verbose=0)
    first = len(traces)
    for weight in model.term_weights.values():
        weight.assign(0.3)
    model.fit(data, epochs=5, initial_epoch=3, callbacks=callbacks, verbose=0)
    assert len(traces) == first <= 2


def test_term_weights_are_read_at_every_step(name, make_net, images, labels):
    model = make_model(name, make_net(), eager=True)
    for weight in model.term_weights.values():
        weight.assign(0.0)
    before = weights_of(model)
    model.fit(images, labels, verbose=0)
    assert_same(before, weights_of(model), rtol=0, atol=0)


def test_views_send_no_gradient_to_the_weights(name, make_net, images, labels):
    model = make_model(name, make_net())
    with tf.GradientTape() as tape:
        views = model.views(tf.constant(images), tf.constant(labels))
        parts = [part for part in tf.nest.flatten(views) if part is not None]
        total = tf.add_n([tf.reduce_sum(tf.cast(part, tf.float32)) for part in parts])
    assert all(g is None for g in tape.gradient(total, model.trainable_variables))


def test_mixed_precision(name, images, labels):
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        inputs = keras.Input([16, 16, 3])
        x = keras.layers.Conv2D(4, 3, strides=4, activation="relu")(inputs)
        x = keras.layers.Dense(4, dtype="float32")(keras.layers.Flatten()(x))
        model = make_model(name, keras.Model(inputs, x))
        before = weights_of(model)
        history = model.fit(images, labels, epochs=3, verbose=0).history
    finally:
        keras.mixed_precision.set_global_policy("float32")
    assert np.isfinite(history["loss"]).all()
    assert any(np.abs(a - b).max() > 0 for a, b in zip(before, weights_of(model)))


@pytest.mark.parametrize(
    "change, error, words",
    [
        (lambda x, y: (x * 255, y), ValueError, "must lie in [0, 1]"),
        (lambda x, y: ((x * 255).astype("uint8"), y), TypeError, "uint8"),
        (lambda x, y: (np.where(x > 0.9, np.nan, x), y), ValueError, "must be finite"),
        (lambda x, y: (x[0], y[:1]), ValueError, "[batch, height, width, channels]"),
        (lambda x, y: (x[:0], y[:0]), ValueError, "empty"),
        (lambda x, y: (x, y + 1), ValueError, "from 0 to 3; received values from 1 to 4"),
        (lambda x, y: (x[:, :12], y), ValueError, "net's shape (16, 16, 3)"),
    ],
    ids=["0-255", "integer", "nan", "rank", "empty", "label", "size"],
)
def test_bad_data_is_refused_before_training(name, make_net, images, labels, change, error, words):
    model = make_model(name, make_net())
    x, y = change(images, labels)
    data = tf.data.Dataset.from_tensors((x, y)) if len(x) else tf.data.Dataset.range(0)
    for arguments in ((x, y), (data,)):
        with pytest.raises(error) as raised:
            model.fit(*arguments, verbose=0)
        assert words in str(raised.value)
        with pytest.raises(error, match="validation"):
            model.fit(images, labels, validation_data=arguments if y is None else (x, y), verbose=0)
    assert int(model.optimizer.iterations) == 0


def test_net_that_ends_in_softmax_is_refused(name, make_net):
    with pytest.raises(ValueError, match=r"must end in logits.*softmax"):
        make_model(name, make_net(activation="softmax"))


def test_loss_on_probabilities_is_refused(name, make_net, images, labels):
    model = make_model(name, make_net())
    model.compile("sgd", loss="sparse_categorical_crossentropy")
    with pytest.raises(ValueError, match="must work on logits"):
        model.fit(images, labels, verbose=0)


def test_loss_of_compile_is_used(name, make_net, images, labels):
    if name in CHANGING:
        pytest.skip("the loss is taken on changed images")
    model = make_model(name, make_net())
    smoothed = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.5)
    model.compile(keras.optimizers.SGD(0.0), loss=smoothed, run_eagerly=True)
    one_hot = np.eye(4, dtype="float32")[labels]
    history = model.fit(images, one_hot, batch_size=8, verbose=0).history
    expected = float(smoothed(one_hot, model.net(images)))
    assert history["cross_entropy"][0] == pytest.approx(expected, rel=1e-5)


def test_alternation_without_its_callback_is_refused(name, make_net, images, labels):
    layer = augment.Alternating([augment.Brightness(0.1), augment.Brightness(-0.1)])
    model = make_model(name, make_net(), layer)
    if model.augment is None:
        pytest.skip("this method takes no augmentation")
    with pytest.raises(ValueError, match="AlternateAugmentations"):
        model.fit(images, labels, verbose=0)


def steps(name, images, labels, strategy, jit_compile):
    """Two epochs of two steps, the second smaller, on a net with batch norm; and an evaluation."""
    with strategy.scope():
        keras.utils.set_random_seed(0)
        layers = [keras.layers.Conv2D(4, 3, strides=4, kernel_regularizer="l2")]
        layers += [keras.layers.BatchNormalization(), keras.layers.ReLU(), keras.layers.Flatten()]
        net = keras.Sequential([keras.Input([16, 16, 3]), *layers, keras.layers.Dense(4)])
        layer = augment.AugMix() if name in TAKING_AUGMIX else None
        settings = {"jit_compile": jit_compile, **SAME_DRAWS.get(name, {})}
        model = make_model(name, net, layer, **settings)
    assert model.jit_compile is jit_compile
    traces, terms = [], model.terms
    model.terms = lambda views, labels: traces.append(1) or terms(views, labels)
    data = tf.data.Dataset.from_tensor_slices((images[:7], labels[:7])).batch(4)
    logs, first = {}, None
    for _ in range(2):
        history = model.fit(data, validation_data=data, verbose=0).history
        logs = {key: [*logs.get(key, []), *values] for key, values in history.items()}
        first = first or len(traces)
    assert len(traces) == first
    return logs, weights_of(model)


def assert_compiled_is_plain(*given):
    (plain, weights), (compiled, compiled_weights) = (steps(*given, jit) for jit in (False, True))
    assert plain.keys() == compiled.keys()
    for key, values in plain.items():
        np.testing.assert_allclose(compiled[key], values, rtol=1e-4, atol=1e-5, err_msg=key)
    assert_same(compiled_weights, weights, atol=1e-5)


def test_compiled_by_xla_is_the_plain_step(name, images, labels):
    """AugMix and attacks that use it stay outside of what is compiled."""
    assert_compiled_is_plain(name, images, labels, tf.distribute.get_strategy())


@pytest.mark.parametrize(
    "name", ["baseline", "feature_map_augmentation", "noisymix", "augmix_pgdat"]
)
def test_compiled_by_xla_on_two_devices(name, images, labels):
    """Of the methods those that differ in how they run the net; compiling takes long."""
    strategy = tf.distribute.MirroredStrategy(
        ["/cpu:0", "/cpu:1"], cross_device_ops=tf.distribute.ReductionToOneDevice()
    )
    assert_compiled_is_plain(name, images, labels, strategy)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_loss_that_is_not_finite_stops_the_training(name, make_net, images, labels, jit_compile):
    model = make_model(name, make_net(), jit_compile=jit_compile)
    bias = model.net.layers[-1].bias
    bias.assign(np.full(bias.shape, np.nan))
    before = weights_of(model)
    with pytest.raises(FloatingPointError, match=r"\w+ is NaN or infinite in step 1"):
        model.fit(images, labels, batch_size=8, verbose=0)
    assert_same(before, weights_of(model), rtol=0, atol=0)
