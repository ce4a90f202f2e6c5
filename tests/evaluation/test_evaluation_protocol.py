"""No number before the images, the classes and the clean accuracy have been looked at."""

from __future__ import annotations

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfrobust import datasets
from tfrobust.augment import Brightness
from tfrobust.evaluation import RobustnessMonitor, benchmark, corrupted
from tfrobust.evaluation.protocol import DataHash

RANDOM = np.random.default_rng(0)
LABELS = np.arange(60) % 3
#: Class k is bright in channel k.
LEVELS = (
    RANDOM.integers(50, 100, [60, 32, 32, 3]) + 100 * np.eye(3, dtype=int)[LABELS][:, None, None]
)
IMAGES = np.float32(LEVELS) / np.float32(255)
PAIR = tf.data.Dataset.from_tensor_slices((IMAGES, LABELS))


def means(images):
    """A classifier that is right on all of `IMAGES`."""
    return tf.reduce_mean(images, axis=[1, 2])


def wanting(change):
    """A classifier that is right only on images that were prepared in another way.

    Its answer is the class of the closest prepared mean; on others it says class 0.
    """
    prepared = np.stack([change(IMAGES[k == LABELS]).mean(axis=(0, 1, 2)) for k in range(3)])

    def classify(images):
        given = tf.reduce_mean(images, axis=[1, 2])
        scale = float(np.abs(prepared).mean())
        distance = tf.reduce_sum(((given[:, None] - prepared[None]) / scale) ** 2, axis=2)
        near = tf.reduce_min(distance, axis=1, keepdims=True) < 0.05
        return tf.where(near, -distance, tf.constant([[9.0, 0.0, 0.0]]))

    return classify


def clean(model, data=(IMAGES, LABELS), **options):
    return benchmark(model, data, [], verbose=False, **options)[0]


def test_right_is_right():
    assert clean(means).value == 1.0


@pytest.mark.parametrize(
    "change, said",
    [
        (
            lambda x: x * 255,
            r"given images from 0 to 255 it gets 100\.0% of 60.*input_range='0_to_255'",
        ),
        (lambda x: x * 2 - 1, r"given images from -1 to 1.*--input-range minus_1_to_1"),
        (lambda x: (x - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225], "standardised by ImageNet"),
        (lambda x: x[..., ::-1] * 255 - [103.939, 116.779, 123.68], "blue, green, red"),
    ],
)
def test_near_chance_says_which_images_it_wants(change, said):
    with pytest.raises(ValueError, match=rf"must be above chance.*has 33\.3% on 60 images.*{said}"):
        clean(wanting(change))


def test_above_chance_says_which_images_would_be_better():
    """Most of the images are right as they are, and all if they are given as the model wants."""

    def model(images):
        largest = tf.reduce_max(images, axis=[1, 2, 3], keepdims=True)
        even = tf.round(images[:, 0, 0, :1] * 255) % 2 == 0
        misled = even & (largest[:, 0, 0] <= 1)
        return tf.where(misled, tf.constant([9.0, 0.0, 0.0]), means(images) / 255)

    with pytest.warns(RuntimeWarning) as caught:
        found = clean(model).value
    assert 0.5 < found < 0.9
    [said] = [str(one.message) for one in caught if one.category is RuntimeWarning]
    assert "model seems to expect images from 0 to 255: give input_range='0_to_255'" in said
    assert (
        f"of the first 60 images, if they are given\n  {found:6.1%}  from 0 to 1\n  100.0%" in said
    )
    assert clean(model, stop_at_chance=False).value == found  # without a word


def test_right_images_are_not_warned_of():
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        assert clean(means).value == 1.0


def shuffled(images):
    return tf.random.stateless_uniform([tf.shape(images)[0], 3], [1, 2])


def test_near_chance_without_a_cause():
    with pytest.raises(ValueError, match=r"chance is 33\.3%\); is it trained, are the labels"):
        clean(shuffled)
    assert clean(shuffled, stop_at_chance=False).value < 0.55


def test_always_the_same_class_is_stopped_although_it_is_often_right():
    labels = np.where(np.arange(60) < 54, 0, LABELS)
    with pytest.raises(ValueError, match="it always gives the same class"):
        clean(
            lambda images: tf.one_hot(tf.zeros([tf.shape(images)[0]], tf.int32), 3),
            (IMAGES, labels),
        )


def test_few_images_say_nothing_of_chance():
    assert clean(shuffled, (IMAGES[:19], LABELS[:19])).n == 19


def digits():
    return datasets.load("digits")


@pytest.mark.parametrize("outputs, said", [(7, "has 7"), (12, r"has 12 \(classes=\[...\] says")])
def test_wrong_class_count(outputs, said):
    def model(images):
        return tf.zeros([tf.shape(images)[0], outputs])

    with pytest.raises(ValueError, match=f"each of the 10 classes of the data; model {said}"):
        benchmark(model, digits(), corrupted(["fog"]), verbose=False)


