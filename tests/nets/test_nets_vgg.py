"""VGG-16."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfrobust.nets.vgg import IMAGENET_MEAN, vgg_16

FILTERS = (4, 4, 6, 6, 8)
DEPTHS = (2, 2, 3, 3, 3)

# The same net with few channels, for 10 classes: both heads, without and with norm.
SMALL = {
    "wide": functools.partial(vgg_16, filters=FILTERS, hidden=12),
    "plain": functools.partial(vgg_16, filters=FILTERS, head="plain"),
    "norm": functools.partial(vgg_16, filters=FILTERS, head="plain", norm="bn"),
}


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
def test_parameter_counts(options, trainable, fixed, monkeypatch):
    def zeros(self, shape, dtype=None, **kwargs):
        return tf.zeros(shape, dtype or "float32")

    # Drawing 138 million numbers takes its time.
    monkeypatch.setattr(keras.initializers.VarianceScaling, "__call__", zeros)
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


@pytest.mark.parametrize("kind", ["wide", "norm"])
@pytest.mark.parametrize("size", [(32, 32), (67, 40)])
def test_forward_pass_matches_numpy(kind, size):
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


def test_weight_decay_is_half_the_sum_of_squares():
    net = SMALL["wide"](weight_decay=0.01)
    assert len(net.losses) == len(net.trainable_weights)
    squares = sum(float(np.sum(np.square(weight.numpy()))) for weight in net.trainable_weights)
    np.testing.assert_allclose(sum(float(loss) for loss in net.losses), 0.005 * squares, rtol=1e-5)


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
def test_rejected_inputs(options, message):
    with pytest.raises(ValueError, match=message):
        vgg_16(**options)


def test_plain_head_takes_any_size(images):
    known, unknown = SMALL["plain"](), SMALL["plain"]((None, None, 3))
    unknown.set_weights(known.get_weights())
    np.testing.assert_array_equal(known(images), unknown(images))
