"""What the report of `robustify` says."""

import copy

import pytest

from tfrobust.reports import race

MEASURED = {"clean": 0.9, "robust": 0.8, "under": {"GN": 0.8}, "n": 400}
CANDIDATE = {"method": "noisymix", "augment": "augmix", "learning_rate": 0.01, "first": 1.0}
STORY = {
    "start": {**MEASURED, "robust": 0.6},
    "floor": 0.89,
    "chosen": {"name": "0.5 of the way", **MEASURED},
    "seconds": 90.0,
    "left_out": ["augmax-augmix-0.01"],
    "tried": [
        {**CANDIDATE, "name": "a", "rung": 1, "seen": [], "steps": 40, **MEASURED, "clean": 0.5},
        {**CANDIDATE, "name": "b", "rung": 1, "seen": ["gaussian_blur"], "steps": 40, **MEASURED},
        {**CANDIDATE, "name": "c", "rung": 1, "seen": [], "failed": "NaN in step 1"},
        {**CANDIDATE, "name": "b", "rung": 2, "seen": ["gaussian_blur"], "steps": 90, **MEASURED},
    ],
    "points": [{"name": "0.5 of the way", **MEASURED}, {"name": "1 of the way", **MEASURED}],
}


def difference(corruption, low, value, high):
    return {
        "model": "robust",
        "corruption": corruption,
        "low": low,
        "difference": value,
        "high": high,
    }


def test_the_answer_has_the_gain_and_its_interval():
    found = race.answer(
        STORY, [difference("clean", -0.02, -0.01, 0.0), difference("test", 0.1, 0.2, 0.3)]
    )
    assert found == (
        "The result against the original, on test images: +20.0 points on corrupted images (95% "
        "interval +10.0 to +30.0) and -1.0 points on clean images (95% interval -2.0 to +0.0; the "
        "difference can be chance)."
    )
    assert "is the original" in race.answer({**STORY, "chosen": None}, [])


def test_the_table_has_each_candidate_once_the_furthest_first():
    table = race.race_table(STORY)
    assert [values[4] for values in table.values] == [2, 1, 1]  # rungs
    notes = [values[-1] for values in table.values]
    assert notes == ["trained on images like gaussian_blur", "below the floor", "NaN in step 1"]
    assert table.values[0][5:8] == (90, 80.0 + 10.0, 80.0)


@pytest.mark.parametrize("n, few", [(100, True), (5000, False)])
def test_advice(n, few):
    story = copy.deepcopy(STORY)
    story["start"]["n"] = n
    found = " ".join(race.advice(story))
    assert ("More validation images: with 100" in found) == few
    assert "1 candidates did not fit" in found or "1 candidate did not fit" in found
    assert "Another backbone" in found


def test_the_figure_shows_candidates_dial_and_choice():
    axes = race.race_figure(STORY).axes[0]
    lines = {line.get_label(): line.get_xydata().tolist() for line in axes.get_lines()}
    assert lines["NoisyMix"] == [[50.0, 80.0], [90.0, 80.0], [90.0, 80.0]]
    assert lines["From the original to the winner"][0] == [90.0, 60.0]
    assert lines["Taken"] == [[90.0, 80.0]]
    assert axes.get_title() and axes.get_xlabel() and axes.get_ylabel()
