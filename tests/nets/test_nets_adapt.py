"""Adapted models compute what the originals do, from images in [0, 1], and can be given back."""

import subprocess
import sys
import types

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.parameters import slow_unless
from tfrobust import methods, saving
from tfrobust.layers.inner_layers import inner_layers
from tfrobust.layers.outputs import final_activation
from tfrobust.nets import adapt, convert_norms, find_input_range, restore, small_cnn
from tfrobust.nets.input_adapter import adapter_of

LAYERS = keras.layers
RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.random([6, 16, 16, 3], "float32")


def body(x):
    x = LAYERS.Conv2D(6, 3, padding="same", use_bias=False, name="stem")(x)
    x = LAYERS.BatchNormalization(name="stem_bn")(x)
    x = LAYERS.ReLU(6.0)(x)
    x = LAYERS.Add(name="sum")([x, LAYERS.DepthwiseConv2D(3, padding="same", name="deep")(x)])
    return LAYERS.GlobalAveragePooling2D(name="pool")(x)


def functional(dtype="float32", head="softmax"):
    inputs = keras.Input([16, 16, 3], name="pixels", dtype=dtype)
    x = LAYERS.Rescaling(1 / 128, offset=-127 / 128, name="rescaling")(inputs)
    return keras.Model(inputs, LAYERS.Dense(4, head, name="classes")(body(x)), name="mine")


def whole_numbers():
    return functional("uint8")


def sequential():
    layers = [
        LAYERS.Rescaling(1 / 127.5, offset=-1),
        LAYERS.Conv2D(4, 3, activation="relu"),
        LAYERS.Flatten(),
        LAYERS.Dense(4),
        LAYERS.Activation("softmax"),
    ]
    return keras.Sequential([keras.Input([16, 16, 3]), *layers], name="mine")


def nested():
    inputs = keras.Input([16, 16, 3])
    inner = keras.Model(inputs, body(inputs), name="backbone")
    scaled = LAYERS.Normalization(mean=[120, 115, 100], variance=[3400, 3300, 3500])
    layers = [scaled, inner, LAYERS.Dropout(0.5), LAYERS.Dense(4), LAYERS.Softmax(name="end")]
    return keras.Sequential([keras.Input([16, 16, 3]), *layers], name="mine")


def functions():
    inputs = keras.Input([16, 16, 3])
    x = body(inputs / 127.5 - 1.0)
    return keras.Model(inputs, keras.activations.softmax(LAYERS.Dense(4)(x)), name="mine")


def norm_first():
    inputs = keras.Input([16, 16, 3])
    norm = LAYERS.BatchNormalization()
    x = LAYERS.Flatten()(norm(inputs))
    model = keras.Model(inputs, LAYERS.Dense(4, "softmax")(x), name="mine")
    norm.set_weights([np.full(3, v, "float32") for v in (1, 0, 120, 3600)])
    return model


MODELS = [functional, whole_numbers, sequential, nested, functions, norm_first]


def names_of(model):
    return [(type(layer).__name__, layer.name) for layer in model.layers]


@pytest.mark.parametrize("build", slow_unless([whole_numbers, nested, functions], MODELS))
def test_what_goes_in_comes_out(build, tmp_path):
    model = build()
    pixels = np.rint(IMAGES * 255)
    if build is whole_numbers:
        pixels = pixels.astype("uint8")
    expected = np.asarray(model(pixels))
    net = adapt(model)
    assert net.input_shape == (None, 16, 16, 3) and net.inputs[0].dtype == "float32"
    assert adapter_of(net).input_range == "0_to_255"
    images = np.float32(np.rint(IMAGES * 255) / 255)
    np.testing.assert_allclose(tf.nn.softmax(net(images)), expected, atol=1e-5)
    saving.save_model(net, tmp_path / "net.keras")  # commands are processes of their own
    again = saving.load_model(tmp_path / "net.keras")
    given = restore(methods.Baseline(again))
    assert given.name == "mine" and isinstance(given, keras.Sequential) == (
        isinstance(model, keras.Sequential)
    )
    assert names_of(given) == names_of(model)
    if "keras_tensor" not in model.inputs[0].name:  # which Keras 3 counts
        assert given.inputs[0].name == model.inputs[0].name
    assert given.inputs[0].dtype == model.inputs[0].dtype
    np.testing.assert_allclose(given(pixels), expected, atol=1e-5)