def test_wrong_size():
    def model(images):
        return means(images)

    from tfrobust.evaluation import Predictor

    predictor = Predictor(model)
    predictor.image_shape = (48, None, 3)
    with pytest.raises(ValueError, match=r"takes \[48, None, 3\]; received \(32, 32, 3\)"):
        clean(predictor)


def test_outputs_that_are_not_finite():
    def model(images):
        logits = means(images)
        return tf.where(tf.reduce_mean(images) > 0.6, np.nan, logits)

    bright = IMAGES.copy()
    bright[30:] = 1.0
    data = tf.data.Dataset.from_tensor_slices((bright, LABELS)).batch(30)
    with pytest.raises(
        ValueError, match=r"must be finite; received NaN.* 30 of 30 images \(clean\)"
    ):
        clean(model, data)


def test_another_order_each_time():
    data = tf.data.Dataset.from_tensor_slices((IMAGES, LABELS)).shuffle(60, seed=1).batch(30)
    with pytest.raises(ValueError, match=r"same order each time it is read.*otherwise for fog 1"):
        benchmark(means, data, corrupted(["fog"], severities=[1]), verbose=False)


def test_data_without_labels():
    with pytest.raises(ValueError, match=r"must give .images, labels.; it gives one part"):
        clean(means, tf.data.Dataset.from_tensor_slices(IMAGES).batch(30))
    named = tf.data.Dataset.from_tensor_slices({"image": IMAGES, "label": LABELS}).batch(30)
    with pytest.raises(ValueError, match="it gives a dict of image, label"):
        clean(means, named)


class Batches(keras.utils.Sequence):
    """Batches that are read by their number, with weights, and lists for tuples."""

    def __len__(self):
        return 4

    def __getitem__(self, number):
        part = slice(16 * number, 16 * number + 16)
        return [IMAGES[part], LABELS[part], np.ones(60)[part]]


def test_data_of_every_kind():
    rows = clean(means), clean(means, (IMAGES, LABELS, np.ones(60))), clean(means, Batches())
    assert len({(row.value, row.n, row.protocol["data"]) for row in rows}) == 1
    pairs = [(IMAGES[:40], LABELS[:40]), (IMAGES[40:], LABELS[40:])]
    assert clean(means, pairs).protocol == rows[0].protocol
    some = RobustnessMonitor(Batches(), {"B": Brightness(0.1)}, images=32)
    some.set_model(keras.Sequential([keras.Input([32, 32, 3]), keras.layers.GlobalMaxPooling2D()]))
    some.on_train_begin()
    assert [row.n for row in some.rows] == [32, 32]


@pytest.mark.parametrize(
    "data, error, said",
    [
        (PAIR.batch(30).repeat(), ValueError, r"must end; received a data set that never does"),
        (PAIR.repeat().batch(30), ValueError, r"leave out repeat\(\).*take\("),
        (iter([(IMAGES, LABELS)]), TypeError, "or a pair of arrays; received list_iterator"),
        (IMAGES, TypeError, "or a pair of arrays; received ndarray"),
        ({"x": IMAGES}, TypeError, "received dict"),
    ],
)
def test_data_that_cannot_be_measured(data, error, said):
    with pytest.raises(error, match=said):
        clean(means, data)
    with pytest.raises(error, match=said):
        RobustnessMonitor(data)


def test_hash_of_the_data():
    def of(images, labels):
        made = DataHash()
        made.add(images, labels)
        return made.text

    first = of(IMAGES, LABELS)
    assert first == of(IMAGES + np.float32(1e-6), LABELS[:, None])  # rounding and form do not count
    assert first == of(IMAGES, np.eye(3)[LABELS])
    assert first != of(IMAGES[::-1], LABELS)
    assert first != of(IMAGES, (LABELS + 1) % 3)
    assert first != of(np.clip(IMAGES + 0.01, 0, 1), LABELS)
    split = DataHash()  # as the batches of a data set come
    for part in (slice(0, 13), slice(13, None)):
        split.add(IMAGES[part], LABELS[part])
    assert split.text == first == clean(means).protocol["data"]
    assert first == clean(means, (IMAGES, list(LABELS))).protocol["data"]


def test_the_classes_of_imagenet_r():
    """A net for the 1,000 classes of ImageNet, measured on the 200 of ImageNet-R."""
    chosen = datasets.IMAGENET_R_CLASSES
    labels = np.arange(60)

    def model(images):
        # The image's own class among the 200, and a larger logit for one that is not among them.
        place = tf.cast(tf.round(images[:, 0, 0, 0] * 255), tf.int32)
        return (
            tf.one_hot(tf.gather(chosen, place), 1000) * 5
            + tf.one_hot(tf.zeros_like(place), 1000) * 9
        )

    assert 0 not in chosen
    images = np.zeros([60, 8, 8, 3], "float32")
    images[:, 0, 0, 0] = labels / np.float32(255)
    row = benchmark(model, (images, labels), [], classes=chosen, verbose=False)[0]
    assert row.value == 1.0 and row.protocol["classes"] == 200
    assert row.protocol["outputs"] == list(chosen)
    with pytest.raises(ValueError, match="must be above chance"):
        benchmark(model, (images, labels), [], verbose=False)
