"""`compile` and `fit` of a method mean what they mean for a Keras model, or are refused."""

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf

from tfrobust import methods, saving
from tfrobust.augment import GaussianNoise
from tfrobust.callbacks import RestoreBest
from tfrobust.compat.stack import KERAS_2

L = keras.layers
LOGITS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


@pytest.fixture
def data():
    random = np.random.default_rng(0)
    return random.random([12, 16, 16, 3], "float32"), np.arange(12) % 4


def net_of(regularizer=None):
    keras.utils.set_random_seed(0)
    layers = [L.Conv2D(4, 3, strides=4, activation="relu", activity_regularizer=regularizer)]
    layers += [L.Flatten(), L.Dense(4, kernel_regularizer=regularizer)]
    return keras.Sequential([keras.Input([16, 16, 3]), *layers])


def baseline(**compiled):
    model = methods.Baseline(net_of())
    model.compile("sgd", **{"metrics": ["accuracy"], "run_eagerly": True, **compiled})
    return model


def numbers(history):
    return {name: np.array(values) for name, values in history.history.items()}


# Losses and weights ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "weighted, how",
    [
        (False, {"run_eagerly": True}),
        (True, {"run_eagerly": True}),
        pytest.param(True, {"jit_compile": True}, marks=pytest.mark.slow),
    ],
)
def test_loss_and_val_loss_are_those_of_keras(data, weighted, how):
    """With regularisation, weights of images, and a last batch that is smaller."""
    weights = np.arange(12) / 4.0 if weighted else None
    held_out = data if weights is None else (*data, weights)
    found = []
    for model in (methods.Baseline(net_of("l2")), net_of("l2")):
        loss = {} if isinstance(model, methods.Baseline) else {"loss": LOGITS}
        model.compile(keras.optimizers.SGD(0.01), **loss, **how)
        fit = {"validation_data": held_out, "validation_batch_size": 5, "shuffle": False}
        fit |= {"batch_size": 5, "epochs": 2, "sample_weight": weights, "verbose": 0}
        found.append(numbers(model.fit(*data, **fit)))
    for name in ("loss", "val_loss"):
        np.testing.assert_allclose(found[0][name], found[1][name], rtol=1e-5)


def test_a_loss_may_have_a_column(data):
    """[B, 1] is one number per image; with weights it is not made [B, B]."""

    def column(labels, logits):
        labels = tf.reshape(labels, [-1])
        return keras.losses.sparse_categorical_crossentropy(labels, logits, from_logits=True)[
            :, None
        ]

    fit = {"sample_weight": np.arange(12.0), "batch_size": 12, "verbose": 0}
    found = [numbers(baseline(loss=one).fit(*data, **fit))["loss"] for one in (column, LOGITS)]
    np.testing.assert_allclose(*found, rtol=1e-6)


def own_crossentropy(labels, logits):
    return keras.losses.sparse_categorical_crossentropy(labels, logits, from_logits=True)


@pytest.mark.parametrize("loss", [[LOGITS], {"dense": LOGITS}, own_crossentropy, None, []])
def test_losses_that_are_taken(data, loss):
    """One in a list or dictionary, and functions of users, whatever their name."""
    found = numbers(baseline(loss=loss).fit(*data, batch_size=12, verbose=0))["loss"]
    expected = numbers(baseline().fit(*data, batch_size=12, verbose=0))["loss"]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize(
    "loss, said",
    [
        ("sparse_categorical_crossentropy", "must work on logits"),
        (keras.losses.sparse_categorical_crossentropy, "must work on logits"),
        (keras.losses.SparseCategoricalCrossentropy(), "must work on logits"),
        ("poisson", "must work on logits"),
        ("kl_divergence", "must work on logits"),
        (keras.losses.MeanSquaredError(), "must work on logits"),
        ([LOGITS, LOGITS], "one loss; received 2"),
        (
            keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="sum"),
            "a mean over the images .* reduction='sum'",
        ),
    ],
)
def test_losses_that_are_refused(loss, said):
    with pytest.raises(ValueError, match=said):
        baseline(loss=loss)


def test_a_loss_must_be_one_number_per_image(data):
    model = baseline(loss=lambda labels, logits: tf.reduce_mean(own_crossentropy(labels, logits)))
    with pytest.raises(ValueError, match=r"one number per image, \[B\]; received shape \(\)"):
        model.fit(*data, verbose=0)


def test_what_methods_do_not_take_of_compile():
    with pytest.raises(ValueError, match=r"received loss_weights=\[2.0\]"):
        baseline(loss=LOGITS, loss_weights=[2.0])
    with pytest.raises(ValueError, match="the name of a term; received 'cross_entropy'"):
        baseline(metrics=[keras.metrics.SparseCategoricalAccuracy(name="cross_entropy")])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_weights_of_images_must_be_finite(data, bad):
    weights = np.ones(12)
    weights[7] = bad
    with pytest.raises(ValueError, match="weights of training images must be finite"):
        baseline().fit(*data, sample_weight=weights, batch_size=4, verbose=0)
    with pytest.raises(ValueError, match=r"must be \[B\], one per image; received shape \(.*2\)"):
        baseline().fit(*data, sample_weight=np.ones([12, 2]), verbose=0)


def test_a_class_without_a_weight_has_1(data):
    fit = {"batch_size": 12, "verbose": 0}
    found = [
        numbers(baseline().fit(*data, class_weight=weights, **fit))["loss"]
        for weights in ({1: 2.0}, {0: 1.0, 1: 2.0, 2: 1.0, 3: 1.0})
    ]
    np.testing.assert_array_equal(*found)
    for weights in ({4: 1.0}, {0: -1.0}, {0: float("nan")}):
        with pytest.raises(ValueError, match="class_weight"):
            baseline().fit(*data, class_weight=weights, **fit)