def test_without_tfrobust(tmp_path):
    model = adapt(functional())
    net = convert_norms(model, "dubin", mixed=["stem_bn"])
    for weight in net.get_layer("mine").get_layer("stem_bn").weights:
        weight.assign(0.5 + RANDOM.random(weight.shape))
    expected = tf.nn.softmax(net(IMAGES)).numpy()
    restore(net).save(tmp_path / "plain.keras")
    np.savez(tmp_path / "data.npz", images=IMAGES * 255, expected=expected)
    code = (
        "import sys; sys.modules['tfrobust'] = None\n"
        "import keras, numpy as np\n"
        f"model = keras.models.load_model({str(tmp_path / 'plain.keras')!r})\n"
        f"data = np.load({str(tmp_path / 'data.npz')!r})\n"
        "np.testing.assert_allclose(model(data['images']), data['expected'], atol=1e-5)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("norm", ["dubn", "ibn", "dubin"])
def test_our_norms_become_those_of_keras(norm):
    net = convert_norms(functional(head=None), norm, mixed=["stem_bn"])
    for weight in net.get_layer("stem_bn").weights:
        weight.assign(0.5 + RANDOM.random(weight.shape))
    plain = restore(net)
    np.testing.assert_allclose(plain(IMAGES), net(IMAGES), atol=1e-5)
    modules = {type(layer).__module__ for layer in plain._flatten_layers()}
    assert not any(module.startswith("tfrobust") for module in modules)


def test_other_layers_of_ours_are_refused():
    from tfrobust import augment

    net = keras.Sequential([keras.Input([16, 16, 3]), augment.Flip(), LAYERS.Flatten()])
    with pytest.raises(ValueError, match=r"layer 'flip' .* cannot become a model of Keras alone"):
        restore(net)


def test_trained_weights_are_given_back():
    model = functional()
    net = adapt(model)
    net.get_layer("mine").get_layer("classes").bias.assign([1.0, 2.0, 3.0, 4.0])
    np.testing.assert_array_equal(restore(net).get_layer("classes").bias, [1, 2, 3, 4])


def test_flags_are_kept():
    model = functional()
    model.get_layer("stem").trainable = False
    net = adapt(model)
    assert not restore(net).get_layer("stem").trainable
    assert restore(net).get_layer("deep").trainable


def test_a_net_of_ours_stays_as_it_is():
    net = small_cnn()
    assert adapt(net) is net
    assert adapt(methods.Baseline(net)) is net
    adapted = adapt(functional())
    assert adapt(adapted) is adapted


def test_class_names_are_kept(tmp_path):
    net = adapt(small_cnn(classes=2), class_names=["cat", "dog"])
    saving.save_model(net, tmp_path / "net.keras")
    assert adapter_of(saving.load_model(tmp_path / "net.keras")).class_names == ("cat", "dog")


class Own(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.scale = LAYERS.Rescaling(1 / 255)
        self.flat = LAYERS.Flatten()
        self.dense = LAYERS.Dense(4, activation="softmax")

    def call(self, images):
        return self.dense(self.flat(self.scale(images)))


def test_subclassed():
    model = Own(name="mine")
    expected = model(IMAGES * 255)
    net = adapt(model)
    np.testing.assert_allclose(tf.nn.softmax(net(IMAGES)), expected, atol=1e-5)
    assert adapter_of(net).output_kind == "probabilities"
    assert restore(net) is model


def test_preprocessor_of_keras_hub():
    model = functional(head=None)
    inputs = keras.Input([None, None, 3])
    model = keras.Model(inputs, LAYERS.Dense(4)(body(inputs)), name="hub")
    converter = types.SimpleNamespace(
        scale=[1 / 58.4, 1 / 57.1, 1 / 57.4], offset=[-2.1, -2.0, -1.8], image_size=(16, 16)
    )
    model.preprocessor = types.SimpleNamespace(image_converter=converter)
    net = adapt(model)
    assert net.input_shape == (None, 16, 16, 3)
    expected = model(np.float32(IMAGES * 255 * converter.scale + converter.offset))
    np.testing.assert_allclose(net(IMAGES), expected, atol=1e-5)


class Told(LAYERS.Dense):
    """A layer whose configuration says more than it takes, as some of keras-hub."""

    def get_config(self):
        return {**super().get_config(), "told": 1}


@keras.saving.register_keras_serializable(package="tests")
class Backbone(keras.Model):
    """A functional model that alone knows how it is made again."""

    def __init__(self, width, **kwargs):
        inputs = keras.Input([16, 16, 3], name="inputs")
        x = LAYERS.BatchNormalization(name="norm")(LAYERS.Flatten(name="flat")(inputs))
        super().__init__(inputs, Told(width, name="told")(x), **kwargs)
        self.width = width

    def get_config(self):
        return {"width": self.width, "name": self.name}


def test_models_that_know_how_they_are_made_again():
    """Only the softmax is cut; weights and frozen layers inside are those of the original."""
    inputs = keras.Input([16, 16, 3])
    x = LAYERS.Rescaling(1 / 255)(inputs)
    model = keras.Model(inputs, LAYERS.Dense(4, "softmax", name="end")(Backbone(5, name="b")(x)))
    model.get_layer("b").get_layer("told").trainable = False
    net = adapt(model)
    expected = model(255 * IMAGES)
    np.testing.assert_allclose(tf.nn.softmax(net(IMAGES)), expected, atol=1e-6)
    (inner,) = [layer for layer in inner_layers(net) if layer.name == "b"]
    assert isinstance(inner, Backbone) and not inner.get_layer("told").trainable
    assert inner.get_layer("norm").trainable
    np.testing.assert_allclose(restore(net)(255 * IMAGES), expected, atol=1e-6)


def bars(count=160):
    """Images whose class is the bright quarter."""
    labels = np.arange(count) % 4
    images = RANDOM.random([count, 16, 16, 3], "float32") * 0.3
    for image, label in zip(images, labels):
        image[4 * label : 4 * label + 4] += 0.5
    return images, labels


def trained(scale, offset, norm):
    """A model without preprocessing that tells the quarters apart in its range alone."""
    images, _ = bars()
    inputs = keras.Input([16, 16, 3])
    x = LAYERS.Conv2D(3, 1, name="stem")(inputs)
    x = LAYERS.BatchNormalization(name="stem_bn")(x) if norm else x
    x = LAYERS.AveragePooling2D((4, 16))(x)
    model = keras.Model(inputs, LAYERS.Dense(4, name="out")(LAYERS.Flatten()(x)), name="bare")
    mean, std = images.mean() * scale + offset, images.std() * scale
    model.get_layer("stem").set_weights([np.eye(3)[None, None], np.zeros(3)])
    if norm:
        model.get_layer("stem_bn").set_weights(
            [np.full(3, value, "float32") for value in (1, 0, mean, std**2)]
        )
    kernel = np.repeat(np.eye(4), 3, axis=0)
    model.get_layer("out").set_weights([kernel, np.zeros(4)])
    return model


def test_range_from_the_first_batch_norm():
    images, _ = bars()
    for name, scale, offset in [("0_to_255", 255, 0), ("minus_1_to_1", 2, -1)]:
        found = find_input_range(trained(scale, offset, norm=True), images)
        assert found.name == name and "batch norm" in found.how


def test_range_from_labelled_images():
    images, labels = bars()
    model = trained(1, 0, norm=False)
    # A hinge that only pixels from 0 to 255 pass: all other ranges give the first class.
    model.get_layer("stem").set_weights([np.eye(3)[None, None], np.full(3, -130.0)])
    model.get_layer("stem").activation = keras.activations.relu
    model.get_layer("out").set_weights([np.repeat(np.eye(4), 3, axis=0), np.array([0.01, 0, 0, 0])])
    found = find_input_range(model, images, labels)
    assert found.name == "0_to_255" and "160 images right" in found.how


def test_no_clear_winner_is_an_error_with_the_table():
    images, labels = bars()
    model = trained(1, 0, norm=False)  # a linear model takes pixels of any range
    with pytest.raises(ValueError, match="--input-range") as raised:
        find_input_range(model, images, labels)
    for name in ("0_to_1", "0_to_255", "minus_1_to_1", "imagenet"):
        assert f"{name}: 100.0% of 160 images right" in str(raised.value)
    with pytest.raises(ValueError, match="no images to find it with"):
        find_input_range(model)
    assert adapter_of(adapt(model, input_range="imagenet")).input_range == "imagenet"


@pytest.mark.parametrize(
    ("layers", "name"),
    [
        ([(1 / 255, 0)], "0_to_255"),
        ([(1 / 127.5, -1)], "0_to_255"),
        ([(1.0, -120)], "0_to_255"),
        ([(2.0, -1.0)], "0_to_1"),
        ([(255.0, 0)], "0_to_1"),
        ([(255.0, 0), (1 / 128, -1)], "0_to_1"),
        ([(4.4, -2.1)], "0_to_1"),
        ([(0.5, 0.5)], "minus_1_to_1"),
        ([(127.5, 127.5)], "minus_1_to_1"),
        ([(1.0, 0.0)], None),
    ],
)
def test_range_from_preprocessing_layers(layers, name):
    from tfrobust.nets.input_range_search import range_of_layers

    inputs = x = keras.Input([None, None, 3])
    for scale, offset in layers:
        x = LAYERS.Rescaling(scale, offset)(x)
    x = LAYERS.Conv2D(2, 3)(LAYERS.ZeroPadding2D()(x))
    model = keras.Model(inputs, LAYERS.GlobalAveragePooling2D()(x))
    found = range_of_layers(model, (None, None, 3))
    assert (found and found.name) == name


def test_what_is_no_classifier_is_refused():
    inputs = keras.Input([16, 16, 3])
    two = keras.Model(inputs, [LAYERS.Flatten()(inputs), LAYERS.Flatten()(inputs)])
    with pytest.raises(ValueError, match="2 outputs"):
        adapt(two)
    with pytest.raises(ValueError, match="ends in sigmoid"):
        adapt(functional(head="sigmoid"))
    with pytest.raises(ValueError, match="input_range must be one of"):
        adapt(functional(), input_range="0-256")
    assert final_activation(adapt(functional()).get_layer("mine")) == "linear"
