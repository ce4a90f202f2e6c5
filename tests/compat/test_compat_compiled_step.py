"""Which parts of a step XLA compiles."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfrobust import augment, methods, saving


def compiled(net, jit_compile=True, layer=None, **settings):
    layer = augment.Brightness(-0.2) if layer is None else layer
    model = methods.AugmentationTraining(net, augment=layer)
    model.compile(keras.optimizers.SGD(0.1), jit_compile=jit_compile, **settings)
    return model


def is_compiled(model):
    """Whether XLA traces a method's terms and views: (terms, views)."""
    found = {}

    def watched(name):
        original = getattr(model, name)

        def look(*given):
            graph, found[name] = tf.compat.v1.get_default_graph(), False
            while graph is not None and not found[name]:
                found[name] = "forward_backward" in getattr(graph, "name", "")
                graph = getattr(graph, "outer_graph", None)
            return original(*given)

        return look

    model.terms, model.views = watched("terms"), watched("views")
    return found


@pytest.mark.parametrize(
    "make", [augment.GaussianNoise, pytest.param(augment.AugMix, marks=pytest.mark.slow)]
)
def test_terms_are_compiled_and_views_are_not(make, make_net, images, labels):
    """XLA could not compile the views: the groups of AugMix have sizes known only at run time."""
    model = compiled(make_net(), layer=make())
    found = is_compiled(model)
    model.fit(images, labels, verbose=0)
    assert found == {"terms": True, "views": False}


def test_batches_several_steps_weights_of_images_and_prediction(make_net, images, labels):
    """All kinds of steps give the same results as without XLA."""
    results = []
    for jit_compile in (False, True):
        way = {"jit_compile": jit_compile, "run_eagerly": not jit_compile}
        several = {"steps_per_execution": 2} if jit_compile else {}
        model = compiled(make_net(), **way, **several)
        weight = np.arange(8, dtype="float32")
        fit = {"batch_size": 2, "shuffle": False, "verbose": 0}
        loss = model.fit(images, labels, sample_weight=weight, **fit).history["loss"]
        model.compile(keras.optimizers.SGD(0.1), **way)
        loss += [np.ravel(model.train_on_batch(images[:n], labels[:n]))[0] for n in (8, 3)]
        loss += np.ravel(model.evaluate(images, labels, verbose=0)).tolist()
        predicted = model.predict(images, verbose=0)
        results.append([np.array(loss), predicted, *model.net.get_weights()])
    for plain, other in zip(*results):
        np.testing.assert_allclose(other, plain, rtol=1e-4, atol=1e-5)


def test_mixed_bfloat16(images, labels):
    """XLA rounds to 8 bits less often than the kernels, so the losses agree in two digits."""
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        losses = []
        for jit_compile in (False, True):
            keras.utils.set_random_seed(0)
            layers = [keras.layers.Conv2D(4, 3, strides=4, activation="relu")]
            layers += [keras.layers.Flatten(), keras.layers.Dense(4, dtype="float32")]
            net = keras.Sequential([keras.Input([16, 16, 3]), *layers])
            model = compiled(net, jit_compile, run_eagerly=not jit_compile)
            fit = {"batch_size": 8, "epochs": 3, "shuffle": False, "verbose": 0}
            losses.append(model.fit(images, labels, **fit).history["loss"])
    finally:
        keras.mixed_precision.set_global_policy("float32")
    np.testing.assert_allclose(losses[1], losses[0], rtol=0.03)
    assert losses[0][2] < losses[0][0]


def test_saved_and_loaded(make_net, images, labels, tmp_path):
    model = compiled(make_net())
    fit = {"batch_size": 8, "shuffle": False, "verbose": 0}
    model.fit(images, labels, **fit)
    saving.save_model(model, tmp_path / "model.keras")
    loaded = saving.load_model(tmp_path / "model.keras")
    assert loaded.jit_compile is True
    for one in (model, loaded):
        one.fit(images, labels, **fit)
    for a, b in zip(model.net.get_weights(), loaded.net.get_weights()):
        np.testing.assert_allclose(a, b, rtol=1e-6)


def test_eager_execution_is_not_compiled(make_net, images, labels):
    """Keras 2 refuses both, Keras 3 then compiles nothing; what is eager later is not compiled."""
    if keras.__version__.startswith("2."):
        with pytest.raises(ValueError, match="run_eagerly"):
            compiled(make_net(), run_eagerly=True)
    else:
        with pytest.warns(match="run_eagerly"):
            assert compiled(make_net(), run_eagerly=True).jit_compile is False
    model = compiled(make_net())
    model.run_eagerly = True
    found = is_compiled(model)
    assert np.isfinite(model.fit(images, labels, verbose=0).history["loss"]).all()
    assert found == {"terms": False, "views": False}


def test_compile_decides_anew(make_net, images, labels):
    model = compiled(make_net())
    model.fit(images, labels, verbose=0)
    model.compile("sgd")
    assert model.jit_compile is False
    found = is_compiled(model)
    model.fit(images, labels, verbose=0)
    assert found == {"terms": False, "views": False}


@pytest.mark.parametrize("devices", [1, 2])
@pytest.mark.parametrize(
    "make",
    [
        lambda: augment.GaussianNoise(0.1),
        lambda: keras.layers.BatchNormalization(synchronized=True),
        lambda: keras.Sequential([keras.Input([16, 16, 3]), augment.GaussianNoise(0.1)]),
    ],
    ids=["augmentation", "synchronised", "nested"],
)
def test_layers_of_all_devices_together_are_refused(make, images, labels, devices):
    strategy = tf.distribute.MirroredStrategy(
        [f"/cpu:{i}" for i in range(devices)],
        cross_device_ops=tf.distribute.ReductionToOneDevice(),
    )
    with strategy.scope():
        layers = [make(), keras.layers.Flatten(), keras.layers.Dense(4)]
        model = compiled(keras.Sequential([keras.Input([16, 16, 3]), *layers]))
    with pytest.raises(ValueError, match="XLA cannot compile a layer that all devices work on"):
        model.fit(images, labels, verbose=0)
    assert int(model.optimizer.iterations.numpy()) == 0


def test_xla_is_asked_for(make_net, images, labels, monkeypatch):
    """That a function is made for it is seen above; here, that TensorFlow is told to compile it."""
    asked, make = [], tf.function

    def watched(function=None, **settings):
        if "forward_backward" in getattr(function, "__name__", ""):  # Keras has some of its own
            asked.append(settings.get("jit_compile"))
        return make(function, **settings)

    monkeypatch.setattr(tf, "function", watched)
    for jit_compile in (True, False):
        asked.clear()
        compiled(make_net(), jit_compile=jit_compile).fit(images, labels, verbose=0)
        assert asked and all(asked) if jit_compile else not any(asked)
