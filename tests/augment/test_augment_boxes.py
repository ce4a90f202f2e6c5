"""Random erasing and CutMix, image by image."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from tfrobust.augment import CutMix, RandomErasing

IMAGES = np.random.default_rng(0).random([40, 17, 23, 3], "float32")
LABELS = np.eye(5, dtype="float32")[np.arange(40) % 5]
BOX = ("top", "left", "height", "width")


def arrays(draws):
    return {key: np.asarray(value) for key, value in draws.items()}


def test_erased_boxes_hold_random_values_and_nothing_else_changes():
    layer = RandomErasing(0.6)
    draws = layer.draw(IMAGES)
    result, boxes = layer.apply(IMAGES, draws).numpy(), arrays(draws)
    values = []
    for i in range(40):
        top, left, high, wide = (int(boxes[name][i]) for name in BOX)
        inside = np.zeros([17, 23], bool)
        inside[top : top + high, left : left + wide] = True
        assert inside.sum() == high * wide  # the box lies in the image
        np.testing.assert_array_equal(result[i][~inside], IMAGES[i][~inside])
        assert (result[i][inside] != IMAGES[i][inside]).all()
        values.append(result[i][inside].ravel())
    values = np.sort(np.concatenate(values))
    uniform = (np.arange(len(values)) + 0.5) / len(values)
    assert np.abs(values - uniform).max() < 1.95 / np.sqrt(len(values))  # Kolmogorov, 0.1%


def test_number_area_and_shape_of_the_boxes():
    images = tf.zeros([4000, 200, 200, 1])
    draws = arrays(RandomErasing().draw(images))
    there = draws["height"] > 0
    assert abs(there.mean() - 0.5) < 5 * 0.5 / np.sqrt(4000)
    area = (draws["height"] * draws["width"])[there] / 40_000
    ratio = (draws["width"] / np.maximum(draws["height"], 1))[there]
    assert 0.018 < area.min() < 0.03 and 0.39 < area.max() < 0.41
    assert abs(area.mean() - 0.21) < 0.01
    assert 0.28 < ratio.min() < 0.32 and 3.2 < ratio.max() < 3.5
    assert abs(np.log(ratio).mean()) < 0.06


def test_cutmix_by_hand():
    for per_image in (False, True):
        layer = CutMix(per_image=per_image)
        draws = layer.draw(IMAGES)
        result, drawn = layer.apply(IMAGES, draws).numpy(), arrays(draws)
        labels = layer.mix_labels(LABELS, draws).numpy()
        assert sorted(drawn["partner"]) == list(range(40))
        assert len(set(drawn["top"])) == (1 if not per_image else len(set(drawn["top"])))
        for i in range(40):
            top, left, high, wide = (int(drawn[name][i]) for name in BOX)
            expected = IMAGES[i].copy()
            other = IMAGES[drawn["partner"][i]]
            rows, columns = slice(top, top + high), slice(left, left + wide)
            expected[rows, columns] = other[rows, columns]
            np.testing.assert_array_equal(result[i], expected)
            stays = 1 - high * wide / (17 * 23)
            mixed = stays * LABELS[i] + (1 - stays) * LABELS[drawn["partner"][i]]
            np.testing.assert_allclose(labels[i], mixed, atol=1e-6)


def test_boxes_of_cutmix_are_the_released_codes():
    """√(1 − λ) of each side around a uniform centre, cut at the border."""
    layer = CutMix(per_image=True)
    images = tf.zeros([5000, 100, 60, 1])
    drawn = arrays(layer.draw(images, tf.constant([3, 4])))
    inner = (drawn["top"] > 0) & (drawn["top"] + drawn["height"] < 100)
    inner &= (drawn["left"] > 0) & (drawn["left"] + drawn["width"] < 60)
    sides = drawn["height"][inner] / 100, drawn["width"][inner] / 60
    assert inner.sum() > 500 and np.abs(sides[0] - sides[1]).max() < 0.06
    centre = (drawn["top"] + drawn["height"] / 2)[inner]
    assert abs(centre.mean() - 50) < 3
    assert drawn["mixing_weight"].min() >= 0 and drawn["mixing_weight"].max() <= 1
    # Before it is cut, the box has the sides r = √U; the mean of (r − r²/4)² is 0.3208.
    assert abs(drawn["mixing_weight"].mean() - 0.679) < 0.015


def test_wrong_arguments_are_refused():
    for wrong in ({"scale": 0.2}, {"scale": (0.4, 0.1)}, {"ratio": (0, 1)}, {"probability": 2}):
        with pytest.raises(ValueError, match=f"{next(iter(wrong))} must be"):
            RandomErasing(**wrong)
    with pytest.raises(ValueError, match="alpha must be"):
        CutMix(alpha=0)
    with pytest.raises(ValueError, match="CutMix draws for a whole batch"):
        CutMix().draw(IMAGES, tf.zeros([40, 2], tf.int32))
