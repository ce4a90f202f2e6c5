"""Ranges, the score with its floor, and the records of trials."""

import math

import numpy as np
import pytest

from tfrobust.tuning import FlooredScore, Range, Trial, distributed, ranked, trials


def test_values_of_a_range():
    assert Range("alpha", 0.01, 10, 4, "log").values == (0.01, 0.1, 1.0, 10.0)
    assert Range("p", 0.5, 1, 2).values == (0.5, 1.0)
    assert Range("k", 256, 2048, 4, "log", whole=True).values == (256, 512, 1024, 2048)
    assert Range("x", 2, 8, 1).values == (2.0,)
    assert Range("n", 1, 2, 5, whole=True).values == (1, 2)  # none twice
    assert Range("x", 1 / 3, 1, 2).values == (0.333333, 1.0)  # as a command prints it


def test_a_range_as_text():
    assert Range.parse("gamma=0.01,1,5,log") == Range("gamma", 0.01, 1.0, 5, "log")
    assert Range.parse("mu=0,1,3") == Range("mu", 0.0, 1.0, 3)


@pytest.mark.parametrize(
    "text, message",
    [
        ("gamma", r"a range is written NAME=START,END,POINTS.*; received 'gamma'"),
        ("gamma=1,2", "a range is written"),
        ("gamma=1,2,3,log,5", "a range is written"),
        ("gamma=a,2,3", "a range is written"),
        ("gamma=1,2,2.5", "a range is written"),
        ("=1,2,3", "a range is written"),
        ("gamma=2,1,3", "gamma must go from a smaller to a larger number; received 2 to 1"),
        ("gamma=1,1,3", "gamma must go from a smaller to a larger number; received 1 to 1"),
        ("gamma=0,1,3,log", "a logarithmic range must start above 0; received gamma from 0"),
        ("gamma=0,1,0", "points of gamma must be a whole number from 1 to 10000; received 0"),
        ("gamma=0,1,3,cubic", "scale of gamma must be one of linear, log; received 'cubic'"),
        ("gamma=nan,1,3", "start of gamma must be a number"),
        ("gamma=0,inf,3", "end of gamma must be a number"),
    ],
)
def test_wrong_ranges_are_told(text, message):
    with pytest.raises(ValueError, match=message):
        Range.parse(text)


def score_of(clean, robust, floor):
    logs = {"val_accuracy": np.float32(clean), "val_robust_accuracy": robust}
    FlooredScore(floor).on_epoch_end(0, logs)
    return logs["score"]


def test_score_golden():
    assert score_of(0.95, 0.8, None) == 0.8
    assert score_of(0.95, 0.8, 0.9) == 0.8
    assert score_of(0.85, 0.8, 0.9) == pytest.approx(-1.05)
    assert score_of(0.9, 0.8, 0.9) == 0.8  # float32 is a little below
    assert score_of(math.nan, 0.8, 0.9) != score_of(math.nan, 0.8, 0.9)  # NaN is no accuracy


def test_whatever_misses_the_floor_ranks_below_all_that_keep_it():
    random = np.random.default_rng(0)
    clean, robust = random.random([2, 200])
    scores = np.array([score_of(c, r, 0.6) for c, r in zip(clean, robust)])
    kept = clean >= 0.6
    assert 50 < kept.sum() < 150
    assert scores[~kept].max() < scores[kept].min()
    assert (np.argsort(scores[~kept]) == np.argsort(clean[~kept])).all()  # the nearer the better
    np.testing.assert_allclose(scores[kept], robust[kept])


def test_score_says_what_it_lacks():
    with pytest.raises(
        ValueError, match=r"needs 'val_robust_accuracy' in the logs .* val_accuracy"
    ):
        FlooredScore().on_epoch_end(0, {"val_accuracy": 0.5})
    with pytest.raises(ValueError, match=r"clean_floor must be a number in \[0, 1\]; received 95"):
        FlooredScore(95)


TRIALS = [
    Trial(1, {"gamma": 0.1}, "completed", 6, 5, 0.95, 0.8, 0.8, True),
    Trial(2, {"gamma": 1.0}, "failed", 6, message="NaN"),
    Trial(3, {"gamma": 10.0}, "completed", 6, 6, 0.5, 0.9, -1.4, False),
    Trial(4, {"gamma": 0.3}, "completed", 6, 6, 0.94, 0.85, 0.85, True),
    Trial(5, {"gamma": 0.4}, "completed", 6, 6, 0.93, 0.85, 0.85, True),
]


def test_ranking():
    assert [t.number for t in ranked(TRIALS)] == [4, 5, 1, 3, 2]
    assert [t.number for t in ranked(TRIALS, direction="min")] == [3, 1, 4, 5, 2]


def test_trials_come_back_from_their_file(tmp_path):
    path = tmp_path / "trials.jsonl"
    trials.write(TRIALS, path)
    assert trials.read(path) == TRIALS
    path.write_text(path.read_text() + '{"number": 1}\n')
    with pytest.raises(ValueError, match=r"trials.jsonl, line 6, is no trial"):
        trials.read(path)


def test_roles(monkeypatch, tmp_path):
    for name in ("TUNER_ID", "ORACLE_IP", "ORACLE_PORT"):
        monkeypatch.delenv(f"KERASTUNER_{name}", raising=False)
    assert distributed.role() == "alone"
    monkeypatch.setenv("KERASTUNER_ORACLE_IP", "127.0.0.1")
    monkeypatch.setenv("KERASTUNER_TUNER_ID", "chief")
    with pytest.raises(ValueError, match="KERASTUNER_ORACLE_PORT is not set"):
        distributed.role()
    monkeypatch.setenv("KERASTUNER_ORACLE_PORT", "8000")
    assert distributed.role() == "chief"
    monkeypatch.setenv("KERASTUNER_TUNER_ID", "worker-1")
    assert distributed.role() == "worker"
    with pytest.raises(TimeoutError, match=r"waits for the chief to write .*tuning.json"):
        distributed.wait_for(tmp_path / "tuning.json", seconds=0)
