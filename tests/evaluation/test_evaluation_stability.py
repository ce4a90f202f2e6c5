"""Flip probabilities and flip rates."""

from __future__ import annotations

import numpy as np
import pytest

from tfrobust.corruptions import HELD_OUT_PERTURBATIONS, NOISE_PERTURBATIONS, PERTURBATIONS
from tfrobust.evaluation import (
    FLIP_BASELINES,
    flip_probabilities,
    flip_probability,
    flip_rates,
    mean_flip_probability,
    mean_flip_rate,
)

ALL = (*PERTURBATIONS, *HELD_OUT_PERTURBATIONS)


@pytest.mark.parametrize(
    "videos, before, first",
    [
        ([[1, 1, 1, 1, 1]], 0, 0),
        ([[1, 2, 2, 2, 2]], 1 / 4, 1),
        ([[1, 1, 2, 1, 1]], 2 / 4, 1 / 4),
        ([[1, 2, 3, 4, 5]], 1, 1),
        ([[1, 2, 2, 2, 2], [7, 7, 7, 7, 7]], 1 / 8, 1 / 2),
        ([[0, 1]], 1, 1),
    ],
)
def test_worked(videos, before, first):
    for dtype in ("int32", "uint8", "float32"):
        found = flip_probability(np.array(videos, dtype), noise=False)
        assert type(found) is float and found == before
        assert flip_probability(np.array(videos, dtype), noise=True) == first


@pytest.mark.parametrize("step, expected", [(1, 3 / 5), (2, 3 / 4), (3, 1 / 3), (5, 1)])
def test_frames_further_apart(step, expected):
    videos = [[1, 1, 2, 2, 1, 2]]
    assert flip_probability(videos, noise=False, step=step) == pytest.approx(expected)
    assert flip_probability(videos, noise=True, step=step) == pytest.approx(3 / 5)
    with pytest.raises(ValueError, match="step must be a whole number from 1 to 5; received 6"):
        flip_probability(videos, noise=False, step=6)


def test_random_against_loops():
    random = np.random.default_rng(0)
    sequences = {name: random.integers(0, 3, [9, 11 + i]) for i, name in enumerate(ALL)}
    found = flip_probabilities(sequences)
    assert list(found) == list(ALL)
    for name, videos in sequences.items():
        shares = []
        for video in videos:
            flips = 0
            for j in range(1, len(video)):
                flips += video[j] != video[0 if name in NOISE_PERTURBATIONS else j - 1]
            shares.append(flips / (len(video) - 1))
        assert found[name] == pytest.approx(sum(shares) / len(shares))
        # Neither the order of the videos nor the names of the classes count.
        same = flip_probabilities({name: 10 - videos[::-1]})
        assert same == {name: pytest.approx(found[name])}
    ten = [found[name] for name in PERTURBATIONS]
    alexnet = [FLIP_BASELINES["alexnet"][name] for name in PERTURBATIONS]
    assert mean_flip_probability(found) == pytest.approx(sum(ten) / 10)
    rates = flip_rates(found, "alexnet")
    assert list(rates) == list(PERTURBATIONS)
    assert list(rates.values()) == pytest.approx([100 * a / b for a, b in zip(ten, alexnet)])
    value = mean_flip_rate(found, "alexnet")
    assert value == pytest.approx(sum(rates.values()) / 10)
    assert abs(value - 100 * sum(ten) / sum(alexnet)) > 1  # not a ratio of means


def test_order_of_frames():
    random = np.random.default_rng(1)
    videos = random.integers(0, 2, [20, 31])
    backwards = videos[:, ::-1]
    assert flip_probability(backwards, noise=False) == flip_probability(videos, noise=False)
    # Of noise, the frames after the first may come in any order, and so the others differ.
    shuffled = np.concatenate([videos[:, :1], random.permuted(videos[:, 1:], axis=1)], axis=1)
    assert flip_probability(shuffled, noise=True) == flip_probability(videos, noise=True)
    assert flip_probability(shuffled, noise=False) != flip_probability(videos, noise=False)


def test_alexnet_is_100():
    alexnet = FLIP_BASELINES["alexnet"]
    assert mean_flip_rate(alexnet, "alexnet") == 100
    assert set(flip_rates(alexnet, "alexnet", perturbations=ALL).values()) == {100.0}
    assert mean_flip_probability(alexnet) == pytest.approx(0.14046, abs=1e-5)


def test_worked_rates():
    some = {"snow": 0.1, "tilt": 0.3}
    other = {"snow": 0.2, "tilt": 0.2}
    names = ("snow", "tilt")
    assert flip_rates(some, other, perturbations=names) == pytest.approx({"snow": 50, "tilt": 150})
    assert mean_flip_rate(some, other, perturbations=names) == pytest.approx(100)
    assert mean_flip_probability(some, perturbations=["tilt"]) == pytest.approx(0.3)
    assert mean_flip_rate(dict.fromkeys(PERTURBATIONS, 0), "alexnet") == 0


@pytest.mark.parametrize(
    "predictions, said",
    [
        ([1, 2, 3], r"shape \[videos, frames\].* received shape \(3,\)"),
        (np.zeros([4, 1], int), r"two frames or more; received shape \(4, 1\)"),
        (np.zeros([0, 5], int), r"received shape \(0, 5\)"),
        (np.zeros([2, 5, 10]), r"received shape \(2, 5, 10\)"),
        ([[0.5, 1.0]], r"received float64 that are not \(of logits take the argmax"),
        ([[np.nan, 1.0]], "whole class indices"),
        ([["cat", "dog"]], "whole class indices"),
    ],
)
def test_bad_predictions(predictions, said):
    for noise in (False, True):
        with pytest.raises(ValueError, match=said):
            flip_probability(predictions, noise=noise)
    with pytest.raises(ValueError, match=said):
        flip_probabilities({"snow": predictions})


def test_bad_arguments():
    good = dict.fromkeys(PERTURBATIONS, 0.1)
    with pytest.raises(ValueError, match=r"perturbation must be one of .*; received 'frost'"):
        flip_probabilities({"frost": [[1, 2]]})
    with pytest.raises(ValueError, match="received 'frost'"):
        mean_flip_probability({**good, "frost": 0.1})
    with pytest.raises(ValueError, match="received 'frost'"):
        mean_flip_probability(good, perturbations=["frost"])
    with pytest.raises(ValueError, match="each once; received none"):
        mean_flip_probability(good, perturbations=[])
    with pytest.raises(ValueError, match="each once; received snow, snow"):
        mean_flip_probability(good, perturbations=["snow", "snow"])
    with pytest.raises(ValueError, match=r"received none of scale$"):
        mean_flip_rate({name: 0.1 for name in PERTURBATIONS[:-1]}, "alexnet")
    with pytest.raises(ValueError, match=r"the baseline must hold .* none of gaussian_noise, "):
        mean_flip_rate(good, {"snow": 0.1})
    with pytest.raises(ValueError, match="baseline must be one of alexnet; received 'resnet'"):
        mean_flip_rate(good, "resnet")
    with pytest.raises(ValueError, match="baseline must flip under tilt"):
        mean_flip_rate(good, {**good, "tilt": 0})
    for bad in (3.8, -0.1, float("nan"), None):
        with pytest.raises(ValueError, match=r"of snow must be a number in \[0, 1\]; received"):
            mean_flip_probability({**good, "snow": bad})
