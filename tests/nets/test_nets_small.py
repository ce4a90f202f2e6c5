"""LeNet and the net for points of the plane."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfrobust.nets.lenet import lenet
from tfrobust.nets.mlp import mlp


# LeNet-5 with ten classes has 61,706 weights: 6·26 + 16·151 + 120·401 + 84·121 + 10·85.
@pytest.mark.parametrize(
    ("make", "options", "trainable", "fixed"),
    [
        (lenet, {"classes": 10}, 61_706, 0),
        (lenet, {}, 61_706 + 5 * 85, 0),
        (lenet, {"norm": "bn"}, 61_706 + 5 * 85 + 22, 44),
        (mlp, {}, 3 * 16 + 17 * 2, 0),
        (mlp, {"inputs": 3, "classes": 4, "hidden": (5, 7)}, 4 * 5 + 6 * 7 + 8 * 4, 0),
        (mlp, {"hidden": ()}, 6, 0),
    ],
)
def test_parameter_counts(make, options, trainable, fixed):
    net = make(**options)
    assert sum(int(np.prod(weight.shape)) for weight in net.trainable_weights) == trainable
    assert sum(int(np.prod(weight.shape)) for weight in net.non_trainable_weights) == fixed


def test_shapes():
    net = lenet()
    shapes = [tuple(net.get_layer(f"mixing_point_{i}").output.shape[1:]) for i in range(3)]
    assert shapes == [(28, 28, 1), (14, 14, 6), (5, 5, 16)]
    assert net.get_layer("features").output.shape[1] == 84
    assert net.output_shape == (None, 15)
    net = mlp(hidden=(5, 7))
    shapes = [tuple(net.get_layer(f"mixing_point_{i}").output.shape[1:]) for i in range(3)]
    assert shapes == [(2,), (5,), (7,)]


@pytest.mark.parametrize("size", [(28, 28), (12, 17)])
def test_lenet_matches_numpy(size):
    random = np.random.default_rng(2)
    net = lenet((*size, 2), mean=0.3, std=0.7)
    for layer in net.layers:
        if layer.weights:
            kernel, bias = layer.get_weights()
            layer.set_weights([kernel, random.normal(0, 0.2, bias.shape)])
    images = random.random([3, *size, 2], "float32")
    x = np.pad((images.astype("float64") - 0.3) / 0.7, [(0, 0), (2, 2), (2, 2), (0, 0)])
    for stage in (1, 2):
        kernel, bias = net.get_layer(f"stage{stage}_conv1").get_weights()
        windows = np.lib.stride_tricks.sliding_window_view(x, (5, 5), axis=(1, 2))
        x = np.maximum(np.einsum("bhwcij,ijcf->bhwf", windows, kernel) + bias, 0)
        height, width = x.shape[1] // 2 * 2, x.shape[2] // 2 * 2
        x = np.max([x[:, r:height:2, c:width:2] for r in (0, 1) for c in (0, 1)], axis=0)
    x = x.reshape([3, -1])
    for name in ("hidden1", "hidden2"):
        kernel, bias = net.get_layer(name).get_weights()
        x = np.maximum(x @ kernel + bias, 0)
    kernel, bias = net.get_layer("logits").get_weights()
    np.testing.assert_allclose(net(images), x @ kernel + bias, rtol=1e-4, atol=1e-5)


def test_mlp_by_hand():
    """Two units: relu(x + y − 1) and relu(x − y); logits: their sum, and twice the first."""
    net = mlp(hidden=(2,))
    weights = ([[1, 1], [1, -1]], [-1, 0], [[1, 2], [1, 0]], [0, 0.5])
    net.set_weights([np.asarray(w, "float32") for w in weights])
    points = np.array([[2, 1], [0, 0], [-1, 3]], "float32")
    np.testing.assert_allclose(net(points), [[3, 4.5], [0, 0.5], [1, 2.5]])


def test_mlp_keeps_what_registered_nets_keep(labels, tmp_path):
    """It is not registered, because it does not take images."""
    net, points = mlp(hidden=(8, 8)), np.random.default_rng(0).random([8, 2], "float32")
    net.save(tmp_path / "net.keras")
    logits = net(points).numpy()
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "net.keras")(points), logits)
    compiled = tf.function(net, jit_compile=True)
    np.testing.assert_allclose(compiled(points), logits, atol=1e-5)
    net.compile(
        keras.optimizers.SGD(0.1),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        run_eagerly=True,
    )
    before = net.get_weights()
    net.train_on_batch(points, labels % 2)
    for old, new in zip(before, net.get_weights()):
        assert np.isfinite(new).all() and (old != new).any()


@pytest.mark.parametrize("make", [lenet, mlp])
def test_weight_decay_is_half_the_sum_of_squares(make):
    net = make(weight_decay=0.01)
    assert len(net.losses) == len(net.trainable_weights)
    squares = sum(float(np.sum(np.square(weight.numpy()))) for weight in net.trainable_weights)
    np.testing.assert_allclose(sum(float(loss) for loss in net.losses), 0.005 * squares, rtol=1e-5)
    assert make().losses == []


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (lenet, {"input_shape": (28, 11, 1)}, "needs images of 12×12 pixels or more"),
        (lenet, {"input_shape": (28, None, 1)}, "width in input_shape.*received None"),
        (lenet, {"input_shape": (28, 28, 0)}, "channels.*received 0"),
        (lenet, {"classes": 0}, "classes.*received 0"),
        (lenet, {"norm": "layer"}, "norm must be one of bn.*received 'layer'"),
        (lenet, {"filters": (4,)}, "filters must be 2 numbers"),
        (lenet, {"hidden": ()}, "hidden must be one number or more"),
        (lenet, {"hidden": (4, 0)}, "hidden.*received 0"),
        (lenet, {"weight_decay": -1}, "weight_decay.*received -1"),
        (mlp, {"inputs": 0}, "inputs.*received 0"),
        (mlp, {"classes": 0}, "classes.*received 0"),
        (mlp, {"hidden": (0,)}, "hidden.*received 0"),
        (mlp, {"weight_decay": -1}, "weight_decay.*received -1"),
    ],
)
def test_rejected_inputs(make, options, message):
    with pytest.raises(ValueError, match=message):
        make(**options)


def test_lenet_at_its_smallest():
    images = np.random.default_rng(0).random([1, 12, 12, 1], "float32")
    assert np.isfinite(lenet((12, 12, 1))(images)).all()


def test_mlp_learns_a_ring():
    """A line classifies about 70% of a disc and the ring around it correctly."""
    random = np.random.default_rng(0)
    labels = np.arange(4000) % 2
    radius = np.where(labels, 0.5, 1.5) + random.normal(0, 0.1, 4000)
    angle = random.uniform(0, 2 * np.pi, 4000)
    points = np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1).astype("float32")
    net = mlp()
    net.compile(
        keras.optimizers.Adam(0.05),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    net.fit(points[:2000], labels[:2000], epochs=5, batch_size=50, verbose=0)
    assert net.evaluate(points[2000:], labels[2000:], verbose=0)[1] > 0.9
