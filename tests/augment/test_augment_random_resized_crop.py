"""Random resized cropping of batches."""

import numpy as np
import pytest
import tensorflow as tf

from tests.reference import random_boxes as reference
from tfrobust.augment import RandomResizedCrop

IMAGES = np.random.default_rng(1).random([4, 20, 30, 3], "float32")


def test_each_image_is_the_resized_box_that_was_drawn():
    layer = RandomResizedCrop(size=(16, 12), seed=3)
    draws = layer.draw(IMAGES)
    result = layer.apply(IMAGES, draws)
    assert result.shape == (4, 16, 12, 3)
    places = np.stack([draws[name] for name in ("top", "left", "height", "width")], axis=1)
    assert len(np.unique(places, axis=0)) == 4
    for image, one, place in zip(IMAGES, result, places):
        np.testing.assert_allclose(one, reference.crop(image, place, (16, 12)), atol=2e-6)


def test_outside_training_it_is_the_largest_central_box():
    result = RandomResizedCrop(size=(10, 10))(IMAGES, training=False)
    for image, one in zip(IMAGES, result):
        np.testing.assert_allclose(one, reference.crop(image, (0, 5, 20, 20), (10, 10)), atol=2e-6)


def test_images_of_unknown_size():
    layer = RandomResizedCrop()
    call = tf.function(
        lambda images: layer(images, training=True),
        input_signature=[tf.TensorSpec([None, None, None, 3])],
    )
    alike = RandomResizedCrop()
    for _ in range(2):
        np.testing.assert_allclose(call(IMAGES), alike(IMAGES, training=True), atol=1e-6)


@pytest.mark.parametrize(
    "arguments, said",
    [
        ({"scale": 0.5}, "scale must be a (low, high) pair; received 0.5"),
        ({"scale": (0.5, 1.5)}, "scale must be a number in [1e-06, 1]; received 1.5"),
        ({"ratio": (2, 1)}, "low <= high; received (2, 1)"),
        ({"size": 224}, "size must be a (height, width) pair or None; received 224"),
        ({"size": (0, 4)}, "size must be a whole number"),
    ],
)
def test_wrong_arguments(arguments, said):
    with pytest.raises(ValueError) as raised:
        RandomResizedCrop(**arguments)
    assert said in str(raised.value)
