"""Averages of weights."""

import numpy as np
import pytest

from tfrobust import nets
from tfrobust.nets.weight_averaging import average_weights, greedy_soup, interpolate_weights


def test_the_ends_of_the_line_are_the_two_models():
    first, second = (nets.small_cnn((16, 16, 3), 4).get_weights() for _ in range(2))
    for position, expected in ((0.0, first), (1.0, second)):
        for found, wanted in zip(interpolate_weights(first, second, position), expected):
            np.testing.assert_array_equal(found, wanted)
    middle = interpolate_weights(first, second, 0.5)
    np.testing.assert_allclose(middle[0], (first[0] + second[0]) / 2, rtol=1e-6)


def test_types_are_kept_and_whole_numbers_not_averaged():
    first = [np.float16([0, 1]), np.int32([3]), np.array(7, "float32")]
    second = [np.float16([1, 1]), np.int32([5]), np.array(8, "float32")]
    found = average_weights([first, second])
    assert [np.asarray(weight).dtype for weight in found] == [w.dtype for w in first]
    assert [np.asarray(weight).tolist() for weight in found] == [[0.5, 1], [3], 7.5]


def test_the_mean_of_many_equal_models_is_the_model():
    weights = [np.float32([1e-8, 1e8, -3.3])]
    np.testing.assert_array_equal(average_weights([weights] * 7)[0], weights[0])


def test_other_structures_are_refused():
    with pytest.raises(ValueError, match="one structure"):
        average_weights([[np.zeros(3)], [np.zeros(4)]])
    with pytest.raises(ValueError, match="one structure"):
        average_weights([])
    with pytest.raises(ValueError, match="position"):
        interpolate_weights([np.zeros(1)], [np.ones(1)], 1.5)


def test_a_greedy_soup_takes_what_does_not_lower_the_score():
    models = [[np.array([value])] for value in (1.0, 5.0, -1.0)]
    # The score is best at 0: 5 would worsen it, -1 brings the mean there.
    weights, chosen = greedy_soup(models, lambda weights: -abs(float(weights[0][0])))
    assert chosen == (0, 2) and float(weights[0][0]) == 0.0