# Names, callbacks, files -----------------------------------------------------------------


def test_names_of_what_evaluate_returns(data):
    model = baseline()
    model.fit(*data, verbose=0)
    named = dict(zip(model.metrics_names, model.evaluate(*data, verbose=0)))
    logs = model.evaluate(*data, verbose=0, return_dict=True)
    assert named["loss"] == pytest.approx(logs["loss"])
    assert list(named.values())[1] == pytest.approx(logs["accuracy"])


def test_best_epoch_of_those_that_are_validated(data):
    model, best = baseline(), RestoreBest("val_loss")
    fit = {"validation_data": data, "epochs": 4, "callbacks": [best], "verbose": 0}
    with pytest.warns(RuntimeWarning, match="nothing was validated after epoch 1"):
        losses = model.fit(*data, validation_freq=2, **fit).history["val_loss"]
    assert len(losses) == 2 and best.best_epoch == 2 * (1 + int(np.argmin(losses)))
    with pytest.warns(RuntimeWarning), pytest.raises(ValueError, match="needs 'val_loss'"):
        model.fit(*data, epochs=2, callbacks=[RestoreBest("val_loss")], verbose=0)


def test_own_objects_of_a_file(tmp_path):
    class Own(L.Dense):
        pass

    keras.utils.set_random_seed(0)
    net = keras.Sequential([keras.Input([4, 4, 3]), L.Flatten(), Own(4)])
    saving.save_model(methods.Baseline(net), tmp_path / "model.keras")
    loaded = saving.load_model(tmp_path / "model.keras", custom_objects={"Own": Own})
    images = np.ones([2, 4, 4, 3], "float32")
    np.testing.assert_array_equal(loaded(images), net(images))


def test_a_method_is_exported_as_its_net(data, tmp_path):
    images, _ = data
    model = baseline()
    model.fit(*data, verbose=0)
    model.export(str(tmp_path / "exported"))
    served = tf.saved_model.load(str(tmp_path / "exported"))
    np.testing.assert_allclose(served.serve(images), model.predict(images, verbose=0), atol=1e-5)


def test_a_method_that_was_never_called_is_saved_by_tensorflow(data, tmp_path):
    model = baseline()
    tf.saved_model.save(model, str(tmp_path / "saved"))
    loaded = tf.saved_model.load(str(tmp_path / "saved"))
    (logits,) = loaded.signatures["serving_default"](tf.constant(data[0])).values()
    np.testing.assert_allclose(logits, model.predict(data[0], verbose=0), atol=1e-5)


def test_a_method_is_converted_by_tflite(data):
    model = baseline()
    content = tf.lite.TFLiteConverter.from_keras_model(model).convert()
    interpreter = tf.lite.Interpreter(model_content=content)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], data[0][:1])
    interpreter.invoke()
    logits = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    np.testing.assert_allclose(logits, model.predict(data[0][:1], verbose=0), atol=1e-5)


@pytest.mark.parametrize("cls", [methods.Baseline, methods.StabilityTraining])
def test_weights_of_keras_3_are_read_by_both(cls, data, tmp_path):
    """Its files have the net under `layers`, the augmentation not, and no metrics."""
    augmented = {} if cls is methods.Baseline else {"augment": GaussianNoise(0.1)}
    first, second = (cls(net_of(), **augmented) for _ in range(2))
    first.net.set_weights([weight + 1 for weight in first.net.get_weights()])
    for weight in first.term_weights.values():
        weight.assign(0.25)
    first.views(data[0], data[1])  # draws
    first.save_weights(tmp_path / "given.weights.h5")
    if KERAS_2:
        with h5py.File(tmp_path / "given.weights.h5", "a") as file:
            del file["metrics"]
            if augmented:
                file.move("layers/gaussian_noise", "augment")
            file.move("net", "layers/the_net")
    second.load_weights(tmp_path / "given.weights.h5")
    for a, b in zip(first.get_weights(), second.get_weights()):
        np.testing.assert_array_equal(a, b)


def test_channels_first_is_refused():
    keras.backend.set_image_data_format("channels_first")
    try:
        with pytest.raises(ValueError, match="received the global setting channels_first"):
            methods.Baseline(net_of())
    finally:
        keras.backend.set_image_data_format("channels_last")


@pytest.mark.skipif(KERAS_2, reason="Keras 2 sums over the devices first")
@pytest.mark.parametrize("changed", [{"clipnorm": 1.0}, {"gradient_accumulation_steps": 2}])
def test_gradients_that_keras_changes_before_they_are_summed(data, changed):
    strategy = tf.distribute.MirroredStrategy(["/cpu:0", "/cpu:1"])
    with strategy.scope():
        model = methods.Baseline(net_of())
        model.compile(keras.optimizers.SGD(0.1, **changed))
    with pytest.raises(ValueError, match=f"applies {next(iter(changed))} to the gradients"):
        model.fit(*data, verbose=0)


@pytest.mark.parametrize("call", ["train_on_batch", "test_on_batch", "predict_on_batch"])
def test_single_batches_are_refused_in_one_sentence(data, call):
    images, labels = data
    given = [255 * images] if call == "predict_on_batch" else [255 * images, labels]
    with pytest.raises(ValueError, match=r"^\w+ images must lie in \[0, 1\]; received values"):
        getattr(baseline(run_eagerly=False), call)(*given)
