"""VGG-16."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfrobust.layers import norms
from tfrobust.nets.vgg import IMAGENET_MEAN, vgg_16

FILTERS = (4, 4, 6, 6, 8)
DEPTHS = (2, 2, 3, 3, 3)

# The same net with few channels, for 10 classes: both heads, without and with norm.
SMALL = {
    "wide": functools.partial(vgg_16, filters=FILTERS, hidden=12),
    "plain": functools.partial(vgg_16, filters=FILTERS, head="plain"),
    "norm": functools.partial(vgg_16, filters=FILTERS, head="plain", norm="bn"),
}


@pytest.fixture(params=["wide", "norm"])
def kind(request):
    return request.param


@pytest.fixture
def images():
    return np.random.default_rng(0).random([8, 32, 32, 3], "float32")


def parameters(net):
    counts = (net.trainable_weights, net.non_trainable_weights)
    return tuple(sum(int(np.prod(weight.shape)) for weight in weights) for weights in counts)


def dense_parameters(*units):
    return sum((a + 1) * b for a, b in zip(units, units[1:]))


# The thirteen kernels have 14,710,464 numbers, their biases 4,224; 138,357,544 is the number that
# is published for ImageNet (torchvision, Keras).
@pytest.mark.parametrize(
    ("options", "trainable", "fixed"),
    [
        (
            {"input_shape": (224, 224, 3), "classes": 1000},
            138_357_544,
            0,
        ),
        ({}, 14_714_688 + dense_parameters(512, 4096, 4096, 10), 0),
        (
            {"head": "plain", "norm": "bn"},
            14_710_464 + 2 * 4_224 + dense_parameters(512, 10),
            2 * 4_224,
        ),
    ],
)
def test_parameter_counts(options, trainable, fixed):
    assert parameters(vgg_16(**options)) == (trainable, fixed)


def test_stages_end_at_the_mixing_points():
    net = SMALL["wide"]((64, 96, 3))
    shapes = [tuple(net.get_layer(f"mixing_point_{i}").output.shape[1:]) for i in range(6)]
    assert shapes == [(64, 96, 3), (32, 48, 4), (16, 24, 4), (8, 12, 6), (4, 6, 6), (2, 3, 8)]
    assert net.get_layer("features").output.shape[1] == 12


@pytest.mark.parametrize(("head", "relus"), [("wide", 15), ("plain", 13)])
def test_relus_are_those_of_the_fma_loss(head, relus):
    net = vgg_16(filters=FILTERS, hidden=4, head=head)
    assert sum(isinstance(layer, keras.layers.ReLU) for layer in net.layers) == relus
    dropped = [layer.rate for layer in net.layers if isinstance(layer, keras.layers.Dropout)]
    assert dropped == ([0.5, 0.5] if head == "wide" else [])


def test_pixels_are_on_the_scale_of_the_checkpoint():
    """White is 255 less the mean colour, black less the mean."""
    net = SMALL["plain"]()
    pixels = keras.Model(net.input, net.get_layer("normalization").output)
    white = pixels(tf.ones([1, 32, 32, 3]))[0, 0, 0]
    np.testing.assert_allclose(white, [131.32, 138.221, 151.061], rtol=1e-6)
    np.testing.assert_allclose(
        pixels(tf.zeros([1, 32, 32, 3]))[0, 0, 0], np.negative(IMAGENET_MEAN), rtol=1e-6
    )
    grey = SMALL["plain"]((32, 32, 1))
    pixels = keras.Model(grey.input, grey.get_layer("normalization").output)
    np.testing.assert_allclose(
        pixels(tf.zeros([1, 32, 32, 1]))[0, 0, 0], [-np.mean(IMAGENET_MEAN)], rtol=1e-6
    )


def reference(net, images, head, norm):
    """Inference in NumPy, float64."""

    def weights(name):
        return [w.astype("float64") for w in net.get_layer(name).get_weights()]

    x = images.astype("float64") * 255 - np.asarray(IMAGENET_MEAN)
    for stage, depth in enumerate(DEPTHS, start=1):
        for i in range(1, depth + 1):
            kernel, *bias = weights(f"stage{stage}_conv{i}")
            padded = np.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)])
            x = sum(
                padded[:, r : r + x.shape[1], c : c + x.shape[2]] @ kernel[r, c]
                for r in range(3)
                for c in range(3)
            )
            x = x + (bias[0] if bias else 0)
            if norm:
                gamma, beta, mean, variance = weights(f"stage{stage}_norm{i}")
                x = (x - mean) / np.sqrt(variance + 1e-5) * gamma + beta
            x = np.maximum(x, 0)
        height, width = x.shape[1] // 2 * 2, x.shape[2] // 2 * 2
        corners = [x[:, r:height:2, c:width:2] for r in (0, 1) for c in (0, 1)]
        x = np.max(corners, axis=0)
    if head == "wide":
        x = x.reshape([len(x), -1])
        for name in ("hidden1", "hidden2"):
            kernel, bias = weights(name)
            x = np.maximum(x @ kernel + bias, 0)
    else:
        x = x.mean(axis=(1, 2))
    kernel, bias = weights("logits")
    return x @ kernel + bias


@pytest.mark.parametrize("size", [(32, 32), (67, 40)])
def test_forward_pass_is_that_of_numpy(kind, size):
    random = np.random.default_rng(3)
    net = SMALL[kind]((*size, 3))
    for layer in net.layers:
        found = layer.get_weights()
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([random.uniform(0.5, 1.5, w.shape) for w in found])
        elif len(found) == 2:  # biases count
            layer.set_weights([found[0], random.normal(0, 3, found[1].shape)])
    images = random.random([2, *size, 3], "float32")
    expected = reference(net, images, "wide" if kind == "wide" else "plain", kind == "norm")
    assert expected.std() > 0.01
    np.testing.assert_allclose(net(images), expected, rtol=1e-4, atol=1e-4 * abs(expected).max())


def test_one_step_trains_every_weight(kind, images, labels):
    # Sixteen channels without norm: of four, all may be dead on eight images.
    net = {
        "wide": lambda: vgg_16(filters=(16,) * 5, hidden=32),
        "norm": SMALL["norm"],
    }[kind]()
    net.compile(
        keras.optimizers.SGD(1e-3),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        run_eagerly=True,
    )
    before, names = net.get_weights(), [weight.name for weight in net.weights]
    net.train_on_batch(images, labels)
    for name, old, new in zip(names, before, net.get_weights()):
        assert np.isfinite(new).all() and (old != new).any(), name


def test_saved_and_loaded_is_equal(kind, images, tmp_path):
    net = SMALL[kind]()
    net.save(tmp_path / "net.keras")
    again = keras.models.load_model(tmp_path / "net.keras")
    np.testing.assert_array_equal(again(images), net(images))


def test_compiled_by_xla_is_equal(kind, images):
    net = SMALL[kind]()
    expected = net(images).numpy()
    np.testing.assert_allclose(
        tf.function(net, jit_compile=True)(images),
        expected,
        atol=1e-4 * max(1, abs(expected).max()),
    )


def test_mixed_precision(kind, images):
    full = SMALL[kind]()
    before = keras.mixed_precision.global_policy()
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        net = SMALL[kind]()
    finally:
        keras.mixed_precision.set_global_policy(before)
    net.set_weights(full.get_weights())
    assert {layer.compute_dtype for layer in net.layers if layer.weights} == {"bfloat16"}
    assert {weight.numpy().dtype.name for weight in net.weights} == {"float32"}
    expected = full(images).numpy()
    logits = tf.cast(net(images), tf.float32).numpy()
    np.testing.assert_allclose(logits, expected, atol=0.1 * abs(expected).max())


@pytest.mark.parametrize("norm", [None, "bn", "dubin"])
def test_weight_decay_is_half_the_squares(norm):
    net = SMALL["wide"](norm=norm, weight_decay=0.01)
    assert len(net.losses) == len(net.trainable_weights)
    squares = sum(float(np.sum(np.square(weight.numpy()))) for weight in net.trainable_weights)
    np.testing.assert_allclose(sum(float(loss) for loss in net.losses), 0.005 * squares, rtol=1e-5)
    assert SMALL["wide"](norm=norm).losses == []


def test_places_of_instance_norm(monkeypatch):
    places, norm_layer = [], norms.norm_layer

    def spy(norm, *, mixed=False, name=None, **options):
        places.extend([name] if mixed else [])
        return norm_layer("bn", name=name, **options)

    monkeypatch.setattr(norms, "norm_layer", spy)
    SMALL["plain"](norm="dubin")
    assert places == [f"stage{stage}_norm1" for stage in (1, 2, 3, 4)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"input_shape": (32, 31, 3)}, "needs images of 32×32 pixels or more"),
        ({"input_shape": (None, 32, 3)}, "height in input_shape.*received None"),
        ({"input_shape": (32, 32, 0)}, "channels.*received 0"),
        ({"classes": 0}, "classes.*received 0"),
        ({"norm": "layer"}, "norm must be one of bn.*received 'layer'"),
        ({"head": "narrow"}, "head must be one of wide, plain; received 'narrow'"),
        ({"hidden": 0}, "hidden.*received 0"),
        ({"dropout": 1.0}, "dropout.*received 1.0"),
        ({"filters": (4, 4)}, "filters must be 5 numbers"),
        ({"weight_decay": -1}, "weight_decay.*received -1"),
        ({"mean": (0.5, 0.5)}, "mean must be one finite number"),
    ],
)
def test_what_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        vgg_16(**options)


def test_plain_head_takes_any_size(images):
    known, unknown = SMALL["plain"](), SMALL["plain"]((None, None, 3))
    unknown.set_weights(known.get_weights())
    np.testing.assert_array_equal(known(images), unknown(images))
