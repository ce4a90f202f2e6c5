"""Answers against means and bootstraps made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from tfrobust.evaluation.answers import answers
from tfrobust.evaluation.predictions import Predictions
from tfrobust.evaluation.results_folder import Results
from tfrobust.rows import Row

N = 400


@pytest.fixture
def measured(tmp_path):
    """Two models under clean images, two corruptions, one augmentation and one attack."""
    random, right, rows, results = np.random.default_rng(0), {}, [], {}
    places = {("clean", 0.0): 0.95, ("fog", 3): 0.7, ("snow", 1): 0.8, ("B+", 0.3): 0.9}
    places[("PGD", 0.03)] = 0.2
    for shift, model in ((0.0, "one"), (0.05, "two")):
        results[model] = Results(tmp_path, model, "toy/test")
        for (name, severity), value in places.items():
            hits = random.random(N) < value + shift
            right[model, name] = hits
            protocol = {"attack": {}} if name == "PGD" else {}
            row = Row(model, "toy/test", name, severity, "accuracy", hits.mean(), N, 0)
            row = Row(**{**vars(row), "protocol": protocol})
            given = Predictions(np.zeros(N, int), 1 - hits.astype(int), np.zeros(N, "float32"))
            results[model].add([row], given)
            rows.append(row)
    return rows, results, right


def test_means_intervals_and_differences(measured):
    rows, results, right = measured
    found = {(one["model"], one["kind"]): one for one in answers(rows, results)}
    assert len(found) == 8
    one, two = (
        (right[model, "fog"].astype(float) + right[model, "snow"]) / 2 for model in ("one", "two")
    )
    record = found["two", "corruptions"]
    assert record["accuracy"] == pytest.approx(two.mean())
    assert record["difference"] == pytest.approx((two - one).mean())
    assert [c["corruption"] for c in record["conditions"]] == ["fog", "snow"]
    assert record["conditions"][0]["accuracy"] == right["two", "fog"].mean()
    # The percentile bootstrap of a mean is close to its normal approximation.
    for low, high, scores in (
        ("low", "high", two),
        ("difference_low", "difference_high", two - one),
    ):
        half = 1.96 * scores.std() / np.sqrt(N)
        assert record[low] == pytest.approx(scores.mean() - half, abs=0.15 * half)
        assert record[high] == pytest.approx(scores.mean() + half, abs=0.15 * half)
    assert found["one", "corruptions"]["difference"] is None
    assert found["two", "attacks"]["accuracy"] == right["two", "PGD"].mean()
    assert found["one", "augmentations"]["n"] == N


def test_only_what_all_models_have_counts(measured):
    rows, results, right = measured
    results = {"three": results["one"], **results}  # a model without rows of its own
    rows = [row for row in rows if (row.model, row.corruption) != ("two", "fog")]
    (results["two"]._answers_path("fog", 3)).unlink()
    record = {(one["model"], one["kind"]): one for one in answers(rows, results)}
    assert [c["corruption"] for c in record["one", "corruptions"]["conditions"]] == ["snow"]
    assert record["one", "corruptions"]["accuracy"] == right["one", "snow"].mean()
