"""The answer in sentences: what was asked, its interval, the difference, the worst, what next."""

from __future__ import annotations

import json

import pytest

from tfrobust.reports import answer_text
from tfrobust.reports.answer import answer, described


def record(model="a", kind="corruptions", difference=None, n=2000, **more):
    names = ("difference", "difference_low", "difference_high")
    found = {"model": model, "dataset": "toy/test", "kind": kind, "n": n, "level": 0.95}
    found.update(accuracy=0.5, low=0.45, high=0.55, baseline=None, **dict.fromkeys(names))
    if difference:
        found.update(baseline="a", **dict(zip(names, difference)))
    conditions = [("fog", 2, 0.6), ("glass_blur", 2, 0.4), ("snow", 2, 0.5), ("frost", 2, 0.3)]
    keys = ("corruption", "severity", "accuracy")
    found["conditions"] = [dict(zip(keys, one)) for one in conditions]
    return {**found, **more}


def test_sentences():
    clean = record(kind="clean", conditions=[], accuracy=0.9, low=None, high=None)
    told = answer([clean, record(), record("b", difference=(0.1, 0.05, 0.15))])
    assert told["lead"] == (
        "2000 images of toy/test. Corrupted: 4 corruptions at severity 2. In brackets: 95% "
        "intervals."
    )
    assert [one["sentences"] for one in told["models"]] == [
        [
            "50.0% of corrupted images right (45.0 to 55.0).",
            "90.0% of clean images right.",
            "Worst: frost 2 30.0%, glass blur 2 40.0%, snow 2 50.0%.",
        ],
        [
            "50.0% of corrupted images right (45.0 to 55.0), +10.0 points against a (+5.0 to "
            "+15.0).",
            "Worst: frost 2 30.0%, glass blur 2 40.0%, snow 2 50.0%.",
        ],
    ]
    assert told["advice"] == [
        "What hurts most is frost 2. To train against it: tfrobust robustify MODEL --against "
        "unknown",
        "Published numbers are means over all 15 corruptions at all 5 severities; these cannot be "
        "compared with them.",
    ]


def test_a_difference_that_can_be_chance():
    told = answer([record(n=300), record("b", difference=(0.01, -0.02, 0.04), n=300)])
    assert told["models"][1]["sentences"][0].endswith(
        "+1.0 points against a (-2.0 to +4.0; can be chance)."
    )
    assert told["advice"][0].startswith("Whether b is more robust than a cannot be told from 300")
    assert answer([record(n=300)])["advice"][0].startswith("300 images: differences of a few")


def test_what_hurts_is_named_as_a_threat():
    harmless = [{"corruption": "fog", "severity": 1, "accuracy": 0.89}]
    clean = record(kind="clean", conditions=[], accuracy=0.9)
    assert "hurts" not in " ".join(answer([clean, record(conditions=harmless)])["advice"])
    worst = [{"corruption": "motion_blur", "severity": 5, "accuracy": 0.1}]
    advice = answer([record(conditions=worst)])["advice"]
    assert advice[0].endswith("robustify MODEL --against blur")


@pytest.mark.parametrize(
    "places, words",
    [
        ([("fog", s) for s in range(1, 6)], "fog at severities 1 to 5"),
        ([("fog", 3), ("snow", 3)], "fog and snow at severity 3"),
        ([("fog", 1), ("snow", 3)], "fog and snow"),
        ([("jpeg=10", 10.0), ("B+", 0.3)], "jpeg=10 and B+"),
        ([("GN", 0.1), ("GN", 0.2)], "2 conditions"),
        ([(name, s) for name in "abcdefg" for s in (1, 5)], "7 corruptions at severities 1 and 5"),
    ],
)
def test_what_was_asked(places, words):
    assert described([{"corruption": name, "severity": s} for name, s in places]) == words


def test_text(tmp_path):
    (tmp_path / "answers.json").write_text(json.dumps([record(), record(dataset="other/test")]))
    text = answer_text(tmp_path, "toy/test")
    assert text.startswith("2000 images of toy/test.") and "\na\n  50.0% of corrupted" in text
    assert "other" not in text and text.endswith("compared with them.\n")
