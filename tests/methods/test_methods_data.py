"""What reaches a step is checked, whatever it comes from, and is read once."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.parameters import slow_unless
from tfrobust import augment, methods

IMAGES = np.random.default_rng(0).random([6, 8, 8, 3], "float32")
LABELS = np.array([0, 1, 2, 0, 1, 2])


class Batches(keras.utils.Sequence):
    """Batches of two by their number: a `Sequence` of Keras 2, a `PyDataset` of Keras 3."""

    def __init__(self, images, labels):
        super().__init__()
        self.images, self.labels = images, labels

    def __len__(self):
        return len(self.images) // 2

    def __getitem__(self, i):
        return self.images[2 * i : 2 * i + 2], self.labels[2 * i : 2 * i + 2]


def generated(images, labels):
    batches = Batches(images, labels)
    return (batches[i] for i in range(len(batches)))


def once(images, labels):
    """A data set whose elements come from a generator that cannot begin again."""
    batches = generated(images, labels)
    signature = (tf.TensorSpec([None, 8, 8, 3], tf.float32), tf.TensorSpec([None], tf.int64))
    return tf.data.Dataset.from_generator(lambda: batches, output_signature=signature)


CONTAINERS = {
    "arrays": lambda x, y: (x, y),
    "tf.data": lambda x, y: (tf.data.Dataset.from_tensor_slices((x, y)).batch(2),),
    "sequence": lambda x, y: (Batches(x, y),),
    "generator": lambda x, y: (generated(x, y),),
    "one-shot data set": lambda x, y: (once(x, y),),
}


WAYS = [(container, way) for container in CONTAINERS for way in ("fit", "evaluate", "predict")]
#: Each container and each way once.
QUICK_WAYS = [("arrays", "fit"), ("tf.data", "evaluate"), ("generator", "fit")]
QUICK_WAYS += [("one-shot data set", "fit"), ("sequence", "predict")]


def linear(**kwargs):
    net = keras.Sequential(
        [keras.Input([8, 8, 3]), keras.layers.Flatten(), keras.layers.Dense(3, **kwargs)]
    )
    model = methods.Baseline(net)
    model.compile(keras.optimizers.SGD(0.01))
    return model


def wrong_at_the_end(value):
    images = IMAGES.copy()
    images[-1, 0, 0, 0] = value
    return images


@pytest.mark.parametrize("container, way", slow_unless(QUICK_WAYS, WAYS, several=True))
@pytest.mark.parametrize(
    "images, said",
    [
        (255 * IMAGES, r"images must lie in \[0, 1\]; received values from .*divide 0-255"),
        (wrong_at_the_end(np.nan), "images must be finite; received 1 NaN"),
    ],
)
def test_images_out_of_range_are_refused(container, way, images, said):
    """In the first batch, and in any other."""
    model = linear()
    data = CONTAINERS[container](images.astype("float32"), LABELS)
    if way == "predict":
        data = data[:1]
    before = model.net.get_weights()
    fit = {"batch_size": 2} if container == "arrays" else {}
    with pytest.raises(ValueError, match=f"^(training|evaluation|prediction) {said}"):
        getattr(model, way)(*data, verbose=0, **fit)
    if container == "arrays" or "lie in" in said:
        for a, b in zip(model.net.get_weights(), before):
            np.testing.assert_array_equal(a, b)
    assert all(np.isfinite(w).all() for w in model.net.get_weights())


@pytest.mark.parametrize(
    "container, way",
    slow_unless(QUICK_WAYS[:4], [pair for pair in WAYS if pair[1] != "predict"], several=True),
)
def test_labels_out_of_range_are_refused(container, way):
    data = CONTAINERS[container](IMAGES, np.array([0, 1, 2, 0, 1, 3]))
    fit = {"batch_size": 2} if container == "arrays" else {}
    with pytest.raises(ValueError, match=r"labels must be class indices from 0 to 2; received"):
        getattr(linear(), way)(*data, verbose=0, **fit)


@pytest.mark.parametrize("container", ["tf.data", "sequence"])
def test_validation_data_are_refused_before_training(container):
    model = linear()
    held_out = CONTAINERS[container](255 * IMAGES, LABELS)[0]
    with pytest.raises(ValueError, match=r"^validation images must lie in \[0, 1\]"):
        model.fit(IMAGES, LABELS, validation_data=held_out, verbose=0)
    assert int(model.optimizer.iterations) == 0


@pytest.mark.parametrize("container", list(CONTAINERS))
def test_every_batch_is_trained_on_once(container):
    model = linear()
    fit = {"batch_size": 2} if container == "arrays" else {}
    model.fit(*CONTAINERS[container](IMAGES, LABELS), verbose=0, **fit)
    assert int(model.optimizer.iterations) == 3


@pytest.mark.parametrize(
    "container", slow_unless(["tf.data"], ["tf.data", "sequence", "generator"])
)
def test_float64_is_float32(container):
    """A step computes in float32; Keras converts arrays itself."""
    results = []
    for dtype in ("float32", "float64", "float16"):
        model = linear(kernel_initializer="ones")
        images = IMAGES.astype("float16").astype(dtype)
        model.fit(*CONTAINERS[container](images, LABELS), shuffle=False, verbose=0)
        results.append(model.net.get_weights()[0])
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])


@pytest.mark.parametrize(
    "make, said",
    [
        (lambda d: d.unbatch(), r"data set without batches: data.batch\(32\)"),
        (
            lambda d: d.map(lambda x, y: {"image": x, "label": y}),
            r"training data must give \(images, labels\); it gives a dict of image, label",
        ),
        (lambda d: d.map(lambda x, y: x), "it gives one part"),
        (
            lambda d: d.map(lambda x, y: (x, tf.as_string(y))),
            "labels must be class indices or probabilities; received dtype",
        ),
    ],
)
def test_elements_that_are_no_batches_of_images_and_labels(make, said):
    data = make(tf.data.Dataset.from_tensor_slices((IMAGES, LABELS)).batch(2))
    with pytest.raises((ValueError, TypeError), match=said) as raised:
        linear().fit(data, verbose=0)
    assert "\n" not in str(raised.value)


@pytest.mark.slow  # refused in eager steps too, see the tests of NoisyMix
def test_first_batch_is_large_enough():
    net = keras.Sequential([keras.Input([8, 8, 3]), keras.layers.Flatten(), keras.layers.Dense(3)])
    model = methods.NoisyMix(net, augment=augment.Brightness(0.1))
    model.compile("sgd")
    data = tf.data.Dataset.from_tensor_slices((IMAGES, LABELS)).batch(1)
    with pytest.raises(ValueError, match=r"^a batch must have 2 images .*received batches of 1$"):
        model.fit(data, verbose=0)


@pytest.mark.parametrize("shape", slow_unless([None], [[None] * 4, [None, None, 8, 3], None]))
def test_sizes_that_are_unknown_while_tracing(shape):
    """Their values are checked in the graph, and the step knows the net's size."""
    signature = (tf.TensorSpec(shape, tf.float32), tf.TensorSpec([None], tf.int64))

    def data(images):
        batches = Batches(images, LABELS)
        make = lambda: (batches[i] for i in range(3))  # noqa: E731
        return tf.data.Dataset.from_generator(make, output_signature=signature)

    net = keras.Sequential([keras.Input([8, 8, 3]), keras.layers.Flatten(), keras.layers.Dense(3)])
    model = methods.AugmentationTraining(net, augment=augment.Rotation())
    model.compile("sgd")
    model.fit(data(IMAGES), verbose=0)
    assert int(model.optimizer.iterations) == 3
    for images, said in ((255 * IMAGES, "must lie in"), (IMAGES[:, :6], "must fit the net")):
        with pytest.raises(ValueError, match=f"^training images {said}"):
            model.fit(data(images), verbose=0)
