"""Formats of images, against the functions of `keras.applications`."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfrobust.nets.input_ranges import INPUT_RANGES

IMAGES = np.random.default_rng(0).random([2, 3, 3, 3], "float32")
APPLICATIONS = {
    "0_to_255": lambda x: x,
    "minus_1_to_1": keras.applications.mobilenet_v2.preprocess_input,
    "imagenet": keras.applications.densenet.preprocess_input,
    "caffe": keras.applications.resnet50.preprocess_input,
}


@pytest.mark.parametrize("name", APPLICATIONS)
def test_formats_are_those_of_keras(name):
    expected = APPLICATIONS[name](IMAGES * 255)
    for images in (IMAGES, tf.constant(IMAGES)):
        np.testing.assert_allclose(INPUT_RANGES[name].convert(images), expected, atol=2e-5)


def test_unit_images_stay():
    assert INPUT_RANGES["0_to_1"].convert(IMAGES) is IMAGES
