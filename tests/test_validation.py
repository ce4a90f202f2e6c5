"""Every message says what was wrong, what is allowed and what was received."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfrobust import validation

IMAGES = np.full([2, 4, 4, 3], 0.5, "float32")


def with_value(value):
    images = IMAGES.copy()
    images[1, 2, 3, 0] = value
    return images


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "bfloat16"])
def test_good_images(dtype):
    for value in (0, 1, -5e-4, 1 + 5e-4):  # interpolation overshoots by rounding
        images = tf.cast(with_value(value), dtype)
        validation.check_images(images)
        validation.check_images(images.numpy())
        validation.check_image_spec(images.shape, images.dtype)
    validation.check_image_spec(tf.TensorShape(None), tf.float32)
    validation.check_image_spec([None, None, None, 3], np.dtype("float32"))


@pytest.mark.parametrize(
    "images, error, said",
    [
        (with_value(np.nan), ValueError, "photos must be finite; received 1 NaN or infinite"),
        (with_value(-np.inf), ValueError, "finite; received 1 NaN or infinite"),
        (with_value(1.01), ValueError, r"lie in \[0, 1\]; received values from 0.5 to 1.01$"),
        (with_value(-0.01), ValueError, r"lie in \[0, 1\]; received values from -0.01 to 0.5$"),
        (with_value(200), ValueError, r"from 0.5 to 200 \(divide 0-255 images by 255\)"),
        (IMAGES[:0], ValueError, r"at least one image; received shape \(0, 4, 4, 3\)"),
        (IMAGES[:, :0], ValueError, r"at least one image; received shape \(2, 0, 4, 3\)"),
        (IMAGES[0], ValueError, r"\[batch, height, width, channels\]; received shape \(4, 4, 3\)"),
        (IMAGES[None], ValueError, r"received shape \(1, 2, 4, 4, 3\)"),
        (IMAGES.astype("uint8"), TypeError, r"floating.*received dtype uint8 .*/ 255"),
        (IMAGES.astype("int64"), TypeError, "received dtype int64"),
        (IMAGES > 0, TypeError, "received dtype bool"),
    ],
)
def test_bad_images(images, error, said):
    for form in (images, tf.constant(images)):
        with pytest.raises(error, match=f"^photos must .*{said.replace('photos must ', '')}"):
            validation.check_images(form, "photos")


@pytest.mark.parametrize(
    "labels, classes",
    [
        ([0, 9], 10),
        ([[0], [9]], 10),
        (np.array([0.0, 3.0]), 4),
        (np.array([0, 3], "uint8"), 4),
        (np.eye(4), 4),
        ([[0.25, 0.75], [1.0, 0.0]], 2),
        ([[0], [0]], 1),
        ([0], 1),
    ],
)
def test_good_labels(labels, classes):
    validation.check_labels(labels, classes)
    validation.check_labels(tf.constant(labels), classes)


@pytest.mark.parametrize(
    "labels, classes, said",
    [
        ([0, 10], 10, "class indices from 0 to 9; received values from 0 to 10"),
        ([-1, 2], 10, "class indices from 0 to 9; received values from -1 to 2"),
        ([0.5, 1], 10, "whole class indices; received float64 fractions"),
        ([float("nan")], 10, "whole class indices"),
        ([], 10, "at least one label"),
        (np.zeros([0, 1], int), 10, "at least one label"),
        (np.eye(3), 4, r"\[batch, 4\] .*; received shape \(3, 3\)"),
        (3, 4, r"received shape \(\)"),
        (np.zeros([2, 2, 2]), 4, r"received shape \(2, 2, 2\)"),
        (
            [[0.5, 0.5], [0.5, 0.75]],
            2,
            "probabilities that sum to 1; received a row that sums to 1.25",
        ),
        ([[0, 0], [0, 1]], 2, "received a row that sums to 0"),
        ([[float("nan"), 1.0]], 2, "received a row that sums to nan"),
        ([[1.5, -0.5]], 2, "answers must"),
    ],
)
def test_bad_labels(labels, classes, said):
    with pytest.raises(ValueError, match=f"^answers .*{said.replace('answers ', '')}"):
        validation.check_labels(labels, classes, "answers")


@pytest.mark.parametrize("labels", [["cat", "dog"], [b"cat"], np.array([None, 1])])
def test_labels_that_are_no_numbers(labels):
    with pytest.raises(TypeError, match=r"^answers must be class indices .*; received dtype"):
        validation.check_labels(labels, 2, "answers")


def test_elements_of_a_data_set():
    validation.check_pair(IMAGES, np.zeros(2), "the data")
    for images, labels, given in (
        (IMAGES, None, "one part"),
        ({"image": IMAGES, "label": [0, 1]}, None, r"a dict of image, label \(.*data.map\)"),
        (IMAGES, {"label": [0, 1]}, "a dict of label"),
        ((IMAGES, IMAGES), np.zeros(2), "a tuple of 2 as one of the two"),
    ):
        with pytest.raises(ValueError, match=f"^the data must give .*; it gives {given}"):
            validation.check_pair(images, labels, "the data")


def test_hints_for_missing_axes():
    for shape, hint in (((8, 8, 3), "without batches: data.batch"), ((9, 8, 8), "np.newaxis")):
        with pytest.raises(ValueError, match=hint):
            validation.check_image_spec(shape, np.dtype("float32"))


def test_no_one_hot_labels():
    with pytest.raises(ValueError, match="at least one label"):
        validation.check_labels(np.zeros([0, 10]), 10)


def test_message_on_a_negative_probability():
    with pytest.raises(ValueError, match=r"-0\.5"):
        validation.check_labels([[1.5, -0.5]], 2)


@pytest.mark.parametrize("value", [0, 1, 0.25, np.float32(0.5)])
def test_in_range(value):
    number = validation.check_in_range("p", value, 0, 1)
    assert type(number) is float and number == float(value)


@pytest.mark.parametrize(
    "value", [-0.001, 1.001, float("nan"), float("inf"), None, "much", "0.5", True, [1], {}]
)
def test_not_in_range(value):
    with pytest.raises(ValueError) as caught:
        validation.check_in_range("p", value, 0, 1)
    assert str(caught.value) == f"p must be a number in [0, 1]; received {value!r}"


def test_models():
    net = keras.Sequential([keras.Input([4]), keras.layers.Dense(2)])
    validation.check_net(net)
    with pytest.raises(TypeError, match=r"net must be a keras.Model; received Dense"):
        validation.check_net(keras.layers.Dense(2))
    with pytest.raises(ValueError, match="has no weights yet; give it an Input layer"):
        validation.check_net(keras.Sequential([keras.layers.Dense(2)]))


def test_shapes_and_counts():
    validation.check_fits((4, 5, 3), (None, 5, 3))
    for shape, wanted in [((4, 5, 3), (4, None, 1)), ((4, 5), (4, 5, 3)), ((4, 5, 3), (4, 5))]:
        with pytest.raises(
            ValueError, match=rf"x must fit m, which takes .*; received \({shape[0]}"
        ):
            validation.check_fits(shape, wanted, "x", "m")
    validation.check_label_count(IMAGES, [1, 2])
    with pytest.raises(ValueError, match="one label per image; received 2 images and 3 labels"):
        validation.check_label_count(IMAGES, [1, 2, 3])


@pytest.mark.parametrize("value", [0, 1, -0.5, np.float32(2), float("nan"), "0.5", True, None])
def test_ends_are_outside(value):
    assert validation.check_between("drop", np.float32(0.5), 0, 1) == 0.5
    with pytest.raises(ValueError, match="drop must be a number between 0 and 1, neither"):
        validation.check_between("drop", value, 0, 1)


def test_names_of_settings():
    validation.check_known("it", "setting", [], [])
    validation.check_known("it", "setting", ["a"], ["b", "a"])
    with pytest.raises(ValueError, match=r"it has no setting c, d; it has: b, a$"):
        validation.check_known("it", "setting", {"d": 1, "a": 1, "c": 1}, ["b", "a"])
    with pytest.raises(ValueError, match=r"it has no option c; it has: none$"):
        validation.check_known("it", "option", ["c"], [])
