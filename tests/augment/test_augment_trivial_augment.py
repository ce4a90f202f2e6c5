"""TrivialAugment against Pillow, and its space against the paper's."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageEnhance, ImageOps

from tests.reference.augmix import smooth_images
from tfrobust.augment import TrivialAugment
from tfrobust.ops import chains

NAMES = (*chains.OPERATORS, "identity")


def operate(name, pixels, value):
    """An operator with its argument on one uint8 image."""
    image, whole = Image.fromarray(pixels), int(value)

    def affine(*matrix):
        return image.transform(image.size, Image.AFFINE, matrix, resample=Image.BILINEAR)

    result = {
        "identity": lambda: image,
        "autocontrast": lambda: ImageOps.autocontrast(image),
        "equalize": lambda: ImageOps.equalize(image),
        "posterize": lambda: ImageOps.posterize(image, whole),
        "rotate": lambda: image.rotate(whole, Image.BILINEAR),
        "solarize": lambda: ImageOps.solarize(image, whole),
        "shear_x": lambda: affine(1, value, 0, 0, 1, 0),
        "shear_y": lambda: affine(1, 0, 0, value, 1, 0),
        "translate_x": lambda: affine(1, 0, whole, 0, 1, 0),
        "translate_y": lambda: affine(1, 0, 0, 0, 1, whole),
    }
    if name in result:
        return np.asarray(result[name]())
    return np.asarray(getattr(ImageEnhance, name.capitalize())(image).enhance(value))


def test_every_operator_of_the_space_matches_pillow():
    """Both ends, and the strengths that the layer draws."""
    pixels = smooth_images(60, 18, 22)
    images = pixels.astype("float32") / 255
    layer = TrivialAugment()
    draws = {key: value.numpy() for key, value in layer.draw(images).items()}
    ends = [0, 255, 8, 2, 135, -135, 0.99, -0.99, 32, -32, 0.01, 2.0]
    names = ["solarize", "solarize", "posterize", "posterize", "rotate", "rotate", "shear_x"]
    names += ["shear_y", "translate_x", "translate_y", "brightness", "contrast"]
    draws["operator"][: len(ends)] = [NAMES.index(name) for name in names]
    draws["argument"][: len(ends)] = ends
    result = np.rint(255 * layer.apply(images, draws).numpy())
    for i, (operator, argument) in enumerate(zip(draws["operator"], draws["argument"])):
        expected = operate(NAMES[operator], pixels[i], float(argument))
        if NAMES[operator] in ("rotate", "shear_x", "shear_y"):
            assert np.mean(np.abs(result[i] - expected) > 1) < 0.003
        else:
            assert np.array_equal(result[i], expected), (NAMES[operator], argument)


def test_the_space_is_the_papers():
    """All operators alike; arguments are the 31 of each, whole ones cut towards the weakest."""
    draws = TrivialAugment().draw(tf.zeros([60_000, 1, 1, 3]), tf.constant([1, 2]))
    operator, argument = draws["operator"].numpy(), draws["argument"].numpy()
    counts = np.bincount(operator, minlength=14)
    assert len(counts) == 14 and np.abs(counts - 60_000 / 14).max() < 5 * np.sqrt(60_000 / 14)
    strengths = np.arange(31)
    expected = {
        "posterize": 8 - np.floor(strengths * 6 / 30 + 1e-9),
        "solarize": 256 - np.floor(strengths * 256 / 30 + 1e-9),
        "rotate": np.floor(strengths * 4.5),
        "shear_x": strengths * 0.033,
        "translate_y": np.floor(strengths * 32 / 30 + 1e-9),
        "contrast": 0.01 + strengths * 1.99 / 30,
    }
    for name, values in expected.items():
        found = argument[operator == NAMES.index(name)]
        if name in ("rotate", "shear_x", "translate_y"):
            assert abs(np.mean(found < 0) - np.mean(found > 0)) < 0.1
            found = np.abs(found)
        np.testing.assert_allclose(np.unique(found), np.unique(values), atol=1e-5)


def test_without_what_overlaps_with_the_benchmark():
    layer = TrivialAugment(all_ops=False)
    operator = layer.draw(tf.zeros([5_000, 1, 1, 4]))["operator"].numpy()
    assert set(operator) == {*range(9), 13}
    with pytest.raises(ValueError, match="needs images of 1 or 3 channels; received 4"):
        TrivialAugment()(tf.zeros([2, 8, 8, 4]), training=True)
    with pytest.raises(ValueError, match="bins must be"):
        TrivialAugment(bins=1)


def test_the_identity_keeps_values_between_the_8_bit_ones():
    images = np.random.default_rng(0).random([2, 18, 22, 3], "float32")
    draws = {"operator": tf.constant([13, 13]), "argument": tf.zeros([2])}
    np.testing.assert_array_equal(TrivialAugment().apply(images, draws), images)
